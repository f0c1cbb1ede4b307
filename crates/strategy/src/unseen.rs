//! Placements that have not been proposed yet.

use std::collections::BTreeSet;

use adaplace_search_space::{Placement, SearchSpace};
use rand::Rng;

/// Remembers what has been proposed, so that nothing is proposed twice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unseen {
    seen: BTreeSet<Placement>,
}

impl Unseen {
    /// The number of draws that may repeat a known placement before the rest of the space is enumerated.
    pub(crate) const TRIES: usize = 64;
    /// The largest number of placements of a space that is enumerated to draw uniformly from the rest.
    const ENUMERABLE: u128 = 100_000;

    /// Marks `placement` as seen, and returns whether it was new.
    pub(crate) fn insert(&mut self, placement: &Placement) -> bool {
        self.seen.insert(placement.clone())
    }

    pub(crate) fn contains(&self, placement: &Placement) -> bool {
        self.seen.contains(placement)
    }

    /// A placement that was not seen before, drawn uniformly and marked as seen. `None` if the space is exhausted.
    pub(crate) fn draw<R: Rng + ?Sized>(
        &mut self,
        space: &SearchSpace,
        random: &mut R,
    ) -> Option<Placement> {
        let sampled = (0..Self::TRIES).map(|_| space.sample(random));
        let placement = sampled
            .into_iter()
            .find(|placement| !self.contains(placement))
            .or_else(|| self.draw_from_rest(space, random))?;
        self.insert(&placement);
        Some(placement)
    }

    fn draw_from_rest<R: Rng + ?Sized>(
        &self,
        space: &SearchSpace,
        random: &mut R,
    ) -> Option<Placement> {
        let rest = || {
            space
                .placements()
                .filter(|placement| !self.contains(placement))
        };
        if space.count().is_some_and(|count| count <= Self::ENUMERABLE) {
            let left = rest().count();
            return if left == 0 {
                None
            } else {
                rest().nth(random.random_range(0..left))
            };
        }
        // This many repeated draws in a large space mean that nearly all of it has been seen. The first unseen
        // placement is found after at most as many steps as have been seen.
        rest().next()
    }
}
