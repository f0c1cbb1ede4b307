//! Runs the study of a configuration in its folder, from the linear probe to the ranking.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adaplace_scorer::{GradientMap, Statistics};
use adaplace_study::{
    Configuration, Frozen, FrozenSettings, Ranking, Setting, StudyConfiguration, StudyFolder,
    Summary, Workers, run as run_study,
};
use anyhow::Result;

use super::PREPARATION;
use super::estimate::{Expected, Speed};
use super::reading::announce;
use crate::arguments::StudyOutput;
use crate::progress::Progress;
use crate::resources;
use crate::terminal::{Preparation, say, stop_on_interrupt};

/// How far a study got.
pub(super) struct Executed {
    /// What it was asked for; with `until` the number of trials is that of the study.
    pub(super) configuration: StudyConfiguration,
    /// None if it was stopped.
    pub(super) ranking: Option<Ranking>,
    pub(super) map: Arc<GradientMap>,
    pub(super) folder: StudyFolder,
    pub(super) seconds: f64,
    /// Trainings that an earlier run had done.
    pub(super) replayed: u64,
}

/// Runs or resumes the study in its folder, until its end or Ctrl-C. The gradient map holds at least `statistics`; errors
/// in the search space name the file `described_in`. A new study has as many trials as end within `until`, where that is
/// given; one that is there keeps its number.
pub(super) fn execute(
    mut configuration: StudyConfiguration,
    statistics: &Statistics,
    setting: Setting,
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
    let precision = configuration.backbone.precision;
    let (setting, cache_memory) = resources::within(output.resources, precision, setting)?;
    let Setting { backbone, task, .. } = &setting;
    StudyFolder::check(&output.out, &configuration)?;
    let space = configuration.resolve_space(backbone, task, described_in)?;

    announce(&setting, &space);

    let workers = Workers::new(output.workers)?;
    let stop = stop_on_interrupt()?;
    // Locked before anything is computed, but for a study whose number of trials is yet to be found out.
    let opened = match until {
        None => Some(StudyFolder::open(&output.out, &configuration)?),
        Some(_) => None,
    };
    let preparing = Preparation::begin(PREPARATION)?;
    let frozen = {
        let search = &configuration.search;
        let settings = FrozenSettings {
            training: configuration.training,
            gradient_map: &configuration.gradient_map,
            statistics,
            steps: search.steps,
            seed: search.seed,
        };
        Frozen::new(backbone, task, settings, cache_memory)?
    };
    let done = opened.as_ref().map_or(0, |(_, _, records)| records.len());
    let mut expected = Expected::of(&configuration, &space);
    if done < expected.trainings {
        let batch_size = configuration.training.batch_size;
        let speed = Speed::measure(&frozen.scorer, task, batch_size, &space, &workers);
        if let Some(until) = until {
            let left = until.saturating_sub(start.elapsed());
            configuration.search.trials = speed.trials_within(left, &configuration, &space)?;
            expected = Expected::of(&configuration, &space);
        }
        drop(preparing);
        say!("{}", speed.announcement(&configuration, &expected, done));
    } else {
        drop(preparing);
    }
    let (folder, journal, records) = match opened {
        Some(opened) => opened,
        None => StudyFolder::open(&output.out, &configuration)?,
    };
    frozen.file.write(&folder.gradient_map())?;

    let mut progress = Progress::new(expected.trainings, configuration.search.metric);
    let opened = (folder.clone(), journal, records);
    let mut session = frozen.session(&configuration, &space, opened)?;
    let scorer = &frozen.scorer;
    let ended = run_study(&mut session, scorer, &workers, stop, &mut |event| {
        progress.notice(&event)
    });
    progress.finish();
    let ranking = match ended? {
        Summary::Finished(ranking) => Some(*ranking),
        Summary::Stopped { trainings } => {
            say!(
                "stopped: {trainings} trainings are in `{}`; run the same command again to go on",
                output.out.display()
            );
            None
        }
    };
    drop(session);
    Ok(Executed {
        ranking,
        map: Arc::clone(&frozen.map),
        folder,
        seconds: start.elapsed().as_secs_f64(),
        replayed: progress.replayed(),
        configuration,
    })
}
