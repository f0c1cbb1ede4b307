//! The reliability of single measurements, estimated from items that were measured several times.

use crate::moments::{column_means, mean, variance};

/// The reliability with which single measurements distinguish different items.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reliability {
    /// The correlation to expect between two measurements of the same items, between 0 and 1. It is the share of the
    /// variance of single measurements that is due to the items, 1 - within / total.
    pub agreement: f64,
    /// The standard deviation of repeated measurements of one item.
    pub deviation: f64,
    /// The degrees of freedom from which the deviation is estimated.
    pub degrees: usize,
}

impl Reliability {
    /// The difference between two single measurements below which it is not meaningful: 2 sqrt(2) s, two standard
    /// errors of the difference.
    #[must_use]
    pub fn least_difference(&self) -> f64 {
        2.0 * std::f64::consts::SQRT_2 * self.deviation
    }
}

/// The reliability of single measurements: the variance of `single`, one measurement of each of many items under the
/// same condition, compared with that of repeated measurements. `None` if fewer than two items differ or nothing was
/// repeated.
///
/// Each of `repeated` is a table with a row for each item and a column for each condition. The items of a table must
/// have been chosen without looking at it: the best of many by one measurement were lucky in it, so that measurement
/// belongs to no table. See [`within_variance`].
///
/// # Panics
/// If the rows of a table differ in length.
#[must_use]
pub fn reliability(single: &[f64], repeated: &[Vec<Vec<f64>>]) -> Option<Reliability> {
    let (within, degrees) = within_variance(repeated)?;
    let total = variance(single)?;
    (total > 0.0).then(|| Reliability {
        agreement: (1.0 - within / total).clamp(0.0, 1.0),
        deviation: within.sqrt(),
        degrees,
    })
}

/// The variance of repeated measurements of one item, beyond the effect that a condition has on all items, with its
/// degrees of freedom. `None` if there are no degrees of freedom.
///
/// It is sum (y_ij - mean_i - mean_j + mean)^2 / sum (rows - 1)(columns - 1), summed over the tables: the residual of
/// the two-way analysis of variance without replication (Fisher, 1925), in which a condition common to a column has no
/// part.
///
/// # Panics
/// If the rows of a table differ in length.
#[must_use]
pub fn within_variance(tables: &[Vec<Vec<f64>>]) -> Option<(f64, usize)> {
    let (mut squares, mut degrees) = (0.0, 0);
    for rows in tables {
        let columns = rows.first().map_or(0, Vec::len);
        assert!(
            rows.iter().all(|row| row.len() == columns),
            "every item is measured under every condition"
        );
        let own = rows.len().saturating_sub(1) * columns.saturating_sub(1);
        if own == 0 {
            continue;
        }
        let of_rows: Vec<f64> = rows.iter().map(|row| mean(row)).collect();
        let of_columns = column_means(rows, columns);
        let whole = mean(&of_rows);
        for (row, of_row) in rows.iter().zip(&of_rows) {
            for (value, of_column) in row.iter().zip(&of_columns) {
                squares += (value - of_row - of_column + whole).powi(2);
            }
        }
        degrees += own;
    }
    (degrees > 0).then(|| (squares / degrees as f64, degrees))
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// The residuals are +-a/4 in all four cells, where a is the contrast 1 - 2 - 5 + 10: 4 (4/4)^2 with one degree of
    /// freedom.
    #[test]
    fn a_table_of_two_by_two_by_hand() {
        let table = vec![vec![1.0, 2.0], vec![5.0, 10.0]];
        assert_eq!(within_variance(&[table]), Some((4.0, 1)));
    }

    #[test]
    fn what_a_condition_does_to_all_things_alike_does_not_count() {
        let table: Vec<Vec<f64>> = [1.0, 4.0, 9.0]
            .iter()
            .map(|thing| {
                [0.0, 100.0, -8.0]
                    .iter()
                    .map(|order| thing + order)
                    .collect()
            })
            .collect();
        let (within, degrees) = within_variance(&[table]).unwrap();
        assert!(within < 1e-24 && degrees == 4);
    }

    /// Squares of 4 with one degree of freedom and of 0 with another: 4 / 2. Tables with one row or one column add
    /// nothing.
    #[test]
    fn tables_are_pooled_by_their_degrees() {
        let tables = [
            vec![vec![1.0, 2.0], vec![5.0, 10.0]],
            vec![vec![0.0, 1.0], vec![3.0, 4.0]],
            vec![vec![7.0], vec![8.0]],
            vec![vec![7.0, 9.0]],
            Vec::new(),
        ];
        assert_eq!(within_variance(&tables), Some((2.0, 2)));
        assert_eq!(within_variance(&tables[2..]), None);
    }

    /// The variance of 0, 4, 8 is 16, of which 4 is within: 1 - 4 / 16. The least difference is 2 sqrt(2) 2.
    #[test]
    fn reliability_by_hand() {
        let tables = [vec![vec![1.0, 2.0], vec![5.0, 10.0]]];
        let found = reliability(&[0.0, 4.0, 8.0], &tables).unwrap();
        assert_eq!(
            (found.agreement, found.deviation, found.degrees),
            (0.75, 2.0, 1)
        );
        assert!((found.least_difference() - 32.0_f64.sqrt()).abs() < 1e-12);
        let noisy = reliability(&[0.0, 0.1], &tables).unwrap();
        assert_eq!(noisy.agreement, 0.0);
        assert_eq!(reliability(&[3.0, 3.0], &tables), None);
        assert_eq!(reliability(&[3.0], &tables), None);
        assert_eq!(reliability(&[1.0, 2.0], &[]), None);
    }

    /// y = item + order + noise with variances 4, 9 and 1, so the items account for 4 / 5. Over 400 tables of 4 x 3 the
    /// mean of the variance, chi^2 with 6 degrees each, has a standard error of sqrt(2 / 6 / 400).
    #[test]
    fn the_variance_is_unbiased_and_the_agreement_near_its_definition() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        // The sum of twelve uniform numbers has mean 6 and variance 1.
        let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        let mut tables = Vec::new();
        for _ in 0..400 {
            let orders: Vec<f64> = (0..3).map(|_| 3.0 * normal()).collect();
            let table: Vec<Vec<f64>> = (0..4)
                .map(|_| {
                    let thing = 2.0 * normal();
                    orders
                        .iter()
                        .map(|order| thing + order + normal())
                        .collect()
                })
                .collect();
            tables.push(table);
        }
        let (within, degrees) = within_variance(&tables).unwrap();
        assert_eq!(degrees, 2400);
        assert!(
            (within - 1.0).abs() < 3.0 * (2.0_f64 / 2400.0).sqrt(),
            "{within}"
        );
        let single: Vec<f64> = (0..4000)
            .map(|_| 2.0 * normal() + normal() + 50.0)
            .collect();
        let found = reliability(&single, &tables).unwrap();
        assert!((found.agreement - 0.8).abs() < 0.03, "{found:?}");
    }
}
