//! GPT-2: pre-norm blocks with learned positions, in which a token attends to those before it (Radford et al., 2019).

use adaplace_arithmetic::{Attention, Span};
use serde::Deserialize;

use crate::blocks::{self, BlockNames, BlockShape, MlpNames, NormPosition, ProjectionNames};
use crate::checkpoint::{Checkpoint, read_json};
use crate::layers::take_layer_norm;
use crate::parts::Parts;
use crate::pooling_config::text_pooling;
use crate::source::Source;
use crate::sublayer::{activation, check_heads};
use crate::token_embedding::{TokenEmbedding, TokenWeights};
use crate::vocabulary_head::VocabularyHead;
use crate::{Backbone, BackboneError, Pooling};

const BLOCK_NAMES: BlockNames = BlockNames {
    blocks: "h",
    projection: ProjectionNames::Joined("attn.c_attn"),
    attention_output: "attn.c_proj",
    mlp: MlpNames::Plain {
        up: "mlp.c_fc",
        down: "mlp.c_proj",
    },
    norms: ["ln_1", "ln_2"],
    norms_behind: None,
    norms_of_heads: None,
    scales: None,
};

#[derive(Deserialize)]
struct Config {
    vocab_size: usize,
    n_positions: usize,
    n_embd: usize,
    n_layer: usize,
    n_head: usize,
    n_inner: Option<usize>,
    #[serde(default = "gelu_new")]
    activation_function: String,
    #[serde(default = "epsilon")]
    layer_norm_epsilon: f64,
    #[serde(default = "yes")]
    scale_attn_weights: bool,
    #[serde(default)]
    scale_attn_by_inverse_layer_idx: bool,
    #[serde(default)]
    add_cross_attention: bool,
}

fn gelu_new() -> String {
    "gelu_new".to_owned()
}
fn epsilon() -> f64 {
    1e-5
}
fn yes() -> bool {
    true
}

pub(crate) fn load(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    let config: Config = read_json(&source.config)?;
    let path = &source.config;
    let (width, heads) = (config.n_embd, config.n_head);
    check_heads(path, ("n_embd", width), ("n_head", heads))?;
    if config.add_cross_attention {
        return Err(BackboneError::Setting {
            path: path.clone(),
            key: "add_cross_attention",
            found: "true".to_owned(),
            expected: "only `false` is supported".to_owned(),
        });
    }
    let pooling = text_pooling(source, Pooling::Last)?;
    let activation = activation(path, "activation_function", &config.activation_function)?;
    let (blocks, epsilon) = (config.n_layer, config.layer_norm_epsilon);
    let intermediate = config.n_inner.unwrap_or(4 * width);
    let plain = BlockShape::plain(
        (blocks, width, heads, intermediate),
        activation,
        epsilon,
        NormPosition::BeforeTransform,
    );
    let attention = |(block, plain): (usize, Attention)| {
        let mut scale = if config.scale_attn_weights {
            plain.scale
        } else {
            1.0
        };
        if config.scale_attn_by_inverse_layer_idx {
            scale /= (block + 1) as f32;
        }
        Attention {
            scale,
            span: Span::CAUSAL,
            ..plain
        }
    };
    let attentions = plain.attentions.into_iter().enumerate();
    let shape = BlockShape {
        attentions: attentions.map(attention).collect(),
        // Its layers are stored as convolutions.
        transposed: true,
        ..plain
    };
    let mut checkpoint = Checkpoint::open(source.folder, "wte.weight")?;
    let (vocabulary, positions) = (config.vocab_size, config.n_positions);
    let weights = TokenWeights {
        positions: Some(checkpoint.take("wpe.weight", &[positions, width])?),
        ..TokenWeights::words(
            checkpoint.take_as_stored("wte.weight", &[vocabulary, width])?,
            width,
        )
    };
    let embedding = TokenEmbedding::new(source.model_type, weights, positions);
    let sublayers = blocks::take(&mut checkpoint, &BLOCK_NAMES, &shape)?;
    let last_norm = take_layer_norm(&mut checkpoint, "ln_f", width, epsilon)?;

    let parts = Parts {
        model_type: source.model_type,
        checkpoint: &checkpoint,
        shape: &shape,
        sublayers,
        pooling,
        last_norm: Some(last_norm),
    };
    let head = VocabularyHead::of(source, true)?;
    Ok(parts.with_tokens(embedding).with_vocabulary_head(head))
}
