use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use adaplace_experiments::{
    Baseline, COMPARISON_FORMAT, ComparisonConfiguration, ComparisonRun, ComparisonSettings,
    Competitor, FinalRecord, Finisher, FrozenMap, PlacementBench, Replay, TestedTraining,
    run_comparison,
};
use adaplace_scorer::{Scorer, Statistic};
use adaplace_search_space::{Count, Fidelity, SearchSpace};
use adaplace_strategy::{ConnectionProxy, FixedProxy, StrategyDescription, StrategySetting};
use adaplace_study::{
    Configuration, Journal, Metric, Prepared, Problem, StudyConfiguration, StudyFolder, Workers,
    chain_shape,
};
use adaplace_task::{Part, ProblemKind, TaskOptions};
use anyhow::{Context, Result, bail};

use super::competition::{TestedOn, summary};
use super::configuration::Sources;
use super::reading::announce;
use super::spent::{Spent, announce_map, announce_memory};
use super::{PREPARATION, in_file, print, print_json, report, statistics};
use crate::Ending;
use crate::arguments::{Compare, StudyOutput};
use crate::hub;
use crate::progress::Progress;
use crate::resources;
use crate::terminal::{Preparation, say, stop_on_interrupt};

/// Default budget of a strategy, in trainings.
const TRAININGS: u64 = 64;

/// Default length of a final training, as a multiple of a trial.
const FINAL_STEPS: u32 = 4;

pub(crate) fn run(arguments: &Compare) -> Result<Ending> {
    match (&arguments.replay, &arguments.backbone, &arguments.task) {
        (Some(bench), ..) => replay(arguments, bench),
        (None, Some(backbone), Some(task)) => train(arguments, Places { backbone, task }),
        _ => bail!("either `--replay`, or `--backbone` and `--task` are needed"),
    }
}

/// The folders of the backbone and the task.
#[derive(Clone, Copy)]
struct Places<'a> {
    backbone: &'a Path,
    task: &'a Path,
}

/// A comparison by training.
fn train(arguments: &Compare, places: Places<'_>) -> Result<Ending> {
    let start = Instant::now();
    let output = &arguments.output.of(places.task, "compare");
    let (configuration, problem) = configuration(arguments, places)?;
    let computed = configuration.backbone.computed();
    let (problem, resources) = resources::within(output.resources, computed, problem)?;
    StudyFolder::check(&output.out, &configuration)?;
    let space = SearchSpace::resolve(
        &configuration.space,
        &chain_shape(&problem.backbone, &problem.task),
    )
    .map_err(|error| in_file(error, arguments.space.file()))?;
    let space = Arc::new(space);
    announce(&problem, &space);
    let preparation = configuration.preparation(&space);
    let memory = announce_memory(&problem, &preparation, &resources, output.workers);
    announce_map(&problem.backbone, &space, preparation.connections.len());
    let (backbone, task) = problem.shared();
    let test = task.test.as_ref().with_context(|| {
        format!(
            "the task `{}` has no test part, on which a comparison is judged",
            places.task.display()
        )
    })?;
    check_strategies(&configuration, &space)?;

    let settings = &configuration.comparison;
    let preparing = Preparation::begin(PREPARATION)?;
    let read = (&backbone, &task);
    let (prepared, opened) = Prepared::open(&output.out, &configuration, &space, read, resources)?;
    drop(preparing);
    let folder = &opened.folder;
    let finisher = TestedTraining {
        scorer: &prepared.scorer,
        test,
        settings: configuration.training,
        learning_rates: &settings.learning_rates,
        steps: settings.final_steps,
        metric: settings.metric,
    };
    let run = ComparisonRun {
        configuration: &configuration,
        space: &space,
        scorer: &*prepared.scorer,
        finisher: &finisher,
        proxy: Arc::new(prepared.proxy(folder)),
        map: FrozenMap {
            gradient_norms: prepared.map.table(Statistic::FrobeniusNorm),
            seconds: prepared.map_seconds,
        },
        backbone: prepared.map_file.backbone.clone(),
        finals: Journal::open(&folder.path().join(FinalRecord::FILE))?,
        opened,
    };
    let judged = TestedOn {
        task: &task.name,
        examples: test.len(),
    };
    compete(run, output, &judged, (start, memory))
}

