//! Partial placements: what can still be added to them within the budget.
//!
//! The cheapest way to complete a placement takes the smallest rank everywhere and the connections whose second
//! pass starts latest. Whether that fits decides exactly whether any completion does.

use crate::pass_start::PassStart;
use crate::space::rank_sum;
use crate::{AdapterSpec, Connection, Placement, SearchSpace};

/// What of a partial placement decides how it can go on.
#[derive(Clone, Copy)]
struct Partial {
    adapters: usize,
    rank_sum: u64,
    start: PassStart,
}

impl SearchSpace {
    /// Whether `partial` can be completed to a placement of `size` adapters within the budget, by adding adapters.
    ///
    /// `size` need not be among [`SearchSpace::sizes`]: any number of adapters up to the budget's has an answer.
    pub fn completable(&self, partial: &Placement, size: usize) -> bool {
        self.knows(partial) && self.fits(self.partial(partial), size)
    }

    /// Every addition after which `partial` is still completable to `size` adapters, ascending by connection, then
    /// by adapter. Empty for a placement that is complete or cannot be completed.
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

    /// The adapter for `connection` when the budget of a placement of `size` adapters is split evenly: the largest
    /// one that all adapters still missing could have as well, else the smallest one.
    ///
    /// `None` when no adapter on `connection` leaves `partial` completable.
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

    /// Whether the budget admits `size` adapters when those missing have ranks that sum to `missing_ranks`.
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
