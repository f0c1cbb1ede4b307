use adaplace_arithmetic::Norm;

use crate::backbone::Embedding;
use crate::blocks::BlockShape;
use crate::checkpoint::Checkpoint;
use crate::image_embedding::ImageEmbedding;
use crate::pooling::Pooler;
use crate::sublayer::Sublayer;
use crate::token_embedding::TokenEmbedding;
use crate::{Backbone, BackboneDescription, InputDescription, Pooling};

/// The parts of a backbone apart from its embedding, once everything has been taken out of the checkpoint.
pub(crate) struct Parts<'a> {
    pub(crate) model_type: &'static str,
    pub(crate) checkpoint: &'a Checkpoint,
    pub(crate) shape: &'a BlockShape,
    pub(crate) sublayers: Vec<Sublayer>,
    pub(crate) pooling: Pooling,
    /// The norm behind the last block, if the architecture has one.
    pub(crate) last_norm: Option<Norm>,
}

impl Parts<'_> {
    /// The backbone that reads texts by this embedding.
    pub(crate) fn with_tokens(self, embedding: TokenEmbedding) -> Backbone {
        let input = InputDescription::Text {
            vocabulary: embedding.vocabulary(),
            positions: embedding.longest(),
        };
        self.assembled(Embedding::Tokens(embedding), input)
    }

    /// The backbone that reads pictures by this embedding.
    pub(crate) fn with_images(self, embedding: ImageEmbedding) -> Backbone {
        let input = embedding.description();
        self.assembled(Embedding::Images(embedding), input)
    }

    fn assembled(self, embedding: Embedding, input: InputDescription) -> Backbone {
        let Self {
            model_type,
            checkpoint,
            shape,
            sublayers,
            pooling,
            last_norm,
        } = self;
        let description = BackboneDescription::new(model_type, shape, pooling, checkpoint, input);
        let pooler = Pooler { pooling, last_norm };
        Backbone::new(description, embedding, sublayers, pooler)
    }
}
