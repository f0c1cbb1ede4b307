//! DINOv2: the blocks of ViT with a learned factor for each feature of a sublayer's output (Oquab et al., 2024;
//! LayerScale: Touvron et al., 2021), and DINOv2 with registers (Darcet et al., 2024).

use serde::Deserialize;

use crate::bicubic::Bicubic;
use crate::blocks::{BlockNames, MlpNames, ProjectionNames};
use crate::checkpoint::read_json;
use crate::image_embedding::Tokens;
use crate::source::Source;
use crate::vit::{self, Architecture};
use crate::{Backbone, BackboneError};

pub(crate) const BLOCK_NAMES: BlockNames = BlockNames {
    blocks: "encoder.layer",
    projection: ProjectionNames::Separate([
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
    ]),
    attention_output: "attention.output.dense",
    mlp: MlpNames::Plain {
        up: "mlp.fc1",
        down: "mlp.fc2",
    },
    norms: ["norm1", "norm2"],
    norms_behind: None,
    norms_of_heads: None,
    scales: Some(["layer_scale1.lambda1", "layer_scale2.lambda1"]),
};

const EPSILON: f64 = 1e-6;

/// The part of the configuration that only DINOv2 has.
#[derive(Deserialize)]
struct MlpConfig {
    #[serde(default = "four")]
    mlp_ratio: f64,
    #[serde(default)]
    use_swiglu_ffn: bool,
}

fn four() -> f64 {
    4.0
}

/// The part of the configuration that only models with registers have.
#[derive(Deserialize)]
struct RegisterConfig {
    #[serde(default = "four_registers")]
    num_register_tokens: usize,
}

fn four_registers() -> usize {
    4
}

pub(crate) fn load(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    load_with(source, 0, Bicubic::Plain)
}

pub(crate) fn load_with_registers(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    let config: RegisterConfig = read_json(&source.config)?;
    load_with(source, config.num_register_tokens, Bicubic::Antialiased)
}

fn load_with(
    source: &Source<'_>,
    registers: usize,
    interpolation: Bicubic,
) -> Result<Backbone, BackboneError> {
    let config: vit::Config = read_json(&source.config)?;
    let mlp: MlpConfig = read_json(&source.config)?;
    if mlp.use_swiglu_ffn {
        return Err(BackboneError::Setting {
            path: source.config.clone(),
            key: "use_swiglu_ffn",
            found: "true".to_owned(),
            expected:
                "the MLP of the giant model is not supported; use the small, base or large one"
                    .to_owned(),
        });
    }
    let architecture = Architecture {
        names: &BLOCK_NAMES,
        tokens: Tokens {
            extra: &["cls_token"],
            placed: true,
            registers,
            interpolation,
        },
        // The ratio may be a fraction; the fractional part of the product is cut off, as in transformers.
        intermediate: (config.hidden_size as f64 * mlp.mlp_ratio) as usize,
        epsilon: EPSILON,
    };
    let mut checkpoint = vit::checkpoint(source)?;
    vit::load(source, &mut checkpoint, &config, &architecture)
}
