//! The linear head and the cross-entropy, over the features of a shard.

use super::rows::dot;
use crate::HeadPlace;

/// Appends features W^T + b, (examples, classes), to `logits`.
pub(crate) fn forward(
    (place, values): (&HeadPlace, &[f32]),
    features: &[f32],
    logits: &mut Vec<f32>,
) {
    let (weight, bias) = place.of(values);
    for features in features.chunks_exact(place.width) {
        let rows = weight.chunks_exact(place.width).zip(bias);
        logits.extend(rows.map(|(weight, bias)| dot(weight, features) + bias));
    }
}

/// The sum of the cross-entropies of `labels`, in nats. `logits` are replaced by the gradient of `factor` times this
/// sum.
pub(crate) fn loss(labels: &[u32], factor: f32, logits: &mut [f32]) -> f64 {
    let classes = logits.len() / labels.len().max(1);
    let mut loss = 0.0;
    for (logits, &label) in logits.chunks_exact_mut(classes).zip(labels) {
        let label = label as usize;
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let chosen = f64::from(logits[label]);
        let shares = logits.iter().map(|&logit| f64::from(logit - largest).exp());
        let sum: f64 = shares.sum();
        loss += f64::from(largest) + sum.ln() - chosen;
        for (class, logit) in logits.iter_mut().enumerate() {
            let share = f64::from(*logit - largest).exp() / sum;
            let slope = share - f64::from(u8::from(class == label));
            *logit = (slope * f64::from(factor)) as f32;
        }
    }
    loss
}

/// The gradients with respect to features and head, from the one with respect to the logits. The features' is appended to
/// `towards_features`, and the head's is added to `towards_values`.
pub(crate) fn backward(
    (place, values): (&HeadPlace, &[f32]),
    features: &[f32],
    towards_logits: &[f32],
    towards_features: &mut Vec<f32>,
    towards_values: &mut [f32],
) {
    let (weight, _) = place.of(values);
    let (towards_weight, towards_bias) = place.of_mut(towards_values);
    let before = towards_features.len();
    towards_features.resize(before + features.len(), 0.0);
    let towards_features = &mut towards_features[before..];
    let examples = features
        .chunks_exact(place.width)
        .zip(towards_logits.chunks_exact(place.classes))
        .zip(towards_features.chunks_exact_mut(place.width));
    for ((features, towards_logits), towards_features) in examples {
        for (class, &g) in towards_logits.iter().enumerate() {
            towards_bias[class] += g;
            let row = class * place.width..(class + 1) * place.width;
            for (to, &x) in towards_weight[row.clone()].iter_mut().zip(features) {
                *to += g * x;
            }
            for (to, &w) in towards_features.iter_mut().zip(&weight[row]) {
                *to += g * w;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shares are 1/4 and 3/4, and the gradient is the shares minus one at the label.
    #[test]
    fn loss_and_gradient_by_hand() {
        let mut logits = [0.0, 3.0_f32.ln(), 1.0, 1.0];
        let loss = loss(&[1, 0], 2.0, &mut logits);
        assert!((loss - (4.0_f64 / 3.0).ln() - 2.0_f64.ln()).abs() < 1e-7);
        for (found, expected) in logits.iter().zip([0.5, -0.5, -1.0, 1.0]) {
            assert!((found - expected).abs() < 1e-6, "{logits:?}");
        }
    }

    #[test]
    fn what_is_not_finite_stays_visible() {
        let mut logits = [f32::NAN, 0.0];
        assert!(loss(&[0], 1.0, &mut logits).is_nan());
        assert!(logits.iter().all(|g| g.is_nan()));
    }
}
