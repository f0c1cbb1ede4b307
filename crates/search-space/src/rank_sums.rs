//! The budget as a bound on the sum of a placement's ranks.

use crate::pass_start::{PassStart, PassStarts};
use crate::{Budget, ChainShape, Cost};

/// The largest sum of ranks within the budget, by number of adapters and start of the second pass.
#[derive(Clone, Debug)]
pub(crate) struct RankSumLimits {
    /// `by_size[size][start]` is `None` if even adapters of the smallest rank are too expensive.
    by_size: Vec<Vec<Option<u64>>>,
}

impl RankSumLimits {
    /// The limits for 0 to `most` adapters. `ranks` is in ascending order and not empty.
    pub(crate) fn new(
        shape: &ChainShape,
        budget: &Budget,
        starts: &PassStarts,
        ranks: &[u16],
        most: usize,
    ) -> Self {
        let (smallest, largest) = (u64::from(ranks[0]), u64::from(ranks[ranks.len() - 1]));
        let limit = |size: usize, start: PassStart| {
            let admits = |sum: u64| {
                budget.admits(&Cost::of_rank_sum(shape, size, sum, starts.target(start)))
            };
            last_admitted(size as u64 * smallest, size as u64 * largest, admits)
        };
        let by_size = (0..=most)
            .map(|size| starts.iter().map(|start| limit(size, start)).collect())
            .collect();
        RankSumLimits { by_size }
    }

    pub(crate) fn limit(&self, size: usize, start: PassStart) -> Option<u64> {
        self.by_size.get(size).and_then(|limits| limits[start.0])
    }

    /// Whether `size` adapters whose ranks sum to `sum` are within the budget.
    pub(crate) fn admits(&self, size: usize, start: PassStart, sum: u64) -> bool {
        self.limit(size, start).is_some_and(|limit| sum <= limit)
    }
}

/// The largest value of `low..=high` that is admitted, provided that everything below an admitted value is admitted.
///
/// Searching with the budget's own comparison, instead of inverting its formula, makes both agree to the last bit.
fn last_admitted(low: u64, high: u64, admits: impl Fn(u64) -> bool) -> Option<u64> {
    if !admits(low) {
        return None;
    }
    let (mut admitted, mut end) = (low, high + 1);
    while end - admitted > 1 {
        let middle = admitted + (end - admitted) / 2;
        if admits(middle) {
            admitted = middle;
        } else {
            end = middle;
        }
    }
    Some(admitted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_finds_the_last_admitted_value() {
        for limit in 3..=20 {
            assert_eq!(last_admitted(3, 20, |value| value <= limit), Some(limit));
        }
        assert_eq!(last_admitted(3, 20, |value| value <= 2), None);
        assert_eq!(last_admitted(3, 20, |_| true), Some(20));
    }
}
