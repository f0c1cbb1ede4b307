//! The bottleneck of one connection over rows, forward and backward.
//!
//! For a row x of h_i with x' = norm(x): z = W_down x' + b_down, a = gelu(z), and scale * (W_up a + b_up) is added to
//! the row of h_j. With g the gradient there: db_up = scale g, dW_up = scale g a^T, dz = gelu'(z) scale W_up^T g,
//! db_down = dz, dW_down = dz x'^T, dx' = W_down^T dz; each sum over the rows goes in their order.

use adaplace_backbone::InstructionSet;
use adaplace_backbone::kernels::{dot, gelu_and_slope, normalize_row, normalize_row_backward};

use super::parameters::AdapterValues;
use crate::adapters::NORM_EPSILON;

/// What the backward of one adapter needs of its forward. Its memory is used again.
#[derive(Default)]
pub(crate) struct SavedAdapter {
    /// x', (rows, width)
    normalized: Vec<f32>,
    /// 1 / sqrt(variance + epsilon) of each row
    inverse_deviation: Vec<f32>,
    /// z, (rows, rank)
    hidden: Vec<f32>,
}

/// `sum` += A(x), both (rows, width).
pub(crate) fn forward(
    set: InstructionSet,
    adapter: &AdapterValues<&[f32]>,
    x: &[f32],
    sum: &mut [f32],
    saved: &mut SavedAdapter,
) {
    let (width, rank) = (adapter.up_bias.len(), adapter.down_bias.len());
    let rows = x.len() / width;
    saved.normalized.clear();
    saved.normalized.extend_from_slice(x);
    saved.inverse_deviation.resize(rows, 0.0);
    saved.hidden.resize(rows * rank, 0.0);
    let scale = adapter.scale;
    set.run(
        #[inline(always)]
        || {
            let rows = saved
                .normalized
                .chunks_exact_mut(width)
                .zip(&mut saved.inverse_deviation)
                .zip(saved.hidden.chunks_exact_mut(rank))
                .zip(sum.chunks_exact_mut(width));
            for (((x, inverse_deviation), hidden), sum) in rows {
                *inverse_deviation = normalize_row(x, NORM_EPSILON);
                add_scaled(sum, adapter.up_bias, scale);
                for (k, z) in hidden.iter_mut().enumerate() {
                    let row = k * width..(k + 1) * width;
                    *z = dot(&adapter.down_weight[row.clone()], x) + adapter.down_bias[k];
                    let (activation, _) = gelu_and_slope(*z);
                    add_scaled(sum, &adapter.up_weight[row], scale * activation);
                }
            }
        },
    );
}

/// Adds the gradients towards the adapter's values to `towards` and, where it is asked for, the one towards x to
/// `towards_x`, from `gradient` towards A(x).
pub(crate) fn backward(
    set: InstructionSet,
    adapter: &AdapterValues<&[f32]>,
    saved: &SavedAdapter,
    gradient: &[f32],
    towards: &mut AdapterValues<&mut [f32]>,
    mut towards_x: Option<&mut [f32]>,
) {
    let (width, rank) = (adapter.up_bias.len(), adapter.down_bias.len());
    let scale = adapter.scale;
    let mut share = vec![0.0; width];
    set.run(
        #[inline(always)]
        || {
            let rows = saved
                .normalized
                .chunks_exact(width)
                .zip(&saved.inverse_deviation)
                .zip(saved.hidden.chunks_exact(rank))
                .zip(gradient.chunks_exact(width));
            for (row, (((x, &inverse_deviation), hidden), gradient)) in rows.enumerate() {
                add_scaled(towards.up_bias, gradient, scale);
                share.fill(0.0);
                for (k, &z) in hidden.iter().enumerate() {
                    let range = k * width..(k + 1) * width;
                    let (activation, slope) = gelu_and_slope(z);
                    let up = &mut towards.up_weight[range.clone()];
                    add_scaled(up, gradient, scale * activation);
                    let towards_z =
                        slope * scale * dot(&adapter.up_weight[range.clone()], gradient);
                    towards.down_bias[k] += towards_z;
                    add_scaled(&mut towards.down_weight[range.clone()], x, towards_z);
                    add_scaled(&mut share, &adapter.down_weight[range], towards_z);
                }
                if let Some(towards_x) = &mut towards_x {
                    normalize_row_backward(&mut share, x, inverse_deviation);
                    let towards_x = &mut towards_x[row * width..(row + 1) * width];
                    add_scaled(towards_x, &share, 1.0);
                }
            }
        },
    );
}

/// sum += factor * x
#[inline(always)]
fn add_scaled(sum: &mut [f32], x: &[f32], factor: f32) {
    for (sum, &x) in sum.iter_mut().zip(x) {
        *sum += factor * x;
    }
}
