//! Where the second pass of a placement starts.

use crate::{Connection, Placement};

/// Where the second pass of a placement starts, from the earliest (dearest) recurrent target to no second pass.
///
/// Apart from the number of adapters and their ranks this is all that the cost of a placement depends on, and a
/// placement's start is the smallest among those of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PassStart(pub(crate) usize);

/// The starts that occur in a space, and which connections have which.
#[derive(Clone, Debug)]
pub(crate) struct PassStarts {
    /// The recurrent targets, ascending; start `n` is `targets[n]`, start `targets.len()` no second pass.
    targets: Vec<u16>,
    /// The start of each connection.
    of_connection: Vec<PassStart>,
    /// Indices of connections, ascending by (start, index).
    by_start: Vec<usize>,
    /// Where in `by_start` each start begins, and the number of connections at the end.
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

    /// The dearest start to the cheapest.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PassStart> {
        (0..=self.targets.len()).map(PassStart)
    }

    /// No second pass.
    pub(crate) fn none(&self) -> PassStart {
        PassStart(self.targets.len())
    }

    /// The hidden state from which the second pass runs.
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

    /// The latest start that `size` connections can have; `None` when there are fewer connections.
    pub(crate) fn latest_of_size(&self, size: usize) -> Option<PassStart> {
        let count = self.by_start.len();
        if size == 0 {
            return Some(self.none());
        }
        // The `size` cheapest connections stand at the end of `by_start`.
        count
            .checked_sub(size)
            .map(|first| self.of_connection[self.by_start[first]])
    }
}
