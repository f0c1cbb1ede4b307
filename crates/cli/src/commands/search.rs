use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use adaplace_backbone::Pooling;
use adaplace_scorer::{GradientMapSettings, ProxyScorer, Statistic, TrainingSettings};
use adaplace_search_space::{Fidelity, Placement, SearchSpace, SpaceDescription};
use adaplace_strategy::{
    ConnectionProxy, EvolutionSettings, FixedProxy, Halving, StrategyDescription, StrategySetting,
};
use adaplace_study::{
    BackboneSource, GradientMapFile, GradientMapSource, GradientProxy, Metric, Ranking, Run,
    STUDY_FORMAT, SearchSettings, Setting, StudyConfiguration, StudyFolder, Summary, TaskSource,
    Workers, backbone_reference, chain_shape, run as run_study, spread,
};
use anyhow::{Context, Result, bail};
use clap::CommandFactory;
use clap::error::ErrorKind;
use serde::Serialize;

use super::summary::summary;
use super::{print, print_json, report};
use crate::Ending;
use crate::arguments::{Arguments, Search, SearchOptions};
use crate::progress::Progress;
use crate::resources;

#[derive(Serialize)]
struct Report<'a> {
    study: &'a PathBuf,
    finished: bool,
    seconds: f64,
    ranking: Option<&'a Ranking>,
}

pub(crate) fn run(arguments: &Search) -> Result<Ending> {
    let start = Instant::now();
    let (configuration, mut setting) = match &arguments.study {
        Some(path) => stored_study(path)?,
        None => new_study(arguments)?,
    };
    let resources = &arguments.resources;
    let cache_memory = resources::cache_memory(resources.cache_memory, &setting)?;
    let precision = configuration.backbone.precision;
    setting.backbone =
        resources::computed_with(setting.backbone, precision, resources.instruction_set);
    let Setting { backbone, task, .. } = &setting;
    let search = &configuration.search;
    StudyFolder::check(&arguments.out, &configuration)?;
    let shape = chain_shape(backbone, task);
    let described_in = arguments.study.as_ref().or(arguments.space.as_ref());
    let space =
        SearchSpace::resolve(&configuration.space, &shape).map_err(|error| match described_in {
            Some(path) => error.in_file(path),
            None => error,
        })?;
    // What can be refused is refused before anything is made.
    build(&configuration, &space, Arc::new(FixedProxy::from_iter([])))?;

    let workers = Workers::new(arguments.workers)?;
    let stop = stop_on_interrupt()?;
    let (folder, journal, records) = StudyFolder::open(&arguments.out, &configuration)?;
    let training = configuration.training;
    let scorer = ProxyScorer::within_memory(backbone, task, training, search.seed, cache_memory)?;
    let map_source = &configuration.gradient_map;
    let examples = spread(&task.train, map_source.examples);
    let map = scorer.gradient_map(
        &Placement::new(),
        search.steps,
        &examples,
        &map_source.settings,
    )?;
    let reference = backbone_reference(backbone);
    GradientMapFile::new(&map, scorer.probe(), reference.clone(), &task.name)
        .write(&folder.gradient_map())?;
    let proxy = GradientProxy::new(
        &scorer,
        &examples,
        Arc::new(map),
        search.statistic,
        search.steps,
    );

    let mut progress = Progress::new(expected_trainings(&configuration, &space), search.metric);
    let study = Run {
        strategy: build(&configuration, &space, Arc::new(proxy))?,
        configuration: &configuration,
        space: &space,
        scorer: &scorer,
        probe: scorer.probe(),
        backbone: reference,
        folder,
        journal,
        records,
    };
    let ended = run_study(study, &workers, stop, &mut |event| progress.notice(&event));
    progress.finish();
    let seconds = start.elapsed().as_secs_f64();
    let ranking = match ended? {
        Summary::Finished(ranking) => Some(ranking),
        Summary::Stopped { trainings } => {
            anstream::eprintln!(
                "stopped: {trainings} trainings are in `{}`; run the same command again to go on",
                arguments.out.display()
            );
            None
        }
    };
    let report = write_report(&arguments.out);
    if let (None, Some(report)) = (&ranking, &report) {
        anstream::eprintln!("the report so far is `{}`", report.display());
    }
    if arguments.json {
        print_json(&Report {
            study: &arguments.out,
            finished: ranking.is_some(),
            seconds,
            ranking: ranking.as_deref(),
        })?;
    } else if let Some(ranking) = &ranking {
        print(&summary(
            arguments,
            &configuration,
            ranking,
            seconds,
            progress.replayed(),
            report.as_deref(),
        )?)?;
    }
    Ok(match ranking {
        Some(_) => Ending::Finished,
        None => Ending::Interrupted,
    })
}

/// What was found stands in other files already: a report that cannot be written is no failure of the search.
fn write_report(folder: &Path) -> Option<PathBuf> {
    match report::write(folder, None) {
        Ok(path) => Some(path),
        Err(error) => {
            anstream::eprintln!(
                "warning: no report was written: {}; `adaplace report {}` makes it anew",
                crate::one_line(&error),
                folder.display()
            );
            None
        }
    }
}

/// The study of a `study.toml`; backbone and task must still be what they were.
fn stored_study(path: &Path) -> Result<(StudyConfiguration, Setting)> {
    let configuration = StudyConfiguration::read(path)?;
    let (backbone, task) = (&configuration.backbone, &configuration.task);
    let setting = Setting::for_search(
        (&backbone.folder, Some(backbone.pooling)),
        &task.folder,
        task.max_length,
        task.train_examples,
        configuration.search.seed,
    )?;
    configuration.check_backbone(&backbone_reference(&setting.backbone))?;
    configuration.check_task(&setting.task.fingerprint)?;
    Ok((configuration, setting))
}

