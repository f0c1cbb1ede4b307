//! MPNet: the blocks of BERT, with positions as in RoBERTa and a bias of the scores by distance (Song et al., 2020).

use std::sync::Arc;

use adaplace_arithmetic::{RelativePositions, RelativeTerms};
use serde::Deserialize;

use crate::blocks::{self, BlockNames, BlockShape, MlpNames, NormPosition, ProjectionNames};
use crate::checkpoint::{Checkpoint, read_json};
use crate::distances::t5_bucket;
use crate::parts::Parts;
use crate::pooling_config::text_pooling;
use crate::source::Source;
use crate::sublayer::{activation, check_heads};
use crate::token_embedding::{Numbering, TableSizes, TokenEmbedding, TokenTypes};
use crate::{Backbone, BackboneError, Pooling};

const BLOCK_NAMES: BlockNames = BlockNames {
    blocks: "encoder.layer",
    projection: ProjectionNames::Separate([
        "attention.attn.q",
        "attention.attn.k",
        "attention.attn.v",
    ]),
    attention_output: "attention.attn.o",
    mlp: MlpNames::Plain {
        up: "intermediate.dense",
        down: "output.dense",
    },
    norms: ["attention.LayerNorm", "output.LayerNorm"],
    norms_behind: None,
    norms_of_heads: None,
    scales: None,
};

/// The padding id behind which positions are numbered. It is not in the configuration.
const PADDING: u32 = 1;

/// The number of buckets.
const BUCKETS: usize = 32;

#[derive(Deserialize)]
struct Config {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "epsilon")]
    layer_norm_eps: f64,
    #[serde(default = "buckets")]
    relative_attention_num_buckets: usize,
}

fn gelu() -> String {
    "gelu".to_owned()
}
fn epsilon() -> f64 {
    1e-12
}
fn buckets() -> usize {
    BUCKETS
}

pub(crate) fn load(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    let config: Config = read_json(&source.config)?;
    let path = &source.config;
    let (width, heads) = (config.hidden_size, config.num_attention_heads);
    check_heads(path, ("hidden_size", width), ("num_attention_heads", heads))?;
    if config.relative_attention_num_buckets != BUCKETS {
        return Err(BackboneError::Setting {
            path: path.clone(),
            key: "relative_attention_num_buckets",
            found: config.relative_attention_num_buckets.to_string(),
            expected: format!("only `{BUCKETS}` is supported"),
        });
    }
    let pooling = text_pooling(source, Pooling::Mean)?;
    let mut checkpoint = Checkpoint::open(source.folder, "embeddings.word_embeddings.weight")?;
    let sizes = TableSizes {
        vocabulary: config.vocab_size,
        positions: config.max_position_embeddings,
        types: TokenTypes::None,
        width,
    };
    let embedding = TokenEmbedding::take(
        &mut checkpoint,
        source.model_type,
        &sizes,
        Numbering::BehindPadding(PADDING),
        config.layer_norm_eps,
    )?;
    let stored = checkpoint.take("encoder.relative_attention_bias.weight", &[BUCKETS, heads])?;
    let by_head = |head: usize| stored.iter().skip(head).step_by(heads).copied();
    let bias = RelativeTerms::Bias((0..heads).flat_map(by_head).collect());
    let positions = RelativePositions::new(bias, embedding.longest(), t5_bucket);
    let mut shape = BlockShape::plain(
        (
            config.num_hidden_layers,
            width,
            heads,
            config.intermediate_size,
        ),
        activation(path, "hidden_act", &config.hidden_act)?,
        config.layer_norm_eps,
        NormPosition::AfterResidual,
    );
    let positions = Arc::new(positions);
    for attention in &mut shape.attentions {
        attention.relative = Some(Arc::clone(&positions));
    }
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
