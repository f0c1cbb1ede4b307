use std::sync::atomic::AtomicBool;

use adaplace_scorer::{LinearProbe, Scorer};
use adaplace_search_space::{BackboneReference, Placement, PlacementFile, SearchSpace};
use adaplace_strategy::{Proposal, Strategy};
use toml::{Table, Value};

use crate::finalists::{Estimate, Repeated, parallel_baseline};
use crate::ranking::best;
use crate::runner::{Job, Runner};
use crate::{
    Finalist, Journal, Phase, Ranking, Record, Study, StudyConfiguration, StudyError, StudyFolder,
    TrialResult, Workers,
};

/// What a caller may want to show while a study runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// A training was done, now or (`replayed`) before this run.
    Done {
        /// Its record.
        record: &'a Record,
        /// Whether it was read from the journal.
        replayed: bool,
    },
    /// A final training of a comparison was done.
    Finished,
    /// The strategy is finished: so many trainings of finalists and baseline follow.
    SearchFinished {
        /// Their number.
        remaining: usize,
    },
}

/// How a run ended.
#[derive(Debug)]
pub enum Summary {
    /// All trials and repetitions are done; the ranking is written.
    Finished(Box<Ranking>),
    /// It was asked to stop; the journal holds what was done.
    Stopped {
        /// Trainings in the journal.
        trainings: usize,
    },
}

/// A study that is ready to run.
pub struct Run<'a, S> {
    /// The content of `study.toml`.
    pub configuration: &'a StudyConfiguration,
    /// The resolved search space.
    pub space: &'a SearchSpace,
    /// What scores placements.
    pub scorer: &'a S,
    /// The strategy, fresh.
    pub strategy: Box<dyn Strategy + 'a>,
    /// The linear probe that every training starts from.
    pub probe: &'a LinearProbe,
    /// What goes into placement files.
    pub backbone: BackboneReference,
    /// Where results go.
    pub folder: StudyFolder,
    /// The journal.
    pub journal: Journal,
    /// What the journal held when it was opened.
    pub records: Vec<Record>,
}

/// Runs a study to its end, or until `stop` is set: search, then the repetitions of finalists and baseline.
///
/// # Errors
/// The first error that is not a failed trial. The journal then holds all trainings that were finished before it.
pub fn run<S: Scorer>(
    run: Run<'_, S>,
    workers: &Workers,
    stop: &AtomicBool,
    notify: &mut dyn FnMut(Event<'_>),
) -> Result<Summary, StudyError> {
    let Run {
        configuration,
        space,
        scorer,
        strategy,
        probe,
        backbone,
        folder,
        journal,
        records,
    } = run;
    let search = &configuration.search;
    let mut runner = Runner::new(scorer, workers, stop, notify, (journal, records));

    let mut study = Study::new(space, strategy, search.metric, search.proposals);
    loop {
        let proposals = study.ask()?;
        if proposals.is_empty() {
            break;
        }
        let jobs: Vec<Job> = proposals.iter().map(search_job).collect();
        let Some(results) = runner.results(&jobs)? else {
            return Ok(runner.stopped());
        };
        for (proposal, result) in proposals.iter().zip(&results) {
            study.tell(proposal, result);
        }
    }

    let records = runner.known();
    let chosen = best(search, space, records);
    if chosen.is_empty() {
        runner.check_replayed()?;
        return Err(nothing_found(configuration, records));
    }
    let repeat = |phase, placement: &Placement| -> Vec<Job> {
        (1..=search.repetitions)
            .map(|repetition| Job {
                phase,
                placement: placement.clone(),
                fidelity: search.steps,
                repetition,
            })
            .collect()
    };
    let baseline = parallel_baseline(space);
    let mut jobs: Vec<Job> = chosen
        .iter()
        .flat_map(|(_, placement)| repeat(Phase::Finalist, placement))
        .collect();
    jobs.extend(repeat(Phase::Baseline, &baseline));
    (runner.notify)(Event::SearchFinished {
        remaining: jobs.len(),
    });
    let Some(results) = runner.results(&jobs)? else {
        return Ok(runner.stopped());
    };
    runner.check_replayed()?;

    let mut groups = results.chunks(search.repetitions as usize);
    let mut repeated = |placement: &Placement| {
        let results = groups.next().unwrap_or_default().to_vec();
        Repeated::new(placement.clone(), space.cost(placement), results)
    };
    let finalists = chosen
        .iter()
        .map(|(trial, placement)| (*trial, repeated(placement)))
        .collect();
    let baseline = repeated(&baseline);
    let records = runner.records();
    let ranking = Ranking::new(search, probe, space, records, finalists, baseline);
    write_results(&folder, configuration, &backbone, &ranking)?;
    Ok(Summary::Finished(Box::new(ranking)))
}

fn search_job(proposal: &Proposal) -> Job {
    Job {
        phase: Phase::Search,
        placement: proposal.placement.clone(),
        fidelity: proposal.fidelity,
        repetition: 0,
    }
}

fn nothing_found(configuration: &StudyConfiguration, records: &[Record]) -> StudyError {
    let trials = records.len();
    let reason = records.iter().find_map(|record| match &record.result {
        TrialResult::Failed(reason) => Some(reason.clone()),
        TrialResult::Score(_) => None,
    });
    match reason {
        Some(reason) if records.iter().all(|record| record.result.score().is_none()) => {
            StudyError::NothingScored { trials, reason }
        }
        _ => StudyError::NothingComplete {
            strategy: configuration.strategy.name().to_owned(),
            trials,
        },
    }
}

fn write_results(
    folder: &StudyFolder,
    configuration: &StudyConfiguration,
    backbone: &BackboneReference,
    ranking: &Ranking,
) -> Result<(), StudyError> {
    for finalist in &ranking.finalists {
        let file = PlacementFile {
            backbone: backbone.clone(),
            adapter: adaplace_search_space::AdapterForm::default(),
            placement: finalist.repeated.placement.clone(),
            provenance: Some(provenance(configuration, finalist)),
        };
        file.write(&folder.placement(finalist.place))?;
    }
    folder.write_ranking(ranking)
}

/// Where a placement comes from, for people.
fn provenance(configuration: &StudyConfiguration, finalist: &Finalist) -> Table {
    let integer = |value: u64| Value::Integer(i64::try_from(value).unwrap_or(i64::MAX));
    let mut table = Table::new();
    let mut set = |name: &str, value: Value| {
        table.insert(name.to_owned(), value);
    };
    let search = &configuration.search;
    let strategy = configuration.strategy.name().to_owned();
    let task = configuration.task.folder.display().to_string();
    set("task", Value::String(task));
    set("strategy", Value::String(strategy));
    set("seed", integer(search.seed));
    set("trial", integer(finalist.trial as u64));
    set("steps", integer(search.steps.steps().into()));
    set("repetitions", integer(search.repetitions.into()));
    let repeated = &finalist.repeated;
    for (name, estimate) in [
        ("validation_accuracy", repeated.validation_accuracy),
        ("validation_loss", repeated.validation_loss),
    ] {
        let Some(Estimate {
            mean,
            standard_error,
        }) = estimate
        else {
            continue;
        };
        set(name, Value::Float(mean));
        if let Some(error) = standard_error {
            set(&format!("{name}_standard_error"), Value::Float(error));
        }
    }
    table
}
