//! ModernBERT: pre-norm blocks with rotary positions and gated MLPs, of which most attend to a window (Warner et al., 2024).

use std::sync::Arc;

use adaplace_arithmetic::{Attention, Span};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::blocks::{
    self, Biases, BlockNames, BlockShape, MlpNames, NormPosition, NormShape, ProjectionNames,
};
use crate::checkpoint::{Checkpoint, read_json};
use crate::layers::{NormKind, take_norm};
use crate::parts::Parts;
use crate::pooling_config::text_pooling;
use crate::rotary::{Base, LayerType, RotarySettings};
use crate::source::Source;
use crate::sublayer::{activation, check_heads};
use crate::token_embedding::{TokenEmbedding, TokenWeights};
use crate::{Backbone, BackboneError, Pooling};

const BLOCK_NAMES: BlockNames = BlockNames {
    blocks: "layers",
    projection: ProjectionNames::Joined("attn.Wqkv"),
    attention_output: "attn.Wo",
    mlp: MlpNames::JoinedGate {
        gate_and_up: "mlp.Wi",
        down: "mlp.Wo",
    },
    norms: ["attn_norm", "mlp_norm"],
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
    max_position_embeddings: usize,
    #[serde(default = "gelu")]
    hidden_activation: String,
    #[serde(default = "epsilon")]
    norm_eps: f64,
    #[serde(default)]
    norm_bias: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default = "window")]
    local_attention: usize,
    #[serde(default = "three")]
    global_attn_every_n_layers: usize,
    layer_types: Option<Vec<String>>,
}

fn gelu() -> String {
    "gelu".to_owned()
}
fn epsilon() -> f64 {
    1e-5
}
fn window() -> usize {
    128
}
fn three() -> usize {
    3
}

pub(crate) fn load(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    let config: Config = read_json(&source.config)?;
    let pooling = text_pooling(source, Pooling::Mean)?;
    let path = &source.config;
    let (width, heads) = (config.hidden_size, config.num_attention_heads);
    check_heads(path, ("hidden_size", width), ("num_attention_heads", heads))?;
    let kind = NormKind::Layer {
        bias: config.norm_bias,
    };
    let epsilon = config.norm_eps;
    let shape = BlockShape {
        width,
        intermediate: config.intermediate_size,
        activation: activation(path, "hidden_activation", &config.hidden_activation)?,
        attentions: config.attentions(source)?,
        norms: NormShape {
            kind,
            epsilon,
            position: NormPosition::BeforeTransform,
            // The embedding ends with one.
            none_at_first: true,
        },
        biases: Biases {
            projection: [config.attention_bias; 3],
            attention_output: config.attention_bias,
            mlp: config.mlp_bias,
        },
        transposed: false,
        distances: None,
    };
    let mut checkpoint = Checkpoint::open(source.folder, "embeddings.tok_embeddings.weight")?;
    let vocabulary = config.vocab_size;
    let words =
        checkpoint.take_as_stored("embeddings.tok_embeddings.weight", &[vocabulary, width])?;
    let norm = take_norm(&mut checkpoint, "embeddings.norm", width, kind, epsilon)?;
    let weights = TokenWeights {
        norm: Some(norm),
        ..TokenWeights::words(words, width)
    };
    let positions = config.max_position_embeddings;
    let embedding = TokenEmbedding::new(source.model_type, weights, positions);
    let sublayers = blocks::take(&mut checkpoint, &BLOCK_NAMES, &shape)?;
    let last_norm = take_norm(&mut checkpoint, "final_norm", width, kind, epsilon)?;

    let parts = Parts {
        model_type: source.model_type,
        checkpoint: &checkpoint,
        shape: &shape,
        sublayers,
        pooling,
        last_norm: Some(last_norm),
    };
    Ok(parts.with_tokens(embedding))
}

impl Config {
    /// The attention of every block.
    fn attentions(&self, source: &Source<'_>) -> Result<Vec<Attention>, BackboneError> {
        let plain = Attention::plain(self.hidden_size, self.num_attention_heads);
        let settings: Map<String, Value> = read_json(&source.config)?;
        let rotary = RotarySettings {
            path: &source.config,
            config: &settings,
            head_width: plain.head_width,
            positions: self.max_position_embeddings,
        };
        let base = |key, usual| Base {
            key,
            usual,
            scaled: true,
        };
        let full = rotary.rotation(LayerType::Full, base("global_rope_theta", 160_000.0))?;
        let local = rotary.rotation(LayerType::Sliding, base("local_rope_theta", 10_000.0))?;
        let reach = Some(self.local_attention / 2);
        let window = Span {
            before: reach,
            behind: reach,
        };
        let every = self.global_attn_every_n_layers;
        let attention = |block: usize| {
            let layer = match &self.layer_types {
                None if block.is_multiple_of(every) => LayerType::Full,
                None => LayerType::Sliding,
                Some(types) => LayerType::listed(types, block)
                    .map_err(|found| LayerType::refuse(&source.config, found))?,
            };
            let (span, rotation) = match layer {
                LayerType::Sliding => (window, &local),
                LayerType::Full => (Span::default(), &full),
            };
            Ok(Attention {
                span,
                rotation: Some(Arc::clone(rotation)),
                ..plain.clone()
            })
        };
        (0..self.num_hidden_layers).map(attention).collect()
    }
}
