use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::blocks::BlockShape;
use crate::checkpoint::{Checkpoint, read_json};
use crate::image_embedding::ImageEmbedding;
use crate::pooling::{Pooler, SavedPooling};
use crate::token_embedding::TokenEmbedding;
use crate::{
    BackboneError, Inputs, InstructionSet, PackedSublayer, Pooling, Precision, Sublayer, TokenMask,
};
use crate::{bert, dinov2, distilbert, vit};

/// Reads the folder of one architecture.
type Loader = fn(&Source<'_>) -> Result<Backbone, BackboneError>;

/// The architectures that are implemented, by their `model_type`.
const SUPPORTED: &[(&str, Loader)] = &[
    ("bert", bert::load_bert),
    ("distilbert", distilbert::load),
    ("roberta", bert::load_roberta),
    ("xlm-roberta", bert::load_roberta),
    ("vit", vit::load_vit),
    ("deit", vit::load_deit),
    ("dinov2", dinov2::load),
];

/// Where a backbone comes from, and how it is to be read.
pub(crate) struct Source<'a> {
    pub(crate) model_type: &'static str,
    pub(crate) folder: &'a Path,
    /// The configuration in it.
    pub(crate) config: PathBuf,
    pub(crate) pooling: Option<Pooling>,
}

/// A frozen, pre-trained transformer.
#[derive(Debug)]
pub struct Backbone {
    description: BackboneDescription,
    embedding: Embedding,
    sublayers: Vec<Sublayer>,
    pooler: Pooler,
    set: InstructionSet,
    precision: Precision,
    packed: OnceLock<Vec<PackedSublayer>>,
}

/// What there is to know of a backbone beside its weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackboneDescription {
    /// The architecture, as `config.json` names it.
    pub model_type: &'static str,
    /// Transformer blocks L.
    pub blocks: usize,
    /// Hidden states N + 1 = 2L + 1.
    pub hidden_states: usize,
    /// Width d of a hidden state.
    pub width: usize,
    /// Attention heads of a block.
    pub heads: usize,
    /// Width of the MLP's hidden layer.
    pub intermediate: usize,
    /// How the last state becomes one vector per example.
    pub pooling: Pooling,
    /// Number of frozen weights read from the folder.
    pub parameters: usize,
    /// Hash of the weights: the same however they are sharded, prefixed or stored.
    pub weights_sha256: String,
    /// What the embedding reads.
    pub input: InputDescription,
}

