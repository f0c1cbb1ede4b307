//! Enumeration of all placements of a space.

use crate::pass_start::PassStart;
use crate::{Placement, SearchSpace};

/// An iterator over all placements of a space, each once, ordered by size and then by [`Placement`].
///
/// It searches in depth and takes an adapter only if the rest of the order can still complete the placement, so no step
/// is wasted.
#[derive(Clone, Debug)]
pub struct Placements<'space> {
    space: &'space SearchSpace,
    /// `latest[missing][index]` is the latest start of the second pass that `missing` connections from `index` onwards
    /// can have; `None` if there are fewer connections.
    latest: Vec<Vec<Option<PassStart>>>,
    /// The position in the list of sizes.
    size: usize,
    path: Vec<Step>,
    /// The next (connection, adapter) to try at the end of the path, as indices.
    next: (usize, usize),
}

#[derive(Clone, Copy, Debug)]
struct Step {
    connection: usize,
    adapter: usize,
    /// The sum of the ranks along the path up to and including this step.
    rank_sum: u64,
    start: PassStart,
}

impl SearchSpace {
    /// All placements of this space, each once, ordered by size and then by [`Placement`].
    pub fn placements(&self) -> Placements<'_> {
        Placements {
            space: self,
            latest: latest_starts(self),
            size: 0,
            path: Vec::new(),
            next: (0, 0),
        }
    }
}

impl Placements<'_> {
    fn first_admissible(&self, size: usize) -> Option<Step> {
        let space = self.space;
        let last = self.path.last();
        let (sum, start) =
            last.map_or((0, space.starts.none()), |step| (step.rank_sum, step.start));
        let missing = size - self.path.len() - 1;
        let smallest = u64::from(space.ranks()[0]);
        let (first, mut adapter) = self.next;
        for connection in first..space.connections().len() {
            let latest = self.latest[missing][connection + 1]?;
            let start = start.min(space.starts.of_connection(connection));
            if let Some(&rank) = space.ranks().get(adapter) {
                let rank_sum = sum + u64::from(rank);
                if space.limits.admits(
                    size,
                    start.min(latest),
                    rank_sum + missing as u64 * smallest,
                ) {
                    return Some(Step {
                        connection,
                        adapter,
                        rank_sum,
                        start,
                    });
                }
            }
            adapter = 0;
        }
        None
    }
}

impl Iterator for Placements<'_> {
    type Item = Placement;

    fn next(&mut self) -> Option<Placement> {
        loop {
            let &size = self.space.sizes().get(self.size)?;
            if let Some(step) = self.first_admissible(size) {
                if self.path.len() + 1 < size {
                    self.path.push(step);
                    self.next = (step.connection + 1, 0);
                } else {
                    self.next = (step.connection, step.adapter + 1);
                    let steps = self.path.iter().chain([&step]);
                    let adapter = |step: &Step| {
                        (
                            self.space.connections()[step.connection],
                            self.space.adapters()[step.adapter],
                        )
                    };
                    return Some(steps.map(adapter).collect());
                }
            } else if let Some(step) = self.path.pop() {
                self.next = (step.connection, step.adapter + 1);
            } else {
                self.size += 1;
                self.next = (0, 0);
            }
        }
    }
}

fn latest_starts(space: &SearchSpace) -> Vec<Vec<Option<PassStart>>> {
    let (connections, most) = (space.connections().len(), space.largest_size());
    let mut latest = vec![vec![None; connections + 1]; most];
    // The starts of the connections from `index` onwards, cheapest first, as many as can be missing.
    let mut cheapest: Vec<PassStart> = Vec::new();
    for index in (0..=connections).rev() {
        if index < connections {
            let start = space.starts.of_connection(index);
            let position = cheapest.partition_point(|&other| other >= start);
            cheapest.insert(position, start);
            cheapest.truncate(most);
        }
        latest[0][index] = Some(space.starts.none());
        for (row, &start) in latest[1..].iter_mut().zip(&cheapest) {
            row[index] = Some(start);
        }
    }
    latest
}
