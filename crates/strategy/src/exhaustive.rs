//! Every placement of the space.

use std::vec;

use adaplace_search_space::{Fidelity, Placement, SearchSpace};

use crate::{Outcome, Proposal, Strategy, StrategyError};

/// Proposes every placement of the space, in the order of [`SearchSpace::placements`].
#[derive(Clone, Debug)]
pub struct Exhaustive {
    fidelity: Fidelity,
    placements: vec::IntoIter<Placement>,
}

impl Exhaustive {
    /// Every placement of `space`, of which there must be no more than `trials`.
    ///
    /// # Errors
    ///
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
        Ok(Exhaustive {
            fidelity,
            placements: placements.into_iter(),
        })
    }
}

impl Strategy for Exhaustive {
    fn propose(&mut self, _space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError> {
        let fidelity = self.fidelity;
        let next = self.placements.by_ref().take(n);
        Ok(next
            .map(|placement| Proposal {
                placement,
                fidelity,
            })
            .collect())
    }

    fn observe(&mut self, _proposal: &Proposal, _outcome: &Outcome) {}
}
