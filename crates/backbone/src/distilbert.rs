//! DistilBERT: BERT's blocks under other names, without token types (Sanh et al., 2019).

use serde::Deserialize;

use crate::blocks::{self, BlockNames, BlockShape, MlpNames, NormPosition, ProjectionNames};
use crate::checkpoint::{Checkpoint, read_json};
use crate::parts::Parts;
use crate::pooling_config::text_pooling;
use crate::source::Source;
use crate::sublayer::{activation, check_heads};
use crate::token_embedding::{Numbering, TableSizes, TokenEmbedding, TokenTypes};
use crate::{Backbone, BackboneError, Pooling};

/// The epsilon of every layer norm, which is not in the configuration.
const EPSILON: f64 = 1e-12;

const BLOCK_NAMES: BlockNames = BlockNames {
    blocks: "transformer.layer",
    projection: ProjectionNames::Separate([
        "attention.q_lin",
        "attention.k_lin",
        "attention.v_lin",
    ]),
    attention_output: "attention.out_lin",
    mlp: MlpNames::Plain {
        up: "ffn.lin1",
        down: "ffn.lin2",
    },
    norms: ["sa_layer_norm", "output_layer_norm"],
    norms_behind: None,
    norms_of_heads: None,
    scales: None,
};

#[derive(Deserialize)]
struct Config {
    vocab_size: usize,
    dim: usize,
    n_layers: usize,
    n_heads: usize,
    hidden_dim: usize,
    max_position_embeddings: usize,
    #[serde(default = "gelu")]
    activation: String,
}

fn gelu() -> String {
    "gelu".to_owned()
}

pub(crate) fn load(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    let config: Config = read_json(&source.config)?;
    let activation = activation(&source.config, "activation", &config.activation)?;
    check_heads(
        &source.config,
        ("dim", config.dim),
        ("n_heads", config.n_heads),
    )?;
    let pooling = text_pooling(source, Pooling::Mean)?;

    let mut checkpoint = Checkpoint::open(source.folder, "embeddings.word_embeddings.weight")?;
    let sizes = TableSizes {
        vocabulary: config.vocab_size,
        positions: config.max_position_embeddings,
        types: TokenTypes::None,
        width: config.dim,
    };
    let embedding = TokenEmbedding::take(
        &mut checkpoint,
        source.model_type,
        &sizes,
        Numbering::FromZero,
        EPSILON,
    )?;
    let shape = BlockShape::plain(
        (
            config.n_layers,
            config.dim,
            config.n_heads,
            config.hidden_dim,
        ),
        activation,
        EPSILON,
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
