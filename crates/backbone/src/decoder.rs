//! Decoders with rotary positions, RMS norms, grouped queries and gated MLPs: Llama (Touvron et al., 2023; Grattafiori et
//! al., 2024), Mistral (Jiang et al., 2023), Qwen2 and Qwen3 (Yang et al., 2024 and 2025), and Gemma, Gemma 2 and Gemma 3
//! (Gemma Team, 2024 and 2025). They differ in a few settings, which [`Family`] names.

use std::path::Path;
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
use crate::sublayer::{activation, check_key_heads};
use crate::token_embedding::{TokenEmbedding, TokenWeights};
use crate::vocabulary_head::VocabularyHead;
use crate::{Backbone, BackboneError, Pooling};

/// What tells the families apart.
struct Family {
    /// Whether query, key and value have a bias, unless the configuration says so by `attention_bias`.
    projection_bias: Option<bool>,
    /// Whether the norms' factors are stored less one, and embeddings are multiplied by the root of the width (Gemma).
    gemma: bool,
    /// Whether norms follow the attention and the MLP as well (from Gemma 2 on).
    norms_around: bool,
    /// Whether queries and keys are normalised by head.
    norms_of_heads: bool,
    windows: Windows,
    /// The base of the rotary positions if the configuration names none.
    base: f64,
    /// The base of those in windows, if that is another one.
    base_of_windows: Option<Base>,
    /// The width of a head if the configuration does not name it. Without, it is width / heads.
    head_width: Option<usize>,
}

/// The blocks whose attention has a window, unless the configuration lists them as `layer_types`.
#[derive(Clone, Copy)]
enum Windows {
    None,
    /// All of them, if there is a `sliding_window`.
    All,
    /// Those from `max_window_layers` on, if `use_sliding_window` is true.
    Late,
    /// All but every n-th.
    AllButEvery(usize),
}

const LLAMA: Family = Family {
    projection_bias: None,
    gemma: false,
    norms_around: false,
    norms_of_heads: false,
    windows: Windows::None,
    base: 1e4,
    base_of_windows: None,
    head_width: None,
};

const MISTRAL: Family = Family {
    projection_bias: Some(false),
    windows: Windows::All,
    ..LLAMA
};

const QWEN2: Family = Family {
    projection_bias: Some(true),
    windows: Windows::Late,
    ..LLAMA
};

const QWEN3: Family = Family {
    norms_of_heads: true,
    windows: Windows::Late,
    head_width: Some(128),
    ..LLAMA
};

const GEMMA: Family = Family {
    gemma: true,
    head_width: Some(256),
    ..LLAMA
};

const GEMMA2: Family = Family {
    norms_around: true,
    windows: Windows::AllButEvery(2),
    ..GEMMA
};

const GEMMA3: Family = Family {
    norms_of_heads: true,
    windows: Windows::AllButEvery(6),
    base: 1e6,
    base_of_windows: Some(Base {
        key: "rope_local_base_freq",
        usual: 1e4,
        scaled: false,
    }),
    ..GEMMA2
};

/// The activation of Gemma.
const BY_TANH: &str = "gelu_pytorch_tanh";

#[derive(Deserialize)]
struct Config {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    max_position_embeddings: usize,
    #[serde(default = "epsilon")]
    rms_norm_eps: f64,
    /// The activation of the MLP. Gemma 2 and 3 call it by the second name, and early folders of Gemma by both.
    hidden_act: Option<String>,
    hidden_activation: Option<String>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    sliding_window: Option<usize>,
    #[serde(default)]
    use_sliding_window: bool,
    max_window_layers: Option<usize>,
    sliding_window_pattern: Option<usize>,
    layer_types: Option<Vec<String>>,
    query_pre_attn_scalar: Option<f64>,
    attn_logit_softcapping: Option<f32>,
    use_bidirectional_attention: Option<bool>,
}

fn epsilon() -> f64 {
    1e-6
}

pub(crate) fn load_llama(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    load(source, &LLAMA)
}

pub(crate) fn load_mistral(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    load(source, &MISTRAL)
}

