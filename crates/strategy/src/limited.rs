//! A limit on the number of proposals.

use adaplace_search_space::{Placement, SearchSpace};

use crate::{Outcome, Proposal, Strategy, StrategyError};

/// Another strategy, which is finished after a given number of proposals.
pub struct Limited<'inner> {
    inner: Box<dyn Strategy + 'inner>,
    remaining: usize,
}

impl<'inner> Limited<'inner> {
    /// The first `proposals` proposals of `inner`.
    #[must_use]
    pub fn new(inner: Box<dyn Strategy + 'inner>, proposals: usize) -> Self {
        Limited {
            inner,
            remaining: proposals,
        }
    }
}

impl Strategy for Limited<'_> {
    fn propose(&mut self, space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError> {
        let n = n.min(self.remaining);
        if n == 0 {
            return Ok(Vec::new());
        }
        let proposals = self.inner.propose(space, n)?;
        self.remaining -= proposals.len();
        Ok(proposals)
    }

    fn observe(&mut self, proposal: &Proposal, outcome: &Outcome) {
        self.inner.observe(proposal, outcome);
    }

    fn recommend(&self, space: &SearchSpace, n: usize) -> Vec<Placement> {
        self.inner.recommend(space, n)
    }
}
