//! How the variance of a table divides.

use crate::moments::{column_means, mean, variance};
use crate::within_variance;

/// Variance components of a table with a row for each thing and a column for each condition, each 0 or more:
/// y_ij = mean + thing_i + condition_j + rest_ij.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Components {
    /// Variance between the things.
    pub rows: f64,
    /// Variance between the conditions, which are common to all things.
    pub columns: f64,
    /// Variance of the rest: noise, and what a condition does to a single thing.
    pub rest: f64,
}

impl Components {
    /// The share of the variance of a thing's mean over `columns` conditions, the same for all things, that is the things' own,
    /// 0 to 1: rows / (rows + rest / columns). `None` where nothing varies.
    #[must_use]
    pub fn reliability(&self, columns: usize) -> Option<f64> {
        let of_mean = self.rows + self.rest / columns.max(1) as f64;
        (of_mean > 0.0).then(|| self.rows / of_mean)
    }
}

/// The components of a table, by the mean squares of the two-way layout without replication (Searle, Casella and McCulloch 1992):
/// rest = MS_rest, rows = (MS_rows - MS_rest) / columns, columns = (MS_columns - MS_rest) / rows, where those below 0 count as 0.
/// `None` with fewer than two rows or columns.
///
/// # Panics
/// If the rows differ in length.
#[must_use]
pub fn components(table: &[Vec<f64>]) -> Option<Components> {
    let (rest, _) = within_variance(std::slice::from_ref(&table.to_vec()))?;
    let (rows, columns) = (table.len() as f64, table.first()?.len());
    let of_rows: Vec<f64> = table.iter().map(|row| mean(row)).collect();
    let of_columns = column_means(table, columns);
    // MS_rows / columns is the variance of the rows' means.
    Some(Components {
        rows: (variance(&of_rows)? - rest / columns as f64).max(0.0),
        columns: (variance(&of_columns)? - rest / rows).max(0.0),
        rest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contrast 0 - 2 - 4 + 10 is 4: rest 4. Means of rows 1 and 7, variance 18, less 4 / 2; of columns 2 and 6, variance 8,
    /// less 4 / 2.
    #[test]
    fn a_table_of_two_by_two_by_hand() {
        let found = components(&[vec![0.0, 2.0], vec![4.0, 10.0]]).unwrap();
        assert!((found.rest - 4.0).abs() < 1e-12);
        assert!((found.rows - 16.0).abs() < 1e-12);
        assert!((found.columns - 6.0).abs() < 1e-12);
        assert!((found.reliability(2).unwrap() - 16.0 / 18.0).abs() < 1e-12);
    }

    #[test]
    fn what_adds_up_leaves_nothing_and_less_than_noise_counts_as_nothing() {
        let table: Vec<Vec<f64>> = [0.0, 2.0, 4.0]
            .iter()
            .map(|row| vec![row + 1.0, row - 1.0])
            .collect();
        let found = components(&table).unwrap();
        assert!(found.rest < 1e-24);
        assert!((found.rows - 4.0).abs() < 1e-12 && (found.columns - 2.0).abs() < 1e-12);
        let noise = components(&[vec![1.0, -1.0], vec![-1.0, 1.0]]).unwrap();
        assert_eq!((noise.rows, noise.columns), (0.0, 0.0));
        assert_eq!(noise.reliability(2), Some(0.0));
    }

    #[test]
    fn a_single_row_or_column_says_nothing() {
        assert_eq!(components(&[]), None);
        assert_eq!(components(&[vec![1.0, 2.0]]), None);
        assert_eq!(components(&[vec![1.0], vec![2.0]]), None);
        let alike = components(&[vec![1.0, 1.0], vec![1.0, 1.0]]).unwrap();
        assert_eq!(alike.reliability(2), None);
    }
}
