//! Runs the study of a configuration in its folder, from the linear probe to the ranking.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adaplace_scorer::{GradientMap, Statistics};
use adaplace_study::{
    Configuration, PreparationSettings, Prepared, Problem, Ranking, StudyConfiguration,
    StudyFolder, Summary, Workers, run as run_study,
};
use anyhow::Result;

use super::PREPARATION;
use super::estimate::{Expected, Speed};
use super::reading::announce;
use super::spent::{Spent, announce_map, announce_memory};
use crate::arguments::StudyOutput;
use crate::progress::Progress;
use crate::resources;
use crate::terminal::{Preparation, say, stop_on_interrupt};

/// The result of running a study.
pub(super) struct Executed {
    /// The configuration. With `until`, its number of trials is that of the study.
    pub(super) configuration: StudyConfiguration,
    /// The ranking; none if the study was stopped.
    pub(super) ranking: Option<Ranking>,
    pub(super) map: Arc<GradientMap>,
    pub(super) folder: StudyFolder,
    pub(super) spent: Spent,
    /// Number of trainings that an earlier run had finished.
    pub(super) replayed: u64,
}

/// Runs or resumes the study in its folder, until its end or Ctrl-C. The gradient map holds at least `statistics`;
/// errors in the search space name the file `described_in`. With `until`, a new study has as many trials as end within
/// that time; an existing study keeps its number.
pub(super) fn execute(
    mut configuration: StudyConfiguration,
    statistics: &Statistics,
    problem: Problem,
    output: &StudyOutput<'_>,
    described_in: Option<&Path>,
    until: Option<Duration>,
) -> Result<Executed> {
    let start = Instant::now();
    let stored = output.out.join(StudyConfiguration::FILE);
    if until.is_some() && stored.is_file() {
        configuration.search.trials = StudyConfiguration::read(&stored)?.search.trials;
    }
    let until = until.filter(|_| !stored.is_file());
    let computed = configuration.backbone.computed();
    let (problem, resources) = resources::within(output.resources, computed, problem)?;
    StudyFolder::check(&output.out, &configuration)?;
    let space =
        Arc::new(configuration.resolve_space(&problem.backbone, &problem.task, described_in)?);

    announce(&problem, &space);
    let workers = Workers::new(output.workers)?;
    let settings = PreparationSettings {
        statistics: statistics.clone(),
        ..configuration.preparation(&space)
    };
    let memory = announce_memory(&problem, &settings, &resources, output.workers);
    announce_map(&problem.backbone, &space, settings.connections.len());
    let (backbone, task) = problem.shared();

    let preparing = Preparation::begin(PREPARATION)?;
    // Lock the folder before any computation, unless the number of trials is still unknown.
    let opened = match until {
        None => Some(StudyFolder::open(&output.out, &configuration)?),
        Some(_) => None,
    };
    let prepared = Prepared::new(&backbone, &task, settings, resources)?;
    let done = opened.as_ref().map_or(0, |opened| opened.records.len());
    let mut expected = Expected::of(&configuration, &space);
    let mut expected_seconds = None;
    if done < expected.trainings {
        let batch_size = configuration.training.batch_size;
        let speed = Speed::measure(&prepared.scorer, &task, batch_size, &space, &workers);
        if let Some(until) = until {
            let left = until.saturating_sub(start.elapsed());
            configuration.search.trials = speed.trials_within(left, &configuration, &space)?;
            expected = Expected::of(&configuration, &space);
        }
        drop(preparing);
        let left = speed.seconds_left(&expected, done);
        say!("{}", speed.announcement(&configuration, &expected, done));
        expected_seconds = Some(start.elapsed().as_secs_f64() + left);
    } else {
        drop(preparing);
    }
    let opened = match opened {
        Some(opened) => opened,
        None => StudyFolder::open(&output.out, &configuration)?,
    };
    let folder = opened.folder.clone();
    prepared.map_file.write(&folder.gradient_map())?;
    let stop = stop_on_interrupt()?;

    let mut progress = Progress::new(expected.trainings, configuration.search.metric);
    let mut study = prepared.study(&configuration, &space, opened)?;
    let scorer = &*prepared.scorer;
    let ended = run_study(&mut study, scorer, &workers, stop, &mut |event| {
        progress.notice(&event)
    });
    progress.finish();
    let ranking = match ended? {
        Summary::Finished(ranking) => Some(*ranking),
        Summary::Stopped { trainings } => {
            say!(
                "stopped: {trainings} trainings are in `{}`; run the same command again to resume",
                output.out.display()
            );
            None
        }
    };
    Ok(Executed {
        ranking,
        map: Arc::clone(&prepared.map),
        folder,
        spent: Spent::now(start.elapsed().as_secs_f64(), expected_seconds, memory),
        replayed: progress.replayed(),
        configuration,
    })
}
