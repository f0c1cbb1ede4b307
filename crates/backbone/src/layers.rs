//! The layers of an architecture, read from a checkpoint, and what embeddings compute with them.

use adaplace_arithmetic::{LayerNorm, Linear};

use crate::BackboneError;
use crate::checkpoint::Checkpoint;

/// Reads a linear layer.
pub(crate) fn take_linear(
    checkpoint: &mut Checkpoint,
    name: &str,
    inputs: usize,
    outputs: usize,
) -> Result<Linear, BackboneError> {
    Ok(Linear {
        weight: checkpoint.take(&format!("{name}.weight"), &[outputs, inputs])?,
        bias: checkpoint.take(&format!("{name}.bias"), &[outputs])?,
        inputs,
        outputs,
    })
}

/// Reads a layer norm.
pub(crate) fn take_norm(
    checkpoint: &mut Checkpoint,
    name: &str,
    width: usize,
    epsilon: f64,
) -> Result<LayerNorm, BackboneError> {
    Ok(LayerNorm {
        weight: checkpoint.take(&format!("{name}.weight"), &[width])?,
        bias: checkpoint.take(&format!("{name}.bias"), &[width])?,
        epsilon: epsilon as f32,
    })
}

/// Replaces `row` by its layer norm.
pub(crate) fn normalize(norm: &LayerNorm, row: &mut [f32]) {
    let share = (1.0 / row.len() as f64) as f32;
    let mean = sum(row.iter().copied()) * share;
    row.iter_mut().for_each(|x| *x -= mean);
    let variance = sum(row.iter().map(|x| x * x)) * share;
    let deviation = (variance + norm.epsilon).sqrt();
    for ((x, &weight), &bias) in row.iter_mut().zip(&norm.weight).zip(&norm.bias) {
        *x = *x / deviation * weight + bias;
    }
}

/// The sum of a row, in the order of earlier versions, whose studies are continued to the bit: 32 sums side by side, then
/// what is left.
fn sum(row: impl ExactSizeIterator<Item = f32>) -> f32 {
    let whole = row.len() - row.len() % 32;
    let mut lanes = [0.0_f32; 32];
    let mut row = row;
    for (index, value) in row.by_ref().take(whole).enumerate() {
        lanes[index % 32] += value;
    }
    let eight: [f32; 8] =
        std::array::from_fn(|l| (lanes[l] + lanes[l + 8]) + (lanes[l + 16] + lanes[l + 24]));
    let four: [f32; 4] = std::array::from_fn(|l| eight[l] + eight[l + 4]);
    let sum = (four[0] + four[1]) + (four[2] + four[3]);
    row.fold(sum, |sum, value| sum + value)
}
