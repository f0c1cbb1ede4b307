//! The vision transformers of timm, read as the ViT, DeiT or DINOv2 with the same weights: other names, and query, key and
//! value in one tensor.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::bicubic::Bicubic;
use crate::checkpoint::{Checkpoint, read_json};
use crate::image_embedding::Tokens;
use crate::source::Source;
use crate::vit::{self, Architecture};
use crate::weight_file::StoredTensor;
use crate::{Backbone, BackboneError, dinov2};

/// The configuration of a checkpoint, which leaves out the sizes that the tensors show.
#[derive(Deserialize)]
struct Config {
    architecture: String,
    global_pool: Option<String>,
    /// What differs from the architecture's defaults.
    #[serde(default)]
    model_args: Map<String, Value>,
}

/// The sizes in the names of architectures, with their numbers of heads.
const HEADS: [(&str, usize); 6] = [
    ("tiny", 3),
    ("small", 6),
    ("medium", 8),
    ("base", 12),
    ("large", 16),
    ("huge", 16),
];

/// The arguments that change nothing but the training, or nothing that the tensors do not show.
const SHOWN_BY_TENSORS: [&str; 17] = [
    "attn_drop_rate",
    "depth",
    "drop_path_rate",
    "drop_rate",
    "dynamic_img_size",
    "embed_dim",
    "img_size",
    "in_chans",
    "init_values",
    "mlp_ratio",
    "no_embed_class",
    "num_classes",
    "patch_drop_rate",
    "patch_size",
    "pos_drop_rate",
    "proj_drop_rate",
    "reg_tokens",
];

/// The epsilon of the layer norms.
const EPSILON: f64 = 1e-6;

pub(crate) fn load(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    let config: Config = read_json(&source.config)?;
    let heads = config.heads(source)?;
    let stored = Checkpoint::list(source.folder)?;
    let shapes = Shapes::of(&stored).map_err(|reason| config.refused(source, reason))?;
    if heads == 0 || !shapes.width.is_multiple_of(heads) {
        return Err(BackboneError::Setting {
            path: source.config.clone(),
            key: "num_heads",
            found: heads.to_string(),
            expected: format!("it must divide the width `{}`", shapes.width),
        });
    }
    let model_type = shapes.model_type();
    let of_family = Source {
        model_type,
        folder: source.folder,
        config: source.config.clone(),
        pooling: source.pooling,
    };
    let own = match shapes.scaled {
        true => [["norm1"; 2], ["norm2"; 2], ["mlp.fc1"; 2], ["mlp.fc2"; 2]],
        false => [
            ["norm1", "layernorm_before"],
            ["norm2", "layernorm_after"],
            ["mlp.fc1", "intermediate.dense"],
            ["mlp.fc2", "output.dense"],
        ],
    };
    let mut checkpoint = stored.renamed(|tensor| renamed(tensor, &own));
    let extra: &[&str] = match shapes.distilled {
        true => &["cls_token", "distillation_token"],
        false => &["cls_token"],
    };
    let architecture = Architecture {
        names: match shapes.scaled {
            true => &dinov2::BLOCK_NAMES,
            false => &vit::BLOCK_NAMES,
        },
        tokens: Tokens {
            extra,
            placed: shapes.placed,
            registers: shapes.registers,
            interpolation: Bicubic::Antialiased,
        },
        intermediate: shapes.intermediate,
        epsilon: EPSILON,
    };
    let config = vit::Config {
        hidden_size: shapes.width,
        num_hidden_layers: shapes.blocks,
        num_attention_heads: heads,
        image_size: shapes.grid * shapes.patch,
        patch_size: shapes.patch,
        num_channels: shapes.channels,
        hidden_act: "gelu".to_owned(),
        layer_norm_eps: None,
        qkv_bias: true,
    };
    vit::load(&of_family, &mut checkpoint, &config, &architecture)
}

