use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use adaplace_backbone::Pooling;
use adaplace_scorer::ProxyScorer;
use adaplace_search_space::{Fidelity, Placement, SearchSpace, SpaceDescription};
use adaplace_strategy::{ConnectionProxy, FixedProxy, StrategyDescription, StrategySetting};
use adaplace_study::{
    COMPARISON_FORMAT, Comparison, ComparisonConfiguration, ComparisonRun, ComparisonSettings,
    GradientMapFile, GradientProxy, Journal, Measured, Metric, Setting, StudyFolder,
    TestedTraining, Workers, backbone_reference, chain_shape, run_comparison,
};
use adaplace_task::{Part, TaskOptions};
use anyhow::{Context, Result};

use super::configuration::{Sources, fidelity};
use super::execution::stop_on_interrupt;
use super::{print, print_json, statistics};
use crate::Ending;
use crate::arguments::Compare;
use crate::progress::Progress;
use crate::{resources, table};

/// Trials of a strategy where no budget is given.
const TRIALS: u64 = 64;

/// Final trainings are longer than trials.
const FINAL_STEPS: u32 = 4;

pub(crate) fn run(arguments: &Compare) -> Result<Ending> {
    let start = Instant::now();
    let output = &arguments.output;
    let (configuration, mut setting) = configuration(arguments)?;
    let cache_memory = resources::cache_memory(output.resources.cache_memory, &setting)?;
    let precision = configuration.backbone.precision;
    let instructions = output.resources.instruction_set;
    setting.backbone = resources::computed_with(setting.backbone, precision, instructions);
    let Setting { backbone, task, .. } = &setting;
    let test = task.test.as_ref().with_context(|| {
        format!(
            "the task `{}` has no test part, on which a comparison is judged",
            arguments.task.display()
        )
    })?;
    StudyFolder::check(&output.out, &configuration)?;
    let space = SearchSpace::resolve(&configuration.space, &chain_shape(backbone, task))
        .map_err(|error| error.in_file(&arguments.space))?;
    check_strategies(&configuration, &space)?;

    let settings = &configuration.comparison;
    let workers = Workers::new(output.workers)?;
    let stop = stop_on_interrupt()?;
    let (folder, journal, records) = StudyFolder::open(&output.out, &configuration)?;
    let finals = Journal::open(&folder.finals())?;
    let training = configuration.training;
    let scorer = ProxyScorer::within_memory(backbone, task, training, settings.seed, cache_memory)?;
    let map_source = &configuration.gradient_map;
    let examples = task.train.spread(map_source.examples);
    let map = scorer.gradient_map(
        &Placement::new(),
        settings.steps,
        &examples,
        &map_source.settings,
        &settings.statistic,
    )?;
    let reference = backbone_reference(backbone);
    GradientMapFile::new(&map, scorer.probe(), reference.clone(), &task.name)
        .write(&folder.gradient_map())?;
    let proxy = GradientProxy::new(
        &scorer,
        &examples,
        Arc::new(map),
        settings.statistic.clone(),
        settings.steps,
    );
    let finisher = TestedTraining {
        scorer: &scorer,
        test,
        settings: training,
        learning_rates: &settings.learning_rates,
        steps: settings.final_steps,
        metric: settings.metric,
    };
    let mut progress = Progress::new(expected_trainings(&configuration), settings.metric);
    let run = ComparisonRun {
        configuration: &configuration,
        space: &space,
        scorer: &scorer,
        finisher: &finisher,
        proxy: Arc::new(proxy),
        backbone: reference,
        folder,
        trials: (journal, records),
        finals,
    };
    let ended = run_comparison(run, &workers, stop, &mut |event| progress.notice(&event));
    progress.finish();
    let Some(comparison) = ended? else {
        anstream::eprintln!(
            "stopped: what was trained is in `{}`; run the same command again to go on",
            output.out.display()
        );
        return Ok(Ending::Interrupted);
    };
    if output.json {
        print_json(&comparison)?;
    } else {
        let seconds = start.elapsed().as_secs_f64();
        print(&summary(
            &output.out,
            settings,
            &comparison,
            (&task.name, test.len()),
            seconds,
        )?)?;
    }
    Ok(Ending::Finished)
}

