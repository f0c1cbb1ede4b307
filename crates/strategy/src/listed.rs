use std::vec;

use adaplace_search_space::{Fidelity, Placement, SearchSpace};

use crate::{Outcome, Proposal, Strategy, StrategyError};

/// Proposes placements that were chosen beforehand, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    fidelity: Fidelity,
    placements: vec::IntoIter<Placement>,
}

impl Listed {
    pub(crate) fn new(fidelity: Fidelity, placements: Vec<Placement>) -> Self {
        Listed {
            fidelity,
            placements: placements.into_iter(),
        }
    }
}

impl Strategy for Listed {
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
