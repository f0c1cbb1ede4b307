//! Multi-head self-attention over projected rows, and its gradient.
//!
//! For one head with query Q, key K and value V of shape (tokens, width of a head), P = softmax(Q K^T / sqrt(width of a
//! head)) and the result is P V. With D = dL/d(P V): dV = P^T D, dP = D V^T, dS = P * (dP - rowsum(dP * P)), dQ = dS K
//! / sqrt(..), dK = dS^T Q / sqrt(..).
//!
//! The examples follow each other without padding, and each attends to its own tokens.

use super::activation::exponential;
use super::instruction_set::InstructionSet;
use super::matrix::{Matrix, MatrixMut};
use super::product::{Packed, Start, multiply};
use super::rows::{maximum, sum, sum_pairs};

/// The shape of an attention, and the instructions that compute it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) set: InstructionSet,
    pub(crate) width: usize,
    pub(crate) heads: usize,
}

/// Memory that is reused by every product of an attention.
#[derive(Default)]
pub(crate) struct Scratch {
    packed: Packed,
    scores: Vec<f32>,
}

/// A part of an example's projection, which holds all of them side by side.
#[derive(Clone, Copy)]
enum Part {
    Query = 0,
    Key = 1,
    Value = 2,
}

impl Shape {
    fn head_width(&self) -> usize {
        self.width / self.heads
    }

    fn scale(&self) -> f32 {
        (self.head_width() as f32).powf(-0.5)
    }

    /// The number of attention weights of examples that end at these offsets.
    fn weights(&self, examples: &[usize]) -> usize {
        let tokens = examples.windows(2).map(|ends| ends[1] - ends[0]);
        self.heads * tokens.map(|tokens| tokens * tokens).sum::<usize>()
    }

    fn begin(&self, part: Part, head: usize) -> usize {
        part as usize * self.width + head * self.head_width()
    }

