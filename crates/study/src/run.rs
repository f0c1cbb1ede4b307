use std::sync::atomic::AtomicBool;

use adaplace_scorer::Scorer;

use crate::runner::{timed, trial_result};
use crate::{Ranking, Record, Study, StudyError, Trial, Workers};

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
    /// The strategy is finished: the race of the best and the repetitions of finalists and baseline follow.
    SearchFinished {
        /// How many trainings these are; fewer where the baseline is among the last of the race.
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

/// Runs a study to its end, or until `stop` is set: search, race of the best, then the repetitions of
/// finalists and baseline.
///
/// # Errors
/// The first error that is not a failed trial. The journal then holds all trainings that were finished before it.
pub fn run<S: Scorer>(
    study: &mut Study,
    scorer: &S,
    workers: &Workers,
    stop: &AtomicBool,
    notify: &mut dyn FnMut(Event<'_>),
) -> Result<Summary, StudyError> {
    loop {
        let trials = study.ask(notify)?;
        if trials.is_empty() {
            let ranking = study.ranking().cloned();
            return Ok(Summary::Finished(Box::new(
                ranking.expect("a study that asks for nothing is finished"),
            )));
        }
        let mut told = 0;
        let train = |trial: &Trial| timed(scorer, &trial.placement, trial.steps, trial.repetition);
        workers.for_each(&trials, stop, train, |trial, (result, seconds)| {
            told += 1;
            let result = trial_result(trial.steps, result)?;
            study.tell(trial.number, result, seconds, notify)
        })?;
        if told < trials.len() {
            return Ok(Summary::Stopped {
                trainings: study.records().len(),
            });
        }
    }
}
