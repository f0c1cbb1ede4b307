//! Does the trainings that a comparison or a bench asks for.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use adaplace_scorer::{Score, ScoreError, Scorer};
use adaplace_search_space::{Fidelity, Placement};

use crate::ledger::{Job, Ledger, Replaying};
use crate::{Event, Journal, Record, StudyError, TrialResult, Workers};

/// Does trainings side by side, keeps them in the journal, and takes from it those that are done.
pub(crate) struct Runner<'a, S> {
    scorer: &'a S,
    workers: &'a Workers,
    stop: &'a AtomicBool,
    notify: &'a mut dyn FnMut(Event<'_>),
    ledger: Ledger,
}

impl<'a, S: Scorer> Runner<'a, S> {
    /// Goes on behind the records of the journal.
    pub(crate) fn new(
        scorer: &'a S,
        workers: &'a Workers,
        stop: &'a AtomicBool,
        notify: &'a mut dyn FnMut(Event<'_>),
        journal: (Journal, Vec<Record>),
        replaying: Replaying,
    ) -> Self {
        Self {
            scorer,
            workers,
            stop,
            notify,
            ledger: Ledger::new(journal, replaying),
        }
    }

    /// All trainings, those of the journal that were not asked for yet included.
    pub(crate) fn records(&self) -> &[Record] {
        self.ledger.records()
    }

    /// The results of `jobs`; `None` if it was stopped before all were done.
    pub(crate) fn results(&mut self, jobs: &[Job]) -> Result<Option<Vec<TrialResult>>, StudyError> {
        let Self {
            scorer,
            workers,
            stop,
            notify,
            ledger,
        } = self;
        let open = ledger.missing(jobs, notify)?;
        let train = |job: &Job| timed(*scorer, &job.placement, job.fidelity, job.repetition);
        workers.for_each(&open, stop, train, |job, (result, seconds)| {
            ledger.append(job, trial_result(job.fidelity, result)?, seconds, notify)
        })?;
        Ok(ledger.results(jobs))
    }

    /// How long `jobs` took together, each of them done.
    pub(crate) fn seconds(&self, jobs: &[Job]) -> f64 {
        self.ledger.seconds(jobs)
    }

    /// Nothing new may be trained before the whole journal was asked for again, if that is to be in its order.
    pub(crate) fn check_replayed(&self) -> Result<(), StudyError> {
        self.ledger.check_replayed()
    }
}

/// A score, and the seconds that it took.
pub(crate) fn timed<S: Scorer>(
    scorer: &S,
    placement: &Placement,
    fidelity: Fidelity,
    repetition: u32,
) -> (Result<Score, ScoreError>, f64) {
    let start = Instant::now();
    let result = scorer.score(placement, fidelity, repetition);
    (result, start.elapsed().as_secs_f64())
}

/// A training that diverged is a failed trial; any other error is one of the study.
pub(crate) fn trial_result(
    fidelity: Fidelity,
    result: Result<Score, ScoreError>,
) -> Result<TrialResult, StudyError> {
    match result.and_then(|score| finite(fidelity, score)) {
        Ok(score) => Ok(TrialResult::Score(score)),
        Err(error @ ScoreError::Diverged { .. }) => Ok(TrialResult::Failed(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

fn finite(fidelity: Fidelity, score: Score) -> Result<Score, ScoreError> {
    match not_finite(&score) {
        None => Ok(score),
        Some((quantity, value)) => Err(ScoreError::Diverged {
            step: fidelity.steps(),
            quantity,
            value,
        }),
    }
}

/// What of a score is no number: JSON has none for it, and it would damage the journal.
pub(crate) fn not_finite(score: &Score) -> Option<(&'static str, f64)> {
    let quantities = [
        ("train loss", score.train_loss),
        ("validation loss", score.validation_loss),
        ("validation accuracy", score.validation_accuracy),
    ];
    quantities.into_iter().find(|(_, value)| !value.is_finite())
}
