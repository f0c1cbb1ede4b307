//! A whole search on what comes with the program.

use std::path::Path;

use adaplace_quickstart::{BACKBONE_FOLDER, DrawnTask, SEED, TASKS_FOLDER, export, prepare};
use adaplace_scorer::{Statistic, Statistics};
use adaplace_search_space::SpaceDescription;
use adaplace_strategy::StrategyDescription;
use adaplace_study::{Metric, SearchSettings};
use anyhow::{Context, Result};
use clap::{Args, FromArgMatches};

use super::configuration::{Subject, configuration, fidelity};
use super::execution::execute;
use super::print;
use super::summary::summary;
use crate::Ending;
use crate::arguments::{PrecisionArgument, Quickstart, Resources, StudyOutput, TrainingOptions};

/// Every connection of the backbone, three adapters.
const SPACE: &str = include_str!("../../../../search-spaces/extended.toml");

/// In the output folder, the studies, each named after its task.
const SEARCH_FOLDER: &str = "search";

const TRIALS: usize = 18;
const STEPS: u32 = 32;

pub(crate) fn run(arguments: &Quickstart) -> Result<Ending> {
    if let Some(folder) = &arguments.export {
        export(folder, SEED)?;
        print(&exported(folder))?;
        return Ok(Ending::Finished);
    }
    search(arguments)
}

fn search(arguments: &Quickstart) -> Result<Ending> {
    let (task, out) = (DrawnTask::from(arguments.task), &arguments.out);
    let folders = prepare(out, task, SEED)?;
    let training = TrainingOptions {
        steps: STEPS,
        // the same study on every machine
        precision: PrecisionArgument::F32,
        ..defaults()?
    };
    let search = SearchSettings {
        seed: training.seed,
        trials: TRIALS,
        steps: fidelity(&training)?,
        proposals: 8,
        halving: None,
        metric: Metric::Accuracy,
        statistic: Statistics::from(Statistic::Rank),
        finalists: 2,
        repetitions: 2,
    };
    let subject = Subject {
        backbone: &folders.backbone,
        task: &folders.task,
        space: SpaceDescription::from_toml(SPACE)?,
        strategy: StrategyDescription::Greedy { candidates: None },
    };
    let (configuration, setting) = configuration(subject, search, &training)?;
    let output = StudyOutput {
        out: out.join(SEARCH_FOLDER).join(task.name()),
        workers: match arguments.workers {
            Some(workers) => workers,
            None => std::thread::available_parallelism()
                .context("cannot count the cores of this machine; give `--workers`")?
                .get(),
        },
        resources: Resources {
            cache_memory: None,
            instruction_set: None,
        },
        json: false,
    };
    let executed = execute(&configuration, setting, &output, None)?;
    let Some(ranking) = &executed.ranking else {
        return Ok(Ending::Interrupted);
    };
    print(&summary(
        &output.out,
        &configuration,
        ranking,
        executed.seconds,
        executed.replayed,
    )?)?;
    Ok(Ending::Finished)
}

/// What the options mean that are not given.
fn defaults<Options: Args + FromArgMatches>() -> Result<Options> {
    let command = Options::augment_args(clap::Command::new("defaults"));
    let matches = command.try_get_matches_from(["defaults"])?;
    Ok(Options::from_arg_matches(&matches)?)
}

/// Which commands can be tried on what was written.
fn exported(folder: &Path) -> String {
    let backbone = folder.join(BACKBONE_FOLDER);
    let tasks = folder.join(TASKS_FOLDER);
    let task = tasks.join(DrawnTask::Counting.name());
    let names = DrawnTask::ALL.map(DrawnTask::name).join(", ");
    format!(
        "backbone  {backbone}\ntasks     {tasks}: {names}\nnext      adaplace probe --backbone {backbone} --task \
         {task} --out FILE.json\n",
        backbone = backbone.display(),
        tasks = tasks.display(),
        task = task.display(),
    )
}
