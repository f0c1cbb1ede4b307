//! The blocks of an architecture, read from a checkpoint.

use adaplace_arithmetic::{Activation, Attention, Linear, Norm};

use crate::BackboneError;
use crate::checkpoint::Checkpoint;
use crate::distances::{DistanceLayer, Distances};
use crate::layers::{NormKind, take_linear, take_norm, take_transposed};
use crate::sublayer::{Norms, Sublayer, Transform};

/// The names that an architecture gives to the parts of block l. A full name is `blocks`, l and the part, joined by
/// dots.
pub(crate) struct BlockNames {
    pub(crate) blocks: &'static str,
    pub(crate) projection: ProjectionNames,
    pub(crate) attention_output: &'static str,
    pub(crate) mlp: MlpNames,
    /// The norms of the attention and of the MLP. With [`NormPosition::AroundTransform`] those in front.
    pub(crate) norms: [&'static str; 2],
    /// Those behind, with that position.
    pub(crate) norms_behind: Option<[&'static str; 2]>,
    /// The norms of each head of the queries and of the keys.
    pub(crate) norms_of_heads: Option<[&'static str; 2]>,
    /// The factors for each feature of what the attention and the MLP add (LayerScale).
    pub(crate) scales: Option<[&'static str; 2]>,
}

/// The layers that compute query, key and value.
pub(crate) enum ProjectionNames {
    /// One for each.
    Separate([&'static str; 3]),
    /// One layer, with the three side by side.
    Joined(&'static str),
}

/// The layers of an MLP.
pub(crate) enum MlpNames {
    Plain {
        up: &'static str,
        down: &'static str,
    },
    Gated {
        gate: &'static str,
        up: &'static str,
        down: &'static str,
    },
    /// Gate and up are one layer, side by side.
    JoinedGate {
        gate_and_up: &'static str,
        down: &'static str,
    },
}

/// The number of blocks and their shape.
pub(crate) struct BlockShape {
    pub(crate) width: usize,
    pub(crate) intermediate: usize,
    pub(crate) activation: Activation,
    /// The attention of each block, without the norms of heads.
    pub(crate) attentions: Vec<Attention>,
    pub(crate) norms: NormShape,
    pub(crate) biases: Biases,
    /// Whether weights are stored by (inputs, outputs).
    pub(crate) transposed: bool,
    /// The vectors of distances that every block projects.
    pub(crate) distances: Option<Distances>,
}

/// The kind and position of all norms of a model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NormShape {
    pub(crate) kind: NormKind,
    pub(crate) epsilon: f64,
    pub(crate) position: NormPosition,
    /// Whether the first block's attention reads its state as it is.
    pub(crate) none_at_first: bool,
}

/// The position of a sublayer's norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NormPosition {
    /// norm(h + f(h)): post-norm (BERT).
    AfterResidual,
    /// h + f(norm(h)): pre-norm (ViT).
    BeforeTransform,
    /// h + norm(f(norm(h))) (Gemma 2).
    AroundTransform,
}

/// Which layers have a bias.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Biases {
    /// Whether query, key and value have one. If they are one layer, all of them have one or none has.
    pub(crate) projection: [bool; 3],
    pub(crate) attention_output: bool,
    pub(crate) mlp: bool,
}

impl Biases {
    pub(crate) const ALL: Self = Self {
        projection: [true; 3],
        attention_output: true,
        mlp: true,
    };
}

impl BlockShape {
    /// Blocks of the original transformer: heads of width / heads values, biases everywhere and layer norms.
    pub(crate) fn plain(
        (blocks, width, heads, intermediate): (usize, usize, usize, usize),
        activation: Activation,
        epsilon: f64,
        position: NormPosition,
    ) -> Self {
        Self {
            width,
            intermediate,
            activation,
            attentions: vec![Attention::plain(width, heads); blocks],
            norms: NormShape {
                kind: NormKind::Layer { bias: true },
                epsilon,
                position,
                none_at_first: false,
            },
            biases: Biases::ALL,
            transposed: false,
            distances: None,
        }
    }

    /// The number of blocks.
    pub(crate) fn blocks(&self) -> usize {
        self.attentions.len()
    }

    /// The number of heads of the queries.
    pub(crate) fn heads(&self) -> usize {
        let first = self.attentions.first();
        first.map_or(0, |attention| attention.heads)
    }
}

/// Reads the chain of sublayers: the attention and the MLP of every block.
pub(crate) fn take(
    checkpoint: &mut Checkpoint,
    names: &BlockNames,
    shape: &BlockShape,
) -> Result<Vec<Sublayer>, BackboneError> {
    let mut sublayers = Vec::with_capacity(2 * shape.blocks());
    for (block, attention) in shape.attentions.iter().enumerate() {
        let mut reader = BlockReader {
            checkpoint,
            names,
            shape,
            block,
        };
        sublayers.push(Sublayer {
            transform: reader.attention(attention)?,
            norms: reader.norms(0)?,
        });
        sublayers.push(Sublayer {
            transform: reader.mlp()?,
            norms: reader.norms(1)?,
        });
    }
    Ok(sublayers)
}

/// Reads the parts of one block.
struct BlockReader<'a> {
    checkpoint: &'a mut Checkpoint,
    names: &'a BlockNames,
    shape: &'a BlockShape,
    block: usize,
}

impl BlockReader<'_> {
    fn attention(&mut self, attention: &Attention) -> Result<Transform, BackboneError> {
        let (width, biases) = (self.shape.width, self.shape.biases.projection);
        let of_queries = attention.width();
        let of_keys = attention.key_heads * attention.head_width;
        let mut attention = attention.clone();
        let projection = match self.names.projection {
            ProjectionNames::Joined(name) => {
                self.linear(name, width, attention.projected_width(), biases[0])?
            }
            ProjectionNames::Separate([query, key, value]) => {
                let query = self.linear(query, width, of_queries, biases[0])?;
                let key = self.linear(key, width, of_keys, biases[1])?;
                let value = self.linear(value, width, of_keys, biases[2])?;
                if let Some(distances) = &self.shape.distances {
                    let keys = self.of_distances(distances.keys, &key)?;
                    let queries = self.of_distances(distances.queries, &query)?;
                    let relative =
                        distances.of_block(&attention, keys.as_ref(), queries.as_ref())?;
                    attention.relative = Some(relative);
                }
                Linear::stack(vec![query, key, value])
            }
        };
        if let Some([query, key]) = self.names.norms_of_heads {
            let head = attention.head_width;
            attention.norms = Some([self.norm(query, head)?, self.norm(key, head)?]);
        }
        let bias = self.shape.biases.attention_output;
        let output = self.output(self.names.attention_output, 0, (of_queries, bias))?;
        Ok(Transform::Attention {
            projection,
            attention,
            output,
        })
    }

    /// What projects the vectors of distances, where `shared` is the block's layer for tokens.
    fn of_distances(
        &mut self,
        layer: Option<DistanceLayer>,
        shared: &Linear,
    ) -> Result<Option<Linear>, BackboneError> {
        Ok(match layer {
            None => None,
            Some(DistanceLayer::Shared) => Some(shared.clone()),
            Some(DistanceLayer::Own(name)) => {
                Some(self.linear(name, shared.inputs, shared.outputs, true)?)
            }
        })
    }

    fn mlp(&mut self) -> Result<Transform, BackboneError> {
        let (width, hidden) = (self.shape.width, self.shape.intermediate);
        let (activation, bias) = (self.shape.activation, self.shape.biases.mlp);
        let (gate_and_up, down) = match self.names.mlp {
            MlpNames::Plain { up, down } => {
                return Ok(Transform::Mlp {
                    up: self.linear(up, width, hidden, bias)?,
                    activation,
                    down: self.output(down, 1, (hidden, bias))?,
                });
            }
            MlpNames::JoinedGate { gate_and_up, down } => {
                (self.linear(gate_and_up, width, 2 * hidden, bias)?, down)
            }
            MlpNames::Gated { gate, up, down } => {
                let gate = self.linear(gate, width, hidden, bias)?;
                let up = self.linear(up, width, hidden, bias)?;
                (Linear::stack(vec![gate, up]), down)
            }
        };
        Ok(Transform::GatedMlp {
            gate_and_up,
            activation,
            down: self.output(down, 1, (hidden, bias))?,
        })
    }

    /// The norms of the attention (0) or of the MLP (1).
    fn norms(&mut self, part: usize) -> Result<Norms, BackboneError> {
        let NormShape {
            position,
            none_at_first,
            ..
        } = self.shape.norms;
        if none_at_first && self.block == 0 && part == 0 {
            return Ok(Norms::Inside {
                before: None,
                after: None,
            });
        }
        let width = self.shape.width;
        let norm = self.norm(self.names.norms[part], width)?;
        let behind = self.names.norms_behind.map(|names| names[part]);
        Ok(match position {
            NormPosition::AfterResidual => Norms::AfterResidual(norm),
            NormPosition::BeforeTransform => Norms::Inside {
                before: Some(norm),
                after: None,
            },
            NormPosition::AroundTransform => Norms::Inside {
                before: Some(norm),
                after: behind.map(|name| self.norm(name, width)).transpose()?,
            },
        })
    }

    fn linear(
        &mut self,
        part: &str,
        inputs: usize,
        outputs: usize,
        bias: bool,
    ) -> Result<Linear, BackboneError> {
        let name = self.name(part);
        let take = match self.shape.transposed {
            true => take_transposed,
            false => take_linear,
        };
        take(self.checkpoint, &name, (inputs, outputs), bias)
    }

    /// The last layer of a sublayer. Factors of its outputs become part of it, so nothing else has to know about them.
    fn output(
        &mut self,
        name: &str,
        part: usize,
        (inputs, bias): (usize, bool),
    ) -> Result<Linear, BackboneError> {
        let width = self.shape.width;
        let layer = self.linear(name, inputs, width, bias)?;
        let Some(scales) = self.names.scales else {
            return Ok(layer);
        };
        let factors = self.checkpoint.take(&self.name(scales[part]), &[width])?;
        Ok(layer.scaled(&factors))
    }

    fn norm(&mut self, part: &str, width: usize) -> Result<Norm, BackboneError> {
        let name = self.name(part);
        let NormShape { kind, epsilon, .. } = self.shape.norms;
        take_norm(self.checkpoint, &name, width, kind, epsilon)
    }

    fn name(&self, part: &str) -> String {
        format!("{}.{}.{part}", self.names.blocks, self.block)
    }
}
