//! The linear head over the features of a shard.

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
