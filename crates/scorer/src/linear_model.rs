//! A linear model of features: its logits, and the gradient of its loss.
//!
//! The parameters are the weights W (outputs, width), row-major, and then the biases b (outputs). Few examples with few
//! outputs are computed one by one. With many outputs that would read all weights for every example, and many examples
//! would take long, so blocks of them are multiplied as matrices.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::Features;

/// The numbers of outputs and of logits (of all examples) from which on products of matrices are used.
const MANY_OUTPUTS: usize = 64;
pub(crate) const MANY_LOGITS: usize = 200_000;

/// The number of examples that one task computes. It is a constant, so sums do not depend on the machine.
const EXAMPLES_PER_TASK: usize = 128;

/// The number of examples whose slopes are in memory at a time.
const EXAMPLES_PER_BLOCK: usize = 4096;

/// The number of outputs whose weights' gradient one task computes.
const OUTPUTS_PER_TASK: usize = 32;

/// The logits (examples, outputs) of `features` (examples, width), both row-major.
pub(crate) fn logits(features: &[f64], width: usize, parameters: &[f64]) -> Vec<f64> {
    let outputs = parameters.len() / (width + 1);
    let (weights, biases) = parameters.split_at(outputs * width);
    let examples = features.len() / width.max(1);
    if outputs >= MANY_OUTPUTS || outputs * examples >= MANY_LOGITS {
        let parts = features.par_chunks(EXAMPLES_PER_TASK * width);
        return parts
            .flat_map_iter(|rows| products(rows, width, weights, biases))
            .collect();
    }
    let rows = features.par_chunks(width);
    rows.flat_map_iter(|x| {
        let outputs = weights.chunks_exact(width).zip(biases);
        outputs.map(|(weight, bias)| bias + dot(weight, x))
    })
    .collect()
}

/// The sum of the losses of all examples, each times its weight, and its gradient with respect to the parameters.
pub(crate) fn loss_and_gradient(features: &Features, parameters: &[f64]) -> (f64, Vec<f64>) {
    let outputs = parameters.len() / (features.width() + 1);
    let examples = features.values().len() / features.width().max(1);
    match outputs >= MANY_OUTPUTS || outputs * examples >= MANY_LOGITS {
        true => by_products(features, parameters, outputs),
        false => one_by_one(features, parameters, outputs),
    }
}

fn one_by_one(features: &Features, parameters: &[f64], outputs: usize) -> (f64, Vec<f64>) {
    let width = features.width();
    let weights = outputs * width;
    let parts = features.values().par_chunks(EXAMPLES_PER_TASK * width);
    let of_task = |(task, rows): (usize, &[f64])| {
        let (mut loss, mut gradient) = (0.0, vec![0.0; parameters.len()]);
        for (row, x) in rows.chunks_exact(width).enumerate() {
            let mut slopes: Vec<f64> = parameters[..weights]
                .chunks_exact(width)
                .zip(&parameters[weights..])
                .map(|(weight, bias)| bias + dot(weight, x))
                .collect();
            loss += features.loss(task * EXAMPLES_PER_TASK + row, &mut slopes);
            for (output, slope) in slopes.iter().enumerate() {
                gradient[weights + output] += slope;
                let row = &mut gradient[output * width..(output + 1) * width];
                for (sum, x) in row.iter_mut().zip(x) {
                    *sum += slope * x;
                }
            }
        }
        (loss, gradient)
    };
    let partial: Vec<(f64, Vec<f64>)> = parts.enumerate().map(of_task).collect();
    let (mut loss, mut gradient) = (0.0, vec![0.0; parameters.len()]);
    for (part, part_gradient) in partial {
        loss += part;
        for (sum, value) in gradient.iter_mut().zip(part_gradient) {
            *sum += value;
        }
    }
    (loss, gradient)
}

