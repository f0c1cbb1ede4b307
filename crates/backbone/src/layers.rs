//! The layers that every architecture consists of.

use candle_core::{D, Device, Tensor};

use crate::BackboneError;
use crate::checkpoint::Checkpoint;

/// A linear layer y = x W^T + b with `weight` W of shape (outputs, inputs), row-major, and `bias` b of length outputs.
#[derive(Debug)]
pub(crate) struct Linear {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl Linear {
    pub(crate) fn take(
        checkpoint: &mut Checkpoint,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, BackboneError> {
        Ok(Self {
            weight: checkpoint.take(&format!("{name}.weight"), &[outputs, inputs])?,
            bias: checkpoint.take(&format!("{name}.bias"), &[outputs])?,
            inputs,
            outputs,
        })
    }

    /// Combines several layers with the same inputs into one, whose outputs are side by side.
    pub(crate) fn stack(layers: Vec<Self>) -> Self {
        let inputs = layers.first().map_or(0, |layer| layer.inputs);
        let mut stacked = Self {
            weight: Vec::new(),
            bias: Vec::new(),
            inputs,
            outputs: 0,
        };
        for layer in layers {
            stacked.weight.extend(layer.weight);
            stacked.bias.extend(layer.bias);
            stacked.outputs += layer.outputs;
        }
        stacked
    }

    /// The layer with output o multiplied by `factors[o]`.
    pub(crate) fn scaled(mut self, factors: &[f32]) -> Self {
        for (row, &factor) in self.weight.chunks_exact_mut(self.inputs).zip(factors) {
            row.iter_mut().for_each(|weight| *weight *= factor);
        }
        for (bias, &factor) in self.bias.iter_mut().zip(factors) {
            *bias *= factor;
        }
        self
    }
}

/// A layer norm y = (x - mean) / sqrt(variance + epsilon) * weight + bias, over the last dimension.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) epsilon: f32,
}

impl LayerNorm {
    pub(crate) fn take(
        checkpoint: &mut Checkpoint,
        name: &str,
        width: usize,
        epsilon: f64,
    ) -> Result<Self, BackboneError> {
        Ok(Self {
            weight: checkpoint.take(&format!("{name}.weight"), &[width])?,
            bias: checkpoint.take(&format!("{name}.bias"), &[width])?,
            epsilon: epsilon as f32,
        })
    }

    /// Applies the norm to `x`, which may have any shape whose last dimension is the width.
    pub(crate) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let vector = |values: &[f32]| Tensor::from_slice(values, values.len(), x.device());
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let epsilon = f64::from(self.epsilon);
        centred
            .broadcast_div(&(variance + epsilon)?.sqrt()?)?
            .broadcast_mul(&vector(&self.weight)?)?
            .broadcast_add(&vector(&self.bias)?)
    }
}

/// A tensor of f32 values on the processor.
pub(crate) fn tensor(values: Vec<f32>, shape: &[usize]) -> candle_core::Result<Tensor> {
    Tensor::from_vec(values, shape, &Device::Cpu)
}
