//! Multi-head self-attention over projected rows, and its gradient.
//!
//! For one head with query Q, key K and value V of shape (tokens, width of a head), P = softmax(Q K^T / sqrt(width of a
//! head)) and the result is P V. With D = dL/d(P V): dV = P^T D, dP = D V^T, dS = P * (dP - rowsum(dP * P)), dQ = dS K
//! / sqrt(..), dK = dS^T Q / sqrt(..).
//!
//! The examples follow each other without padding, and each attends to its own tokens. A token attends to those of its span
//! alone: P is 0 outside, and so are dS and what is computed from it.

use std::ops::Range;

use super::instruction_set::InstructionSet;
use super::matrix::{Matrix, MatrixMut};
use super::norm::{self, SavedNorm};
use super::product::{Packed, Start, multiply};
use super::relative;
use super::scores::{cap, cap_backward, softmax, softmax_backward};
use crate::{Attention, Rotation};

/// An attention, and the instructions that compute it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kernel<'a> {
    pub(crate) set: InstructionSet,
    pub(crate) layer: &'a Attention,
}

/// The part of a forward pass that the gradient needs.
#[derive(Debug, Default)]
pub struct SavedAttention {
    /// The attention weights P of each example, (heads, tokens, tokens), one after the other.
    weights: Vec<f32>,
    /// The capped scores, shaped like the weights, if the scores have a bound.
    capped: Vec<f32>,
    /// What the norms of queries and of keys keep.
    norms: [SavedNorm; 2],
}

/// Memory that is reused by every product of an attention.
#[derive(Default)]
pub(crate) struct Scratch {
    packed: Packed,
    scores: Vec<f32>,
    relative: relative::Scratch,
}

/// A part of an example's projection, which holds all of them side by side.
#[derive(Debug, Clone, Copy)]
enum Part {
    Query,
    Key,
    Value,
}

