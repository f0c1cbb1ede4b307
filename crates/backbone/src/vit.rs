//! ViT: pre-norm blocks over patches and a class token (Dosovitskiy et al., 2021).

use std::path::Path;

use candle_core::Tensor;
use serde::Deserialize;

use crate::blocks::{self, BlockNames, BlockShape};
use crate::chain::Embedding as AnyEmbedding;
use crate::checkpoint::{Checkpoint, read_json};
use crate::layers::{LayerNorm, tensor};
use crate::pooling::Pooler;
use crate::sublayer::NormPosition;
use crate::{Backbone, BackboneDescription, BackboneError, InputDescription, Pooling};

pub(crate) const MODEL_TYPE: &str = "vit";

/// Height and width, in pixels: far above any model, and small enough that its square is a number of tokens.
const LARGEST_IMAGE: usize = 16_384;

const BLOCK_NAMES: BlockNames = BlockNames {
    query: "attention.attention.query",
    key: "attention.attention.key",
    value: "attention.attention.value",
    attention_output: "attention.output.dense",
    attention_norm: "layernorm_before",
    mlp_up: "intermediate.dense",
    mlp_down: "output.dense",
    mlp_norm: "layernorm_after",
};

#[derive(Deserialize)]
struct Config {
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    image_size: usize,
    patch_size: usize,
    #[serde(default = "three")]
    num_channels: usize,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "layer_norm_eps")]
    layer_norm_eps: f64,
    #[serde(default = "yes")]
    qkv_bias: bool,
}

fn three() -> usize {
    3
}
fn gelu() -> String {
    "gelu".to_owned()
}
fn layer_norm_eps() -> f64 {
    1e-12
}
fn yes() -> bool {
    true
}

#[derive(Debug)]
pub(crate) struct Embedding {
    /// (channels * patch * patch, width): the convolution over patches as one product
    projection: Tensor,
    bias: Tensor,
    class_token: Tensor,
    positions: Tensor,
    channels: usize,
    image_size: usize,
    patch_size: usize,
}

impl Embedding {
    /// (rows, channels, height, width) pixels -> (rows, 1 + patches, width); the class token comes first.
    pub(crate) fn forward(&self, pixels: &Tensor) -> Result<Tensor, BackboneError> {
        let (rows, channels, height, width) = pixels.dims4()?;
        if (channels, height, width) != (self.channels, self.image_size, self.image_size) {
            let (size, channels_read) = (self.image_size, self.channels);
            return Err(BackboneError::Inputs {
                model_type: MODEL_TYPE,
                expected: format!("images of {channels_read} x {size} x {size}"),
                found: format!("images of {channels} x {height} x {width}"),
            });
        }
        let (grid, patch) = (self.image_size / self.patch_size, self.patch_size);
        let patches = pixels
            .reshape(&[rows, channels, grid, patch, grid, patch][..])?
            .permute(&[0, 2, 4, 1, 3, 5][..])?
            .reshape((rows * grid * grid, channels * patch * patch))?;
        let projected = patches
            .matmul(&self.projection)?
            .broadcast_add(&self.bias)?
            .reshape((rows, grid * grid, self.bias.dim(0)?))?;
        let class_token = self
            .class_token
            .broadcast_as((rows, 1, self.bias.dim(0)?))?;
        let tokens = Tensor::cat(&[&class_token.contiguous()?, &projected], 1)?;
        Ok(tokens.broadcast_add(&self.positions)?)
    }
}

pub(crate) fn load(
    folder: &Path,
    config_path: &Path,
    pooling: Option<Pooling>,
) -> Result<Backbone, BackboneError> {
    let config: Config = read_json(config_path)?;
    check(config_path, &config, pooling)?;

    let (width, epsilon) = (config.hidden_size, config.layer_norm_eps);
    let (channels, patch) = (config.num_channels, config.patch_size);
    let mut checkpoint = Checkpoint::open(folder, "embeddings.cls_token")?;
    let class_token = checkpoint.take("embeddings.cls_token", &[1, 1, width])?;
    let input = InputDescription::Image {
        image_size: config.image_size,
        patch_size: patch,
        channels,
    };
    let tokens = (config.image_size / patch).pow(2) + 1;
    let positions = checkpoint.take("embeddings.position_embeddings", &[1, tokens, width])?;
    let projection = checkpoint.take(
        "embeddings.patch_embeddings.projection.weight",
        &[width, channels, patch, patch],
    )?;
    let bias = checkpoint.take("embeddings.patch_embeddings.projection.bias", &[width])?;
    let embedding = Embedding {
        projection: tensor(projection, &[width, channels * patch * patch])?
            .t()?
            .contiguous()?,
        bias: tensor(bias, &[width])?,
        class_token: tensor(class_token, &[1, 1, width])?,
        positions: tensor(positions, &[1, tokens, width])?,
        channels,
        image_size: config.image_size,
        patch_size: patch,
    };

    let shape = BlockShape {
        blocks: config.num_hidden_layers,
        width,
        heads: config.num_attention_heads,
        intermediate: config.intermediate_size,
        epsilon,
        norm_position: NormPosition::BeforeTransform,
    };
    let sublayers = blocks::take(&mut checkpoint, &BLOCK_NAMES, &shape)?;
    let last_norm = LayerNorm::take(&mut checkpoint, "layernorm", width, epsilon)?;

    let description = BackboneDescription {
        model_type: MODEL_TYPE,
        blocks: config.num_hidden_layers,
        hidden_states: sublayers.len() + 1,
        width,
        heads: config.num_attention_heads,
        intermediate: config.intermediate_size,
        pooling: Pooling::Cls,
        parameters: checkpoint.parameters(),
        weights_sha256: checkpoint.weights_sha256(),
        input,
    };
    let embedding = AnyEmbedding::Vit(embedding);
    let pooler = Pooler {
        pooling: Pooling::Cls,
        last_norm: Some(last_norm),
    };
    Ok(Backbone::new(description, embedding, sublayers, pooler))
}

fn check(path: &Path, config: &Config, pooling: Option<Pooling>) -> Result<(), BackboneError> {
    crate::sublayer::check_activation(path, &config.hidden_act)?;
    crate::sublayer::check_heads(path, config.hidden_size, config.num_attention_heads)?;
    let refuse = |key, found: String, expected: &str| {
        Err(BackboneError::Setting {
            path: path.to_owned(),
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
    if pooling == Some(Pooling::Mean) {
        return refuse(
            "model_type",
            MODEL_TYPE.to_owned(),
            "it is read at its class token: leave out `--pooling mean`",
        );
    }
    Ok(())
}
