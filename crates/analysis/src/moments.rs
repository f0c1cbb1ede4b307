//! Means and variances.

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The unbiased variance sum (y - mean)^2 / (n - 1), or `None` if there are fewer than two values.
pub(crate) fn variance(values: &[f64]) -> Option<f64> {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| squares / (values.len() - 1) as f64)
}

/// The means of the first `columns` columns of a table.
pub(crate) fn column_means(rows: &[Vec<f64>], columns: usize) -> Vec<f64> {
    let of_column = |column: usize| rows.iter().map(|row| row[column]).sum::<f64>();
    (0..columns)
        .map(|column| of_column(column) / rows.len() as f64)
        .collect()
}