/// A comparison on the table of a bench.
fn replay(arguments: &Compare, path: &Path) -> Result<Ending> {
    let start = Instant::now();
    let metric = arguments.metric;
    if !Metric::of_two(ProblemKind::Classification).contains(&metric) {
        bail!(
            "a bench contains accuracies and losses, from which no {} can be computed",
            metric.words()
        );
    }
    let bench = PlacementBench::read(path)?;
    let task = &bench.configuration.task.folder;
    let output = &arguments.output.of(task, "replay");
    if !bench.is_complete() {
        bail!(
            "`{}` contains a sample of its space, but strategies may propose any placement; create a bench without `--sample`",
            path.display()
        );
    }
    let (configuration, space) = replayed(arguments, &bench)?;
    let scorer = Replay::new(&bench, &space)?;
    // Check for placements missing in the bench before writing anything.
    let missing = space
        .placements()
        .find(|placement| !scorer.holds(placement));
    if let Some(placement) = missing {
        bail!(
            "`{}` is a bench of another space: it has no placement `{placement}`",
            path.display()
        );
    }
    check_strategies(&configuration, &space)?;
    let space = Arc::new(space);
    StudyFolder::check(&output.out, &configuration)?;
    let settings = &configuration.comparison;
    let connection_scores = bench
        .connection_scores(&settings.statistic)
        .with_context(|| {
            format!(
                "`{}` does not contain the statistic `{}`",
                path.display(),
                settings.statistic
            )
        })?;
    let opened = StudyFolder::open(&output.out, &configuration)?;
    let task = configuration.task.folder.display().to_string();
    let run = ComparisonRun {
        configuration: &configuration,
        space: &space,
        scorer: &scorer,
        finisher: &scorer,
        proxy: Arc::new(connection_scores),
        map: FrozenMap {
            gradient_norms: bench.statistics.get(&Statistic::FrobeniusNorm).cloned(),
            seconds: 0.0,
        },
        backbone: bench.backbone.clone(),
        finals: Journal::open(&opened.folder.path().join(FinalRecord::FILE))?,
        opened,
    };
    let judged = TestedOn {
        task: &task,
        examples: bench.probe.validation.examples,
    };
    compete(run, output, &judged, (start, None))
}

/// Runs the comparison and prints its summary, with the time since its start and the memory that was expected.
fn compete<S: Scorer, F: Finisher>(
    run: ComparisonRun<'_, S, F>,
    output: &StudyOutput<'_>,
    judged: &TestedOn<'_>,
    (start, memory): (Instant, Option<u64>),
) -> Result<Ending> {
    let configuration = run.configuration;
    let settings = &configuration.comparison;
    let workers = Workers::new(output.workers)?;
    let stop = stop_on_interrupt()?;
    let mut progress = Progress::new(expected_trainings(configuration), settings.metric);
    let ended = run_comparison(run, &workers, stop, &mut |event| progress.notice(&event));
    progress.finish();
    let Some(comparison) = ended? else {
        say!(
            "stopped: the finished trainings are in `{}`; run the same command again to resume",
            output.out.display()
        );
        report::at_the_end(&output.out, false);
        return Ok(Ending::Interrupted);
    };
    let report = report::at_the_end(&output.out, true);
    if output.json {
        print_json(&comparison)?;
    } else {
        let spent = Spent::now(start.elapsed().as_secs_f64(), None, memory);
        print(&summary(
            &output.out,
            configuration,
            &comparison,
            judged,
            spent,
            report.as_deref(),
        )?)?;
    }
    Ok(Ending::Finished)
}

fn configuration(
    arguments: &Compare,
    places: Places<'_>,
) -> Result<(ComparisonConfiguration, Problem)> {
    let options = &arguments.training;
    let space = arguments.space.description()?;
    let strategies = strategies(arguments)?;
    let reading = arguments.reading.reading();
    let folder = hub::backbone(places.backbone)?;
    let problem = Problem::load(
        (&folder, options.pooling),
        &hub::task(places.task)?,
        options.max_length.map(Count::get),
        &TaskOptions {
            parts: &[Part::Train, Part::Validation, Part::Test],
            train_examples: options.train_examples.map(Count::get),
            seed: options.seed.get(),
            reading: Some(&reading),
        },
    )?;
    arguments.metric.check(problem.task.problem())?;
    let Sources {
        backbone,
        task,
        training,
        gradient_map,
    } = Sources::of(
        &problem,
        (places.backbone, places.task),
        reading,
        (options, &arguments.output.resources),
    );
    let final_steps = match arguments.final_steps {
        Some(steps) => steps,
        None => Fidelity::new(FINAL_STEPS.saturating_mul(options.steps.steps()))
            .context("`--steps` is too large")?,
    };
    let configuration = ComparisonConfiguration {
        format: COMPARISON_FORMAT.to_owned(),
        comparison: ComparisonSettings {
            final_steps,
            final_repetitions: arguments.final_repetitions,
            learning_rates: arguments.learning_rates.clone(),
            replayed: false,
            ..settings(arguments, options.steps)?
        },
        strategies,
        backbone,
        task,
        training,
        gradient_map,
        space,
    };
    configuration.check()?;
    Ok((configuration, problem))
}

