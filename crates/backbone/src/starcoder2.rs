//! StarCoder 2: a decoder with rotary positions and grouped queries like Llama, layer norms and a plain MLP like GPT-2 (Lozhkov
//! et al., 2024).

use std::sync::Arc;

use adaplace_arithmetic::{Attention, Span};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::blocks::{
    self, Biases, BlockNames, BlockShape, MlpNames, NormPosition, ProjectionNames,
};
use crate::checkpoint::{Checkpoint, read_json};
use crate::layers::take_layer_norm;
use crate::parts::Parts;
use crate::pooling_config::text_pooling;
use crate::rotary::{Base, LayerType, RotarySettings};
use crate::source::Source;
use crate::sublayer::{activation, check_heads, check_key_heads};
use crate::token_embedding::{TokenEmbedding, TokenWeights};
use crate::vocabulary_head::VocabularyHead;
use crate::{Backbone, BackboneError, Pooling};

const BLOCK_NAMES: BlockNames = BlockNames {
    blocks: "layers",
    projection: ProjectionNames::Separate([
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
    ]),
    attention_output: "self_attn.o_proj",
    mlp: MlpNames::Plain {
        up: "mlp.c_fc",
        down: "mlp.c_proj",
    },
    norms: ["input_layernorm", "post_attention_layernorm"],
    norms_behind: None,
    norms_of_heads: None,
    scales: None,
};

#[derive(Deserialize)]
struct Config {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    max_position_embeddings: usize,
    #[serde(default = "by_tanh")]
    hidden_act: String,
    #[serde(default = "epsilon")]
    norm_epsilon: f64,
    sliding_window: Option<usize>,
    #[serde(default = "yes")]
    use_bias: bool,
}

fn by_tanh() -> String {
    "gelu_pytorch_tanh".to_owned()
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
    let (width, heads) = (config.hidden_size, config.num_attention_heads);
    let key_heads = config.num_key_value_heads;
    check_heads(path, ("hidden_size", width), ("num_attention_heads", heads))?;
    check_key_heads(path, heads, key_heads)?;
    let pooling = text_pooling(source, Pooling::Last)?;
    let positions = config.max_position_embeddings;
    let settings: Map<String, Value> = read_json(path)?;
    let rotary = RotarySettings {
        path,
        config: &settings,
        head_width: width / heads,
        positions,
    };
    let rotation = rotary.rotation(LayerType::Full, Base::single(1e4))?;
    let window = config.sliding_window.map(Span::causal_window);
    let span = window.unwrap_or(Span::CAUSAL);
    let plain = BlockShape::plain(
        (
            config.num_hidden_layers,
            width,
            heads,
            config.intermediate_size,
        ),
        activation(path, "hidden_act", &config.hidden_act)?,
        config.norm_epsilon,
        NormPosition::BeforeTransform,
    );
    let attention = |plain: Attention| Attention {
        key_heads,
        span,
        rotation: Some(Arc::clone(&rotation)),
        ..plain
    };
    let shape = BlockShape {
        attentions: plain.attentions.into_iter().map(attention).collect(),
        biases: Biases {
            projection: [config.use_bias; 3],
            attention_output: config.use_bias,
            mlp: config.use_bias,
        },
        ..plain
    };
    let mut checkpoint = Checkpoint::open(source.folder, "embed_tokens.weight")?;
    let vocabulary = config.vocab_size;
    let words = checkpoint.take_as_stored("embed_tokens.weight", &[vocabulary, width])?;
    let weights = TokenWeights::words(words, width);
    let embedding = TokenEmbedding::new(source.model_type, weights, positions);
    let sublayers = blocks::take(&mut checkpoint, &BLOCK_NAMES, &shape)?;
    let last_norm = take_layer_norm(&mut checkpoint, "norm", width, config.norm_epsilon)?;

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