impl BackboneDescription {
    /// After everything has been taken out of the checkpoint.
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

/// What the embedding of a backbone reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "modality", rename_all = "kebab-case")]
pub enum InputDescription {
    /// Token ids.
    Text {
        /// Ids are smaller than this.
        vocabulary: usize,
        /// The longest sequence, in tokens.
        positions: usize,
    },
    /// Square images.
    Image {
        /// Height and width, in pixels.
        image_size: usize,
        /// Height and width of a patch, in pixels.
        patch_size: usize,
        /// Colour channels.
        channels: usize,
        /// Tokens beside the patches: the class token, and of a DeiT the distillation token.
        extra_tokens: usize,
    },
}

impl InputDescription {
    /// Tokens of an example where all have the same number: patches and extra tokens of an image.
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
    /// `pooling` chooses how a text backbone is pooled; `None` follows the folder's `1_Pooling/config.json`
    /// (sentence-transformers) and is the mean where there is none. Image models are always read at their class token.
    ///
    /// # Errors
    /// If a file is missing, damaged or contradicts another one, or the architecture is not implemented; the
    /// message names the file.
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
            set: InstructionSet::detect(),
            precision: Precision::F32,
            packed: OnceLock::new(),
        }
    }

    /// The same backbone computed with these instructions; without this, with the best ones of this machine.
    #[must_use]
    pub fn with_instruction_set(mut self, set: InstructionSet) -> Self {
        self.set = set;
        self.packed = OnceLock::new();
        self
    }

    /// The same backbone for pictures of this height and width; without this, for those of the size in `config.json`.
    /// The position embeddings of the patches are interpolated, bicubically, from those of the checkpoint.
    ///
    /// # Errors
    /// If the size is no multiple of the patches', or the backbone reads text.
    pub fn with_image_size(mut self, image_size: usize) -> Result<Self, BackboneError> {
        match &mut self.embedding {
            Embedding::Tokens(_) => return Err(self.reads("text", "images")),
            Embedding::Images(embedding) => {
                embedding.set_image_size(image_size)?;
                self.description.input = embedding.description()?;
            }
        }
        Ok(self)
    }

    /// The same backbone with its products in this precision; without this, in f32.
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self.packed = OnceLock::new();
        self
    }

    /// The precision of the products in [`Self::packed`].
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// What [`Self::packed`] computes with.
    #[must_use]
    pub fn instruction_set(&self) -> InstructionSet {
        self.set
    }

    /// Shapes, sizes and the weights' hash.
    #[must_use]
    pub fn description(&self) -> &BackboneDescription {
        &self.description
    }

    /// The chain: sublayer n maps h_n to h_{n+1}.
    #[must_use]
    pub fn sublayers(&self) -> &[Sublayer] {
        &self.sublayers
    }

    /// The chain as the processor runs it; its weights are packed when it is first asked for.
    #[must_use]
    pub fn packed(&self) -> &[PackedSublayer] {
        self.packed.get_or_init(|| {
            let sublayers = self.sublayers.iter();
            sublayers
                .map(|sublayer| PackedSublayer::new(sublayer, self.set, self.precision))
                .collect()
        })
    }

    /// The rows of h_0, as [`PackedSublayer`] lays them out: the real tokens alone.
    ///
    /// # Errors
    /// As [`Self::embed`].
    pub fn embed_rows(&self, inputs: &Inputs) -> Result<Vec<f32>, BackboneError> {
        let rows = self.embed(inputs)?.flatten(0, 1)?;
        let Some(mask) = inputs.mask() else {
            return Ok(rows.flatten_all()?.to_vec1()?);
        };
        let rows = rows.to_vec2::<f32>()?;
        let real = rows
            .iter()
            .zip(mask.values())
            .filter(|(_, keep)| **keep != 0);
        Ok(real.flat_map(|(row, _)| row).copied().collect())
    }

    /// `features` (examples, width) from the rows of h_N; `saved` is what [`Self::pool_rows_backward`] needs.
    ///
    /// # Panics
    /// If the rows of the state are not those of the examples.
    pub fn pool_rows(
        &self,
        state: &[f32],
        examples: &[usize],
        features: &mut [f32],
        saved: &mut SavedPooling,
    ) {
        let pooler = &self.pooler;
        pooler.forward_rows(self.set, state, examples, features, saved);
    }

    /// `result` = dL/dh_N from the gradient towards the features.
    ///
    /// # Panics
    /// As [`Self::pool_rows`].
    pub fn pool_rows_backward(
        &self,
        gradient: &[f32],
        examples: &[usize],
        result: &mut [f32],
        saved: &mut SavedPooling,
    ) {
        let pooler = &self.pooler;
        pooler.backward_rows(self.set, gradient, examples, result, saved);
    }

    /// Hidden state h_0 of shape (batch, tokens, width).
    ///
    /// # Errors
    /// If the inputs are of the other modality or of another size, too long, or hold ids outside the vocabulary.
    pub fn embed(&self, inputs: &Inputs) -> Result<Tensor, BackboneError> {
        match (&self.embedding, inputs) {
            (Embedding::Tokens(embedding), Inputs::Text { ids, type_ids, .. }) => {
                embedding.forward(ids, type_ids)
            }
            (Embedding::Images(embedding), Inputs::Images { pixels }) => embedding.forward(pixels),
            (Embedding::Tokens(_), Inputs::Images { .. }) => Err(self.reads("text", "images")),
            (Embedding::Images(_), Inputs::Text { .. }) => Err(self.reads("images", "text")),
        }
    }

    fn reads(&self, expected: &str, found: &str) -> BackboneError {
        BackboneError::Inputs {
            model_type: self.description.model_type,
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }

    /// One vector per example, (batch, width), from the last hidden state; differentiable towards it.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn pool(&self, state: &Tensor, mask: Option<&TokenMask>) -> Result<Tensor, BackboneError> {
        Ok(self.pooler.forward(state, mask)?)
    }

    /// Floating-point operations of every sublayer's forward for one example of `tokens` tokens: two for each
    /// multiply-add of its matrix products.
    #[must_use]
    pub fn sublayer_flops(&self, tokens: usize) -> Vec<u64> {
        self.sublayers
            .iter()
            .map(|sublayer| sublayer.flops(tokens))
            .collect()
    }
}