impl Kernel<'_> {
    /// The values of one part of a row of the projection.
    fn columns(&self, part: Part) -> Range<usize> {
        let Attention {
            heads,
            key_heads,
            head_width,
            ..
        } = *self.layer;
        let heads = match part {
            Part::Query => 0..heads,
            Part::Key => heads..heads + key_heads,
            Part::Value => heads + key_heads..heads + 2 * key_heads,
        };
        heads.start * head_width..heads.end * head_width
    }

    /// The number of attention weights of examples that end at these offsets.
    fn weights(&self, examples: &[usize]) -> usize {
        let tokens = examples.windows(2).map(|ends| ends[1] - ends[0]);
        self.layer.heads * tokens.map(|tokens| tokens * tokens).sum::<usize>()
    }

    /// The number of heads of queries that share a head of keys and values.
    fn group(&self) -> usize {
        self.layer.heads / self.layer.key_heads
    }

    /// The relative positions of a head in an example, if the architecture has these.
    fn relative(&self, head: usize, tokens: usize) -> Option<relative::Head<'_>> {
        let positions = self.layer.relative.as_deref()?;
        Some(relative::Head {
            set: self.set,
            positions,
            number: head,
            heads: self.layer.heads,
            width: self.layer.head_width,
            tokens,
            scale: self.layer.scale,
        })
    }

    /// Where a part begins in a row for one head of the queries.
    fn begin(&self, part: Part, head: usize) -> usize {
        let head = match part {
            Part::Query => head,
            Part::Key | Part::Value => head / self.group(),
        };
        self.columns(part).start + head * self.layer.head_width
    }

    /// One part of one example's projection for one head, (tokens, width of a head).
    fn part<'a>(&self, projected: &'a [f32], part: Part, head: usize) -> Matrix<'a> {
        let row = self.layer.projected_width();
        let tokens = projected.len() / row;
        let values = &projected[self.begin(part, head)..];
        Matrix::strided(values, tokens, self.layer.head_width, row)
    }

    fn part_mut<'a>(&self, projected: &'a mut [f32], part: Part, head: usize) -> MatrixMut<'a> {
        let row = self.layer.projected_width();
        let tokens = projected.len() / row;
        let values = &mut projected[self.begin(part, head)..];
        MatrixMut::strided(values, tokens, self.layer.head_width, row)
    }

    /// The heads of a part, (rows x heads) of the width of a head.
    fn heads_mut<'p>(
        &self,
        projected: &'p mut [f32],
        part: Part,
    ) -> (usize, impl Iterator<Item = &'p mut [f32]>) {
        let (row, columns) = (self.layer.projected_width(), self.columns(part));
        let head_width = self.layer.head_width;
        let count = projected.len() / row * (columns.len() / head_width);
        let rows = projected.chunks_exact_mut(row);
        let heads = rows.flat_map(move |row| row[columns.clone()].chunks_exact_mut(head_width));
        (count, heads)
    }

    /// Replaces queries and keys by their norms, if the architecture has these, and turns them by their positions.
    fn prepare(&self, projected: &mut [f32], examples: &[usize], saved: &mut SavedAttention) {
        if let Some(norms) = &self.layer.norms {
            let parts = [Part::Query, Part::Key].into_iter();
            for ((part, norm), saved) in parts.zip(norms).zip(&mut saved.norms) {
                let heads = self.heads_mut(projected, part);
                norm::forward_rows(self.set, norm, heads, Some(saved));
            }
        }
        self.turn(projected, examples, Rotation::turn);
    }

    /// Replaces the gradients with respect to the prepared queries and keys by those with respect to the projection.
    fn prepare_backward(&self, towards: &mut [f32], examples: &[usize], saved: &SavedAttention) {
        self.turn(towards, examples, Rotation::turn_backward);
        if let Some(norms) = &self.layer.norms {
            let parts = [Part::Query, Part::Key].into_iter();
            for ((part, norm), saved) in parts.zip(norms).zip(&saved.norms) {
                let (_, heads) = self.heads_mut(towards, part);
                norm::backward_rows(self.set, norm, saved, heads);
            }
        }
    }

    fn turn(
        &self,
        projected: &mut [f32],
        examples: &[usize],
        turn: impl Fn(&Rotation, usize, &mut [f32]),
    ) {
        let Some(rotation) = &self.layer.rotation else {
            return;
        };
        let (row, head_width) = (self.layer.projected_width(), self.layer.head_width);
        let turned = self.columns(Part::Query).start..self.columns(Part::Key).end;
        for ends in examples.windows(2) {
            let own = &mut projected[ends[0] * row..ends[1] * row];
            for (position, row) in own.chunks_exact_mut(row).enumerate() {
                for head in row[turned.clone()].chunks_exact_mut(head_width) {
                    turn(rotation, position, head);
                }
            }
        }
    }

    /// Computes the mixed values (rows, width) from the projections (rows, projected width), in which queries and keys
    /// are replaced by what is multiplied.
    pub(crate) fn forward(
        &self,
        projected: &mut [f32],
        examples: &[usize],
        saved: &mut SavedAttention,
        mixed: &mut [f32],
        scratch: &mut Scratch,
    ) {
        self.prepare(projected, examples, saved);
        let Self { set, layer } = *self;
        let (row, width) = (layer.projected_width(), layer.width());
        let Scratch {
            packed,
            relative: of_positions,
            ..
        } = scratch;
        let SavedAttention {
            weights, capped, ..
        } = saved;
        weights.resize(self.weights(examples), 0.0);
        if layer.cap.is_some() {
            capped.resize(weights.len(), 0.0);
        }
        let mut done = 0;
        for ends in examples.windows(2) {
            let tokens = ends[1] - ends[0];
            let projected = &projected[ends[0] * row..ends[1] * row];
            let mixed = &mut mixed[ends[0] * width..ends[1] * width];
            for head in 0..layer.heads {
                let own = done..done + tokens * tokens;
                done = own.end;
                let weights = &mut weights[own.clone()];
                let part = |part| self.part(projected, part, head);
                packed.pack(set, part(Part::Key).transposed());
                multiply(
                    set,
                    MatrixMut::new(weights, tokens, tokens),
                    Start::Nothing,
                    part(Part::Query),
                    packed,
                    layer.scale,
                );
                if let Some(relative) = self.relative(head, tokens) {
                    let both = [part(Part::Query), part(Part::Key)];
                    relative.add(both, weights, packed, of_positions);
                }
                if let Some(bound) = layer.cap {
                    cap(set, bound, weights);
                    capped[own].copy_from_slice(weights);
                }
                set.run(
                    #[inline(always)]
                    || {
                        for (place, row) in weights.chunks_exact_mut(tokens).enumerate() {
                            let span = layer.span.of(place, tokens);
                            row[..span.start].fill(0.0);
                            row[span.end..].fill(0.0);
                            softmax(&mut row[span]);
                        }
                    },
                );
                packed.pack(set, part(Part::Value));
                let result = &mut mixed[head * layer.head_width..];
                multiply(
                    set,
                    MatrixMut::strided(result, tokens, layer.head_width, width),
                    Start::Nothing,
                    Matrix::new(weights, tokens, tokens),
                    packed,
                    1.0,
                );
            }
        }
    }

    /// Computes the gradient with respect to the projections, (rows, projected width), from that with respect to the
    /// mixed values. `projected` is what the forward pass left there.
    pub(crate) fn backward(
        &self,
        projected: &[f32],
        examples: &[usize],
        saved: &SavedAttention,
        gradient: &[f32],
        result: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let Self { set, layer } = *self;
        let (row, width) = (layer.projected_width(), layer.width());
        let Scratch {
            packed,
            scores,
            relative: of_positions,
        } = scratch;
        let mut done = 0;
        for ends in examples.windows(2) {
            let tokens = ends[1] - ends[0];
            scores.resize(tokens * tokens, 0.0);
            let projected = &projected[ends[0] * row..ends[1] * row];
            let result = &mut result[ends[0] * row..ends[1] * row];
            let gradient = &gradient[ends[0] * width..ends[1] * width];
            for head in 0..layer.heads {
                let own = done..done + tokens * tokens;
                done = own.end;
                let weights = &saved.weights[own.clone()];
                let part = |part| self.part(projected, part, head);
                let mut multiply = |to: MatrixMut<'_>, start, left, right, scale| {
                    packed.pack(set, right);
                    multiply(set, to, start, left, packed, scale);
                };
                // The heads that share a key and a value add to their gradients.
                let shared = match head % self.group() {
                    0 => Start::Nothing,
                    _ => Start::Result,
                };
                let gradient = &gradient[head * layer.head_width..];
                let gradient = Matrix::strided(gradient, tokens, layer.head_width, width);
                let attention = Matrix::new(weights, tokens, tokens);
                let to = self.part_mut(result, Part::Value, head);
                multiply(to, shared, attention.transposed(), gradient, 1.0);

                let to = MatrixMut::new(scores, tokens, tokens);
                let value = part(Part::Value).transposed();
                multiply(to, Start::Nothing, gradient, value, 1.0);
                set.run(
                    #[inline(always)]
                    || {
                        let rows = scores.chunks_exact_mut(tokens);
                        for (gradient, weights) in rows.zip(weights.chunks_exact(tokens)) {
                            softmax_backward(gradient, weights);
                        }
                    },
                );
                if let Some(bound) = layer.cap {
                    cap_backward(set, bound, &saved.capped[own], scores);
                }

                let towards_scores = Matrix::new(scores, tokens, tokens);
                let to = self.part_mut(result, Part::Query, head);
                let (query, key) = (part(Part::Query), part(Part::Key));
                multiply(to, Start::Nothing, towards_scores, key, layer.scale);
                let to = self.part_mut(result, Part::Key, head);
                multiply(to, shared, towards_scores.transposed(), query, layer.scale);
                if let Some(relative) = self.relative(head, tokens) {
                    let to = self.part_mut(result, Part::Query, head);
                    relative.towards_query(scores, to, packed, of_positions);
                    let to = self.part_mut(result, Part::Key, head);
                    relative.towards_key(scores, to, packed, of_positions);
                }
            }
        }
        self.prepare_backward(result, examples, saved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let layer = &Attention::plain(2, 2);
            let (mut mixed, mut saved) = (vec![0.0; 14], SavedAttention::default());
            let examples = [0, 4, 7];
            let scratch = &mut Scratch::default();
            let mut projected = projected.clone();
            let kernel = Kernel { set, layer };
            kernel.forward(&mut projected, &examples, &mut saved, &mut mixed, scratch);
            for (token, values) in mixed.chunks_exact(2).enumerate() {
                let mean = if token < 4 { 1.5 } else { 5.0 };
                assert!((values[0] - mean).abs() < 1e-6 && (values[1] - 6.0).abs() < 1e-5);
            }
        }
    }
}
