use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use adaplace_arithmetic::{Arithmetic, Cpu, InstructionSet, Precision};
use serde::{Deserialize, Serialize};

use crate::blocks::BlockShape;
use crate::checkpoint::{Checkpoint, read_json};
use crate::image_embedding::ImageEmbedding;
use crate::pooling::Pooler;
use crate::sublayer::Sublayer;
use crate::token_embedding::TokenEmbedding;
use crate::{BackboneError, Chain, Inputs, Pooling};
use crate::{bert, dinov2, distilbert, vit};

/// A function that reads the folder of one architecture.
type Loader = fn(&Source<'_>) -> Result<Backbone, BackboneError>;

/// The implemented architectures by their `model_type`.
const SUPPORTED: &[(&str, Loader)] = &[
    ("bert", bert::load_bert),
    ("distilbert", distilbert::load),
    ("roberta", bert::load_roberta),
    ("xlm-roberta", bert::load_roberta),
    ("vit", vit::load_vit),
    ("deit", vit::load_deit),
    ("dinov2", dinov2::load),
];

/// The origin of a backbone, and how to read it.
pub(crate) struct Source<'a> {
    pub(crate) model_type: &'static str,
    pub(crate) folder: &'a Path,
    /// The configuration file in the folder.
    pub(crate) config: PathBuf,
    pub(crate) pooling: Option<Pooling>,
}

/// A frozen, pre-trained transformer, and the arithmetic that computes it.
#[derive(Debug)]
pub struct Backbone<A: Arithmetic = Cpu> {
    description: BackboneDescription,
    embedding: Embedding,
    sublayers: Vec<Sublayer>,
    pooler: Pooler,
    arithmetic: A,
    chain: OnceLock<Chain<A>>,
}

/// The properties of a backbone apart from its weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackboneDescription {
    /// The architecture, as named in `config.json`.
    pub model_type: &'static str,
    /// The number L of transformer blocks.
    pub blocks: usize,
    /// The number of hidden states, N + 1 = 2L + 1.
    pub hidden_states: usize,
    /// The width d of a hidden state.
    pub width: usize,
    /// The number of attention heads of a block.
    pub heads: usize,
    /// The width of the MLP's hidden layer.
    pub intermediate: usize,
    /// The pooling that turns the last state into one vector per example.
    pub pooling: Pooling,
    /// The number of frozen weights read from the folder.
    pub parameters: usize,
    /// The hash of the weights, which does not depend on how they are sharded, prefixed or stored.
    pub weights_sha256: String,
    /// The inputs that the embedding reads.
    pub input: InputDescription,
}

impl BackboneDescription {
    /// The description of a backbone, once everything has been taken out of the checkpoint.
    pub(crate) fn new(
        model_type: &'static str,
        shape: &BlockShape,
        pooling: Pooling,
        checkpoint: &Checkpoint,
        input: InputDescription,
    ) -> Self {
        Self {
            model_type,
            blocks: shape.blocks,
            hidden_states: 2 * shape.blocks + 1,
            width: shape.width,
            heads: shape.heads,
            intermediate: shape.intermediate,
            pooling,
            parameters: checkpoint.parameters(),
            weights_sha256: checkpoint.weights_sha256(),
            input,
        }
    }
}

/// The inputs that a backbone's embedding reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "modality", rename_all = "kebab-case")]
pub enum InputDescription {
    /// The backbone reads token ids.
    Text {
        /// The size of the vocabulary. All ids are smaller than this.
        vocabulary: usize,
        /// The length of the longest sequence, in tokens.
        positions: usize,
    },
    /// The backbone reads square images.
    Image {
        /// The height and width of an image, in pixels.
        image_size: usize,
        /// The height and width of a patch, in pixels.
        patch_size: usize,
        /// The number of colour channels.
        channels: usize,
        /// The number of tokens in addition to the patches: the class token, and for a DeiT the distillation token.
        extra_tokens: usize,
    },
}

impl InputDescription {
    /// The number of tokens of an example if it is the same for all: the patches and extra tokens of an image.
    #[must_use]
    pub fn fixed_tokens(&self) -> Option<usize> {
        match self {
            Self::Text { .. } => None,
            Self::Image {
                image_size,
                patch_size,
                extra_tokens,
                ..
            } => Some((image_size / patch_size).pow(2) + extra_tokens),
        }
    }
}

#[derive(Debug)]
pub(crate) enum Embedding {
    Tokens(TokenEmbedding),
    Images(ImageEmbedding),
}

#[derive(Deserialize)]
struct ModelType {
    model_type: String,
}

impl Backbone {
    /// Reads a Hugging Face model folder (`config.json` and safetensors weights, sharded or not).
    ///
    /// `pooling` selects the pooling of a text backbone. `None` follows the folder's `1_Pooling/config.json`
    /// (sentence-transformers) and takes the mean if there is no such file. Image models are always read at their class
    /// token.
    ///
    /// # Errors
    /// If a file is missing, damaged or contradicts another one, or if the architecture is not implemented. The message
    /// names the file.
    pub fn load(folder: &Path, pooling: Option<Pooling>) -> Result<Self, BackboneError> {
        if !folder.is_dir() {
            return Err(BackboneError::NoFolder {
                path: folder.to_owned(),
            });
        }
        let path = folder.join("config.json");
        let ModelType { model_type } = read_json(&path)?;
        let Some(&(model_type, load)) = SUPPORTED.iter().find(|(name, _)| *name == model_type)
        else {
            return Err(BackboneError::UnknownModelType {
                path,
                found: model_type,
                supported: SUPPORTED.iter().map(|&(name, _)| name).collect(),
            });
        };
        load(&Source {
            model_type,
            folder,
            config: path,
            pooling,
        })
    }

