//! BERT: post-norm blocks over token embeddings (Devlin et al., 2019).

use std::path::Path;

use candle_core::Tensor;
use serde::Deserialize;

use crate::blocks::{self, BlockNames, BlockShape};
use crate::chain::Embedding as AnyEmbedding;
use crate::checkpoint::{Checkpoint, read_json};
use crate::layers::{LayerNorm, tensor};
use crate::pooling::Pooler;
use crate::sublayer::NormPosition;
use crate::{Backbone, BackboneDescription, BackboneError, InputDescription, Pooling};

pub(crate) const MODEL_TYPE: &str = "bert";

const BLOCK_NAMES: BlockNames = BlockNames {
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    mlp_up: "intermediate.dense",
    mlp_down: "output.dense",
    mlp_norm: "output.LayerNorm",
};

#[derive(Deserialize)]
struct Config {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "two")]
    type_vocab_size: usize,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "layer_norm_eps")]
    layer_norm_eps: f64,
    #[serde(default = "absolute")]
    position_embedding_type: String,
}

fn two() -> usize {
    2
}
fn gelu() -> String {
    "gelu".to_owned()
}
fn layer_norm_eps() -> f64 {
    1e-12
}
fn absolute() -> String {
    "absolute".to_owned()
}

/// sentence-transformers writes the pooling that a model was trained with beside it.
#[derive(Deserialize)]
struct PoolingConfig {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
}

#[derive(Debug)]
pub(crate) struct Embedding {
    words: Tensor,
    positions: Tensor,
    types: Tensor,
    norm: LayerNorm,
}

impl Embedding {
    /// (rows, tokens) ids -> (rows, tokens, width)
    pub(crate) fn forward(&self, ids: &Tensor, type_ids: &Tensor) -> Result<Tensor, BackboneError> {
        let (rows, tokens) = ids.dims2()?;
        let longest = self.positions.dim(0)?;
        if !(1..=longest).contains(&tokens) {
            return Err(BackboneError::Inputs {
                model_type: MODEL_TYPE,
                expected: format!("texts of 1 to {longest} tokens"),
                found: format!("of {tokens}"),
            });
        }
        check_ids("token ids", ids, &self.words)?;
        check_ids("token type ids", type_ids, &self.types)?;
        let width = self.words.dim(1)?;
        let look_up = |table: &Tensor, ids: &Tensor| {
            table
                .index_select(&ids.flatten_all()?, 0)?
                .reshape((rows, tokens, width))
        };
        let words = look_up(&self.words, ids)?;
        let types = look_up(&self.types, type_ids)?;
        let positions = self.positions.narrow(0, 0, tokens)?;
        Ok(self
            .norm
            .forward(&(words + types)?.broadcast_add(&positions)?)?)
    }
}

/// All of `ids` must be rows of `table`.
fn check_ids(what: &str, ids: &Tensor, table: &Tensor) -> Result<(), BackboneError> {
    let ids = ids.flatten_all()?.to_vec1::<u32>()?;
    let rows = table.dim(0)?;
    match ids.into_iter().find(|&id| id as usize >= rows) {
        None => Ok(()),
        Some(id) => Err(BackboneError::Inputs {
            model_type: MODEL_TYPE,
            expected: format!("{what} below {rows}"),
            found: format!("{id}; use the tokenizer that came with it"),
        }),
    }
}

pub(crate) fn load(
    folder: &Path,
    config_path: &Path,
    pooling: Option<Pooling>,
) -> Result<Backbone, BackboneError> {
    let config: Config = read_json(config_path)?;
    crate::sublayer::check_activation(config_path, &config.hidden_act)?;
    crate::sublayer::check_heads(config_path, config.hidden_size, config.num_attention_heads)?;
    if config.position_embedding_type != "absolute" {
        return Err(BackboneError::Setting {
            path: config_path.to_owned(),
            key: "position_embedding_type",
            found: config.position_embedding_type,
            expected: "only `absolute` is supported".to_owned(),
        });
    }
    let pooling = match pooling {
        Some(pooling) => pooling,
        None => folder_pooling(folder)?,
    };

    let (width, epsilon) = (config.hidden_size, config.layer_norm_eps);
    let mut checkpoint = Checkpoint::open(folder, "embeddings.word_embeddings.weight")?;
    let mut table = |name: &str, rows: usize| -> Result<Tensor, BackboneError> {
        let values = checkpoint.take(&format!("embeddings.{name}.weight"), &[rows, width])?;
        Ok(tensor(values, &[rows, width])?)
    };
    let words = table("word_embeddings", config.vocab_size)?;
    let positions = table("position_embeddings", config.max_position_embeddings)?;
    let types = table("token_type_embeddings", config.type_vocab_size)?;
    let norm = LayerNorm::take(&mut checkpoint, "embeddings.LayerNorm", width, epsilon)?;

    let shape = BlockShape {
        blocks: config.num_hidden_layers,
        width,
        heads: config.num_attention_heads,
        intermediate: config.intermediate_size,
        epsilon,
        norm_position: NormPosition::AfterResidual,
    };
    let sublayers = blocks::take(&mut checkpoint, &BLOCK_NAMES, &shape)?;

    let description = BackboneDescription {
        model_type: MODEL_TYPE,
        blocks: config.num_hidden_layers,
        hidden_states: sublayers.len() + 1,
        width,
        heads: config.num_attention_heads,
        intermediate: config.intermediate_size,
        pooling,
        parameters: checkpoint.parameters(),
        weights_sha256: checkpoint.weights_sha256(),
        input: InputDescription::Text {
            vocabulary: config.vocab_size,
            positions: config.max_position_embeddings,
        },
    };
    let embedding = AnyEmbedding::Bert(Embedding {
        words,
        positions,
        types,
        norm,
    });
    let pooler = Pooler {
        pooling,
        last_norm: None,
    };
    Ok(Backbone::new(description, embedding, sublayers, pooler))
}

fn folder_pooling(folder: &Path) -> Result<Pooling, BackboneError> {
    let path = folder.join("1_Pooling").join("config.json");
    if !path.is_file() {
        return Ok(Pooling::Mean);
    }
    let config: PoolingConfig = read_json(&path)?;
    match (
        config.pooling_mode_mean_tokens,
        config.pooling_mode_cls_token,
    ) {
        (true, false) => Ok(Pooling::Mean),
        (false, true) => Ok(Pooling::Cls),
        (mean, cls) => Err(BackboneError::Setting {
            path,
            key: "pooling_mode_mean_tokens",
            found: format!("{mean}, with pooling_mode_cls_token = {cls}"),
            expected: "exactly one of the two is supported; choose with `--pooling`".to_owned(),
        }),
    }
}
