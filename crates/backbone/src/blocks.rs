//! The blocks of an architecture, read from a checkpoint.

use adaplace_arithmetic::{Activation, LayerNorm, Linear};

use crate::BackboneError;
use crate::checkpoint::Checkpoint;
use crate::layers::{take_linear, take_norm};
use crate::sublayer::{NormPosition, Sublayer, Transform};

/// The names that an architecture gives to the parts of block l. A full name is `blocks`, l and the part, joined by
/// dots.
pub(crate) struct BlockNames {
    pub(crate) blocks: &'static str,
    pub(crate) query: &'static str,
    pub(crate) key: &'static str,
    pub(crate) value: &'static str,
    pub(crate) attention_output: &'static str,
    pub(crate) attention_norm: &'static str,
    /// The factors for each feature of the attention's output, if the architecture has them (LayerScale).
    pub(crate) attention_scale: Option<&'static str>,
    pub(crate) mlp_up: &'static str,
    pub(crate) mlp_down: &'static str,
    pub(crate) mlp_norm: &'static str,
    /// The factors for each feature of the MLP's output, if the architecture has them (LayerScale).
    pub(crate) mlp_scale: Option<&'static str>,
}

/// The number of blocks and their shape.
pub(crate) struct BlockShape {
    pub(crate) blocks: usize,
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) intermediate: usize,
    pub(crate) activation: Activation,
    pub(crate) epsilon: f64,
    pub(crate) norm_position: NormPosition,
}

/// Reads the chain of sublayers: the attention and the MLP of every block.
pub(crate) fn take(
    checkpoint: &mut Checkpoint,
    names: &BlockNames,
    shape: &BlockShape,
) -> Result<Vec<Sublayer>, BackboneError> {
    let mut sublayers = Vec::with_capacity(2 * shape.blocks);
    for block in 0..shape.blocks {
        let mut reader = BlockReader {
            checkpoint,
            blocks: names.blocks,
            shape,
            block,
        };
        let (width, hidden) = (shape.width, shape.intermediate);
        let attention = Transform::Attention {
            projection: Linear::stack(vec![
                reader.linear(names.query, width, width)?,
                reader.linear(names.key, width, width)?,
                reader.linear(names.value, width, width)?,
            ]),
            output: reader.output(names.attention_output, names.attention_scale, width)?,
            heads: shape.heads,
        };
        let norm = reader.norm(names.attention_norm)?;
        sublayers.push(Sublayer {
            transform: attention,
            norm,
            norm_position: shape.norm_position,
        });
        let mlp = Transform::Mlp {
            up: reader.linear(names.mlp_up, width, hidden)?,
            activation: shape.activation,
            down: reader.output(names.mlp_down, names.mlp_scale, hidden)?,
        };
        let norm = reader.norm(names.mlp_norm)?;
        sublayers.push(Sublayer {
            transform: mlp,
            norm,
            norm_position: shape.norm_position,
        });
    }
    Ok(sublayers)
}

/// Reads the parts of one block.
struct BlockReader<'a> {
    checkpoint: &'a mut Checkpoint,
    blocks: &'static str,
    shape: &'a BlockShape,
    block: usize,
}

impl BlockReader<'_> {
    fn linear(
        &mut self,
        part: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Linear, BackboneError> {
        let name = self.name(part);
        take_linear(self.checkpoint, &name, inputs, outputs)
    }

    /// The last layer of a sublayer. Factors of its outputs become part of it, so nothing else has to know about them.
    fn output(
        &mut self,
        part: &str,
        scale: Option<&str>,
        inputs: usize,
    ) -> Result<Linear, BackboneError> {
        let width = self.shape.width;
        let layer = self.linear(part, inputs, width)?;
        let Some(scale) = scale else {
            return Ok(layer);
        };
        let factors = self.checkpoint.take(&self.name(scale), &[width])?;
        Ok(layer.scaled(&factors))
    }

    fn norm(&mut self, part: &str) -> Result<LayerNorm, BackboneError> {
        let name = self.name(part);
        take_norm(self.checkpoint, &name, self.shape.width, self.shape.epsilon)
    }

    fn name(&self, part: &str) -> String {
        format!("{}.{}.{part}", self.blocks, self.block)
    }
}
