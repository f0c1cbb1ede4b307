//! Placements among which the most promising is sought.

use std::collections::BTreeSet;

use adaplace_search_space::{Placement, SearchSpace};
use rand::Rng;

use crate::unseen::Unseen;

/// Draws different placements that were not proposed yet.
pub(crate) struct Candidates<'a, R> {
    space: &'a SearchSpace,
    unseen: &'a Unseen,
    /// Of the space's connections.
    weights: &'a [f64],
    random: &'a mut R,
    drawn: BTreeSet<Placement>,
}

impl<'a, R: Rng> Candidates<'a, R> {
    /// Draws for one placement wanted, at most: many repeat a known one.
    const TRIES: usize = 3;

    pub(crate) fn new(
        space: &'a SearchSpace,
        unseen: &'a Unseen,
        weights: &'a [f64],
        random: &'a mut R,
    ) -> Self {
        Candidates {
            space,
            unseen,
            weights,
            random,
            drawn: BTreeSet::new(),
        }
    }

    /// Every placement that is left of a space of at most `most`; `None` for a larger one.
    pub(crate) fn all(space: &SearchSpace, unseen: &Unseen, most: usize) -> Option<Vec<Placement>> {
        space.count().filter(|&count| count <= most as u128)?;
        let left = space
            .placements()
            .filter(|placement| !unseen.contains(placement));
        Some(left.collect())
    }

    /// At most `count`, uniformly drawn.
    pub(crate) fn uniform(&mut self, count: usize) -> Vec<Placement> {
        self.draw(count, |of, _| Some(of.space.sample(of.random)))
    }

    /// At most `count`, their connections drawn by their weights.
    pub(crate) fn weighted(&mut self, count: usize) -> Vec<Placement> {
        self.draw(count, |of, _| {
            Some(of.space.sample_weighted(of.random, of.weights))
        })
    }

    /// At most `count` small changes of `parents`, of one as often as of the other: one adapter, two, or crossed with another
    /// parent, in turns.
    pub(crate) fn changes(&mut self, parents: &[Placement], count: usize) -> Vec<Placement> {
        if parents.is_empty() {
            return Vec::new();
        }
        self.draw(count, |of, number| {
            let parent = &parents[number % parents.len()];
            match (number / parents.len()) % 4 {
                0 | 1 => of.space.mutate(parent, of.random),
                2 => {
                    let once = of.space.mutate(parent, of.random)?;
                    of.space.mutate(&once, of.random)
                }
                _ => {
                    let other = &parents[of.random.random_range(0..parents.len())];
                    Some(of.space.crossover(parent, other, of.random))
                }
            }
        })
    }

    fn draw(
        &mut self,
        count: usize,
        mut next: impl FnMut(&mut Self, usize) -> Option<Placement>,
    ) -> Vec<Placement> {
        let mut new = Vec::new();
        for number in 0..count * Self::TRIES {
            if new.len() == count {
                break;
            }
            let Some(placement) = next(self, number) else {
                continue;
            };
            if !self.unseen.contains(&placement) && self.drawn.insert(placement.clone()) {
                new.push(placement);
            }
        }
        new
    }
}
