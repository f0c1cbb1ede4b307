//! Uniform random search.

use adaplace_search_space::{Fidelity, SearchSpace};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::unseen::Unseen;
use crate::{Outcome, Proposal, Strategy, StrategyError};

/// Proposes placements drawn uniformly from those not yet proposed, until the space is exhausted.
///
/// Bergstra and Bengio 2012, "Random Search for Hyper-Parameter Optimization".
#[derive(Clone, Debug)]
pub struct Random {
    fidelity: Fidelity,
    random: ChaCha8Rng,
    unseen: Unseen,
}

impl Random {
    /// A random search whose proposals follow from `seed`.
    pub fn new(fidelity: Fidelity, seed: u64) -> Self {
        Random {
            fidelity,
            random: ChaCha8Rng::seed_from_u64(seed),
            unseen: Unseen::default(),
        }
    }
}

impl Strategy for Random {
    fn propose(&mut self, space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError> {
        let drawn = (0..n).map_while(|_| self.unseen.draw(space, &mut self.random));
        Ok(drawn
            .map(|placement| Proposal {
                placement,
                fidelity: self.fidelity,
            })
            .collect())
    }

    fn observe(&mut self, _proposal: &Proposal, _outcome: &Outcome) {}
}
