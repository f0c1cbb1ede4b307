//! ViT, with pre-norm blocks over patches and a class token (Dosovitskiy et al., 2021), and DeiT with its distillation
//! token (Touvron et al., 2021).

use adaplace_arithmetic::Activation;
use serde::Deserialize;

use crate::bicubic::Bicubic;
use crate::blocks::{self, BlockNames, BlockShape, MlpNames, NormPosition, ProjectionNames};
use crate::checkpoint::{Checkpoint, read_json};
use crate::image_embedding::{Geometry, ImageEmbedding, LARGEST_IMAGE, Tokens};
use crate::layers::take_layer_norm;
use crate::parts::Parts;
use crate::source::Source;
use crate::sublayer::{activation, check_heads};
use crate::{Backbone, BackboneError, Pooling};

pub(crate) const BLOCK_NAMES: BlockNames = BlockNames {
    blocks: "encoder.layer",
    projection: ProjectionNames::Separate([
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
    ]),
    attention_output: "attention.output.dense",
    mlp: MlpNames::Plain {
        up: "intermediate.dense",
        down: "output.dense",
    },
    norms: ["layernorm_before", "layernorm_after"],
    norms_behind: None,
    norms_of_heads: None,
    scales: None,
};

/// The keys that all image models of this kind have.
#[derive(Deserialize)]
pub(crate) struct Config {
    pub(crate) hidden_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    pub(crate) image_size: usize,
    pub(crate) patch_size: usize,
    #[serde(default = "three")]
    pub(crate) num_channels: usize,
    #[serde(default = "gelu")]
    pub(crate) hidden_act: String,
    pub(crate) layer_norm_eps: Option<f64>,
    #[serde(default = "yes")]
    pub(crate) qkv_bias: bool,
}

impl Config {
    pub(crate) fn geometry(&self) -> Geometry {
        Geometry {
            image_size: self.image_size,
            patch_size: self.patch_size,
            channels: self.num_channels,
        }
    }
}

fn three() -> usize {
    3
}
fn gelu() -> String {
    "gelu".to_owned()
}
fn yes() -> bool {
    true
}

/// The part of the configuration that only ViT and DeiT have.
#[derive(Deserialize)]
struct MlpConfig {
    intermediate_size: usize,
}

/// The differences between image models.
pub(crate) struct Architecture<'a> {
    pub(crate) names: &'a BlockNames,
    pub(crate) tokens: Tokens<'a>,
    pub(crate) intermediate: usize,
    /// The epsilon of the layer norms if the configuration does not name one.
    pub(crate) epsilon: f64,
}

const EPSILON: f64 = 1e-12;

pub(crate) fn load_vit(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    load_with_tokens(source, &["cls_token"])
}

pub(crate) fn load_deit(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    load_with_tokens(source, &["cls_token", "distillation_token"])
}

fn load_with_tokens(source: &Source<'_>, tokens: &[&str]) -> Result<Backbone, BackboneError> {
    let config: Config = read_json(&source.config)?;
    let MlpConfig { intermediate_size } = read_json(&source.config)?;
    let architecture = Architecture {
        names: &BLOCK_NAMES,
        tokens: Tokens {
            extra: tokens,
            placed: true,
            registers: 0,
            interpolation: Bicubic::Plain,
        },
        intermediate: intermediate_size,
        epsilon: EPSILON,
    };
    load(source, &mut checkpoint(source)?, &config, &architecture)
}

/// The weights of a folder of transformers.
pub(crate) fn checkpoint(source: &Source<'_>) -> Result<Checkpoint, BackboneError> {
    Checkpoint::open(source.folder, "embeddings.cls_token")
}

/// Reads a pre-norm image model that is pooled at its first token.
pub(crate) fn load(
    source: &Source<'_>,
    checkpoint: &mut Checkpoint,
    config: &Config,
    architecture: &Architecture<'_>,
) -> Result<Backbone, BackboneError> {
    let activation = check(source, config, Pooling::Cls)?;
    let width = config.hidden_size;
    let geometry = config.geometry();
    let embedding = ImageEmbedding::take(
        checkpoint,
        source.model_type,
        &architecture.tokens,
        geometry,
        width,
    )?;
    let shape = BlockShape::plain(
        (
            config.num_hidden_layers,
            width,
            config.num_attention_heads,
            architecture.intermediate,
        ),
        activation,
        config.layer_norm_eps.unwrap_or(architecture.epsilon),
        NormPosition::BeforeTransform,
    );
    let sublayers = blocks::take(checkpoint, architecture.names, &shape)?;
    let last_norm = take_layer_norm(checkpoint, "layernorm", width, shape.norms.epsilon)?;

    let parts = Parts {
        model_type: source.model_type,
        checkpoint,
        shape: &shape,
        sublayers,
        pooling: Pooling::Cls,
        last_norm: Some(last_norm),
    };
    Ok(parts.with_images(embedding))
}

/// Checks what all image models of this kind have in common, and returns the activation. Each has one pooling.
pub(crate) fn check(
    source: &Source<'_>,
    config: &Config,
    pooling: Pooling,
) -> Result<Activation, BackboneError> {
    let path = &source.config;
    let activation = activation(path, "hidden_act", &config.hidden_act)?;
    check_heads(
        path,
        ("hidden_size", config.hidden_size),
        ("num_attention_heads", config.num_attention_heads),
    )?;
    let refuse = |key, found: String, expected: &str| {
        Err(BackboneError::Setting {
            path: path.clone(),
            key,
            found,
            expected: expected.to_owned(),
        })
    };
    if !config.qkv_bias {
        return refuse("qkv_bias", "false".to_owned(), "only `true` is supported");
    }
    if config.image_size > LARGEST_IMAGE {
        return refuse(
            "image_size",
            config.image_size.to_string(),
            &format!("at most {LARGEST_IMAGE} pixels are supported"),
        );
    }
    if config.patch_size == 0 || !config.image_size.is_multiple_of(config.patch_size) {
        return refuse(
            "patch_size",
            config.patch_size.to_string(),
            &format!("it must divide the image_size `{}`", config.image_size),
        );
    }
    if let Some(asked) = source.pooling
        && asked != pooling
    {
        let place = match pooling {
            Pooling::Mean => "the mean over its patches",
            _ => "its class token",
        };
        return refuse(
            "model_type",
            source.model_type.to_owned(),
            &format!("it is read at {place}: leave out `--pooling {asked}`"),
        );
    }
    Ok(activation)
}
