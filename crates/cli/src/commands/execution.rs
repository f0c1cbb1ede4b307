//! Runs the study of a configuration in its folder, from the linear probe to the ranking.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use adaplace_scorer::{GradientMap, ProxyScorer};
use adaplace_search_space::{Placement, SearchSpace};
use adaplace_strategy::{
    ConnectionProxy, FixedProxy, Halving, Strategy, StrategyDescription, StrategySetting,
};
use adaplace_study::{
    GradientMapFile, GradientProxy, Ranking, Run, Setting, StudyConfiguration, StudyFolder,
    Summary, Workers, backbone_reference, chain_shape, run as run_study,
};
use anyhow::{Context, Result};

use super::report;
use crate::arguments::StudyOutput;
use crate::progress::Progress;
use crate::resources;

/// How far a study got.
pub(super) struct Executed {
    /// None if it was stopped.
    pub(super) ranking: Option<Ranking>,
    pub(super) map: GradientMap,
    pub(super) folder: StudyFolder,
    pub(super) seconds: f64,
    /// Trainings that an earlier run had done.
    pub(super) replayed: u64,
    /// None if it could not be written.
    pub(super) report: Option<PathBuf>,
}

/// Runs or resumes the study in its folder, until its end or Ctrl-C. Errors in its search space name the file
/// `described_in`.
pub(super) fn execute(
    configuration: &StudyConfiguration,
    mut setting: Setting,
    output: &StudyOutput,
    described_in: Option<&Path>,
) -> Result<Executed> {
    let start = Instant::now();
    let resources = &output.resources;
    let cache_memory = resources::cache_memory(resources.cache_memory, &setting)?;
    let precision = configuration.backbone.precision;
    setting.backbone =
        resources::computed_with(setting.backbone, precision, resources.instruction_set);
    let Setting { backbone, task, .. } = &setting;
    let search = &configuration.search;
    StudyFolder::check(&output.out, configuration)?;
    let shape = chain_shape(backbone, task);
    let space =
        SearchSpace::resolve(&configuration.space, &shape).map_err(|error| match described_in {
            Some(path) => error.in_file(path),
            None => error,
        })?;
    // What can be refused is refused before anything is made.
    build(configuration, &space, Arc::new(FixedProxy::from_iter([])))?;

    let workers = Workers::new(output.workers)?;
    let stop = stop_on_interrupt()?;
    let (folder, journal, records) = StudyFolder::open(&output.out, configuration)?;
    let training = configuration.training;
    let scorer = ProxyScorer::within_memory(backbone, task, training, search.seed, cache_memory)?;
    let map_source = &configuration.gradient_map;
    let examples = task.train.spread(map_source.examples);
    let map = scorer.gradient_map(
        &Placement::new(),
        search.steps,
        &examples,
        &map_source.settings,
        &search.statistic,
    )?;
    let reference = backbone_reference(backbone);
    GradientMapFile::new(&map, scorer.probe(), reference.clone(), &task.name)
        .write(&folder.gradient_map())?;
    let map = Arc::new(map);
    let proxy = GradientProxy::new(
        &scorer,
        &examples,
        Arc::clone(&map),
        search.statistic.clone(),
        search.steps,
    );

    let mut progress = Progress::new(expected_trainings(configuration, &space), search.metric);
    let study = Run {
        strategy: build(configuration, &space, Arc::new(proxy))?,
        configuration,
        space: &space,
        scorer: &scorer,
        probe: scorer.probe(),
        backbone: reference,
        folder: folder.clone(),
        journal,
        records,
    };
    let ended = run_study(study, &workers, stop, &mut |event| progress.notice(&event));
    progress.finish();
    let ranking = match ended? {
        Summary::Finished(ranking) => Some(*ranking),
        Summary::Stopped { trainings } => {
            anstream::eprintln!(
                "stopped: {trainings} trainings are in `{}`; run the same command again to go on",
                output.out.display()
            );
            None
        }
    };
    let report = write_report(&output.out);
    if let (None, Some(report)) = (&ranking, &report) {
        anstream::eprintln!("the report so far is `{}`", report.display());
    }
    Ok(Executed {
        ranking,
        map: Arc::unwrap_or_clone(map),
        folder,
        seconds: start.elapsed().as_secs_f64(),
        replayed: progress.replayed(),
        report,
    })
}

/// What was found stands in other files already: a report that cannot be written is no failure of the search.
pub(super) fn write_report(folder: &Path) -> Option<PathBuf> {
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

fn build<'a>(
    configuration: &StudyConfiguration,
    space: &SearchSpace,
    proxy: Arc<dyn ConnectionProxy + 'a>,
) -> Result<Box<dyn Strategy + 'a>> {
    let search = &configuration.search;
    Ok(configuration.strategy.build(StrategySetting {
        space,
        fidelity: search.steps,
        seed: search.seed,
        trials: search.trials,
        halving: search.halving,
        costs: search.costs.clone(),
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
pub(super) fn stop_on_interrupt() -> Result<&'static AtomicBool> {
    static STOP: AtomicBool = AtomicBool::new(false);
    static LISTENING: OnceLock<()> = OnceLock::new();
    if LISTENING.get().is_some() {
        return Ok(&STOP);
    }
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(crate::INTERRUPTED));
        }
        anstream::eprintln!("finishing the running trainings; press Ctrl-C again to stop at once");
    })
    .context("cannot listen to Ctrl-C")?;
    LISTENING.get_or_init(|| ());
    Ok(&STOP)
}
