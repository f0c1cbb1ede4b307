//! The number of placements in a space, by size and start of the second pass.
//!
//! A placement of `size` adapters whose second pass starts exactly at `e` has `n >= 1` connections with that start and
//! `size - n` with a later one. Its ranks are any `size` ranks whose sum is within the limit `S(size, e)`. So the
//! number is
//!
//! `sum over size, e of (sum over n of C(at e, n) C(after e, size - n)) * |{ranks in R^size : sum <= S(size, e)}|`
//!
//! The last factor is computed by a small dynamic programme over the sum.

use std::ops::{Add, Mul};

use crate::pass_start::{PassStart, PassStarts};
use crate::rank_sums::RankSumLimits;

/// A number of placements, as an approximation for use as a weight and exactly if it fits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    pub(crate) approximate: f64,
    pub(crate) exact: Option<u128>,
}

impl Count {
    pub(crate) const ZERO: Count = Count {
        approximate: 0.0,
        exact: Some(0),
    };
    pub(crate) const ONE: Count = Count {
        approximate: 1.0,
        exact: Some(1),
    };
}

impl Add for Count {
    type Output = Count;

    fn add(self, other: Count) -> Count {
        Count {
            approximate: self.approximate + other.approximate,
            exact: self
                .exact
                .zip(other.exact)
                .and_then(|(a, b)| a.checked_add(b)),
        }
    }
}

impl Mul for Count {
    type Output = Count;

    fn mul(self, other: Count) -> Count {
        let exact = match (self.exact, other.exact) {
            (Some(0), _) | (_, Some(0)) => return Count::ZERO,
            (Some(a), Some(b)) => a.checked_mul(b),
            _ => None,
        };
        Count {
            approximate: self.approximate * other.approximate,
            exact,
        }
    }
}

/// The binomial coefficients `C(n, 0), C(n, 1), .. C(n, most)`.
fn binomials(n: usize, most: usize) -> Vec<Count> {
    let mut row = vec![Count::ONE];
    for k in 1..=most {
        let previous = row[k - 1];
        row.push(if k > n {
            Count::ZERO
        } else {
            let (factor, divisor) = (n - k + 1, k);
            Count {
                approximate: previous.approximate * factor as f64 / divisor as f64,
                exact: previous
                    .exact
                    .and_then(|value| value.checked_mul(factor as u128))
                    .map(|value| value / divisor as u128),
            }
        });
    }
    row
}

/// The number of ways to assign ranks to a number of adapters such that their sum stays within a limit.
#[derive(Clone, Debug)]
pub(crate) struct RankAssignments {
    smallest: u64,
    /// The greatest common divisor of all differences between ranks.
    unit: u64,
    /// The excess of each rank over the smallest one, in units.
    excess: Vec<usize>,
    /// `within[adapters][sum]` is the number of assignments whose excess is at most `sum`. Larger sums count like the
    /// last one.
    within: Vec<Vec<Count>>,
}

impl RankAssignments {
    /// The largest table size, in entries.
    const MOST_ENTRIES: usize = 1 << 20;

    /// The table for up to `most` adapters with these ranks, which are in ascending order. `None` if it would be too
    /// large.
    fn new(ranks: &[u16], most: usize) -> Option<Self> {
        let differences = || ranks.iter().map(|&rank| u64::from(rank - ranks[0]));
        let unit = differences().fold(0, greatest_common_divisor).max(1);
        let excess: Vec<usize> = differences()
            .map(|difference| (difference / unit) as usize)
            .collect();
        let largest = excess[excess.len() - 1];
        if (most + 1) * (most + 1) * (largest + 1) / 2 > Self::MOST_ENTRIES {
            return None;
        }
        let mut table = RankAssignments {
            smallest: u64::from(ranks[0]),
            unit,
            excess,
            within: vec![vec![Count::ONE]],
        };
        for adapters in 1..=most {
            let row = (0..=adapters * largest)
                .map(|sum| table.choices(adapters, sum).fold(Count::ZERO, Add::add))
                .collect();
            table.within.push(row);
        }
        Some(table)
    }

    /// The total excess, in units, of `adapters` adapters whose ranks sum to `limit`.
    pub(crate) fn allowance(&self, adapters: usize, limit: u64) -> usize {
        ((limit - adapters as u64 * self.smallest) / self.unit) as usize
    }

