//! BERT, with post-norm blocks over token embeddings (Devlin et al., 2019), and RoBERTa, which numbers positions
//! differently and has one token type (Liu et al., 2019; XLM-R: Conneau et al., 2020). ELECTRA is BERT with narrower
//! tables and a linear layer behind them (Clark et al., 2020).

use serde::Deserialize;

use crate::blocks::{self, BlockNames, BlockShape, MlpNames, NormPosition, ProjectionNames};
use crate::checkpoint::{Checkpoint, read_json};
use crate::parts::Parts;
use crate::pooling_config::text_pooling;
use crate::source::Source;
use crate::sublayer::{activation, check_heads};
use crate::token_embedding::{Numbering, TableSizes, TokenEmbedding, TokenTypes};
use crate::{Backbone, BackboneError, Pooling};

const BLOCK_NAMES: BlockNames = BlockNames {
    blocks: "encoder.layer",
    projection: ProjectionNames::Separate([
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
    ]),
    attention_output: "attention.output.dense",
    mlp: MlpNames::Plain {
        up: "intermediate.dense",
        down: "output.dense",
    },
    norms: ["attention.output.LayerNorm", "output.LayerNorm"],
    norms_behind: None,
    norms_of_heads: None,
    scales: None,
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
    #[serde(default)]
    is_decoder: bool,
}

/// The part of the configuration that only ELECTRA has.
#[derive(Deserialize)]
struct TableConfig {
    #[serde(default = "table_width")]
    embedding_size: usize,
}

fn table_width() -> usize {
    128
}

/// The part of the configuration that only RoBERTa's embedding depends on.
#[derive(Deserialize)]
struct PaddingConfig {
    pad_token_id: Option<u32>,
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

/// The padding id of RoBERTa if the configuration does not name one.
const ROBERTA_PADDING: u32 = 1;

pub(crate) fn load_bert(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    let config: Config = read_json(&source.config)?;
    let types = TokenTypes::Read(config.type_vocab_size);
    load(
        source,
        &config,
        config.hidden_size,
        types,
        Numbering::FromZero,
    )
}

pub(crate) fn load_electra(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    let config: Config = read_json(&source.config)?;
    let TableConfig { embedding_size } = read_json(&source.config)?;
    let types = TokenTypes::Read(config.type_vocab_size);
    load(source, &config, embedding_size, types, Numbering::FromZero)
}

pub(crate) fn load_roberta(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    let config: Config = read_json(&source.config)?;
    let PaddingConfig { pad_token_id } = read_json(&source.config)?;
    let padding = pad_token_id.unwrap_or(ROBERTA_PADDING);
    if config.max_position_embeddings <= padding as usize + 1 {
        return Err(BackboneError::Setting {
            path: source.config.clone(),
            key: "max_position_embeddings",
            found: config.max_position_embeddings.to_string(),
            expected: format!("positions start after the pad_token_id `{padding}`"),
        });
    }
    let types = TokenTypes::First(config.type_vocab_size);
    let numbering = Numbering::BehindPadding(padding);
    load(source, &config, config.hidden_size, types, numbering)
}

fn load(
    source: &Source<'_>,
    config: &Config,
    table_width: usize,
    types: TokenTypes,
    numbering: Numbering,
) -> Result<Backbone, BackboneError> {
    let (width, heads) = (config.hidden_size, config.num_attention_heads);
    let activation = activation(&source.config, "hidden_act", &config.hidden_act)?;
    check_heads(
        &source.config,
        ("hidden_size", width),
        ("num_attention_heads", heads),
    )?;
    if config.is_decoder {
        return Err(BackboneError::Setting {
            path: source.config.clone(),
            key: "is_decoder",
            found: "true".to_owned(),
            expected: "only `false` is supported: every token attends to all others".to_owned(),
        });
    }
    if config.position_embedding_type != "absolute" {
        return Err(BackboneError::Setting {
            path: source.config.clone(),
            key: "position_embedding_type",
            found: config.position_embedding_type.clone(),
            expected: "only `absolute` is supported".to_owned(),
        });
    }
    let pooling = text_pooling(source, Pooling::Mean)?;

    let mut checkpoint = Checkpoint::open(source.folder, "embeddings.word_embeddings.weight")?;
    let sizes = TableSizes {
        vocabulary: config.vocab_size,
        positions: config.max_position_embeddings,
        types,
        width: table_width,
    };
    let epsilon = config.layer_norm_eps;
    let mut embedding = TokenEmbedding::take(
        &mut checkpoint,
        source.model_type,
        &sizes,
        numbering,
        epsilon,
    )?;
    if table_width != width {
        embedding = embedding.projected(&mut checkpoint, "embeddings_project", width)?;
    }
    let shape = BlockShape::plain(
        (
            config.num_hidden_layers,
            width,
            heads,
            config.intermediate_size,
        ),
        activation,
        epsilon,
        NormPosition::AfterResidual,
    );
    let sublayers = blocks::take(&mut checkpoint, &BLOCK_NAMES, &shape)?;

    let parts = Parts {
        model_type: source.model_type,
        checkpoint: &checkpoint,
        shape: &shape,
        sublayers,
        pooling,
        last_norm: None,
    };
    Ok(parts.with_tokens(embedding))
}
