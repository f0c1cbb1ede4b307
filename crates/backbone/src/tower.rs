//! The vision towers of models of pictures and texts, alone or in a folder with both towers.
//!
//! CLIP's has the blocks of ViT under other names, with a layer norm after the embedding, and one after the class token is
//! read out (Radford et al., 2021). SigLIP's has no class token and no norm after the embedding, and is read at the mean over
//! its patches (Zhai et al., 2023). The head that its own training adds is left out.

use serde_json::{Map, Value, json};

use crate::bicubic::Bicubic;
use crate::blocks::{self, BlockNames, BlockShape, MlpNames, NormPosition, ProjectionNames};
use crate::checkpoint::{Checkpoint, read_json};
use crate::image_embedding::{Geometry, ImageEmbedding, ImageWeights};
use crate::layers::take_layer_norm;
use crate::parts::Parts;
use crate::source::Source;
use crate::vit::{self, Config};
use crate::{Backbone, BackboneError, Pooling};

const BLOCK_NAMES: BlockNames = BlockNames {
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

/// What tells the towers apart.
struct Tower {
    /// The `model_type` of a folder with the tower alone.
    model_type: &'static str,
    /// The tensor that shows what all names start with.
    anchor: &'static str,
    /// The token at which the tower is read, and the norm behind the embedding. Without them, it is read at the mean, and the
    /// patches' projection has a bias.
    class_token: Option<(&'static str, &'static str)>,
    /// The values of keys that the configuration may leave out, beside those of both towers.
    usual: (usize, &'static str, f64),
}

const CLIP: Tower = Tower {
    model_type: "clip_vision_model",
    anchor: "embeddings.class_embedding",
    class_token: Some(("embeddings.class_embedding", "pre_layrnorm")),
    usual: (32, "quick_gelu", 1e-5),
};

const SIGLIP: Tower = Tower {
    model_type: "siglip_vision_model",
    anchor: "embeddings.patch_embedding.weight",
    class_token: None,
    usual: (16, "gelu_pytorch_tanh", 1e-6),
};

pub(crate) fn load_clip(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    CLIP.load(source)
}

pub(crate) fn load_siglip(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    SIGLIP.load(source)
}

impl Tower {
    fn load(&self, source: &Source<'_>) -> Result<Backbone, BackboneError> {
        let (patch, activation, epsilon) = self.usual;
        let usual = json!({
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "image_size": 224,
            "patch_size": patch,
            "hidden_act": activation,
            "layer_norm_eps": epsilon,
        });
        let (config, intermediate) = config(source, usual)?;
        let pooling = match self.class_token {
            Some(_) => Pooling::Cls,
            None => Pooling::Mean,
        };
        let activation = vit::check(source, &config, pooling)?;
        let epsilon = config.layer_norm_eps.unwrap_or(epsilon);
        let mut checkpoint = Checkpoint::open(source.folder, self.anchor)?;
        let embedding = self.embedding(&mut checkpoint, &config, epsilon)?;
        let width = config.hidden_size;
        let (blocks, heads) = (config.num_hidden_layers, config.num_attention_heads);
        let shape = BlockShape::plain(
            (blocks, width, heads, intermediate),
            activation,
            epsilon,
            NormPosition::BeforeTransform,
        );
        let sublayers = blocks::take(&mut checkpoint, &BLOCK_NAMES, &shape)?;
        let last_norm = take_layer_norm(&mut checkpoint, "post_layernorm", width, epsilon)?;
        let parts = Parts {
            model_type: self.model_type,
            checkpoint: &checkpoint,
            shape: &shape,
            sublayers,
            pooling,
            last_norm: Some(last_norm),
        };
        Ok(parts.with_images(embedding))
    }

    fn embedding(
        &self,
        checkpoint: &mut Checkpoint,
        config: &Config,
        epsilon: f64,
    ) -> Result<ImageEmbedding, BackboneError> {
        let (width, geometry) = (config.hidden_size, config.geometry());
        let Geometry {
            patch_size: patch,
            channels,
            ..
        } = geometry;
        let projection = checkpoint.take(
            "embeddings.patch_embedding.weight",
            &[width, channels, patch, patch],
        )?;
        let (bias, extra_tokens, norm) = match self.class_token {
            Some((token, norm)) => (
                vec![0.0; width],
                checkpoint.take(token, &[width])?,
                Some(take_layer_norm(checkpoint, norm, width, epsilon)?),
            ),
            None => (
                checkpoint.take("embeddings.patch_embedding.bias", &[width])?,
                Vec::new(),
                None,
            ),
        };
        let tokens = geometry.grid().pow(2) + extra_tokens.len() / width;
        let weights = ImageWeights {
            projection: (projection, bias),
            extra_tokens,
            registers: Vec::new(),
            positions: checkpoint.take("embeddings.position_embedding.weight", &[tokens, width])?,
            interpolation: Bicubic::Plain,
            norm,
        };
        Ok(ImageEmbedding::new(self.model_type, weights, geometry))
    }
}

/// The configuration of the tower and the width of its MLP. Keys with the values in `usual`, an object, may be missing.
fn config(source: &Source<'_>, usual: Value) -> Result<(Config, usize), BackboneError> {
    let mut stored: Map<String, Value> = read_json(&source.config)?;
    if let Some(Value::Object(tower)) = stored.remove("vision_config") {
        stored = tower;
    }
    if let Value::Object(usual) = usual {
        for (key, value) in usual {
            stored.entry(key).or_insert(value);
        }
    }
    let damaged = |error| BackboneError::Json {
        path: source.config.clone(),
        source: error,
    };
    let intermediate = stored["intermediate_size"].clone();
    let intermediate = serde_json::from_value(intermediate).map_err(damaged)?;
    let config = serde_json::from_value(Value::Object(stored)).map_err(damaged)?;
    Ok((config, intermediate))
}
