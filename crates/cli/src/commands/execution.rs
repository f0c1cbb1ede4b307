//! Runs the study of a configuration in its folder, from the linear probe to the ranking.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use adaplace_scorer::{GradientMap, Statistics};
use adaplace_search_space::SearchSpace;
use adaplace_strategy::{Halving, StrategyDescription};
use adaplace_study::{
    Frozen, FrozenSettings, Ranking, Setting, StudyConfiguration, StudyFolder, Summary, Workers,
    run as run_study,
};
use anyhow::Result;

use crate::arguments::StudyOutput;
use crate::progress::Progress;
use crate::resources;
use crate::terminal::{say, stop_on_interrupt};

/// How far a study got.
pub(super) struct Executed {
    /// None if it was stopped.
    pub(super) ranking: Option<Ranking>,
    pub(super) map: Arc<GradientMap>,
    pub(super) folder: StudyFolder,
    pub(super) seconds: f64,
    /// Trainings that an earlier run had done.
    pub(super) replayed: u64,
}

/// Runs or resumes the study in its folder, until its end or Ctrl-C. The gradient map holds at least `statistics`; errors
/// in the search space name the file `described_in`.
pub(super) fn execute(
    configuration: &StudyConfiguration,
    statistics: &Statistics,
    setting: Setting,
    output: &StudyOutput<'_>,
    described_in: Option<&Path>,
) -> Result<Executed> {
    let start = Instant::now();
    let precision = configuration.backbone.precision;
    let (setting, cache_memory) = resources::within(output.resources, precision, setting)?;
    let Setting { backbone, task, .. } = &setting;
    let search = &configuration.search;
    StudyFolder::check(&output.out, configuration)?;
    let space = configuration.resolve_space(backbone, task, described_in)?;

    let workers = Workers::new(output.workers)?;
    let stop = stop_on_interrupt()?;
    let (folder, journal, records) = StudyFolder::open(&output.out, configuration)?;
    let settings = FrozenSettings {
        training: configuration.training,
        gradient_map: &configuration.gradient_map,
        statistics,
        steps: search.steps,
        seed: search.seed,
    };
    let frozen = Frozen::new(backbone, task, settings, cache_memory)?;
    frozen.file.write(&folder.gradient_map())?;

    let mut progress = Progress::new(expected_trainings(configuration, &space), search.metric);
    let opened = (folder.clone(), journal, records);
    let mut session = frozen.session(configuration, &space, opened)?;
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
    Ok(Executed {
        ranking,
        map: Arc::clone(&frozen.map),
        folder,
        seconds: start.elapsed().as_secs_f64(),
        replayed: progress.replayed(),
    })
}

/// Trials, their promotions, the race, and the repetitions of finalists and baseline.
fn expected_trainings(configuration: &StudyConfiguration, space: &SearchSpace) -> usize {
    let search = &configuration.search;
    let trials = match configuration.strategy {
        StrategyDescription::GradientGreedy { .. } => 1,
        _ => search.trials.min(space.approximate_count() as usize),
    };
    let rungs = search.halving.map_or(1, |_| Halving::RUNGS);
    let reduction = search.halving.unwrap_or(1) as usize;
    let searched: usize = (0..rungs).map(|rung| trials / reduction.pow(rung)).sum();
    searched + search.trainings_after_search(trials)
}
