//! The vision tower of SigLIP: the blocks of CLIP's, without a class token, so that it is read at the mean over its patches
//! (Zhai et al., 2023). The head that its own training adds is left out.

use serde_json::json;

use crate::bicubic::Bicubic;
use crate::blocks::{self, BlockShape, NormPosition};
use crate::checkpoint::Checkpoint;
use crate::clip::BLOCK_NAMES;
use crate::image_embedding::{Geometry, ImageEmbedding, ImageWeights};
use crate::layers::take_layer_norm;
use crate::parts::Parts;
use crate::source::Source;
use crate::{Backbone, BackboneError, Pooling, tower, vit};

/// The `model_type` of a folder with the tower alone. That of a folder with both towers is `siglip`.
const TOWER: &str = "siglip_vision_model";

pub(crate) fn load(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    let usual = json!({
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 224,
        "patch_size": 16,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-6,
    });
    let (config, intermediate) = tower::config(source, usual)?;
    let activation = vit::check(source, &config, Pooling::Mean)?;
    let width = config.hidden_size;
    let mut checkpoint = Checkpoint::open(source.folder, "embeddings.patch_embedding.weight")?;
    let geometry = config.geometry();
    let Geometry {
        patch_size: patch,
        channels,
        ..
    } = geometry;
    let projection = checkpoint.take(
        "embeddings.patch_embedding.weight",
        &[width, channels, patch, patch],
    )?;
    let bias = checkpoint.take("embeddings.patch_embedding.bias", &[width])?;
    let patches = geometry.grid().pow(2);
    let weights = ImageWeights {
        projection: (projection, bias),
        extra_tokens: Vec::new(),
        registers: Vec::new(),
        positions: checkpoint.take("embeddings.position_embedding.weight", &[patches, width])?,
        interpolation: Bicubic::Plain,
        norm: None,
    };
    let embedding = ImageEmbedding::new(TOWER, weights, geometry);
    let epsilon = config.layer_norm_eps.unwrap_or(1e-6);
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
        pooling: Pooling::Mean,
        last_norm: Some(last_norm),
    };
    Ok(parts.with_images(embedding))
}
