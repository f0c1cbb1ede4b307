//! The layers of an architecture, read from a checkpoint.

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
