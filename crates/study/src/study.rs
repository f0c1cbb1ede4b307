use std::collections::BTreeMap;

use adaplace_search_space::{Fidelity, Placement, PlacementHash, SearchSpace};
use adaplace_strategy::{Outcome, Proposal, Strategy};

use crate::{Metric, Phase, Record, StudyError, TrialResult};

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

/// Ask and tell: a strategy at work on a space.
///
/// Asks come in groups of a fixed size that is a setting of the study, not of the machine, so that the proposals
/// depend on nothing but the scores.
pub struct Study<'a> {
    space: &'a SearchSpace,
    strategy: Box<dyn Strategy + 'a>,
    metric: Metric,
    proposals: usize,
}

impl<'a> Study<'a> {
    /// Joins the parts; `proposals` is how many placements are asked for at a time.
    #[must_use]
    pub fn new(
        space: &'a SearchSpace,
        strategy: Box<dyn Strategy + 'a>,
        metric: Metric,
        proposals: usize,
    ) -> Self {
        Self {
            space,
            strategy,
            metric,
            proposals,
        }
    }

    /// The next placements to score; none when the strategy is finished. Each must be told before the next call.
    ///
    /// # Errors
    /// If the strategy cannot judge connections.
    pub fn ask(&mut self) -> Result<Vec<Proposal>, StudyError> {
        Ok(self.strategy.propose(self.space, self.proposals)?)
    }

    /// The result of a proposal, in the order of the proposals.
    pub fn tell(&mut self, proposal: &Proposal, result: &TrialResult) {
        let merit = result
            .score()
            .and_then(|score| self.metric.merit(proposal.fidelity, score));
        let outcome = merit.map_or(Outcome::Failed, Outcome::Scored);
        self.strategy.observe(proposal, &outcome);
    }
}
