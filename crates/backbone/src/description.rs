use serde::Serialize;

use crate::Pooling;
use crate::blocks::BlockShape;
use crate::checkpoint::Checkpoint;

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
            blocks: shape.blocks(),
            hidden_states: 2 * shape.blocks() + 1,
            width: shape.width,
            heads: shape.heads(),
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
        /// The number of tokens in addition to the patches: the class token, a DeiT's distillation token and registers.
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
