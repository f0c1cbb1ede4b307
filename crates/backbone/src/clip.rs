//! The vision tower of CLIP: the blocks of ViT under other names, with a layer norm after the embedding, and one after the
//! class token is read out (Radford et al., 2021).

use serde_json::json;

use crate::bicubic::Bicubic;
use crate::blocks::{self, BlockNames, BlockShape, MlpNames, NormPosition, ProjectionNames};
use crate::checkpoint::Checkpoint;
use crate::image_embedding::{Geometry, ImageEmbedding, ImageWeights};
use crate::layers::take_layer_norm;
use crate::parts::Parts;
use crate::source::Source;
use crate::{Backbone, BackboneError, Pooling, tower, vit};

/// The `model_type` of a folder with the tower alone. That of a folder with both towers is `clip`.
const TOWER: &str = "clip_vision_model";

pub(crate) const BLOCK_NAMES: BlockNames = BlockNames {
    blocks: "encoder.layers",
    projection: ProjectionNames::Separate([
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
    ]),
    attention_output: "self_attn.out_proj",
    mlp: MlpNames::Plain {
        up: "mlp.fc1",
        down: "mlp.fc2",
    },
    norms: ["layer_norm1", "layer_norm2"],
    norms_behind: None,
    norms_of_heads: None,
    scales: None,
};

pub(crate) fn load(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    let usual = json!({
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 224,
        "patch_size": 32,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
    });
    let (config, intermediate) = tower::config(source, usual)?;
    let activation = vit::check(source, &config, Pooling::Cls)?;
    let width = config.hidden_size;
    let mut checkpoint = Checkpoint::open(source.folder, "embeddings.class_embedding")?;
    let geometry = config.geometry();
    let Geometry {
        patch_size: patch,
        channels,
        ..
    } = geometry;
    let epsilon = config.layer_norm_eps.unwrap_or(1e-5);
    let tokens = geometry.grid().pow(2) + 1;
    let projection = checkpoint.take(
        "embeddings.patch_embedding.weight",
        &[width, channels, patch, patch],
    )?;
    let weights = ImageWeights {
        projection: (projection, vec![0.0; width]),
        extra_tokens: checkpoint.take("embeddings.class_embedding", &[width])?,
        registers: Vec::new(),
        positions: checkpoint.take("embeddings.position_embedding.weight", &[tokens, width])?,
        interpolation: Bicubic::Plain,
        norm: Some(take_layer_norm(
            &mut checkpoint,
            "pre_layrnorm",
            width,
            epsilon,
        )?),
    };
    let embedding = ImageEmbedding::new(TOWER, weights, geometry);
    let shape = BlockShape::plain(
        (
            config.num_hidden_layers,
            width,
            config.num_attention_heads,
            intermediate,
        ),
        activation,
        epsilon,
        NormPosition::BeforeTransform,
    );
    let sublayers = blocks::take(&mut checkpoint, &BLOCK_NAMES, &shape)?;
    let last_norm = take_layer_norm(&mut checkpoint, "post_layernorm", width, epsilon)?;

    let parts = Parts {
        model_type: TOWER,
        checkpoint: &checkpoint,
        shape: &shape,
        sublayers,
        pooling: Pooling::Cls,
        last_norm: Some(last_norm),
    };
    Ok(parts.with_images(embedding))
}
