use std::path::{Path, PathBuf};

use adaplace_search_space::Count;
use adaplace_strategy::{CostObjective, EvolutionSettings, PruneSettings, StrategyDescription};
use adaplace_study::{
    Configuration, Problem, Ranking, SearchSettings, StudyConfiguration, StudyError,
    backbone_reference,
};
use anyhow::{Result, bail};
use clap::CommandFactory;
use clap::error::ErrorKind;
use serde::Serialize;

use super::configuration::{Subject, configuration};
use super::execution::execute;
use super::spent::Spent;
use super::summary::summary;
use super::{print, print_json, ray, report, statistics};
use crate::Ending;
use crate::arguments::{Arguments, ExecutorArgument, Search, SearchOptions, StudyOutput};
use crate::hub;

#[derive(Serialize)]
struct Report<'a> {
    study: &'a PathBuf,
    finished: bool,
    #[serde(flatten)]
    spent: Spent,
    ranking: Option<&'a Ranking>,
}

pub(crate) fn run(arguments: &Search) -> Result<Ending> {
    check_executor(arguments)?;
    let (mut configuration, problem) = match &arguments.study {
        Some(path) => stored_study(path, arguments)?,
        None => new_study(arguments)?,
    };
    let output = &output(arguments)?;
    let described_in = arguments.study.as_deref().or(arguments.space.file());
    let (ranking, spent, replayed) = match arguments.executor {
        ExecutorArgument::Local => {
            let statistics = configuration.search.statistic.clone();
            let until = arguments.options.until;
            let executed = execute(
                configuration,
                &statistics,
                problem,
                output,
                described_in,
                until,
            )?;
            configuration = executed.configuration;
            (executed.ranking, executed.spent, executed.replayed)
        }
        ExecutorArgument::Ray => {
            let address = arguments.address.as_deref();
            let spread = ray::execute(&configuration, &problem, output, address, described_in)?;
            (spread.ranking, spread.spent, spread.replayed)
        }
    };
    let report = report::at_the_end(&output.out, ranking.is_some());
    if output.json {
        print_json(&Report {
            study: &output.out,
            finished: ranking.is_some(),
            spent,
            ranking: ranking.as_ref(),
        })?;
    } else if let Some(ranking) = &ranking {
        print(&summary(
            &output.out,
            &configuration,
            ranking,
            spent,
            replayed,
            report.as_deref(),
        )?)?;
    }
    Ok(match ranking {
        Some(_) => Ending::Finished,
        None => Ending::Interrupted,
    })
}

/// The output folder of the study.
fn output(arguments: &Search) -> Result<StudyOutput<'_>> {
    let output = &arguments.output;
    match (&arguments.task, output.given()) {
        (_, Some(given)) => Ok(given),
        (Some(task), None) => Ok(output.of(task, &arguments.strategy)),
        (None, None) => bail!(Arguments::command().error(
            ErrorKind::MissingRequiredArgument,
            "`--study` runs a study again in another folder; name it with `--out`"
        )),
    }
}

/// The study of a `study.toml`. Its backbone and task must be unchanged.
fn stored_study(path: &Path, arguments: &Search) -> Result<(StudyConfiguration, Problem)> {
    let mut configuration = StudyConfiguration::read(path)?;
    let stored = [
        (&mut configuration.backbone.folder, &arguments.backbone),
        (&mut configuration.task.folder, &arguments.task),
    ];
    for (folder, elsewhere) in stored {
        *folder = match elsewhere {
            Some(elsewhere) => elsewhere.clone(),
            None => found(folder, path),
        };
    }
    if let Some(objective) = &configuration.search.objective {
        return Err(StudyError::OwnObjective {
            path: path.to_owned(),
            objective: objective.clone(),
        }
        .into());
    }
    let (backbone, task) = (&configuration.backbone, &configuration.task);
    let folder = hub::backbone(&backbone.folder)?;
    let problem = Problem::for_search(
        (&folder, Some(backbone.pooling)),
        (&hub::task(&task.folder)?, &task.reading()),
        task.max_length,
        task.train_examples.map(Count::get),
        configuration.search.seed.get(),
    )?;
    configuration.check_backbone(&backbone_reference(&problem.backbone))?;
    configuration.check_task(&problem.task.fingerprint)?;
    Ok((configuration, problem))
}

