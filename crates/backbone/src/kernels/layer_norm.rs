//! Layer norm over rows and its gradient.
//!
//! For a row x of d values: x' = (x - mean) / sqrt(variance + epsilon), y = x' * weight + bias. With g = dL/dy *
//! weight the gradient is dL/dx = (g - mean(g) - x' mean(g x')) / sqrt(variance + epsilon).

use super::rows::{for_row_pairs, for_rows, sum, sum_pairs};

/// What the gradient needs of a forward.
pub(super) struct Normalized {
    /// x', shape (rows, width)
    pub(super) values: Vec<f32>,
    /// 1 / sqrt(variance + epsilon), one for each row
    inverse_deviation: Vec<f32>,
    width: usize,
}

impl Normalized {
    /// x' of each row of `width` values.
    pub(super) fn new(mut values: Vec<f32>, width: usize, epsilon: f32) -> Self {
        let mut inverse_deviation = vec![0.0; values.len() / width];
        for_row_pairs(
            (&mut values, width),
            (&mut inverse_deviation, 1),
            #[inline(always)]
            |row, inverse_deviation| {
                let count = width as f32;
                let mean = sum(row) / count;
                let centred_square = |x: f32, _| (x - mean) * (x - mean);
                let variance = sum_pairs(row, row, centred_square) / count;
                let factor = 1.0 / (variance + epsilon).sqrt();
                inverse_deviation[0] = factor;
                for value in row {
                    *value = (*value - mean) * factor;
                }
            },
        );
        Self {
            values,
            inverse_deviation,
            width,
        }
    }

    /// y = x' * weight + bias
    pub(super) fn scale_and_shift(&self, weight: &[f32], bias: &[f32]) -> Vec<f32> {
        let mut result = self.values.clone();
        for_rows(
            &mut result,
            self.width,
            #[inline(always)]
            |_, row| {
                for ((value, &weight), &bias) in row.iter_mut().zip(weight).zip(bias) {
                    *value = *value * weight + bias;
                }
            },
        );
        result
    }

    /// Turns `gradient` from dL/dy into dL/dx; `weight` is `None` for a norm without weights.
    pub(super) fn backward(&self, gradient: &mut [f32], weight: Option<&[f32]>) {
        let width = self.width;
        for_rows(
            gradient,
            width,
            #[inline(always)]
            |index, gradient| {
                if let Some(weight) = weight {
                    for (g, &weight) in gradient.iter_mut().zip(weight) {
                        *g *= weight;
                    }
                }
                let normalized = &self.values[index * width..(index + 1) * width];
                let count = width as f32;
                let mean = sum(gradient) / count;
                let projection = sum_pairs(gradient, normalized, |g, x| g * x) / count;
                let factor = self.inverse_deviation[index];
                for (g, &x) in gradient.iter_mut().zip(normalized) {
                    *g = (*g - mean - x * projection) * factor;
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (1, 2, 3) has mean 2 and variance 2/3; with epsilon 1/3 the deviation is exactly 1.
    #[test]
    fn three_values_by_hand() {
        let norm = Normalized::new(vec![1.0, 2.0, 3.0], 3, 1.0 / 3.0);
        assert_eq!(norm.values, [-1.0, 0.0, 1.0]);
        assert_eq!(
            norm.scale_and_shift(&[2.0, 3.0, 4.0], &[0.5, 0.5, 0.5]),
            [-1.5, 0.5, 4.5]
        );
        // g = (3, 0, 0): mean 1, mean(g x') = -1, so g - 1 + x' = (1, -1, 0)
        let mut gradient = [3.0, 0.0, 0.0];
        norm.backward(&mut gradient, None);
        assert_eq!(gradient, [1.0, -1.0, 0.0]);
    }

    /// Every gradient of a layer norm is orthogonal to the ones and (epsilon aside) to x'.
    #[test]
    fn gradients_are_orthogonal_to_shift_and_scale() {
        let width = 53;
        let x: Vec<f32> = (0..7 * width).map(|i| (i as f32 * 0.7).sin()).collect();
        let weight: Vec<f32> = (0..width).map(|i| 1.0 + 0.1 * (i as f32).cos()).collect();
        let norm = Normalized::new(x, width, 1e-12);
        let mut gradient: Vec<f32> = (0..7 * width).map(|i| (i as f32 * 1.3).cos()).collect();
        norm.backward(&mut gradient, Some(&weight));
        for (gradient, normalized) in gradient
            .chunks_exact(width)
            .zip(norm.values.chunks_exact(width))
        {
            let length = sum_pairs(gradient, gradient, |g, _| g * g).sqrt();
            assert!(sum(gradient).abs() < 1e-5 * length * (width as f32).sqrt());
            let projection = sum_pairs(gradient, normalized, |g, x| g * x);
            assert!(projection.abs() < 1e-5 * length * (width as f32).sqrt());
        }
    }
}