impl Config {
    /// The number of heads, if all other settings are supported.
    fn heads(&self, source: &Source<'_>) -> Result<usize, BackboneError> {
        let Some(usual) = heads_of(&self.architecture) else {
            return Err(self.refused(
                source,
                "only `vit_SIZE_patchN_..`, `deit_..` and `deit3_..` are supported, for pictures of a fixed size or by DINOv2",
            ));
        };
        let setting = |key, found: String, expected: &str| BackboneError::Setting {
            path: source.config.clone(),
            key,
            found,
            expected: expected.to_owned(),
        };
        if let Some(pool) = &self.global_pool
            && !["", "token"].contains(&pool.as_str())
        {
            let expected = "only models that are read at their class token are supported";
            return Err(setting("global_pool", pool.clone(), expected));
        }
        let mut heads = usual;
        for (key, value) in &self.model_args {
            let usual = match key.as_str() {
                "num_heads" => {
                    heads = value.as_u64().map_or(0, |heads| heads as usize);
                    continue;
                }
                key if SHOWN_BY_TENSORS.contains(&key) => continue,
                "class_token" | "qkv_bias" | "dynamic_img_pad" => json!(key != "dynamic_img_pad"),
                "global_pool" => json!("token"),
                _ => Value::Null,
            };
            if *value != usual {
                let expected = format!("`{key}` of a model of timm is not supported");
                return Err(setting("model_args", format!("{key}: {value}"), &expected));
            }
        }
        Ok(heads)
    }

    fn refused(&self, source: &Source<'_>, reason: &str) -> BackboneError {
        BackboneError::Setting {
            path: source.config.clone(),
            key: "architecture",
            found: self.architecture.clone(),
            expected: reason.to_owned(),
        }
    }
}

/// The number of heads of an architecture of this name, if it is a supported one.
fn heads_of(architecture: &str) -> Option<usize> {
    let mut words = architecture.split('_');
    if !["vit", "deit", "deit3"].contains(&words.next()?) {
        return None;
    }
    let size = words.next()?;
    let &(_, heads) = HEADS.iter().find(|(name, _)| *name == size)?;
    let variants = ["distilled", "reg4"];
    let rest: Vec<&str> = words.filter(|word| !variants.contains(word)).collect();
    let &[patch, pictures] = &rest[..] else {
        return None;
    };
    let number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let supported = patch.strip_prefix("patch").is_some_and(number)
        && (pictures == "dinov2" || number(pictures));
    supported.then_some(heads)
}

/// What the tensors of a checkpoint show.
struct Shapes {
    width: usize,
    channels: usize,
    patch: usize,
    intermediate: usize,
    blocks: usize,
    /// The number of patches along a side.
    grid: usize,
    /// Whether there is a distillation token.
    distilled: bool,
    /// Whether the class token has a position.
    placed: bool,
    registers: usize,
    /// Whether there is a factor for each feature of a sublayer's output.
    scaled: bool,
}

