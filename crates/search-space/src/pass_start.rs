//! The start of a placement's second pass.

use crate::{Connection, Placement};

/// The start of a placement's second pass, from the earliest (most expensive) recurrent target to no second pass at
/// all.
///
/// The cost of a placement depends on nothing but its number of adapters, their ranks and this start. The start of a
/// placement is the smallest among the starts of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PassStart(pub(crate) usize);

/// The starts that occur in a space, and the connections that have each of them.
#[derive(Clone, Debug)]
pub(crate) struct PassStarts {
    /// The recurrent targets, ascending. Start `n` is `targets[n]`, and start `targets.len()` is no second pass.
    targets: Vec<u16>,
    /// The start of each connection.
    of_connection: Vec<PassStart>,
    /// The indices of the connections, ordered by (start, index).
    by_start: Vec<usize>,
    /// The position in `by_start` at which each start begins, and the number of connections at the end.
    offsets: Vec<usize>,
}

impl PassStarts {
    pub(crate) fn new(connections: &[Connection]) -> Self {
        let recurrent = connections
            .iter()
            .filter(|connection| connection.is_recurrent());
        let mut targets: Vec<u16> = recurrent.map(|connection| connection.target).collect();
        targets.sort_unstable();
        targets.dedup();
        let of_connection: Vec<PassStart> = connections
            .iter()
            .map(
                |connection| match targets.binary_search(&connection.target) {
                    Ok(start) if connection.is_recurrent() => PassStart(start),
                    _ => PassStart(targets.len()),
                },
            )
            .collect();
        let mut by_start: Vec<usize> = (0..connections.len()).collect();
        by_start.sort_unstable_by_key(|&index| (of_connection[index], index));
        let offsets = (0..=targets.len() + 1)
            .map(|start| by_start.partition_point(|&index| of_connection[index].0 < start))
            .collect();
        PassStarts {
            targets,
            of_connection,
            by_start,
            offsets,
        }
    }

    /// All starts, from the most expensive to the cheapest.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PassStart> {
        (0..=self.targets.len()).map(PassStart)
    }

    /// The start that means no second pass.
    pub(crate) fn none(&self) -> PassStart {
        PassStart(self.targets.len())
    }

    /// The hidden state from which the second pass runs, if there is one.
    pub(crate) fn target(&self, start: PassStart) -> Option<u16> {
        self.targets.get(start.0).copied()
    }

    pub(crate) fn of_connection(&self, index: usize) -> PassStart {
        self.of_connection[index]
    }

    /// The start of a placement of this space.
    pub(crate) fn of_placement(&self, placement: &Placement) -> PassStart {
        let earliest = placement.earliest_recurrent_target();
        earliest.map_or(self.none(), |target| {
            PassStart(self.targets.partition_point(|&other| other < target))
        })
    }

    /// The connections whose start is exactly `start`.
    pub(crate) fn connections_at(&self, start: PassStart) -> &[usize] {
        &self.by_start[self.offsets[start.0]..self.offsets[start.0 + 1]]
    }

    /// The connections whose start is later than `start`.
    pub(crate) fn connections_after(&self, start: PassStart) -> &[usize] {
        &self.by_start[self.offsets[start.0 + 1]..]
    }

    /// The latest start that `size` connections can have, or `None` if there are fewer connections.
    pub(crate) fn latest_of_size(&self, size: usize) -> Option<PassStart> {
        let count = self.by_start.len();
        if size == 0 {
            return Some(self.none());
        }
        // The `size` cheapest connections are at the end of `by_start`.
        count
            .checked_sub(size)
            .map(|first| self.of_connection[self.by_start[first]])
    }
}