    pub(crate) fn new(
        description: BackboneDescription,
        embedding: Embedding,
        sublayers: Vec<Sublayer>,
        pooler: Pooler,
    ) -> Self {
        Self {
            description,
            embedding,
            sublayers,
            pooler,
            arithmetic: Cpu::default(),
            chain: OnceLock::new(),
        }
    }

    /// This backbone computed with the given instructions instead of the best ones of this machine.
    #[must_use]
    pub fn with_instruction_set(self, instruction_set: InstructionSet) -> Self {
        let cpu = self.arithmetic;
        self.on(Cpu {
            instruction_set,
            ..cpu
        })
    }

    /// This backbone with its products in the given precision instead of f32.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        let cpu = self.arithmetic;
        self.on(Cpu { precision, ..cpu })
    }
}

impl<A: Arithmetic> Backbone<A> {
    /// This backbone, computed by another arithmetic.
    #[must_use]
    pub fn on<B: Arithmetic>(self, arithmetic: B) -> Backbone<B> {
        Backbone {
            description: self.description,
            embedding: self.embedding,
            sublayers: self.sublayers,
            pooler: self.pooler,
            arithmetic,
            chain: OnceLock::new(),
        }
    }

    /// This backbone for pictures of the given height and width instead of the size in `config.json`. The position
    /// embeddings of the patches are interpolated bicubically from those of the checkpoint.
    ///
    /// # Errors
    /// If the size is not a multiple of the patch size, or if the backbone reads text.
    pub fn with_image_size(mut self, image_size: usize) -> Result<Self, BackboneError> {
        match &mut self.embedding {
            Embedding::Tokens(_) => return Err(self.reads("text", "images")),
            Embedding::Images(embedding) => {
                embedding.set_image_size(image_size)?;
                self.description.input = embedding.description();
            }
        }
        Ok(self)
    }

    /// What computes this backbone.
    #[must_use]
    pub fn arithmetic(&self) -> &A {
        &self.arithmetic
    }

    /// The shapes and sizes of this backbone, and the hash of its weights.
    #[must_use]
    pub fn description(&self) -> &BackboneDescription {
        &self.description
    }

    /// The number of sublayers N.
    #[must_use]
    pub fn sublayers(&self) -> usize {
        self.sublayers.len()
    }

    /// The chain as the arithmetic computes it. Its weights are prepared at the first call.
    ///
    /// # Errors
    /// If the arithmetic has no room for the weights. The processor always has.
    pub fn chain(&self) -> Result<&Chain<A>, BackboneError> {
        if let Some(chain) = self.chain.get() {
            return Ok(chain);
        }
        let width = self.description.width;
        let chain = Chain::new(&self.arithmetic, &self.sublayers, &self.pooler, width)?;
        Ok(self.chain.get_or_init(|| chain))
    }

    /// The hidden state h_0, (rows, width) in row-major order: the tokens of one example after those of the other.
    ///
    /// # Errors
    /// If the inputs are of the other modality or of another size, are too long, or contain ids outside the vocabulary.
    pub fn embed(&self, inputs: &Inputs) -> Result<Vec<f32>, BackboneError> {
        match (&self.embedding, inputs) {
            (
                Embedding::Tokens(embedding),
                Inputs::Text {
                    ids,
                    type_ids,
                    lengths,
                },
            ) => embedding.forward(ids, type_ids, lengths),
            (Embedding::Images(embedding), Inputs::Images { shape, pixels }) => {
                embedding.forward(*shape, pixels)
            }
            (Embedding::Tokens(_), Inputs::Images { .. }) => Err(self.reads("text", "images")),
            (Embedding::Images(_), Inputs::Text { .. }) => Err(self.reads("images", "text")),
        }
    }

    /// The offsets of the examples' rows in a state, followed by the number of rows.
    #[must_use]
    pub fn offsets(&self, inputs: &Inputs) -> Vec<usize> {
        let fixed = self.description.input.fixed_tokens();
        let lengths = match inputs {
            Inputs::Text { lengths, .. } => lengths.clone(),
            Inputs::Images { shape, .. } => vec![fixed.unwrap_or_default(); shape[0]],
        };
        let mut offsets = vec![0];
        for length in lengths {
            offsets.push(offsets[offsets.len() - 1] + length);
        }
        offsets
    }

    fn reads(&self, expected: &str, found: &str) -> BackboneError {
        BackboneError::Inputs {
            model_type: self.description.model_type,
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }

    /// The floating-point operations of the forward pass of each sublayer for one example of `tokens` tokens. A
    /// multiply-add of a matrix product counts as two.
    #[must_use]
    pub fn sublayer_flops(&self, tokens: usize) -> Vec<u64> {
        let sublayers = self.sublayers.iter();
        sublayers.map(|sublayer| sublayer.flops(tokens)).collect()
    }
}
