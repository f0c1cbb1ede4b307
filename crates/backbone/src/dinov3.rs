//! DINOv3: DINOv2 with rotary positions of the patches in place of learned ones, and for the largest models a gated MLP
//! (Siméoni et al., 2025).

use serde::Deserialize;

use crate::bicubic::Bicubic;
use crate::blocks::{
    self, Biases, BlockNames, BlockShape, MlpNames, NormPosition, ProjectionNames,
};
use crate::checkpoint::{Checkpoint, read_json};
use crate::image_embedding::{Geometry, ImageEmbedding, ImageWeights};
use crate::layers::take_layer_norm;
use crate::parts::Parts;
use crate::patch_rotation::PatchRotation;
use crate::source::Source;
use crate::{Backbone, BackboneError, Pooling, vit};

fn names(gated: bool) -> BlockNames {
    BlockNames {
        blocks: "layer",
        projection: ProjectionNames::Separate([
            "attention.q_proj",
            "attention.k_proj",
            "attention.v_proj",
        ]),
        attention_output: "attention.o_proj",
        mlp: match gated {
            true => MlpNames::Gated {
                gate: "mlp.gate_proj",
                up: "mlp.up_proj",
                down: "mlp.down_proj",
            },
            false => MlpNames::Plain {
                up: "mlp.up_proj",
                down: "mlp.down_proj",
            },
        },
        norms: ["norm1", "norm2"],
        norms_behind: None,
        norms_of_heads: None,
        scales: Some(["layer_scale1.lambda1", "layer_scale2.lambda1"]),
    }
}

/// The part of the configuration that only DINOv3 has.
#[derive(Deserialize)]
pub(crate) struct OwnConfig {
    pub(crate) intermediate_size: usize,
    #[serde(default = "hundred")]
    pub(crate) rope_theta: f64,
    #[serde(default = "yes")]
    pub(crate) query_bias: bool,
    #[serde(default)]
    pub(crate) key_bias: bool,
    #[serde(default = "yes")]
    pub(crate) value_bias: bool,
    #[serde(default = "yes")]
    pub(crate) proj_bias: bool,
    #[serde(default = "yes")]
    pub(crate) mlp_bias: bool,
    #[serde(default)]
    pub(crate) use_gated_mlp: bool,
    #[serde(default)]
    pub(crate) num_register_tokens: usize,
}

fn hundred() -> f64 {
    100.0
}
fn yes() -> bool {
    true
}

pub(crate) fn load(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    let config: vit::Config = read_json(&source.config)?;
    let own: OwnConfig = read_json(&source.config)?;
    let mut checkpoint = Checkpoint::open(source.folder, "embeddings.cls_token")?;
    load_with(source, &mut checkpoint, &config, &own)
}

/// Reads a model whose weights have the names of transformers.
pub(crate) fn load_with(
    source: &Source<'_>,
    checkpoint: &mut Checkpoint,
    config: &vit::Config,
    own: &OwnConfig,
) -> Result<Backbone, BackboneError> {
    let activation = vit::check(source, config, Pooling::Cls)?;
    let (width, heads) = (config.hidden_size, config.num_attention_heads);
    if !(width / heads).is_multiple_of(4) {
        return Err(BackboneError::Setting {
            path: source.config.clone(),
            key: "num_attention_heads",
            found: heads.to_string(),
            expected: "a head's width must be a multiple of 4 for its positions".to_owned(),
        });
    }
    let geometry = config.geometry();
    let Geometry {
        patch_size: patch,
        channels,
        ..
    } = geometry;
    let registers = match own.num_register_tokens {
        0 => Vec::new(),
        count => checkpoint.take("embeddings.register_tokens", &[1, count, width])?,
    };
    let projection = checkpoint.take(
        "embeddings.patch_embeddings.weight",
        &[width, channels, patch, patch],
    )?;
    let bias = checkpoint.take("embeddings.patch_embeddings.bias", &[width])?;
    let weights = ImageWeights {
        projection: (projection, bias),
        extra_tokens: checkpoint.take("embeddings.cls_token", &[1, 1, width])?,
        registers,
        // Nothing is added to a token by its place.
        positions: vec![0.0; (1 + geometry.grid().pow(2)) * width],
        interpolation: Bicubic::Plain,
        norm: None,
    };
    let embedding = ImageEmbedding::new(source.model_type, weights, geometry);
    let epsilon = config.layer_norm_eps.unwrap_or(1e-5);
    let plain = BlockShape::plain(
        (
            config.num_hidden_layers,
            width,
            heads,
            own.intermediate_size,
        ),
        activation,
        epsilon,
        NormPosition::BeforeTransform,
    );
    let shape = BlockShape {
        biases: Biases {
            projection: [own.query_bias, own.key_bias, own.value_bias],
            attention_output: own.proj_bias,
            mlp: own.mlp_bias,
        },
        ..plain
    };
    let sublayers = blocks::take(checkpoint, &names(own.use_gated_mlp), &shape)?;
    let last_norm = take_layer_norm(checkpoint, "norm", width, epsilon)?;

    let parts = Parts {
        model_type: source.model_type,
        checkpoint,
        shape: &shape,
        sublayers,
        pooling: Pooling::Cls,
        last_norm: Some(last_norm),
    };
    let rotation = PatchRotation {
        base: own.rope_theta,
        head_width: width / heads,
        tokens_before: 1 + own.num_register_tokens,
    };
    let backbone = parts.with_images(embedding);
    Ok(backbone.with_patch_rotation(rotation, geometry.grid()))
}