    /// For each rank, the number of assignments in which the last of `adapters` adapters has that rank.
    fn choices(&self, adapters: usize, allowance: usize) -> impl Iterator<Item = Count> + '_ {
        self.excess
            .iter()
            .map(move |&excess| match allowance.checked_sub(excess) {
                Some(left) => self.count(adapters - 1, left),
                None => Count::ZERO,
            })
    }

    pub(crate) fn weights(&self, adapters: usize, allowance: usize) -> Vec<f64> {
        self.choices(adapters, allowance)
            .map(|count| count.approximate)
            .collect()
    }

    pub(crate) fn excess(&self, rank: usize) -> usize {
        self.excess[rank]
    }

    fn count(&self, adapters: usize, allowance: usize) -> Count {
        let row = &self.within[adapters];
        row[allowance.min(row.len() - 1)]
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

/// The number of placements of one size and one start of the second pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) size: usize,
    pub(crate) start: PassStart,
    pub(crate) count: Count,
}

/// The numbers of placements that uniform sampling uses as weights.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    pub(crate) cells: Vec<Cell>,
    pub(crate) assignments: RankAssignments,
    total: Count,
    /// For each start, `C(connections at the start, n)` and `C(connections after it, n)`.
    subsets: Vec<[Vec<Count>; 2]>,
}

impl Counts {
    /// Counts the placements of each of `sizes`, which are in ascending order. `None` if there are too many to count.
    pub(crate) fn new(
        starts: &PassStarts,
        limits: &RankSumLimits,
        ranks: &[u16],
        sizes: &[usize],
    ) -> Option<Self> {
        let most = sizes.last().copied().unwrap_or(0);
        let assignments = RankAssignments::new(ranks, most)?;
        let subsets = starts
            .iter()
            .map(|start| {
                let numbers = [
                    starts.connections_at(start).len(),
                    starts.connections_after(start).len(),
                ];
                numbers.map(|number| binomials(number, most))
            })
            .collect();
        let mut counts = Counts {
            cells: Vec::new(),
            assignments,
            total: Count::ZERO,
            subsets,
        };
        for &size in sizes {
            for start in starts.iter() {
                let Some(limit) = limits.limit(size, start) else {
                    continue;
                };
                let subsets = counts.split(size, start).fold(Count::ZERO, Add::add);
                let allowance = counts.assignments.allowance(size, limit);
                let count = subsets * counts.assignments.count(size, allowance);
                counts.total = counts.total + count;
                counts.cells.push(Cell { size, start, count });
            }
        }
        counts.total.approximate.is_finite().then_some(counts)
    }

    pub(crate) fn total(&self) -> Count {
        self.total
    }

    /// For `n` from 1 to `size`, the number of sets of connections of which exactly `n` have the start `start` and the
    /// others a later one.
    fn split(&self, size: usize, start: PassStart) -> impl Iterator<Item = Count> + '_ {
        let [at, after] = &self.subsets[start.0];
        (1..=size).map(move |n| at[n] * after[size - n])
    }

    pub(crate) fn split_weights(&self, size: usize, start: PassStart) -> Vec<f64> {
        self.split(size, start)
            .map(|count| count.approximate)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binomials_of_the_thirteen_state_chain() {
        let row = binomials(169, 3);
        // 169 * 168 / 2 and 169 * 168 * 167 / 6
        assert_eq!(row[2].exact, Some(14_196));
        assert_eq!(row[3].exact, Some(790_244));
        assert_eq!(row[3].approximate, 790_244.0);
        assert_eq!(binomials(2, 4)[3].exact, Some(0));
    }

    #[test]
    fn exact_counts_give_up_where_they_overflow_but_weights_go_on() {
        let row = binomials(625, 40);
        assert_eq!(row[40].exact, None);
        assert!(row[40].approximate.is_finite());
    }

    #[test]
    fn rank_assignments_by_hand() {
        // The ranks 2, 4, 8 have an excess of 0, 1, 3 units of 2.
        let table = RankAssignments::new(&[2, 4, 8], 2).unwrap();
        // Pairs with a sum of at most 8: (2,2) (2,4) (4,2) (4,4).
        assert_eq!(table.count(2, table.allowance(2, 8)).exact, Some(4));
        // At most 10: also (2,8) (8,2).
        assert_eq!(table.count(2, table.allowance(2, 11)).exact, Some(6));
        assert_eq!(table.count(2, table.allowance(2, 1000)).exact, Some(9));
    }
}