/// The configuration of a replay and the space to search.
fn replayed(
    arguments: &Compare,
    bench: &PlacementBench,
) -> Result<(ComparisonConfiguration, SearchSpace)> {
    let StudyConfiguration {
        search,
        backbone,
        task,
        training,
        gradient_map,
        space,
        ..
    } = bench.configuration.clone();
    let (description, space) = match arguments.space.is_given() {
        false => (space, bench.space()?),
        true => {
            let description = arguments.space.description_or(space)?;
            let space = SearchSpace::resolve(&description, &bench.shape)
                .map_err(|error| in_file(error, arguments.space.file()))?;
            (description, space)
        }
    };
    let configuration = ComparisonConfiguration {
        format: COMPARISON_FORMAT.to_owned(),
        comparison: settings(arguments, search.steps)?,
        strategies: strategies(arguments)?,
        backbone,
        task,
        training,
        gradient_map,
        space: description,
    };
    configuration.check()?;
    Ok((configuration, space))
}

fn strategies(arguments: &Compare) -> Result<Vec<StrategyDescription>> {
    let names = arguments.strategy.iter();
    names.map(|name| Ok(name.parse()?)).collect()
}

/// The settings of a replay, which has no final trainings and no learning rates of its own.
fn settings(arguments: &Compare, steps: Fidelity) -> Result<ComparisonSettings> {
    let trainings = TRAININGS * u64::from(steps.steps());
    let baselines: Vec<Baseline> = match arguments.baselines.is_empty() {
        true => Baseline::ALL.to_vec(),
        false => arguments.baselines.clone(),
    };
    Ok(ComparisonSettings {
        seed: arguments.training.seed,
        seeds: arguments.seeds,
        budget_steps: arguments.budget_steps.unwrap_or(trainings),
        steps,
        proposals: arguments.proposals,
        metric: arguments.metric,
        statistic: statistics(&arguments.statistic)?,
        race: arguments.race,
        baselines,
        random_parallel: arguments.random_parallel,
        final_steps: steps,
        final_repetitions: 1,
        learning_rates: arguments.learning_rates.clone(),
        replayed: true,
    })
}

/// Checks the strategies before anything is written.
fn check_strategies(configuration: &ComparisonConfiguration, space: &SearchSpace) -> Result<()> {
    let settings = &configuration.comparison;
    let proxy: Arc<dyn ConnectionProxy> = Arc::new(FixedProxy::from_iter([]));
    for strategy in &configuration.strategies {
        strategy.build(StrategySetting {
            space,
            fidelity: settings.steps,
            seed: settings.seed.get(),
            trials: settings.trials(),
            halving: None,
            costs: Vec::new(),
            proxy: Some(Arc::clone(&proxy)),
        })?;
    }
    Ok(())
}

/// Number of trials and race trainings of all strategies and seeds if none were shared. The final trainings are counted
/// when they start.
fn expected_trainings(configuration: &ComparisonConfiguration) -> usize {
    let settings = &configuration.comparison;
    let of_strategy = |strategy: &StrategyDescription| match strategy {
        StrategyDescription::GradientGreedy { .. } => 1,
        _ => settings.trainings(),
    };
    let searched: usize = configuration.strategies.iter().map(of_strategy).sum();
    let of_baseline = |competitor: &Competitor| match competitor {
        Competitor::Baseline(Baseline::BestRandomParallel | Baseline::BestRandom, count) => *count,
        _ => 0,
    };
    let competitors = configuration.competitors();
    let tried: usize = competitors.iter().map(of_baseline).sum();
    (searched + tried) * settings.seeds as usize
}
