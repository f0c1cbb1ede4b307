use std::sync::Arc;

use adaplace_search_space::{Placement, SearchSpace};
use adaplace_strategy::{Outcome, Proposal, Strategy};

use crate::{Metric, StudyError, TrialResult};

/// Ask and tell: a strategy at work on a space.
///
/// Asks come in groups of a fixed size that is a setting of the study, not of the machine, so that the proposals
/// depend on nothing but the scores.
pub struct AskTell<'a> {
    space: Arc<SearchSpace>,
    strategy: Box<dyn Strategy + 'a>,
    metric: Metric,
    proposals: usize,
}

impl<'a> AskTell<'a> {
    /// Joins the parts; `proposals` is how many placements are asked for at a time.
    #[must_use]
    pub fn new(
        space: Arc<SearchSpace>,
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
        Ok(self.strategy.propose(&self.space, self.proposals)?)
    }

    /// The result of a proposal, in the order of the proposals.
    pub fn tell(&mut self, proposal: &Proposal, result: &TrialResult) {
        let merit = result
            .score()
            .and_then(|score| self.metric.merit(proposal.fidelity, score));
        let outcome = merit.map_or(Outcome::Failed, Outcome::Scored);
        self.strategy.observe(proposal, &outcome);
    }

    /// What the strategy believes to be best of what it proposed, best first, `n` at most.
    #[must_use]
    pub fn recommend(&self, n: usize) -> Vec<Placement> {
        self.strategy.recommend(&self.space, n)
    }
}
