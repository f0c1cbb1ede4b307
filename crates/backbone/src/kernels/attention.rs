//! Multi-head self-attention over projected rows, and its gradient.
//!
//! For one head with query Q, key K and value V of shape (tokens, width of a head):
//! P = softmax(Q K^T / sqrt(width of a head)), result P V. With D = dL/d(P V):
//! dV = P^T D, dP = D V^T, dS = P * (dP - rowsum(dP * P)), dQ = dS K / sqrt(..), dK = dS^T Q / sqrt(..).

use pulp::Arch;
use rayon::prelude::*;

use super::gelu::exponential;
use super::matrix::{Matrix, MatrixMut, Previous, multiply};
use super::rows::{maximum, sum, sum_pairs};
use crate::TokenMask;

/// The extents of one attention.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extents {
    pub(super) batch: usize,
    pub(super) tokens: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
}

impl Extents {
    fn head_width(&self) -> usize {
        self.width / self.heads
    }

    fn scale(&self) -> f32 {
        (self.head_width() as f32).powf(-0.5)
    }

    /// Values of one example's projection: query, key and value side by side.
    fn projected(&self) -> usize {
        self.tokens * 3 * self.width
    }

    /// Values of one example's attention weights.
    fn weights(&self) -> usize {
        self.heads * self.tokens * self.tokens
    }

    /// Query (0), key (1) or value (2) of a head within one example's projection.
    fn part<'a>(&self, projected: &'a [f32], part: usize, head: usize) -> Matrix<'a> {
        let begin = part * self.width + head * self.head_width();
        Matrix::strided(
            &projected[begin..],
            self.tokens,
            self.head_width(),
            3 * self.width,
        )
    }

    fn part_mut<'a>(&self, projected: &'a mut [f32], part: usize, head: usize) -> MatrixMut<'a> {
        let begin = part * self.width + head * self.head_width();
        MatrixMut::strided(
            &mut projected[begin..],
            self.tokens,
            self.head_width(),
            3 * self.width,
        )
    }
}

/// (batch, tokens, 3 width) projections -> attention weights P (batch, heads, tokens, tokens) and the mixed
/// values (batch, tokens, width).
pub(super) fn forward(
    extents: Extents,
    projected: &[f32],
    mask: Option<&TokenMask>,
) -> (Vec<f32>, Vec<f32>) {
    let Extents { tokens, width, .. } = extents;
    let mut weights = vec![0.0; extents.batch * extents.weights()];
    let mut mixed = vec![0.0; extents.batch * tokens * width];
    let arch = Arch::new();
    weights
        .par_chunks_mut(extents.weights())
        .zip(mixed.par_chunks_mut(tokens * width))
        .zip(projected.par_chunks(extents.projected()))
        .enumerate()
        .for_each(|(example, ((weights, mixed), projected))| {
            let keep = mask.map(|mask| mask.row(example));
            for (head, weights) in weights.chunks_exact_mut(tokens * tokens).enumerate() {
                let (query, key, value) = (
                    extents.part(projected, 0, head),
                    extents.part(projected, 1, head),
                    extents.part(projected, 2, head),
                );
                let scores = MatrixMut::new(weights, tokens, tokens);
                let scale = extents.scale();
                multiply(scores, Previous::Overwrite, query, key.transposed(), scale);
                arch.dispatch(
                    #[inline(always)]
                    || {
                        weights
                            .chunks_exact_mut(tokens)
                            .for_each(|row| softmax(row, keep));
                    },
                );
                let result = MatrixMut::strided(
                    &mut mixed[head * extents.head_width()..],
                    tokens,
                    extents.head_width(),
                    width,
                );
                let weights = Matrix::new(weights, tokens, tokens);
                multiply(result, Previous::Overwrite, weights, value, 1.0);
            }
        });
    (weights, mixed)
}

