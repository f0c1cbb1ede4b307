//! Sampling weights from connection scores.

/// `exp(z / temperature)` up to a common factor, where `z = (x - mean) / standard deviation`. All weights are 1 if all
/// `x` are equal.
pub(crate) fn softmax_of_standardised(values: &[f64], temperature: f64) -> Vec<f64> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / count;
    let deviation = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    let greatest = values
        .iter()
        .copied()
        .max_by(f64::total_cmp)
        .unwrap_or(mean);
    // The largest value has weight 1, so nothing overflows.
    values
        .iter()
        .map(|value| ((value - greatest) / (deviation * temperature)).exp())
        .collect()
}
