//! Does the trainings that a study asks for, each only once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use adaplace_scorer::{Score, ScoreError, Scorer};
use adaplace_search_space::{Fidelity, Placement, PlacementHash};

use crate::{Event, Journal, Phase, Record, StudyError, Summary, TrialResult, Workers};

/// A training that is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Job {
    pub(crate) phase: Phase,
    pub(crate) placement: Placement,
    pub(crate) fidelity: Fidelity,
    pub(crate) repetition: u32,
}

impl Job {
    pub(crate) fn key(&self) -> Key {
        (self.placement.hash(), self.fidelity, self.repetition)
    }
}

/// What makes two trainings of a study the same.
type Key = (PlacementHash, Fidelity, u32);

/// All trainings of a study so far. The same training is never done twice.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    records: Vec<Record>,
    by_key: BTreeMap<Key, usize>,
}

impl Ledger {
    pub(crate) fn new(records: Vec<Record>) -> Self {
        let mut ledger = Self::default();
        for record in records {
            ledger.push(record);
        }
        ledger
    }

    pub(crate) fn push(&mut self, record: Record) {
        let key = (record.hash, record.steps, record.repetition);
        self.by_key.entry(key).or_insert(self.records.len());
        self.records.push(record);
    }

    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    pub(crate) fn get(&self, job: &Job) -> Option<&Record> {
        self.by_key
            .get(&job.key())
            .map(|&index| &self.records[index])
    }
}

/// Does trainings, keeps them in the journal, and takes from it those that are done.
pub(crate) struct Runner<'a, S> {
    scorer: &'a S,
    workers: &'a Workers,
    stop: &'a AtomicBool,
    pub(crate) notify: &'a mut dyn FnMut(Event<'_>),
    journal: Journal,
    ledger: Ledger,
    /// Records that the journal held at the start.
    loaded: usize,
    /// How many of them were asked for again so far.
    replayed: usize,
}

impl<'a, S: Scorer> Runner<'a, S> {
    /// Goes on behind the records of the journal.
    pub(crate) fn new(
        scorer: &'a S,
        workers: &'a Workers,
        stop: &'a AtomicBool,
        notify: &'a mut dyn FnMut(Event<'_>),
        (journal, records): (Journal, Vec<Record>),
    ) -> Self {
        Self {
            scorer,
            workers,
            stop,
            notify,
            journal,
            loaded: records.len(),
            replayed: 0,
            ledger: Ledger::new(records),
        }
    }

    /// All trainings, those of the journal that were not asked for yet included.
    pub(crate) fn records(&self) -> &[Record] {
        self.ledger.records()
    }

    /// The results of `jobs`; `None` if it was stopped before all were done.
    ///
    /// Those with the same earliest target are done next to each other, since they start from the same frozen states.
    pub(crate) fn results(&mut self, jobs: &[Job]) -> Result<Option<Vec<TrialResult>>, StudyError> {
        let mut open: Vec<Job> = Vec::new();
        let mut keys = BTreeSet::new();
        let mut by_target: Vec<&Job> = jobs.iter().collect();
        by_target.sort_by_key(|job| job.placement.earliest_target());
        for job in by_target {
            match self.ledger.get(job) {
                Some(record) if record.trial < self.replayed => {}
                Some(record) if record.trial < self.loaded => {
                    if record.trial != self.replayed || record.phase != job.phase {
                        return Err(self.foreign_line());
                    }
                    (self.notify)(Event::Done {
                        record,
                        replayed: true,
                    });
                    self.replayed += 1;
                }
                Some(_) => {}
                // A finalist can be the baseline.
                None if !keys.insert(job.key()) => {}
                None => open.push(job.clone()),
            }
        }
        if !open.is_empty() {
            self.check_replayed()?;
            self.train(&open)?;
        }
        let results = jobs.iter().map(|job| self.ledger.get(job));
        Ok(results
            .map(|record| record.map(|record| record.result.clone()))
            .collect())
    }

    /// All trainings that were asked for so far; a line of the journal beyond them is none of this study.
    pub(crate) fn known(&self) -> &[Record] {
        let records = self.ledger.records();
        match self.replayed < self.loaded {
            true => &records[..self.replayed],
            false => records,
        }
    }

    fn train(&mut self, jobs: &[Job]) -> Result<(), StudyError> {
        let Self {
            scorer,
            workers,
            stop,
            notify,
            journal,
            ledger,
            ..
        } = self;
        let train = |job: &Job| {
            let start = Instant::now();
            let result = scorer.score(&job.placement, job.fidelity, job.repetition);
            (result, start.elapsed().as_secs_f64())
        };
        workers.for_each(jobs, stop, train, |job, (result, seconds)| {
            let record = Record {
                trial: ledger.records().len(),
                phase: job.phase,
                hash: job.placement.hash(),
                placement: job.placement.clone(),
                steps: job.fidelity,
                repetition: job.repetition,
                result: trial_result(job.fidelity, result)?,
                seconds,
            };
            journal.append(&record)?;
            notify(Event::Done {
                record: &record,
                replayed: false,
            });
            ledger.push(record);
            Ok(())
        })
    }

    /// Nothing new may be trained before the whole journal was asked for again.
    pub(crate) fn check_replayed(&self) -> Result<(), StudyError> {
        if self.replayed < self.loaded {
            return Err(self.foreign_line());
        }
        Ok(())
    }

    fn foreign_line(&self) -> StudyError {
        StudyError::Journal {
            path: self.journal.path().to_owned(),
            line: self.replayed + 1,
            reason: "the study's strategy asks for another training here".to_owned(),
        }
    }

    pub(crate) fn stopped(&self) -> Summary {
        debug_assert!(self.stop.load(Ordering::Relaxed));
        Summary::Stopped {
            trainings: self.ledger.records().len(),
        }
    }
}

/// A training that diverged is a failed trial; any other error is one of the study.
fn trial_result(
    fidelity: Fidelity,
    result: Result<Score, ScoreError>,
) -> Result<TrialResult, StudyError> {
    match result.and_then(|score| finite(fidelity, score)) {
        Ok(score) => Ok(TrialResult::Score(score)),
        Err(error @ ScoreError::Diverged { .. }) => Ok(TrialResult::Failed(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// JSON has no NaN: such a score would damage the journal.
fn finite(fidelity: Fidelity, score: Score) -> Result<Score, ScoreError> {
    let quantities = [
        ("train loss", score.train_loss),
        ("validation loss", score.validation_loss),
        ("validation accuracy", score.validation_accuracy),
    ];
    match quantities.into_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(score),
        Some((quantity, value)) => Err(ScoreError::Diverged {
            step: fidelity.steps(),
            quantity,
            value,
        }),
    }
}
