//! Variance components of a table.

use crate::moments::{column_means, mean, variance};
use crate::within_variance;

/// The variance components of a table with a row for each item and a column for each condition, in the model y_ij =
/// mean + item_i + condition_j + residual_ij. Each component is at least 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Components {
    /// The variance between the items.
    pub rows: f64,
    /// The variance between the conditions, which affect all items alike.
    pub columns: f64,
    /// The residual variance: noise, and the effects of conditions on single items.
    pub rest: f64,
}

impl Components {
    /// The reliability of an item's mean over `columns` conditions, which are the same for all items: the share of its
    /// variance that is due to the item itself, rows / (rows + rest / columns), between 0 and 1. `None` if nothing
    /// varies.
    #[must_use]
    pub fn reliability(&self, columns: usize) -> Option<f64> {
        let of_mean = self.rows + self.rest / columns.max(1) as f64;
        (of_mean > 0.0).then(|| self.rows / of_mean)
    }
}

/// The variance components of a table, or `None` if it has fewer than two rows or columns.
///
/// They are computed from the mean squares of the two-way layout without replication (Searle, Casella and McCulloch
/// 1992): rest = MS_rest, rows = (MS_rows - MS_rest) / columns, columns = (MS_columns - MS_rest) / rows. Negative
/// values become 0.
///
/// # Panics
/// If the rows differ in length.
#[must_use]
pub fn components(table: &[Vec<f64>]) -> Option<Components> {
    let (rest, _) = within_variance(std::slice::from_ref(&table.to_vec()))?;
    let (rows, columns) = (table.len() as f64, table.first()?.len());
    let of_rows: Vec<f64> = table.iter().map(|row| mean(row)).collect();
    let of_columns = column_means(table, columns);
    // MS_rows / columns is the variance of the row means.
    Some(Components {
        rows: (variance(&of_rows)? - rest / columns as f64).max(0.0),
        columns: (variance(&of_columns)? - rest / rows).max(0.0),
        rest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contrast 0 - 2 - 4 + 10 is 4, so rest is 4. The row means 1 and 7 have variance 18, less 4 / 2; the column
    /// means 2 and 6 have variance 8, less 4 / 2.
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
