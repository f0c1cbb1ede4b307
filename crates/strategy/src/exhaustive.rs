//! Exhaustive search.

use adaplace_search_space::{Fidelity, Placement, SearchSpace};

use crate::listed::Listed;
use crate::{Outcome, Proposal, Strategy, StrategyError};

/// Proposes every placement of the space, in the order of [`SearchSpace::placements`].
#[derive(Clone, Debug)]
pub struct Exhaustive(Listed);

impl Exhaustive {
    /// A search of all placements of `space`, of which there must be no more than `trials`.
    ///
    /// # Errors
    /// [`StrategyError::SpaceTooLarge`] with the number of placements.
    pub fn new(
        space: &SearchSpace,
        fidelity: Fidelity,
        trials: usize,
    ) -> Result<Self, StrategyError> {
        let count = space.count();
        if count.is_none_or(|count| count > trials as u128) {
            return Err(StrategyError::SpaceTooLarge { count, trials });
        }
        let placements: Vec<Placement> = space.placements().collect();
        Ok(Exhaustive(Listed::new(fidelity, placements)))
    }
}

impl Strategy for Exhaustive {
    fn propose(&mut self, space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError> {
        self.0.propose(space, n)
    }

    fn observe(&mut self, proposal: &Proposal, outcome: &Outcome) {
        self.0.observe(proposal, outcome);
    }
}
