//! Placements whose connections are close together or far apart.

use rand::Rng;
use rand::seq::IndexedRandom;

use crate::{Connection, Placement, SearchSpace};

/// The way in which the connections of a drawn placement are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// Each connection is at most [`SearchSpace::NEAR`] away from an earlier one, if such a connection fits.
    Near,
    /// Each connection is the farthest from the earlier ones among [`Spacing::CANDIDATES`] drawn ones.
    Spread,
}

impl Spacing {
    /// The number of connections from which a spread placement takes the farthest.
    pub const CANDIDATES: usize = 4;
}

impl SearchSpace {
    /// A placement of this space whose connections are spaced as `spacing` says. Its size is drawn as by
    /// [`SearchSpace::sample`], its first connection and all ranks uniformly from what fits the budget.
    pub fn sample_spaced<R: Rng + ?Sized>(&self, random: &mut R, spacing: Spacing) -> Placement {
        let size = self.sample(random).len();
        let mut placement = Placement::new();
        while placement.len() < size {
            let extensions = self.extensions(&placement, size);
            let distance = |connection: Connection| {
                let distances = placement.connections();
                distances.map(|other| other.distance(connection)).min()
            };
            let chosen = match spacing {
                Spacing::Near => {
                    let near: Vec<_> = extensions
                        .iter()
                        .filter(|(connection, _)| {
                            distance(*connection).is_none_or(|nearest| nearest <= Self::NEAR)
                        })
                        .collect();
                    near.choose(random)
                        .copied()
                        .or_else(|| extensions.choose(random))
                }
                Spacing::Spread => extensions
                    .choose_multiple(random, Spacing::CANDIDATES)
                    .max_by_key(|(connection, _)| distance(*connection)),
            };
            let &(connection, adapter) =
                chosen.expect("a completable placement below its size has an extension");
            placement = placement.with(connection, adapter);
        }
        placement
    }
}