/// Finds the `folder` that the study at `study` names: relative to the current folder, else to one of the folders above
/// the study. Hashes later check that it is the same. Returns `folder` unchanged if there is none.
fn found(folder: &Path, study: &Path) -> PathBuf {
    if folder.exists() {
        return folder.to_owned();
    }
    let study = study.canonicalize().unwrap_or_else(|_| study.to_owned());
    let beside = study.ancestors().skip(1).map(|above| above.join(folder));
    let mut there = beside.filter(|path| path.is_dir());
    there.next().unwrap_or_else(|| folder.to_owned())
}

/// The study that the command line describes.
fn new_study(arguments: &Search) -> Result<(StudyConfiguration, Problem)> {
    let (Some(backbone), Some(task)) = (&arguments.backbone, &arguments.task) else {
        bail!("either `--study`, or `--backbone` and `--task` are needed");
    };
    let (options, training) = (&arguments.options, &arguments.training);
    let subject = Subject {
        backbone,
        task,
        reading: arguments.reading.reading(),
        strategy: strategy_description(&arguments.strategy, options)?,
        space: arguments.space.description()?,
    };
    let search = SearchSettings {
        seed: training.seed,
        trials: options.trials,
        steps: training.steps,
        proposals: options.proposals,
        halving: options.halving,
        metric: options.metric,
        costs: costs(&options.and)?,
        statistic: statistics(&options.statistic)?,
        objective: None,
        finalists: options.finalists,
        race: options.race,
        repetitions: options.repetitions,
        grown: false,
    };
    let resources = &arguments.output.resources;
    let (configuration, problem) = configuration(subject, search, (training, resources))?;
    options.metric.check(problem.task.problem())?;
    Ok((configuration, problem))
}

/// Rejects options that the chosen executor ignores.
fn check_executor(arguments: &Search) -> Result<()> {
    use ExecutorArgument::{Local, Ray};
    let resources = &arguments.output.resources;
    let given = [
        ("--address", "ray", Ray, arguments.address.is_some()),
        ("--until", "local", Local, arguments.options.until.is_some()),
        (
            "--cache-memory",
            "local",
            Local,
            resources.cache_memory.is_some(),
        ),
        (
            "--side-by-side",
            "local",
            Local,
            resources.side_by_side.is_some(),
        ),
        (
            "--instruction-set",
            "local",
            Local,
            resources.instruction_set.is_some(),
        ),
    ];
    for (option, name, executor, given) in given {
        if given && executor != arguments.executor {
            let message = format!("`{option}` belongs to `--executor {name}`; leave it out");
            bail!(Arguments::command().error(ErrorKind::ArgumentConflict, message));
        }
    }
    Ok(())
}

/// The costs of `--and`, each once.
fn costs(given: &[CostObjective]) -> Result<Vec<CostObjective>> {
    let costs: Vec<CostObjective> = given.to_vec();
    let mut distinct = costs.clone();
    distinct.sort();
    distinct.dedup();
    if distinct.len() < costs.len() {
        let message = "`--and` names the same cost twice; name each once";
        bail!(Arguments::command().error(ErrorKind::ArgumentConflict, message));
    }
    Ok(costs)
}

/// The strategy with this name and its options. Options of other strategies are rejected.
fn strategy_description(name: &str, options: &SearchOptions) -> Result<StrategyDescription> {
    let given = [
        (
            "--candidates",
            &["greedy"][..],
            options.candidates.is_some(),
        ),
        ("--population", &["evolution"], options.population.is_some()),
        (
            "--first-population",
            &["evolution"],
            options.first_population.is_some(),
        ),
        ("--prune-rounds", &["prune"], options.prune_rounds.is_some()),
        ("--prune-from", &["prune"], options.prune_from.is_some()),
    ];
    for (option, strategies, given) in given {
        if given && !strategies.contains(&name) {
            let message = format!(
                "`{option}` belongs to the strategy `{}`, not to `{name}`; leave it out",
                strategies.join("` or `")
            );
            bail!(Arguments::command().error(ErrorKind::ArgumentConflict, message));
        }
    }
    Ok(match name.parse()? {
        StrategyDescription::Greedy { .. } => StrategyDescription::Greedy {
            candidates: options.candidates.map(Count::get),
        },
        StrategyDescription::Evolution(defaults) => {
            StrategyDescription::Evolution(EvolutionSettings {
                population: options.population.map_or(defaults.population, Count::get),
                first: options.first_population.unwrap_or(defaults.first),
                ..defaults
            })
        }
        StrategyDescription::Prune(defaults) => StrategyDescription::Prune(PruneSettings {
            rounds: options.prune_rounds.map_or(defaults.rounds, Count::get),
            start: options.prune_from.map(Count::get),
        }),
        other => other,
    })
}
