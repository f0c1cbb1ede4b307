//! The frozen head of a language model: logits over its vocabulary from the normed last state.

use std::path::PathBuf;

use adaplace_arithmetic::{Linear, Stored};
use serde::Deserialize;

use crate::BackboneError;
use crate::checkpoint::{Checkpoint, read_json};
use crate::source::Source;
use crate::token_embedding::TokenEmbedding;

/// The name of a head with weights of its own.
const WEIGHT: &str = "lm_head.weight";

/// Where the head's weights are. They are read when they are first needed.
#[derive(Debug, Clone)]
pub(crate) enum VocabularyHead {
    /// The head multiplies by the embeddings of the words.
    Tied,
    /// The head has weights of its own in this folder.
    Own(PathBuf),
    /// There is none that can be computed, for this reason.
    Missing(String),
}

#[derive(Deserialize)]
struct Config {
    tie_word_embeddings: Option<bool>,
    final_logit_softcapping: Option<f64>,
}

impl VocabularyHead {
    /// The head of a decoder, which is tied to the embeddings by default or not.
    pub(crate) fn of(source: &Source<'_>, tied: bool) -> Result<Self, BackboneError> {
        let config: Config = read_json(&source.config)?;
        Ok(match config {
            Config {
                final_logit_softcapping: Some(_),
                ..
            } => Self::Missing(
                "its logits are capped (`final_logit_softcapping`), which is not implemented"
                    .to_owned(),
            ),
            Config {
                tie_word_embeddings,
                ..
            } => match tie_word_embeddings.unwrap_or(tied) {
                true => Self::Tied,
                false => Self::Own(source.folder.to_owned()),
            },
        })
    }

    /// Checks that there is one, from the headers of the weight files alone.
    pub(crate) fn check(&self, model_type: &'static str) -> Result<(), BackboneError> {
        let reason = match self {
            Self::Tied => return Ok(()),
            Self::Own(folder) => match Checkpoint::list(folder)?.shape(WEIGHT) {
                Some(_) => return Ok(()),
                None => no_weight(),
            },
            Self::Missing(reason) => reason.clone(),
        };
        Err(BackboneError::NoVocabularyHead { model_type, reason })
    }

    /// The head as a layer without bias, (vocabulary, width).
    pub(crate) fn layer(
        &self,
        model_type: &'static str,
        embedding: Option<&TokenEmbedding>,
        width: usize,
    ) -> Result<Linear, BackboneError> {
        self.check(model_type)?;
        let missing = |reason: String| BackboneError::NoVocabularyHead { model_type, reason };
        let embedding = embedding.ok_or_else(|| missing("it reads images".to_owned()))?;
        let vocabulary = embedding.vocabulary();
        let weight = match self {
            Self::Missing(reason) => return Err(missing(reason.clone())),
            Self::Tied => Stored::Loaded(embedding.words().clone()),
            Self::Own(folder) => {
                Checkpoint::list(folder)?.take_unread(WEIGHT, &[vocabulary, width])?
            }
        };
        Ok(Linear {
            weight,
            bias: vec![0.0; vocabulary],
            inputs: width,
            outputs: vocabulary,
        })
    }
}

fn no_weight() -> String {
    format!(
        "its weights have no tensor `{WEIGHT}`; choose a folder with the head of a language model"
    )
}
