//! The layers of an architecture, read from a checkpoint, and what embeddings compute with them.

use adaplace_arithmetic::{Linear, Norm};

use crate::BackboneError;
use crate::checkpoint::Checkpoint;

/// The kind of a norm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NormKind {
    /// A layer norm, which may have no bias.
    Layer { bias: bool },
    /// An RMS norm whose factors are the stored ones plus an offset: 0, or 1 in Gemma.
    RootMeanSquare { offset: f32 },
}

/// Reads a linear layer. Without a bias in the checkpoint it has zeros.
pub(crate) fn take_linear(
    checkpoint: &mut Checkpoint,
    name: &str,
    (inputs, outputs): (usize, usize),
    bias: bool,
) -> Result<Linear, BackboneError> {
    let weight = checkpoint.take_unread(&format!("{name}.weight"), &[outputs, inputs])?;
    Ok(Linear {
        weight,
        bias: take_bias(checkpoint, name, outputs, bias)?,
        inputs,
        outputs,
    })
}

/// The same, with the weight stored as (inputs, outputs).
pub(crate) fn take_transposed(
    checkpoint: &mut Checkpoint,
    name: &str,
    (inputs, outputs): (usize, usize),
    bias: bool,
) -> Result<Linear, BackboneError> {
    let stored = checkpoint.take_unread(&format!("{name}.weight"), &[inputs, outputs])?;
    Ok(Linear {
        weight: stored.transposed(outputs),
        bias: take_bias(checkpoint, name, outputs, bias)?,
        inputs,
        outputs,
    })
}

fn take_bias(
    checkpoint: &mut Checkpoint,
    name: &str,
    outputs: usize,
    stored: bool,
) -> Result<Vec<f32>, BackboneError> {
    match stored {
        true => checkpoint.take(&format!("{name}.bias"), &[outputs]),
        false => Ok(vec![0.0; outputs]),
    }
}

/// Reads a norm.
pub(crate) fn take_norm(
    checkpoint: &mut Checkpoint,
    name: &str,
    width: usize,
    kind: NormKind,
    epsilon: f64,
) -> Result<Norm, BackboneError> {
    let mut weight = checkpoint.take(&format!("{name}.weight"), &[width])?;
    let (bias, centred) = match kind {
        NormKind::Layer { bias } => (take_bias(checkpoint, name, width, bias)?, true),
        NormKind::RootMeanSquare { offset } => {
            weight.iter_mut().for_each(|weight| *weight += offset);
            (vec![0.0; width], false)
        }
    };
    Ok(Norm {
        weight,
        bias,
        centred,
        epsilon: epsilon as f32,
    })
}

/// Reads a layer norm with a bias.
pub(crate) fn take_layer_norm(
    checkpoint: &mut Checkpoint,
    name: &str,
    width: usize,
    epsilon: f64,
) -> Result<Norm, BackboneError> {
    let kind = NormKind::Layer { bias: true };
    take_norm(checkpoint, name, width, kind, epsilon)
}

/// Replaces `row` by its norm.
pub(crate) fn normalize(norm: &Norm, row: &mut [f32]) {
    let share = (1.0 / row.len() as f64) as f32;
    if norm.centred {
        let mean = sum(row.iter().copied()) * share;
        row.iter_mut().for_each(|x| *x -= mean);
    }
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
