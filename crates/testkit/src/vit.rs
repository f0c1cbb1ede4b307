//! A tiny ViT.

use std::path::Path;

use serde_json::json;

use crate::files;
use crate::weights::{WeightType, Weights};

/// The description of what [`tiny_vit`] writes. The default has 2 blocks, hence 5 hidden states of width 32, and 16
/// patches of 4 x 4 pixels in addition to the class token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TinyVit {
    /// The number L of transformer blocks.
    pub blocks: usize,
    /// The width d of the hidden states, a multiple of `heads`.
    pub width: usize,
    /// The number of attention heads.
    pub heads: usize,
    /// The width of the MLP's hidden layer.
    pub intermediate: usize,
    /// The height and width of the input in pixels, a multiple of `patch_size`.
    pub image_size: usize,
    /// The height and width of a patch in pixels.
    pub patch_size: usize,
    /// The number type of the stored weights.
    pub weight_type: WeightType,
    /// The prefix of every key of the backbone, empty or `vit.`. With a prefix the file also contains a `classifier`,
    /// like the checkpoints of models with a head.
    pub prefix: &'static str,
    /// The number of weight files. With 1 there is a plain `model.safetensors`.
    pub shards: usize,
    /// The seed of all weights. Prefix, shards and number type change only how the weights are stored.
    pub seed: u64,
}

impl Default for TinyVit {
    fn default() -> Self {
        TinyVit {
            blocks: 2,
            width: 32,
            heads: 4,
            intermediate: 64,
            image_size: 16,
            patch_size: 4,
            weight_type: WeightType::F32,
            prefix: "",
            shards: 1,
            seed: 0,
        }
    }
}

/// Writes a Hugging Face folder of `model_type` `vit`: `config.json`, the weights and `preprocessor_config.json` (mean
/// and deviation 0.5, bicubic). The keys are those of a Hugging Face `ViTModel` without pooler.
///
/// # Panics
/// If the folder cannot be written, if `width` is not a multiple of `heads`, or if `image_size` is not a multiple of
/// `patch_size`.
pub fn tiny_vit(folder: &Path, vit: &TinyVit) {
    assert_eq!(
        vit.width % vit.heads,
        0,
        "the width must be a multiple of the heads"
    );
    assert_eq!(
        vit.image_size % vit.patch_size,
        0,
        "the image must be a whole number of patches wide"
    );
    files::make_folder(folder);
    files::write_json(
        &folder.join("config.json"),
        &json!({
            "architectures": ["ViTModel"],
            "model_type": "vit",
            "attention_probs_dropout_prob": 0.0,
            "encoder_stride": vit.patch_size,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.0,
            "hidden_size": vit.width,
            "image_size": vit.image_size,
            "initializer_range": 0.02,
            "intermediate_size": vit.intermediate,
            "layer_norm_eps": 1e-6,
            "num_attention_heads": vit.heads,
            "num_channels": 3,
            "num_hidden_layers": vit.blocks,
            "patch_size": vit.patch_size,
            "qkv_bias": true,
            "torch_dtype": vit.weight_type.torch_name(),
        }),
    );
    files::write_json(
        &folder.join("preprocessor_config.json"),
        &json!({
            "do_normalize": true,
            "do_rescale": true,
            "do_resize": true,
            "image_mean": [0.5, 0.5, 0.5],
            "image_processor_type": "ViTImageProcessor",
            "image_std": [0.5, 0.5, 0.5],
            "resample": 3,
            "rescale_factor": 0.00392156862745098,
            "size": { "height": vit.image_size, "width": vit.image_size },
        }),
    );
    weights(vit).write(folder, vit.shards);
}

fn weights(vit: &TinyVit) -> Weights {
    let (width, patch, intermediate) = (vit.width, vit.patch_size, vit.intermediate);
    let positions = (vit.image_size / patch).pow(2) + 1;
    let mut weights = Weights::new(vit.seed, vit.weight_type, vit.prefix);
    weights.normal("embeddings.cls_token", &[1, 1, width], 0.0, 0.5);
    let projection = "embeddings.patch_embeddings.projection";
    weights.normal(
        &format!("{projection}.weight"),
        &[width, 3, patch, patch],
        0.0,
        1.0 / ((3 * patch * patch) as f32).sqrt(),
    );
    weights.normal(&format!("{projection}.bias"), &[width], 0.0, 0.05);
    weights.normal(
        "embeddings.position_embeddings",
        &[1, positions, width],
        0.0,
        0.3,
    );
    for block in 0..vit.blocks {
        let block = format!("encoder.layer.{block}");
        weights.layer_norm(&format!("{block}.layernorm_before"), width);
        for map in ["query", "key", "value"] {
            weights.linear(&format!("{block}.attention.attention.{map}"), width, width);
        }
        weights.linear(&format!("{block}.attention.output.dense"), width, width);
        weights.layer_norm(&format!("{block}.layernorm_after"), width);
        weights.linear(&format!("{block}.intermediate.dense"), intermediate, width);
        weights.linear(&format!("{block}.output.dense"), width, intermediate);
    }
    weights.layer_norm("layernorm", width);
    if !vit.prefix.is_empty() {
        weights.normal_unprefixed("classifier.weight", &[2, width], 0.0, 0.1);
        weights.normal_unprefixed("classifier.bias", &[2], 0.0, 0.1);
    }
    weights
}