pub(crate) fn load_qwen2(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    load(source, &QWEN2)
}

pub(crate) fn load_qwen3(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    load(source, &QWEN3)
}

pub(crate) fn load_gemma(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    load(source, &GEMMA)
}

pub(crate) fn load_gemma2(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    load(source, &GEMMA2)
}

pub(crate) fn load_gemma3(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    load(source, &GEMMA3)
}

fn names(family: &Family) -> BlockNames {
    BlockNames {
        blocks: "layers",
        projection: ProjectionNames::Separate([
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
        ]),
        attention_output: "self_attn.o_proj",
        mlp: MlpNames::Gated {
            gate: "mlp.gate_proj",
            up: "mlp.up_proj",
            down: "mlp.down_proj",
        },
        norms: match family.norms_around {
            true => ["input_layernorm", "pre_feedforward_layernorm"],
            false => ["input_layernorm", "post_attention_layernorm"],
        },
        norms_behind: family
            .norms_around
            .then_some(["post_attention_layernorm", "post_feedforward_layernorm"]),
        norms_of_heads: family
            .norms_of_heads
            .then_some(["self_attn.q_norm", "self_attn.k_norm"]),
        scales: None,
    }
}

fn load(source: &Source<'_>, family: &Family) -> Result<Backbone, BackboneError> {
    let config: Config = read_json(&source.config)?;
    let pooling = text_pooling(source, Pooling::Last)?;
    let shape = config.shape(&source.config, family)?;
    let mut checkpoint = Checkpoint::open(source.folder, "embed_tokens.weight")?;
    let (width, vocabulary) = (config.hidden_size, config.vocab_size);
    let words = checkpoint.take_as_stored("embed_tokens.weight", &[vocabulary, width])?;
    let positions = config.max_position_embeddings;
    let weights = TokenWeights {
        scale: match family.gemma {
            true => (width as f64).sqrt() as f32,
            false => 1.0,
        },
        ..TokenWeights::words(words, width)
    };
    let embedding = TokenEmbedding::new(source.model_type, weights, positions);
    let sublayers = blocks::take(&mut checkpoint, &names(family), &shape)?;
    let NormShape { kind, epsilon, .. } = shape.norms;
    let last_norm = take_norm(&mut checkpoint, "norm", width, kind, epsilon)?;

    let parts = Parts {
        model_type: source.model_type,
        checkpoint: &checkpoint,
        shape: &shape,
        sublayers,
        pooling,
        last_norm: Some(last_norm),
    };
    let head = VocabularyHead::of(source, family.gemma)?;
    Ok(parts.with_tokens(embedding).with_vocabulary_head(head))
}

impl Config {
    fn shape(&self, path: &Path, family: &Family) -> Result<BlockShape, BackboneError> {
        let (act, activation_of) = (
            self.hidden_act.as_deref(),
            self.hidden_activation.as_deref(),
        );
        let (key, name) = match (family.gemma, family.norms_around) {
            (false, _) => ("hidden_act", act.unwrap_or("silu")),
            (true, true) => ("hidden_activation", activation_of.unwrap_or(BY_TANH)),
            // Folders of Gemma that say `gelu` mean its approximation.
            (true, false) => match activation_of.or(act) {
                None | Some("gelu") => ("hidden_act", BY_TANH),
                Some(other) => ("hidden_act", other),
            },
        };
        let kind = NormKind::RootMeanSquare {
            offset: if family.gemma { 1.0 } else { 0.0 },
        };
        Ok(BlockShape {
            width: self.hidden_size,
            intermediate: self.intermediate_size,
            activation: activation(path, key, name)?,
            attentions: self.attentions(path, family)?,
            norms: NormShape {
                kind,
                epsilon: self.rms_norm_eps,
                position: match family.norms_around {
                    true => NormPosition::AroundTransform,
                    false => NormPosition::BeforeTransform,
                },
                none_at_first: false,
            },
            biases: Biases {
                projection: [family.projection_bias.unwrap_or(self.attention_bias); 3],
                attention_output: family.projection_bias.is_none() && self.attention_bias,
                mlp: self.mlp_bias,
            },
            transposed: false,
            distances: None,
        })
    }

