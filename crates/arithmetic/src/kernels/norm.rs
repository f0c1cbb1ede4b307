//! Norms over rows, and their gradients.
//!
//! For a row x of d values, x' = (x - mean) / sqrt(variance + epsilon) and y = x' * weight + bias. With g = dL/dy *
//! weight the gradient is dL/dx = (g - mean(g) - x' mean(g x')) / sqrt(variance + epsilon). A norm that is not centred has
//! the mean of the squares in place of the variance, and neither mean.

use super::instruction_set::InstructionSet;
use super::rows::{sum, sum_pairs};
use crate::layers::Norm;

/// The part of a forward pass that the gradient needs.
#[derive(Debug, Default)]
pub struct SavedNorm {
    /// The normalised rows x', of shape (rows, width).
    normalized: Vec<f32>,
    /// The values 1 / sqrt(variance + epsilon), one for each row.
    inverse_deviation: Vec<f32>,
}

/// Replaces `row` x by x' and returns 1 / sqrt(variance + epsilon).
#[inline(always)]
pub fn normalize_row(row: &mut [f32], centred: bool, epsilon: f32) -> f32 {
    let count = row.len() as f32;
    let mean = if centred { sum(row) / count } else { 0.0 };
    let variance = sum_pairs(
        row,
        row,
        #[inline(always)]
        |x, _| (x - mean) * (x - mean),
    ) / count;
    let factor = 1.0 / (variance + epsilon).sqrt();
    for value in row {
        *value = (*value - mean) * factor;
    }
    factor
}

/// Replaces `gradient` dL/dx' by dL/dx, given x' and 1 / sqrt(variance + epsilon).
#[inline(always)]
pub fn normalize_row_backward(
    gradient: &mut [f32],
    normalized: &[f32],
    centred: bool,
    inverse_deviation: f32,
) {
    let count = gradient.len() as f32;
    let mean = if centred { sum(gradient) / count } else { 0.0 };
    let projection = sum_pairs(
        gradient,
        normalized,
        #[inline(always)]
        |g, x| g * x,
    ) / count;
    for (g, &x) in gradient.iter_mut().zip(normalized) {
        *g = (*g - mean - x * projection) * inverse_deviation;
    }
}

/// Replaces each row x by y, and stores what the gradient needs in `saved`.
pub(crate) fn forward(
    set: InstructionSet,
    norm: &Norm,
    x: &mut [f32],
    saved: Option<&mut SavedNorm>,
) {
    let width = norm.weight.len();
    let count = x.len() / width;
    forward_rows(set, norm, (count, x.chunks_exact_mut(width)), saved);
}

/// The same for rows anywhere in memory, of which there are so many.
pub(crate) fn forward_rows<'x>(
    set: InstructionSet,
    norm: &Norm,
    (count, rows): (usize, impl Iterator<Item = &'x mut [f32]>),
    saved: Option<&mut SavedNorm>,
) {
    let width = norm.weight.len();
    let mut saved = saved;
    if let Some(saved) = &mut saved {
        saved.normalized.resize(count * width, 0.0);
        saved.inverse_deviation.resize(count, 0.0);
    }
    set.run(
        #[inline(always)]
        || {
            for (index, row) in rows.enumerate() {
                let factor = normalize_row(row, norm.centred, norm.epsilon);
                if let Some(saved) = &mut saved {
                    saved.normalized[index * width..][..width].copy_from_slice(row);
                    saved.inverse_deviation[index] = factor;
                }
                for ((value, &weight), &bias) in row.iter_mut().zip(&norm.weight).zip(&norm.bias) {
                    *value = *value * weight + bias;
                }
            }
        },
    );
}

/// Replaces `gradient` dL/dy by dL/dx.
pub(crate) fn backward(set: InstructionSet, norm: &Norm, saved: &SavedNorm, gradient: &mut [f32]) {
    let width = norm.weight.len();
    backward_rows(set, norm, saved, gradient.chunks_exact_mut(width));
}