fn configuration(arguments: &Compare) -> Result<(ComparisonConfiguration, Setting)> {
    let options = &arguments.training;
    let space = SpaceDescription::read(&arguments.space)?;
    let strategies = arguments.strategy.iter().map(|name| Ok(name.parse()?));
    let strategies = strategies.collect::<Result<Vec<StrategyDescription>>>()?;
    let setting = Setting::load(
        (&arguments.backbone, options.pooling.map(Pooling::from)),
        &arguments.task,
        options.max_length,
        &TaskOptions {
            parts: &[Part::Train, Part::Validation, Part::Test],
            train_examples: options.train_examples,
            seed: options.seed,
        },
    )?;
    let Sources {
        backbone,
        task,
        training,
        gradient_map,
    } = Sources::of(&setting, (&arguments.backbone, &arguments.task), options);
    let steps = fidelity(options)?;
    let final_steps = match arguments.final_steps {
        Some(steps) => steps,
        None => FINAL_STEPS.saturating_mul(options.steps),
    };
    let configuration = ComparisonConfiguration {
        format: COMPARISON_FORMAT.to_owned(),
        comparison: ComparisonSettings {
            seed: options.seed,
            seeds: arguments.seeds,
            budget_steps: arguments
                .budget_steps
                .unwrap_or(TRIALS * u64::from(options.steps)),
            steps,
            proposals: arguments.proposals,
            metric: Metric::from(arguments.metric),
            statistic: statistics(&arguments.statistic)?,
            random_parallel: arguments.random_parallel,
            final_steps: Fidelity::new(final_steps)
                .context("`--final-steps` must be at least 1")?,
            learning_rates: arguments.learning_rates.clone(),
        },
        strategies,
        backbone,
        task,
        training,
        gradient_map,
        space,
    };
    configuration.check()?;
    Ok((configuration, setting))
}

/// What can be refused is refused before anything is made.
fn check_strategies(configuration: &ComparisonConfiguration, space: &SearchSpace) -> Result<()> {
    let settings = &configuration.comparison;
    let proxy: Arc<dyn ConnectionProxy> = Arc::new(FixedProxy::from_iter([]));
    for strategy in &configuration.strategies {
        strategy.build(StrategySetting {
            space,
            fidelity: settings.steps,
            seed: settings.seed,
            trials: settings.trials(),
            halving: None,
            costs: Vec::new(),
            proxy: Some(Arc::clone(&proxy)),
        })?;
    }
    Ok(())
}

/// Trials of all strategies and seeds, were none shared; the final trainings are counted when they start.
fn expected_trainings(configuration: &ComparisonConfiguration) -> usize {
    let settings = &configuration.comparison;
    let of_strategy = |strategy: &StrategyDescription| match strategy {
        StrategyDescription::GradientGreedy { .. } => 1,
        _ => settings.trials(),
    };
    let trials: usize = configuration.strategies.iter().map(of_strategy).sum();
    (trials + settings.random_parallel) * settings.seeds as usize
}

fn summary(
    out: &Path,
    settings: &ComparisonSettings,
    comparison: &Comparison,
    (task, test_examples): (&str, usize),
    seconds: f64,
) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "{} competitors on {task}, {} seeds, {} steps of trials each, in {}",
        comparison.competitors.len(),
        settings.seeds,
        settings.budget_steps,
        table::duration(seconds)
    )?;
    writeln!(
        text,
        "final trainings of {} steps on {test_examples} test examples; mean over the seeds with its 95 % interval\n",
        settings.final_steps
    )?;
    let rows: Vec<Vec<String>> = comparison
        .competitors
        .iter()
        .map(|competed| {
            let count = competed.seeds.len().max(1) as u64;
            let mean = |value: fn(&adaplace_study::SeedResult) -> u64| {
                competed.seeds.iter().map(value).sum::<u64>() / count
            };
            let against = competed.against_random;
            vec![
                competed.name.clone(),
                share(competed.test_accuracy),
                against.map_or_else(String::new, |difference| points(difference.mean)),
                against.map_or_else(String::new, |difference| {
                    format!("{:.3}", difference.p_value)
                }),
                table::grouped(mean(|result| result.cost.parameters)),
                table::grouped(mean(|result| result.steps)),
            ]
        })
        .collect();
    let head = [
        "",
        "test accuracy",
        "to random, points",
        "p",
        "parameters",
        "steps of trials",
    ];
    let right = [false, true, true, true, true, true];
    write!(text, "{}", table::aligned(&head, &rows, &right))?;
    writeln!(text, "\nall numbers  {}/comparison.json", out.display())?;
    writeln!(
        text,
        "placements   {}/placements/STRATEGY-SEED.toml",
        out.display()
    )?;
    Ok(text)
}

/// A share as per cent with its interval.
fn share(measured: Option<Measured>) -> String {
    let Some(Measured { value, low, high }) = measured else {
        return "failed".to_owned();
    };
    match (low, high) {
        (Some(low), Some(high)) => format!(
            "{} [{:.2}, {:.2}]",
            table::percent(value),
            100.0 * low,
            100.0 * high
        ),
        _ => table::percent(value),
    }
}

/// A difference of shares in points with its interval.
fn points(measured: Measured) -> String {
    let Measured { value, low, high } = measured;
    match (low, high) {
        (Some(low), Some(high)) => {
            format!(
                "{:+.2} [{:+.2}, {:+.2}]",
                100.0 * value,
                100.0 * low,
                100.0 * high
            )
        }
        _ => format!("{:+.2}", 100.0 * value),
    }
}
