//! Partial placements, and what can still be added to them within the budget.
//!
//! The cheapest way to complete a placement uses the smallest rank everywhere and the connections whose second pass
//! starts latest. A placement can be completed if and only if this way fits the budget.

use crate::pass_start::PassStart;
use crate::space::rank_sum;
use crate::{AdapterSpec, Connection, Placement, SearchSpace};

/// The properties of a partial placement that decide whether it can be completed.
#[derive(Clone, Copy)]
struct Partial {
    adapters: usize,
    rank_sum: u64,
    start: PassStart,
}

impl SearchSpace {
    /// Whether adding adapters can complete `partial` to a placement of `size` adapters within the budget.
    ///
    /// `size` may be any number of adapters up to the budget's limit, also one that is not in [`SearchSpace::sizes`].
    pub fn completable(&self, partial: &Placement, size: usize) -> bool {
        self.knows(partial) && self.fits(self.partial(partial), size)
    }

    /// Every addition after which `partial` can still be completed to `size` adapters, ordered by connection, then by
    /// adapter. Empty if the placement is complete or cannot be completed.
    pub fn extensions(&self, partial: &Placement, size: usize) -> Vec<(Connection, AdapterSpec)> {
        if !self.knows(partial) {
            return Vec::new();
        }
        let before = self.partial(partial);
        let free = self.connections().iter().enumerate();
        free.filter(|&(_, &connection)| !partial.contains(connection))
            .flat_map(|(index, &connection)| {
                let adapters = self.adapters().iter();
                adapters
                    .take_while(move |adapter| {
                        self.fits(self.extended(before, index, adapter.rank), size)
                    })
                    .map(move |&adapter| (connection, adapter))
            })
            .collect()
    }

    /// The adapter for `connection` when the budget of a placement of `size` adapters is split evenly.
    ///
    /// This is the largest adapter that all adapters still missing could have as well, or else the smallest one. `None`
    /// if no adapter on `connection` leaves `partial` completable.
    pub fn even_split(
        &self,
        partial: &Placement,
        connection: Connection,
        size: usize,
    ) -> Option<AdapterSpec> {
        let index = self.connections().binary_search(&connection).ok()?;
        if partial.contains(connection) || !self.knows(partial) {
            return None;
        }
        let before = self.partial(partial);
        let missing = size.checked_sub(before.adapters + 1)?;
        let affordable = |adapter: &&AdapterSpec| {
            let after = self.extended(before, index, adapter.rank);
            self.fits_with(after, size, missing as u64 * u64::from(adapter.rank))
        };
        let smallest = self.adapters().first();
        let smallest =
            smallest.filter(|adapter| self.fits(self.extended(before, index, adapter.rank), size));
        self.adapters()
            .iter()
            .rev()
            .find(affordable)
            .or(smallest)
            .copied()
    }

    /// Whether the budget admits `size` adapters if the ranks of the missing ones sum to `missing_ranks`.
    fn fits_with(&self, partial: Partial, size: usize, missing_ranks: u64) -> bool {
        let latest = self.starts.latest_of_size(size);
        latest.is_some_and(|latest| {
            partial.adapters <= size
                && self.limits.admits(
                    size,
                    partial.start.min(latest),
                    partial.rank_sum + missing_ranks,
                )
        })
    }

    fn fits(&self, partial: Partial, size: usize) -> bool {
        let missing = size.saturating_sub(partial.adapters) as u64;
        self.fits_with(partial, size, missing * u64::from(self.ranks()[0]))
    }

    fn partial(&self, placement: &Placement) -> Partial {
        Partial {
            adapters: placement.len(),
            rank_sum: rank_sum(placement),
            start: self.starts.of_placement(placement),
        }
    }

    fn extended(&self, partial: Partial, connection: usize, rank: u16) -> Partial {
        Partial {
            adapters: partial.adapters + 1,
            rank_sum: partial.rank_sum + u64::from(rank),
            start: partial.start.min(self.starts.of_connection(connection)),
        }
    }
}