fn by_products(features: &Features, parameters: &[f64], outputs: usize) -> (f64, Vec<f64>) {
    let width = features.width();
    let (weights, biases) = parameters.split_at(outputs * width);
    let (mut loss, mut gradient) = (0.0, vec![0.0; parameters.len()]);
    let (towards_weights, towards_biases) = gradient.split_at_mut(weights.len());
    let blocks = features.values().chunks(EXAMPLES_PER_BLOCK * width);
    for (block, examples) in blocks.enumerate() {
        let first = block * EXAMPLES_PER_BLOCK;
        let parts = examples.par_chunks(EXAMPLES_PER_TASK * width).enumerate();
        let of_task = |(task, rows): (usize, &[f64])| {
            let mut slopes = products(rows, width, weights, biases);
            let first = first + task * EXAMPLES_PER_TASK;
            let examples = slopes.chunks_exact_mut(outputs).zip(first..);
            let loss: f64 = examples.map(|(logits, at)| features.loss(at, logits)).sum();
            (loss, slopes)
        };
        let parts: Vec<(f64, Vec<f64>)> = parts.map(of_task).collect();
        let mut slopes = Vec::with_capacity(examples.len() / width * outputs);
        for (part, part_slopes) in parts {
            loss += part;
            slopes.extend(part_slopes);
        }
        for slopes in slopes.chunks_exact(outputs) {
            for (sum, slope) in towards_biases.iter_mut().zip(slopes) {
                *sum += slope;
            }
        }
        let count = examples.len() / width;
        let slopes = MatRef::from_row_major_slice(&slopes, count, outputs);
        let examples = MatRef::from_row_major_slice(examples, count, width);
        let parts = towards_weights.par_chunks_mut(OUTPUTS_PER_TASK * width);
        parts.enumerate().for_each(|(task, gradient)| {
            let count = gradient.len() / width;
            let of_task = slopes.subcols(task * OUTPUTS_PER_TASK, count).transpose();
            let to = MatMut::from_row_major_slice_mut(gradient, count, width);
            matmul(to, Accum::Add, of_task, examples, 1.0, Par::Seq);
        });
    }
    (loss, gradient)
}

/// The logits of some examples by one product, plus the biases.
fn products(rows: &[f64], width: usize, weights: &[f64], biases: &[f64]) -> Vec<f64> {
    let (count, outputs) = (rows.len() / width, biases.len());
    let mut logits = biases.repeat(count);
    matmul(
        MatMut::from_row_major_slice_mut(&mut logits, count, outputs),
        Accum::Add,
        MatRef::from_row_major_slice(rows, count, width),
        MatRef::from_row_major_slice(weights, outputs, width).transpose(),
        1.0,
        Par::Seq,
    );
    logits
}

/// The dot product, computed as eight sums side by side so that it can be vectorised.
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    let (x_chunks, x_rest) = x.as_chunks::<8>();
    let (y_chunks, y_rest) = y.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum();
    lanes.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// More examples than one block has, in tasks of several sizes.
    #[test]
    fn both_ways_agree() {
        let (width, outputs, count) = (5, 70, EXAMPLES_PER_BLOCK + 200);
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut values = |count: usize| -> Vec<f32> {
            (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
        };
        let rows = (0..count).map(|_| values(width)).collect();
        let parameters: Vec<f64> = values(outputs * (width + 1))
            .into_iter()
            .map(f64::from)
            .collect();
        let labels: Vec<u32> = (0..count).map(|at| (at * 7 % outputs) as u32).collect();
        let weights = (0..count).map(|at| 0.5 + (at % 3) as f32).collect();
        let features = Features::new(rows, labels).with_weights(Some(weights));
        let (loss, gradient) = by_products(&features, &parameters, outputs);
        let (expected_loss, expected) = one_by_one(&features, &parameters, outputs);
        assert!((loss / expected_loss - 1.0).abs() < 1e-12);
        for (found, expected) in gradient.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9 * count as f64);
        }
    }
}
