//! The trainings of a study, each only once, with the journal that keeps them.

use std::collections::{BTreeMap, BTreeSet};

use adaplace_search_space::{Fidelity, Placement, PlacementHash};

use crate::{Event, Journal, Phase, Record, StudyError, TrialResult};

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

/// What of a journal may be asked for when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaying {
    /// The whole journal, in its order, before anything new: it is what one search did.
    InOrder,
    /// Each line whenever it is asked for, if ever: what is searched by may have changed since.
    InAnyOrder,
}

/// All trainings so far, those of the journal first. The same training is never done twice.
#[derive(Debug)]
pub(crate) struct Ledger {
    journal: Journal,
    records: Vec<Record>,
    by_key: BTreeMap<Key, usize>,
    /// Records that the journal held at the start.
    loaded: usize,
    replaying: Replaying,
    /// Those that were asked for again.
    taken: BTreeSet<usize>,
}

impl Ledger {
    /// Goes on behind the records of the journal.
    pub(crate) fn new((journal, records): (Journal, Vec<Record>), replaying: Replaying) -> Self {
        let mut ledger = Self {
            journal,
            loaded: records.len(),
            replaying,
            taken: BTreeSet::new(),
            records: Vec::new(),
            by_key: BTreeMap::new(),
        };
        for record in records {
            ledger.push(record);
        }
        ledger
    }

    /// All trainings, those of the journal that were not asked for yet included.
    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// All trainings that were asked for so far. Any other line of the journal belongs to another study, or was asked for before
    /// this one grew.
    pub(crate) fn known(&self) -> Vec<Record> {
        let asked = |line: &usize| *line >= self.loaded || self.taken.contains(line);
        let lines = (0..self.records.len()).filter(asked);
        lines.map(|line| self.records[line].clone()).collect()
    }

    /// Those of `jobs` that are still to be done, in the order in which their results are to be appended; `notify` hears
    /// of those that the journal held.
    ///
    /// Those with the same earliest target stand next to each other, since they start from the same frozen states.
    pub(crate) fn missing(
        &mut self,
        jobs: &[Job],
        notify: &mut dyn FnMut(Event<'_>),
    ) -> Result<Vec<Job>, StudyError> {
        let mut open: Vec<Job> = Vec::new();
        let mut keys = BTreeSet::new();
        let mut by_target: Vec<&Job> = jobs.iter().collect();
        by_target.sort_by_key(|job| job.placement.earliest_target());
        for job in by_target {
            match self.by_key.get(&job.key()).copied() {
                Some(line) if line < self.loaded => self.take(line, job.phase, notify)?,
                Some(_) => {}
                // A finalist can be the baseline.
                None if !keys.insert(job.key()) => {}
                None => open.push(job.clone()),
            }
        }
        if !open.is_empty() {
            self.check_replayed()?;
        }
        Ok(open)
    }

    /// A line that the journal held is asked for.
    fn take(
        &mut self,
        line: usize,
        phase: Phase,
        notify: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), StudyError> {
        let record = &self.records[line];
        let first = !self.taken.contains(&line);
        let next = line == self.taken.len() && record.phase == phase;
        if first && !next && self.replaying == Replaying::InOrder {
            return Err(self.foreign_line());
        }
        if self.taken.insert(line) {
            notify(Event::Done {
                record,
                replayed: true,
            });
        }
        Ok(())
    }

    /// Keeps the result of a training that was missing.
    pub(crate) fn append(
        &mut self,
        job: &Job,
        result: TrialResult,
        seconds: f64,
        notify: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), StudyError> {
        let record = Record {
            trial: self.records.len(),
            phase: job.phase,
            hash: job.placement.hash(),
            placement: job.placement.clone(),
            steps: job.fidelity,
            repetition: job.repetition,
            result,
            seconds,
        };
        self.journal.append(&record)?;
        notify(Event::Done {
            record: &record,
            replayed: false,
        });
        self.push(record);
        Ok(())
    }

    /// The results of `jobs`; `None` if one is missing.
    pub(crate) fn results(&self, jobs: &[Job]) -> Option<Vec<TrialResult>> {
        jobs.iter()
            .map(|job| self.get(job).map(|record| record.result.clone()))
            .collect()
    }

    /// How long `jobs` took together; one that is missing took nothing.
    pub(crate) fn seconds(&self, jobs: &[Job]) -> f64 {
        let records = jobs.iter().filter_map(|job| self.get(job));
        records.map(|record| record.seconds).sum()
    }

    /// Nothing new may be trained before the whole journal was asked for again, if that is to be in its order.
    pub(crate) fn check_replayed(&self) -> Result<(), StudyError> {
        if self.replaying == Replaying::InOrder && self.taken.len() < self.loaded {
            return Err(self.foreign_line());
        }
        Ok(())
    }

    fn get(&self, job: &Job) -> Option<&Record> {
        self.by_key
            .get(&job.key())
            .map(|&index| &self.records[index])
    }

    fn push(&mut self, record: Record) {
        let key = (record.hash, record.steps, record.repetition);
        self.by_key.entry(key).or_insert(self.records.len());
        self.records.push(record);
    }

    fn foreign_line(&self) -> StudyError {
        StudyError::Journal {
            path: self.journal.path().to_owned(),
            line: self.taken.len() + 1,
            reason: "the study's strategy asks for another training here".to_owned(),
        }
    }
}
