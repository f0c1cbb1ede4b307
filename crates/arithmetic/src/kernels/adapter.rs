//! The bottleneck of one connection over rows, forward and backward.
//!
//! For rows X of h_i with X' = norm(X), Z = X' W_down^T + b_down and A = gelu(Z), scale * (A W_up^T + b_up) is added to
//! the rows of h_j. With G = scale * the gradient there, dW_up^T = A^T G, db_up = the sum of the rows of G, dZ =
//! gelu'(Z) * (G W_up), dW_down = dZ^T X', db_down = the sum of the rows of dZ, and dX' = dZ W_down.

use super::activation::value_and_slope;
use super::instruction_set::InstructionSet;
use super::matrix::{Matrix, MatrixMut};
use super::norm::{normalize_row, normalize_row_backward};
use super::product::{Packed, Start, multiply};
use crate::{ADAPTER_NORM_EPSILON, AdapterPlace};

/// The part of an adapter's forward pass that its backward pass needs. The memory is reused.
#[derive(Default)]
pub struct SavedAdapter {
    /// The normalised rows X', (rows, width).
    normalized: Vec<f32>,
    /// The values 1 / sqrt(variance + epsilon), one for each row.
    inverse_deviation: Vec<f32>,
    /// First Z, then gelu'(Z), (rows, rank).
    slope: Vec<f32>,
    /// The activations A, (rows, rank).
    activation: Vec<f32>,
}

/// Memory for intermediate values, reused by every adapter.
#[derive(Default)]
pub(crate) struct AdapterScratch {
    packed: Packed,
    towards_hidden: Vec<f32>,
}

/// Computes `sum` += A(x), both (rows, width).
pub(crate) fn forward(
    set: InstructionSet,
    (place, values): (&AdapterPlace, &[f32]),
    x: &[f32],
    sum: &mut [f32],
    saved: &mut SavedAdapter,
    scratch: &mut AdapterScratch,
) {
    let &AdapterPlace {
        width, rank, scale, ..
    } = place;
    let adapter = place.of(values);
    let rows = x.len() / width;
    let SavedAdapter {
        normalized,
        inverse_deviation,
        slope,
        activation,
    } = saved;
    let packed = &mut scratch.packed;
    normalized.clear();
    normalized.extend_from_slice(x);
    inverse_deviation.resize(rows, 0.0);
    slope.resize(rows * rank, 0.0);
    activation.resize(rows * rank, 0.0);
    set.run(
        #[inline(always)]
        || {
            let rows = normalized.chunks_exact_mut(width);
            for (row, inverse_deviation) in rows.zip(inverse_deviation) {
                *inverse_deviation = normalize_row(row, true, ADAPTER_NORM_EPSILON);
            }
        },
    );

    packed.pack(
        set,
        Matrix::new(adapter.down_weight, rank, width).transposed(),
    );
    let normalized = Matrix::new(normalized, rows, width);
    let hidden = MatrixMut::new(slope, rows, rank);
    let start = Start::Bias(adapter.down_bias);
    multiply(set, hidden, start, normalized, packed, 1.0);
    set.run(
        #[inline(always)]
        || {
            for (z, activation) in slope.iter_mut().zip(activation.iter_mut()) {
                (*activation, *z) = value_and_slope(*z);
            }
        },
    );

    packed.pack(set, Matrix::new(adapter.up_weight, rank, width));
    let activation = Matrix::new(activation, rows, rank);
    let bias: Vec<f32> = adapter.up_bias.iter().map(|b| scale * b).collect();
    let start = Start::ResultAndBias(&bias);
    let sum = MatrixMut::new(sum, rows, width);
    multiply(set, sum, start, activation, packed, scale);
}

/// Adds the gradients with respect to the adapter's values to `towards`. If `towards_x` is given, it becomes the gradient
/// with respect to x. `gradient` is the one with respect to A(x).
pub(crate) fn backward(
    set: InstructionSet,
    (place, values): (&AdapterPlace, &[f32]),
    saved: &SavedAdapter,
    gradient: &[f32],
    towards_values: &mut [f32],
    towards_x: Option<&mut [f32]>,
    scratch: &mut AdapterScratch,
) {
    let &AdapterPlace {
        width, rank, scale, ..
    } = place;
    let adapter = place.of(values);
    let towards = place.of_mut(towards_values);
    let rows = gradient.len() / width;
    let AdapterScratch {
        packed,
        towards_hidden,
    } = scratch;
    let by_rows = |values| Matrix::new(values, rows, width);
    let by_hidden = |values| Matrix::new(values, rows, rank);

    packed.pack(set, by_rows(gradient));
    let up = MatrixMut::new(towards.up_weight, rank, width);
    let activation = by_hidden(&saved.activation).transposed();
    multiply(set, up, Start::Result, activation, packed, scale);
    add_rows(set, gradient, scale, towards.up_bias);

    towards_hidden.resize(rows * rank, 0.0);
    packed.pack(
        set,
        Matrix::new(adapter.up_weight, rank, width).transposed(),
    );
    let hidden = MatrixMut::new(towards_hidden, rows, rank);
    multiply(
        set,
        hidden,
        Start::Nothing,
        by_rows(gradient),
        packed,
        scale,
    );
    set.run(
        #[inline(always)]
        || {
            for (g, &slope) in towards_hidden.iter_mut().zip(&saved.slope) {
                *g *= slope;
            }
        },
    );

    packed.pack(set, by_rows(&saved.normalized));
    let down = MatrixMut::new(towards.down_weight, rank, width);
    let hidden = by_hidden(towards_hidden);
    multiply(set, down, Start::Result, hidden.transposed(), packed, 1.0);
    add_rows(set, towards_hidden, 1.0, towards.down_bias);

    let Some(towards_x) = towards_x else {
        return;
    };
    packed.pack(set, Matrix::new(adapter.down_weight, rank, width));
    let result = MatrixMut::new(towards_x, rows, width);
    multiply(set, result, Start::Nothing, hidden, packed, 1.0);
    set.run(
        #[inline(always)]
        || {
            let rows = towards_x
                .chunks_exact_mut(width)
                .zip(saved.normalized.chunks_exact(width))
                .zip(&saved.inverse_deviation);
            for ((towards_x, normalized), &inverse_deviation) in rows {
                normalize_row_backward(towards_x, normalized, true, inverse_deviation);
            }
        },
    );
}

/// Computes `sum` += scale * the sum of the rows.
fn add_rows(set: InstructionSet, rows: &[f32], scale: f32, sum: &mut [f32]) {
    set.run(
        #[inline(always)]
        || {
            for row in rows.chunks_exact(sum.len()) {
                for (sum, &value) in sum.iter_mut().zip(row) {
                    *sum += scale * value;
                }
            }
        },
    );
}
