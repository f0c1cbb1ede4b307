//! A sample of a space whose placements are too many to try all.

use std::collections::BTreeSet;

use adaplace_search_space::{Fidelity, Placement, SearchSpace, Spacing};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::listed::Listed;
use crate::{Outcome, Proposal, Strategy, StrategyError};

/// Proposes, in turns, a placement drawn uniformly, one whose connections lie near one another and one whose connections lie
/// far apart, so that a table of them shows what nearness does. Which ones follows from the seed alone.
#[derive(Clone, Debug)]
pub struct Sample(Listed);

impl Sample {
    /// Draws that may repeat a placement before fewer are proposed than asked for.
    const TRIES: usize = 200;

    /// At most `trials` placements of `space`; fewer where no other ones are found.
    pub fn new(space: &SearchSpace, fidelity: Fidelity, seed: u64, trials: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut drawn = BTreeSet::new();
        let mut placements = Vec::new();
        for spacing in [None, Some(Spacing::Near), Some(Spacing::Spread)]
            .into_iter()
            .cycle()
            .take(trials)
        {
            let mut draw = || -> Placement {
                match spacing {
                    None => space.sample(&mut random),
                    Some(spacing) => space.sample_spaced(&mut random, spacing),
                }
            };
            let mut draws = (0..Self::TRIES).map(|_| draw());
            placements.extend(draws.find(|placement| drawn.insert(placement.clone())));
        }
        Sample(Listed::new(fidelity, placements))
    }
}

impl Strategy for Sample {
    fn propose(&mut self, space: &SearchSpace, n: usize) -> Result<Vec<Proposal>, StrategyError> {
        self.0.propose(space, n)
    }

    fn observe(&mut self, proposal: &Proposal, outcome: &Outcome) {
        self.0.observe(proposal, outcome);
    }
}