    /// The attention of every block.
    fn attentions(&self, path: &Path, family: &Family) -> Result<Vec<Attention>, BackboneError> {
        let refuse = |key, found: String, expected: &str| BackboneError::Setting {
            path: path.to_owned(),
            key,
            found,
            expected: expected.to_owned(),
        };
        let heads = self.num_attention_heads;
        let key_heads = self.num_key_value_heads.unwrap_or(heads);
        check_key_heads(path, heads, key_heads)?;
        let even = self.hidden_size / heads.max(1);
        let head_width = self.head_dim.or(family.head_width).unwrap_or(even);
        let scalar = self.query_pre_attn_scalar.unwrap_or(head_width as f64);
        let cap = self.attn_logit_softcapping;
        for (key, number) in [
            ("query_pre_attn_scalar", Some(scalar)),
            ("attn_logit_softcapping", cap.map(f64::from)),
        ] {
            if let Some(number) = number.filter(|&number| number <= 0.0) {
                return Err(refuse(key, number.to_string(), "it must be above zero"));
            }
        }
        let settings: Map<String, Value> = read_json(path)?;
        let rotary = RotarySettings {
            path,
            config: &settings,
            head_width,
            positions: self.max_position_embeddings,
        };
        let full_rotation = rotary.rotation(LayerType::Full, Base::single(family.base))?;
        let local_rotation = match family.base_of_windows {
            None => Arc::clone(&full_rotation),
            Some(base) => rotary.rotation(LayerType::Sliding, base)?,
        };
        let both_ways = self.use_bidirectional_attention == Some(true);
        let types = self.layer_types(family);
        types
            .map(|layer| {
                let (span, rotation) = match layer? {
                    LayerType::Full if both_ways => (Span::default(), &full_rotation),
                    LayerType::Full => (Span::CAUSAL, &full_rotation),
                    LayerType::Sliding => {
                        let window = self.sliding_window.unwrap_or(4096);
                        (window_span(window, both_ways), &local_rotation)
                    }
                };
                Ok(Attention {
                    heads,
                    key_heads,
                    head_width,
                    scale: scalar.powf(-0.5) as f32,
                    span,
                    cap,
                    relative: None,
                    norms: None,
                    rotation: Some(Arc::clone(rotation)),
                })
            })
            .collect::<Result<_, String>>()
            .map_err(|found| LayerType::refuse(path, found))
    }

    /// The type of every layer, or the name of one that is unknown.
    fn layer_types(&self, family: &Family) -> impl Iterator<Item = Result<LayerType, String>> {
        let windows = match family.windows {
            Windows::Late if !self.use_sliding_window => Windows::None,
            Windows::AllButEvery(usual) => {
                Windows::AllButEvery(self.sliding_window_pattern.unwrap_or(usual))
            }
            other => other,
        };
        // Without a size there is no window, whatever the list says, except in Gemma, whose default has a size.
        let has_size = self.sliding_window.is_some() || family.gemma;
        let listed = self.layer_types.clone();
        let late = self.max_window_layers.unwrap_or(28);
        (0..self.num_hidden_layers).map(move |block| {
            let slides = match &listed {
                Some(types) => LayerType::listed(types, block)? == LayerType::Sliding,
                None => match windows {
                    Windows::None => false,
                    Windows::All => true,
                    Windows::Late => block >= late,
                    Windows::AllButEvery(n) => !(block + 1).is_multiple_of(n),
                },
            };
            Ok(match slides && has_size {
                true => LayerType::Sliding,
                false => LayerType::Full,
            })
        })
    }
}

/// A window counts the token itself. One that looks both ways is half as long to each side.
fn window_span(window: usize, both_ways: bool) -> Span {
    match both_ways {
        false => Span::causal_window(window),
        true => Span {
            before: Some(window / 2),
            behind: Some(window / 2),
        },
    }
}
