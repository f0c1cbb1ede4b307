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
        let drawn = Self::drawn(space, seed, trials).into_iter();
        let placements = drawn.map(|(placement, _)| placement).collect();
        Sample(Listed::new(fidelity, placements))
    }

    /// The placements of [`Self::new`], each with how it was drawn: uniformly where there is no spacing.
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