    /// One part of one example's projection for one head, (tokens, width of a head).
    fn part<'a>(&self, projected: &'a [f32], part: Part, head: usize) -> Matrix<'a> {
        let tokens = projected.len() / (3 * self.width);
        let values = &projected[self.begin(part, head)..];
        Matrix::strided(values, tokens, self.head_width(), 3 * self.width)
    }

    fn part_mut<'a>(&self, projected: &'a mut [f32], part: Part, head: usize) -> MatrixMut<'a> {
        let tokens = projected.len() / (3 * self.width);
        let values = &mut projected[self.begin(part, head)..];
        MatrixMut::strided(values, tokens, self.head_width(), 3 * self.width)
    }

    /// Computes the mixed values (rows, width) from the projections (rows, 3 width), and the attention weights P of
    /// each example, of shape (heads, tokens, tokens), one after the other.
    pub(crate) fn forward(
        &self,
        projected: &[f32],
        examples: &[usize],
        weights: &mut Vec<f32>,
        mixed: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let Self { set, width, .. } = *self;
        let packed = &mut scratch.packed;
        weights.resize(self.weights(examples), 0.0);
        let mut rest = &mut weights[..];
        for ends in examples.windows(2) {
            let tokens = ends[1] - ends[0];
            let projected = &projected[ends[0] * 3 * width..ends[1] * 3 * width];
            let mixed = &mut mixed[ends[0] * width..ends[1] * width];
            for head in 0..self.heads {
                let (weights, behind) = rest.split_at_mut(tokens * tokens);
                rest = behind;
                let part = |part| self.part(projected, part, head);
                packed.pack(set, part(Part::Key).transposed());
                multiply(
                    set,
                    MatrixMut::new(weights, tokens, tokens),
                    Start::Nothing,
                    part(Part::Query),
                    packed,
                    self.scale(),
                );
                set.run(
                    #[inline(always)]
                    || {
                        for row in weights.chunks_exact_mut(tokens) {
                            softmax(row);
                        }
                    },
                );
                packed.pack(set, part(Part::Value));
                let result = &mut mixed[head * self.head_width()..];
                multiply(
                    set,
                    MatrixMut::strided(result, tokens, self.head_width(), width),
                    Start::Nothing,
                    Matrix::new(weights, tokens, tokens),
                    packed,
                    1.0,
                );
            }
        }
    }

    /// Computes the gradient with respect to the projections, (rows, 3 width), from that with respect to the mixed
    /// values.
    pub(crate) fn backward(
        &self,
        projected: &[f32],
        examples: &[usize],
        weights: &[f32],
        gradient: &[f32],
        result: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let Self { set, width, .. } = *self;
        let Scratch { packed, scores } = scratch;
        let mut rest = weights;
        for ends in examples.windows(2) {
            let tokens = ends[1] - ends[0];
            scores.resize(tokens * tokens, 0.0);
            let projected = &projected[ends[0] * 3 * width..ends[1] * 3 * width];
            let result = &mut result[ends[0] * 3 * width..ends[1] * 3 * width];
            let gradient = &gradient[ends[0] * width..ends[1] * width];
            for head in 0..self.heads {
                let (weights, behind) = rest.split_at(tokens * tokens);
                rest = behind;
                let part = |part| self.part(projected, part, head);
                let mut multiply = |to: MatrixMut<'_>, left, right, scale| {
                    packed.pack(set, right);
                    multiply(set, to, Start::Nothing, left, packed, scale);
                };
                let gradient = &gradient[head * self.head_width()..];
                let gradient = Matrix::strided(gradient, tokens, self.head_width(), width);
                let attention = Matrix::new(weights, tokens, tokens);
                let to = self.part_mut(result, Part::Value, head);
                multiply(to, attention.transposed(), gradient, 1.0);

                let to = MatrixMut::new(scores, tokens, tokens);
                multiply(to, gradient, part(Part::Value).transposed(), 1.0);
                set.run(
                    #[inline(always)]
                    || {
                        let rows = scores.chunks_exact_mut(tokens);
                        for (gradient, weights) in rows.zip(weights.chunks_exact(tokens)) {
                            softmax_backward(gradient, weights);
                        }
                    },
                );

                let towards_scores = Matrix::new(scores, tokens, tokens);
                let to = self.part_mut(result, Part::Query, head);
                multiply(to, towards_scores, part(Part::Key), self.scale());
                let to = self.part_mut(result, Part::Key, head);
                multiply(
                    to,
                    towards_scores.transposed(),
                    part(Part::Query),
                    self.scale(),
                );
            }
        }
    }
}

/// Computes scores = softmax(scores).
#[inline(always)]
fn softmax(scores: &mut [f32]) {
    let largest = maximum(scores);
    for score in scores.iter_mut() {
        *score = exponential(*score - largest);
    }
    let factor = 1.0 / sum(scores);
    for score in scores.iter_mut() {
        *score *= factor;
    }
}

/// Computes gradient = P * (gradient - sum(gradient * P)), in place.
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
        let mut scores = [1.0_f32.ln(), 3.0_f32.ln(), 4.0_f32.ln()];
        softmax(&mut scores);
        for (share, expected) in scores.iter().zip([0.125, 0.375, 0.5]) {
            assert!((share - expected).abs() < 1e-6, "{scores:?}");
        }
    }

    /// With equal keys all scores are equal, so every token gets the mean of the values of its own example.
    #[test]
    fn equal_keys_give_the_mean_value() {
        let projected: Vec<f32> = (0..7)
            .flat_map(|token| {
                let token = token as f32;
                [token, 1.0 - token, 1.0, 1.0, token, 6.0]
            })
            .collect();
        for set in InstructionSet::available() {
            let shape = Shape {
                set,
                width: 2,
                heads: 2,
            };
            let (mut mixed, mut weights) = (vec![0.0; 14], Vec::new());
            let examples = [0, 4, 7];
            let scratch = &mut Scratch::default();
            shape.forward(&projected, &examples, &mut weights, &mut mixed, scratch);
            for (token, values) in mixed.chunks_exact(2).enumerate() {
                let mean = if token < 4 { 1.5 } else { 5.0 };
                assert!((values[0] - mean).abs() < 1e-6 && (values[1] - 6.0).abs() < 1e-5);
            }
        }
    }
}
