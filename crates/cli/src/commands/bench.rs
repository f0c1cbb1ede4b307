use std::time::Instant;

use adaplace_experiments::{BenchConfiguration, PlacementBench, tabulate, tabulated};
use adaplace_search_space::{Count, SearchSpace};
use adaplace_strategy::StrategyDescription;
use adaplace_study::{Metric, Prepared, SearchSettings, StudyFolder, Workers, chain_shape};
use adaplace_task::ProblemKind;
use anyhow::{Result, ensure};

use super::configuration::{Subject, configuration};
use super::{PREPARATION, in_file, print, print_json};
use crate::Ending;
use crate::arguments::Bench;
use crate::progress::Progress;
use crate::terminal::{Preparation, say, stop_on_interrupt};
use crate::{resources, table};

pub(crate) fn run(arguments: &Bench) -> Result<Ending> {
    let start = Instant::now();
    let training = &arguments.training;
    let output = &arguments.output.of(&arguments.subject.task, "bench");
    let subject = Subject {
        backbone: &arguments.subject.backbone,
        task: &arguments.subject.task,
        reading: arguments.subject.reading.reading(),
        space: arguments.space.description()?,
        strategy: match arguments.sample {
            Some(_) => StrategyDescription::Sample {},
            None => StrategyDescription::Exhaustive {},
        },
    };
    let steps = training.steps;
    let search = SearchSettings {
        seed: training.seed,
        trials: arguments.sample.unwrap_or(arguments.trials),
        steps,
        proposals: Count::of(1),
        metric: Metric::Accuracy,
        statistic: super::all_statistics(),
        finalists: Count::of(1),
        race: 0,
        repetitions: arguments.repetitions,
        ..SearchSettings::default()
    };
    let (configuration, problem) = configuration(subject, search, (training, output.resources))?;
    let kind = problem.task.problem();
    ensure!(
        kind == ProblemKind::Classification,
        "a bench tabulates accuracies, but `{}` is a {}",
        arguments.subject.task.display(),
        kind.words()
    );
    let computed = configuration.backbone.computed();
    let (problem, resources) = resources::within(output.resources, computed, problem)?;
    let (backbone, task) = problem.shared();
    let space = SearchSpace::resolve(&configuration.space, &chain_shape(&backbone, &task))
        .map_err(|error| in_file(error, arguments.space.file()))?;
    PlacementBench::check_space(&space)?;
    let placements = tabulated(&configuration, &space)?;
    let stored = BenchConfiguration(configuration);
    let configuration = &stored.0;
    StudyFolder::check(&output.out, &stored)?;

    let workers = Workers::new(output.workers)?;
    let preparing = Preparation::begin(PREPARATION)?;
    let read = (&backbone, &task);
    let (prepared, opened) = Prepared::open(&output.out, &stored, &space, read, resources)?;
    drop(preparing);
    let stop = stop_on_interrupt()?;
    let search = &configuration.search;
    let folder = opened.folder;
    let count = placements.len() * search.repetitions.get() as usize;
    let mut progress = Progress::new(count, search.metric);
    let records = tabulate(
        &placements,
        &*prepared.scorer,
        (steps, search.repetitions.get()),
        &workers,
        stop,
        &mut |event| progress.notice(&event),
        (opened.journal, opened.records),
    );
    progress.finish();
    let Some(records) = records? else {
        say!(
            "stopped: the finished trainings are in `{}`; run the same command again to resume",
            output.out.display()
        );
        return Ok(Ending::Interrupted);
    };
    let bench = PlacementBench::new(configuration, &space, prepared.map_file, &records)?;
    let path = folder.path().join(PlacementBench::FILE);
    bench.write(&path)?;
    if output.json {
        print_json(&bench)?;
    } else {
        print(&format!(
            "{} placements on {}, each trained {} times for {steps} steps, in {}\nwritten to {}\n",
            bench.rows.len(),
            task.name,
            search.repetitions,
            table::duration(start.elapsed().as_secs_f64()),
            path.display()
        ))?;
    }
    Ok(Ending::Finished)
}