/// The study that the command line describes.
fn new_study(arguments: &Search) -> Result<(StudyConfiguration, Setting)> {
    let (Some(backbone), Some(task), Some(space), Some(strategy)) = (
        &arguments.backbone,
        &arguments.task,
        &arguments.space,
        &arguments.strategy,
    ) else {
        bail!("either `--study`, or `--backbone`, `--task`, `--space` and `--strategy` are needed");
    };
    let options = &arguments.options;
    let strategy = strategy_description(strategy, options)?;
    let space = SpaceDescription::read(space)?;
    let setting = Setting::for_search(
        (backbone, options.pooling.map(Pooling::from)),
        task,
        options.max_length,
        options.train_examples,
        options.seed,
    )?;
    let description = setting.backbone.description();
    let configuration = StudyConfiguration {
        format: STUDY_FORMAT.to_owned(),
        search: SearchSettings {
            seed: options.seed,
            trials: options.trials,
            steps: Fidelity::new(options.steps).context("`--steps` must be at least 1")?,
            proposals: options.proposals,
            halving: options.halving,
            metric: Metric::from(options.metric),
            statistic: Statistic::from(options.statistic),
            finalists: options.finalists,
            repetitions: options.repetitions,
        },
        strategy,
        backbone: BackboneSource {
            folder: backbone.clone(),
            pooling: description.pooling,
            weights_sha256: description.weights_sha256.clone(),
            precision: options.precision.resolve(),
        },
        task: TaskSource {
            folder: task.clone(),
            fingerprint: setting.task.fingerprint.clone(),
            train_examples: options.train_examples,
            max_length: setting.max_length,
        },
        training: TrainingSettings {
            batch_size: options.batch_size,
            adapter_learning_rate: options.learning_rate,
            head_learning_rate: options.head_learning_rate,
            ..TrainingSettings::default()
        },
        gradient_map: GradientMapSource {
            examples: options.gradient_examples,
            settings: GradientMapSettings {
                batch_size: options.batch_size,
                ..GradientMapSettings::default()
            },
        },
        space,
    };
    configuration.check()?;
    Ok((configuration, setting))
}

/// A strategy by its name, with the options that belong to it; one that belongs to another is refused.
fn strategy_description(name: &str, options: &SearchOptions) -> Result<StrategyDescription> {
    let given = [
        ("--candidates", "greedy", options.candidates.is_some()),
        ("--gamma", "gradient-greedy", options.gamma.is_some()),
        ("--population", "evolution", options.population.is_some()),
        (
            "--first-population",
            "evolution",
            options.first_population.is_some(),
        ),
    ];
    for (option, strategy, given) in given {
        if given && strategy != name {
            let message = format!(
                "`{option}` belongs to the strategy `{strategy}`, not to `{name}`; leave it out"
            );
            bail!(Arguments::command().error(ErrorKind::ArgumentConflict, message));
        }
    }
    Ok(match name.parse()? {
        StrategyDescription::Greedy { .. } => StrategyDescription::Greedy {
            candidates: options.candidates,
        },
        StrategyDescription::GradientGreedy { gamma } => StrategyDescription::GradientGreedy {
            gamma: options.gamma.unwrap_or(gamma),
        },
        StrategyDescription::Evolution { .. } => {
            let defaults = EvolutionSettings::default();
            StrategyDescription::from(EvolutionSettings {
                population: options.population.unwrap_or(defaults.population),
                first: options.first_population.map_or(defaults.first, Into::into),
                ..defaults
            })
        }
        other => other,
    })
}

fn build<'a>(
    configuration: &StudyConfiguration,
    space: &SearchSpace,
    proxy: Arc<dyn ConnectionProxy + 'a>,
) -> Result<Box<dyn adaplace_strategy::Strategy + 'a>> {
    let search = &configuration.search;
    Ok(configuration.strategy.build(StrategySetting {
        space,
        fidelity: search.steps,
        seed: search.seed,
        trials: search.trials,
        halving: search.halving,
        proxy: Some(proxy),
    })?)
}

/// Trials, their promotions, and the repetitions of finalists and baseline.
fn expected_trainings(configuration: &StudyConfiguration, space: &SearchSpace) -> usize {
    let search = &configuration.search;
    let trials = match configuration.strategy {
        StrategyDescription::GradientGreedy { .. } => 1,
        _ => search.trials.min(space.approximate_count() as usize),
    };
    let rungs = search.halving.map_or(1, |_| Halving::RUNGS);
    let reduction = search.halving.unwrap_or(1) as usize;
    let searched: usize = (0..rungs).map(|rung| trials / reduction.pow(rung)).sum();
    searched + (search.finalists.min(trials) + 1) * search.repetitions as usize
}

/// The first Ctrl-C lets the running trainings finish, the second one ends the program at once: the journal
/// survives both.
fn stop_on_interrupt() -> Result<&'static AtomicBool> {
    static STOP: AtomicBool = AtomicBool::new(false);
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(crate::INTERRUPTED));
        }
        anstream::eprintln!("finishing the running trainings; press Ctrl-C again to stop at once");
    })
    .context("cannot listen to Ctrl-C")?;
    Ok(&STOP)
}