/// The gradient towards the projections, (batch, tokens, 3 width), from the one towards the mixed values.
pub(super) fn backward(
    extents: Extents,
    projected: &[f32],
    weights: &[f32],
    gradient: &[f32],
) -> Vec<f32> {
    let Extents { tokens, width, .. } = extents;
    let mut result = vec![0.0; projected.len()];
    let arch = Arch::new();
    result
        .par_chunks_mut(extents.projected())
        .zip(projected.par_chunks(extents.projected()))
        .zip(weights.par_chunks(extents.weights()))
        .zip(gradient.par_chunks(tokens * width))
        .for_each(|(((result, projected), weights), gradient)| {
            let mut scores = vec![0.0; tokens * tokens];
            for (head, weights) in weights.chunks_exact(tokens * tokens).enumerate() {
                let gradient = Matrix::strided(
                    &gradient[head * extents.head_width()..],
                    tokens,
                    extents.head_width(),
                    width,
                );
                let attention = Matrix::new(weights, tokens, tokens);
                let towards_value = extents.part_mut(result, 2, head);
                let transposed = attention.transposed();
                multiply(
                    towards_value,
                    Previous::Overwrite,
                    transposed,
                    gradient,
                    1.0,
                );

                let towards_weights = MatrixMut::new(&mut scores, tokens, tokens);
                let value = extents.part(projected, 2, head).transposed();
                multiply(towards_weights, Previous::Overwrite, gradient, value, 1.0);
                arch.dispatch(
                    #[inline(always)]
                    || {
                        scores
                            .chunks_exact_mut(tokens)
                            .zip(weights.chunks_exact(tokens))
                            .for_each(|(gradient, weights)| softmax_backward(gradient, weights));
                    },
                );

                let scores = Matrix::new(&scores, tokens, tokens);
                let (query, key) = (
                    extents.part(projected, 0, head),
                    extents.part(projected, 1, head),
                );
                let scale = extents.scale();
                let towards_query = extents.part_mut(result, 0, head);
                multiply(towards_query, Previous::Overwrite, scores, key, scale);
                let towards_key = extents.part_mut(result, 1, head);
                let transposed = scores.transposed();
                multiply(towards_key, Previous::Overwrite, transposed, query, scale);
            }
        });
    result
}

/// scores = softmax(scores) over the kept tokens, exactly 0 for the others.
#[inline(always)]
fn softmax(scores: &mut [f32], keep: Option<&[u8]>) {
    if let Some(keep) = keep {
        for (score, &keep) in scores.iter_mut().zip(keep) {
            if keep == 0 {
                *score = f32::MIN;
            }
        }
    }
    let largest = maximum(scores);
    for score in scores.iter_mut() {
        *score = exponential(*score - largest);
    }
    if let Some(keep) = keep {
        for (score, &keep) in scores.iter_mut().zip(keep) {
            *score *= f32::from(keep);
        }
    }
    let factor = 1.0 / sum(scores);
    for score in scores.iter_mut() {
        *score *= factor;
    }
}

/// gradient = P * (gradient - sum(gradient * P)), in place.
#[inline(always)]
fn softmax_backward(gradient: &mut [f32], weights: &[f32]) {
    let projection = sum_pairs(
        gradient,
        weights,
        #[inline(always)]
        |g, p| g * p,
    );
    for (g, &p) in gradient.iter_mut().zip(weights) {
        *g = p * (*g - projection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_of_logarithms_gives_their_shares() {
        let mut scores = [1.0_f32.ln(), 3.0_f32.ln(), 4.0_f32.ln(), 100.0];
        softmax(&mut scores, Some(&[1, 1, 1, 0]));
        for (share, expected) in scores.iter().zip([0.125, 0.375, 0.5, 0.0]) {
            assert!((share - expected).abs() < 1e-6, "{scores:?}");
        }
    }

    /// With equal keys all scores are equal, so every token gets the mean of the values.
    #[test]
    fn equal_keys_give_the_mean_value() {
        let extents = Extents {
            batch: 1,
            tokens: 4,
            width: 2,
            heads: 2,
        };
        let projected: Vec<f32> = (0..4)
            .flat_map(|token| {
                [
                    token as f32,
                    1.0 - token as f32,
                    1.0,
                    1.0,
                    token as f32,
                    6.0,
                ]
            })
            .collect();
        let (_, mixed) = forward(extents, &projected, None);
        for token in mixed.chunks_exact(2) {
            assert!((token[0] - 1.5).abs() < 1e-6 && (token[1] - 6.0).abs() < 1e-5);
        }
    }
}
