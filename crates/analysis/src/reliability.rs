//! How far a single measurement can be relied on, from things that were measured several times.

use crate::moments::{column_means, mean, variance};

/// How far single measurements of different things tell the things apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reliability {
    /// The correlation to expect between two measurements of the same things, 0 to 1: the share of the variance of single
    /// measurements that is the things' own, 1 - within / total.
    pub agreement: f64,
    /// Standard deviation of repeated measurements of one thing.
    pub deviation: f64,
    /// Degrees of freedom that the deviation is estimated from.
    pub degrees: usize,
}

impl Reliability {
    /// The difference between two single measurements below which it means nothing: 2 sqrt(2) s, two standard errors of
    /// the difference.
    #[must_use]
    pub fn least_difference(&self) -> f64 {
        2.0 * std::f64::consts::SQRT_2 * self.deviation
    }
}

/// Compares the variance of `single`, one measurement of each of many things under the same condition, with that of
/// repeated measurements. `None` without two things that differ or where nothing was repeated.
///
/// Each of `repeated` is a table of a row for each thing and a column for each condition. The things of a table must have
/// been chosen without looking at it: the best of many by one measurement are lucky in it, so that measurement belongs to
/// no table. See [`within_variance`].
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

/// The variance of repeated measurements of one thing beyond what a condition does to all things alike, and its degrees of
/// freedom; `None` if there are none.
///
/// sum (y_ij - mean_i - mean_j + mean)^2 / sum (rows - 1)(columns - 1), summed over the tables: the residual of the two-way
/// analysis of variance without replication (Fisher, 1925), which a condition common to a column does not enter.
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
            "every thing is measured under every condition"
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

    /// Residuals +-a/4 in all four cells, with a the contrast 1 - 2 - 5 + 10: 4 (4/4)^2 on one degree.
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

    /// Squares 4 on one degree and none on one more: 4 / 2. Tables of one row or one column add nothing.
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

    /// Variance of 0, 4, 8 is 16, of which 4 is within: 1 - 4 / 16; least difference 2 sqrt(2) 2.
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

    /// y = thing + order + noise with variances 4, 9 and 1, so that 4 / 5 is the things'. Over 400 tables of 4 x 3 the mean of
    /// the variance, chi^2 on 6 degrees each, has a standard error of sqrt(2 / 6 / 400).
    #[test]
    fn the_variance_is_unbiased_and_the_agreement_near_its_definition() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        // Twelve uniform ones: mean 6, variance 1.
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
