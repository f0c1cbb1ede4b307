//! The candidates for the next proposals.

use std::collections::BTreeSet;

use adaplace_search_space::{Placement, SearchSpace};
use rand::Rng;

use crate::unseen::Unseen;

/// Draws distinct placements that have not been proposed.
pub(crate) struct Candidates<'a, R> {
    space: &'a SearchSpace,
    unseen: &'a Unseen,
    /// The weights of the space's connections.
    weights: &'a [f64],
    random: &'a mut R,
    drawn: BTreeSet<Placement>,
}

impl<'a, R: Rng> Candidates<'a, R> {
    /// The largest number of draws for each wanted placement, since many draws repeat a known one.
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

    /// All remaining placements of a space with at most `most` placements, or `None` for a larger space.
    pub(crate) fn all(space: &SearchSpace, unseen: &Unseen, most: usize) -> Option<Vec<Placement>> {
        space.count().filter(|&count| count <= most as u128)?;
        let left = space
            .placements()
            .filter(|placement| !unseen.contains(placement));
        Some(left.collect())
    }

    /// At most `count` placements, drawn uniformly.
    pub(crate) fn uniform(&mut self, count: usize) -> Vec<Placement> {
        self.draw(count, |of, _| Some(of.space.sample(of.random)))
    }

    /// At most `count` placements whose connections are drawn by their weights.
    pub(crate) fn weighted(&mut self, count: usize) -> Vec<Placement> {
        self.draw(count, |of, _| {
            Some(of.space.sample_weighted(of.random, of.weights))
        })
    }

    /// At most `count` small changes of `parents`, evenly spread over them: half change one adapter, a quarter two, and
    /// a quarter cross with another parent.
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