/// The same for rows anywhere in memory.
pub(crate) fn backward_rows<'x>(
    set: InstructionSet,
    norm: &Norm,
    saved: &SavedNorm,
    gradient: impl Iterator<Item = &'x mut [f32]>,
) {
    let width = norm.weight.len();
    set.run(
        #[inline(always)]
        || {
            let rows = gradient
                .zip(saved.normalized.chunks_exact(width))
                .zip(&saved.inverse_deviation);
            for ((gradient, normalized), &inverse_deviation) in rows {
                for (g, &weight) in gradient.iter_mut().zip(&norm.weight) {
                    *g *= weight;
                }
                normalize_row_backward(gradient, normalized, norm.centred, inverse_deviation);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(weight: Vec<f32>, bias: Vec<f32>, epsilon: f32) -> Norm {
        Norm {
            weight,
            bias,
            centred: true,
            epsilon,
        }
    }

    /// (1, 2, 3) has mean 2 and variance 2/3. With epsilon 1/3 the deviation is exactly 1.
    #[test]
    fn three_values_by_hand() {
        for set in InstructionSet::available() {
            let norm = layer(vec![2.0, 3.0, 4.0], vec![0.5; 3], 1.0 / 3.0);
            let mut x = [1.0, 2.0, 3.0];
            let mut saved = SavedNorm::default();
            forward(set, &norm, &mut x, Some(&mut saved));
            assert_eq!(x, [-1.5, 0.5, 4.5]);
            // After the weights g = (3, 0, 0), with mean 1 and mean(g x') = -1, so g - 1 + x' = (1, -1, 0).
            let mut gradient = [1.5, 0.0, 0.0];
            backward(set, &norm, &saved, &mut gradient);
            assert_eq!(gradient, [1.0, -1.0, 0.0]);
        }
    }

    /// (3, 4) has the mean square 12.5. With epsilon 3.5 its root is exactly 4.
    #[test]
    fn the_root_mean_square_by_hand() {
        for set in InstructionSet::available() {
            let norm = Norm {
                centred: false,
                ..layer(vec![2.0, 4.0], vec![0.0; 2], 3.5)
            };
            let mut x = [3.0, 4.0];
            let mut saved = SavedNorm::default();
            forward(set, &norm, &mut x, Some(&mut saved));
            assert_eq!(x, [1.5, 4.0]);
            // After the weights g = (8, 8), with mean(g x') = (6 + 8) / 2, so (g - 7 x') / 4 = (2.75, 1) / 4.
            let mut gradient = [4.0, 2.0];
            backward(set, &norm, &saved, &mut gradient);
            assert_eq!(gradient, [0.6875, 0.25]);
        }
    }

    /// Every gradient of a layer norm is orthogonal to the ones and (apart from epsilon) to x'.
    #[test]
    fn gradients_are_orthogonal_to_shift_and_scale() {
        let width = 53;
        for set in InstructionSet::available() {
            let mut x: Vec<f32> = (0..7 * width).map(|i| (i as f32 * 0.7).sin()).collect();
            let weight = (0..width).map(|i| 1.0 + 0.1 * (i as f32).cos()).collect();
            let norm = layer(weight, vec![0.0; width], 1e-12);
            let mut saved = SavedNorm::default();
            forward(set, &norm, &mut x, Some(&mut saved));
            let mut gradient: Vec<f32> = (0..7 * width).map(|i| (i as f32 * 1.3).cos()).collect();
            backward(set, &norm, &saved, &mut gradient);
            for (gradient, normalized) in gradient
                .chunks_exact(width)
                .zip(saved.normalized.chunks_exact(width))
            {
                let length = sum_pairs(gradient, gradient, |g, _| g * g).sqrt();
                assert!(sum(gradient).abs() < 1e-5 * length * (width as f32).sqrt());
                let projection = sum_pairs(gradient, normalized, |g, x| g * x);
                assert!(projection.abs() < 1e-5 * length * (width as f32).sqrt());
            }
        }
    }
}