impl Shapes {
    /// The shapes, or why such a checkpoint is not supported.
    fn of(stored: &Checkpoint) -> Result<Self, &'static str> {
        let has = |name: &str| stored.shape(name).is_some();
        if has("norm_pre.weight") {
            return Err("models with a norm before the blocks are not supported");
        }
        if has("blocks.0.attn.q_norm.weight") {
            return Err("models with norms of query and key are not supported");
        }
        if has("fc_norm.weight") {
            return Err("only models that are read at their class token are supported");
        }
        let (true, Some(&[1, positions, width])) = (has("cls_token"), stored.shape("pos_embed"))
        else {
            return Err("only models with a class token and learned positions are supported");
        };
        let (Some(&[_, channels, patch, _]), Some(&[intermediate, _])) = (
            stored.shape("patch_embed.proj.weight"),
            stored.shape("blocks.0.mlp.fc1.weight"),
        ) else {
            return Err(
                "only models with a convolution over patches and a plain MLP are supported",
            );
        };
        let distilled = has("dist_token");
        let before = 1 + usize::from(distilled);
        let square = |count: usize| Some(count.isqrt()).filter(|side| side * side == count);
        let with = positions.checked_sub(before).and_then(square);
        let Some(grid) = with.or_else(|| square(positions)).filter(|&side| side > 0) else {
            return Err("only models of square pictures are supported");
        };
        let registers = match stored.shape("reg_token") {
            None => 0,
            Some(&[1, count, _]) => count,
            Some(_) => return Err("its register tokens have another shape than (1, count, width)"),
        };
        let scaled = has("blocks.0.ls1.gamma");
        if registers > 0 && !scaled {
            return Err("register tokens are supported in DINOv2 alone");
        }
        let block = |number: &usize| has(&format!("blocks.{number}.attn.qkv.weight"));
        Ok(Self {
            width,
            channels,
            patch,
            intermediate,
            blocks: (0..).take_while(block).count(),
            grid,
            distilled,
            placed: with.is_some(),
            registers,
            scaled,
        })
    }

    /// The architecture of transformers that computes the same.
    fn model_type(&self) -> &'static str {
        match self {
            Self {
                scaled: true,
                registers: 0,
                ..
            } => "dinov2",
            Self { scaled: true, .. } => "dinov2_with_registers",
            Self {
                distilled: true, ..
            } => "deit",
            _ => "vit",
        }
    }
}

/// A tensor under the name that transformers gives it, or its parts. `own` are the parts of a block whose names differ between
/// architectures.
fn renamed(tensor: StoredTensor, own: &[[&str; 2]; 4]) -> Vec<StoredTensor> {
    let name = |name: String| StoredTensor {
        name,
        ..tensor.clone()
    };
    let whole = [
        ("cls_token", "embeddings.cls_token"),
        ("dist_token", "embeddings.distillation_token"),
        ("reg_token", "embeddings.register_tokens"),
        ("pos_embed", "embeddings.position_embeddings"),
    ];
    if let Some((_, other)) = whole.iter().find(|(known, _)| *known == tensor.name) {
        return vec![name((*other).to_owned())];
    }
    let (module, part) = tensor.name.rsplit_once('.').unwrap_or((&tensor.name, ""));
    match module {
        "patch_embed.proj" => {
            return vec![name(format!(
                "embeddings.patch_embeddings.projection.{part}"
            ))];
        }
        "norm" => return vec![name(format!("layernorm.{part}"))],
        _ => {}
    }
    let of_block = module
        .strip_prefix("blocks.")
        .and_then(|rest| rest.split_once('.'));
    let Some((block, module)) = of_block else {
        return vec![tensor];
    };
    let block = format!("encoder.layer.{block}");
    let module = match module {
        "attn.qkv" => {
            let names = ["query", "key", "value"]
                .map(|which| format!("{block}.attention.attention.{which}.{part}"));
            return tensor.thirds(names).unwrap_or_else(|| vec![tensor]);
        }
        "attn.proj" => "attention.output.dense",
        "ls1" => return vec![name(format!("{block}.layer_scale1.lambda1"))],
        "ls2" => return vec![name(format!("{block}.layer_scale2.lambda1"))],
        other => own
            .iter()
            .find(|[known, _]| *known == other)
            .map_or(other, |[_, own]| own),
    };
    vec![name(format!("{block}.{module}.{part}"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_are_known_by_their_names() {
        for (name, heads) in [
            ("vit_tiny_patch16_224", Some(3)),
            ("vit_large_patch32_384", Some(16)),
            ("vit_small_patch14_dinov2", Some(6)),
            ("vit_base_patch14_reg4_dinov2", Some(12)),
            ("deit_base_distilled_patch16_384", Some(12)),
            ("deit3_medium_patch16_224", Some(8)),
            ("vit_giant_patch14_dinov2", None),
            ("vit_base_patch16_224_miil", None),
            ("vit_base_patch16_rope_224", None),
            ("vit_base_patch16_clip_224", None),
            ("vit_base_patch_224", None),
            ("resnet50", None),
        ] {
            assert_eq!(heads_of(name), heads, "{name}");
        }
    }
}
