//! A sample of a space that has too many placements to try all of them.

use std::collections::BTreeSet;

use adaplace_search_space::{Fidelity, Placement, SearchSpace, Spacing};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::listed::Listed;
use crate::{Outcome, Proposal, Strategy, StrategyError};

/// Proposes in turn a placement drawn uniformly, one whose connections are close together and one whose connections are
/// far apart, so that a table of the results shows the effect of distance. The sample follows from the seed alone.
#[derive(Clone, Debug)]
pub struct Sample(Listed);

impl Sample {
    /// The number of draws for one placement, since a draw may repeat an earlier one.
    const TRIES: usize = 200;

    /// A sample of at most `trials` placements of `space`. There are fewer if no other ones are found.
    pub fn new(space: &SearchSpace, fidelity: Fidelity, seed: u64, trials: usize) -> Self {
        let drawn = Self::drawn(space, seed, trials).into_iter();
        let placements = drawn.map(|(placement, _)| placement).collect();
        Sample(Listed::new(fidelity, placements))
    }

    /// The placements of [`Self::new`], each with the spacing with which it was drawn, or `None` if it was drawn
    /// uniformly.
    #[must_use]
    pub fn drawn(
        space: &SearchSpace,
        seed: u64,
        trials: usize,
    ) -> Vec<(Placement, Option<Spacing>)> {
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
            let new = draws.find(|placement| drawn.insert(placement.clone()));
            placements.extend(new.map(|placement| (placement, spacing)));
        }
        placements
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
