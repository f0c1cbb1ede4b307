//! The vision transformers of timm, read as the models of transformers with the same weights: other names, and query, key
//! and value in one tensor.

mod dinov3;
mod vit;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::checkpoint::{Checkpoint, read_json};
use crate::source::Source;
use crate::weight_file::StoredTensor;
use crate::{Backbone, BackboneError};

/// The configuration of a checkpoint, which leaves out the sizes that the tensors show.
#[derive(Deserialize)]
struct Config {
    architecture: String,
    global_pool: Option<String>,
    /// What differs from the architecture's defaults.
    #[serde(default)]
    model_args: Map<String, Value>,
    pretrained_cfg: Option<Pretrained>,
}

#[derive(Deserialize)]
struct Pretrained {
    /// Channels, height and width.
    input_size: Option<[usize; 3]>,
}

/// The supported kinds of architectures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// ViT, DeiT and DINOv2.
    Vit,
    Dinov3,
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

/// The sizes that have other numbers, or exist, in DINOv3 alone. They take precedence there.
const HEADS_OF_DINOV3: [(&str, usize); 2] = [("huge", 20), ("7b", 32)];

/// The arguments that change nothing but the training, or nothing that the tensors do not show.
const SHOWN_BY_TENSORS: [&str; 18] = [
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
    "num_reg_tokens",
    "patch_drop_rate",
    "patch_size",
    "pos_drop_rate",
    "proj_drop_rate",
    "reg_tokens",
];

pub(crate) fn load(source: &Source<'_>) -> Result<Backbone, BackboneError> {
    let config: Config = read_json(&source.config)?;
    let Some((kind, usual)) = kind_of(&config.architecture) else {
        return Err(config.refused(
            source,
            "only `vit_SIZE_patchN_..`, `deit_..` and `deit3_..` are supported, for pictures of a fixed size or by DINOv2 or DINOv3",
        ));
    };
    let heads = config.heads(source, kind, usual)?;
    let stored = Checkpoint::list(source.folder)?;
    match kind {
        Kind::Vit => vit::load(source, &config, heads, stored),
        Kind::Dinov3 => dinov3::load(source, &config, heads, stored),
    }
}

impl Config {
    /// The number of heads, if all other settings are supported.
    fn heads(&self, source: &Source<'_>, kind: Kind, usual: usize) -> Result<usize, BackboneError> {
        let setting = |key, found: String, expected: &str| BackboneError::Setting {
            path: source.config.clone(),
            key,
            found,
            expected: expected.to_owned(),
        };
        // The models of DINOv3 were trained with their class token, whichever way timm reads them.
        if let Some(pool) = &self.global_pool
            && kind == Kind::Vit
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
                "qkv_bias" | "global_pool" if kind == Kind::Dinov3 => continue,
                key if SHOWN_BY_TENSORS.contains(&key) => continue,
                "class_token" | "qkv_bias" => json!(true),
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

/// Refuses a number of heads that does not divide the width.
fn check_heads(source: &Source<'_>, heads: usize, width: usize) -> Result<(), BackboneError> {
    if heads > 0 && width.is_multiple_of(heads) {
        return Ok(());
    }
    Err(BackboneError::Setting {
        path: source.config.clone(),
        key: "num_heads",
        found: heads.to_string(),
        expected: format!("it must divide the width `{width}`"),
    })
}

/// Refuses a checkpoint of which something was not read: its architecture is not what its name says. Heads are left out on
/// purpose, and so is the token that stands for hidden patches in pre-training.
fn check_all_read(
    source: &Source<'_>,
    config: &Config,
    checkpoint: &Checkpoint,
) -> Result<(), BackboneError> {
    let known = |name: &str| name.starts_with("head") || name == "mask_token";
    match checkpoint.left_over(known) {
        None => Ok(()),
        Some(name) => {
            let reason = format!("models with a tensor `{name}` are not supported");
            Err(config.refused(source, &reason))
        }
    }
}

/// The source of a checkpoint as that of the family with the same weights.
fn of_family<'a>(source: &Source<'a>, model_type: &'static str) -> Source<'a> {
    Source {
        model_type,
        folder: source.folder,
        config: source.config.clone(),
        pooling: source.pooling,
    }
}

/// The kind and the number of heads of an architecture of this name, if it is a supported one.
fn kind_of(architecture: &str) -> Option<(Kind, usize)> {
    let mut words = architecture.split('_');
    let family = words.next()?;
    let size = words.next()?;
    let (variants, rest): (Vec<&str>, Vec<&str>) =
        words.partition(|word| ["distilled", "reg4", "plus", "qkvb"].contains(word));
    let &[patch, pictures] = &rest[..] else {
        return None;
    };
    let number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    if !patch.strip_prefix("patch").is_some_and(number) {
        return None;
    }
    let (kind, of_kind): (Kind, &[&str]) = match (family, pictures) {
        ("vit", "dinov3") => (Kind::Dinov3, &["plus", "qkvb"]),
        ("vit", "dinov2") => (Kind::Vit, &["reg4"]),
        ("vit" | "deit3", size) if number(size) => (Kind::Vit, &[]),
        ("deit", size) if number(size) => (Kind::Vit, &["distilled"]),
        _ => return None,
    };
    let own = match kind {
        Kind::Dinov3 => &HEADS_OF_DINOV3[..],
        Kind::Vit => &[],
    };
    let mut known = own.iter().chain(&HEADS);
    let &(_, heads) = known.find(|(name, _)| *name == size)?;
    let supported = variants.iter().all(|variant| of_kind.contains(variant));
    supported.then_some((kind, heads))
}

/// A tensor's name in three: the number of its block, the module there and its part.
fn of_block(name: &str) -> Option<(&str, &str, &str)> {
    let (block, name) = name.strip_prefix("blocks.")?.split_once('.')?;
    let (module, part) = name.rsplit_once('.').unwrap_or((name, ""));
    Some((block, module, part))
}

/// The same tensor under another name.
fn named(tensor: StoredTensor, name: impl Into<String>) -> Vec<StoredTensor> {
    vec![StoredTensor {
        name: name.into(),
        ..tensor
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_are_known_by_their_names() {
        let vit = |heads| Some((Kind::Vit, heads));
        let dinov3 = |heads| Some((Kind::Dinov3, heads));
        for (name, expected) in [
            ("vit_tiny_patch16_224", vit(3)),
            ("vit_large_patch32_384", vit(16)),
            ("vit_huge_patch14_224", vit(16)),
            ("vit_small_patch14_dinov2", vit(6)),
            ("vit_base_patch14_reg4_dinov2", vit(12)),
            ("deit_base_distilled_patch16_384", vit(12)),
            ("deit3_medium_patch16_224", vit(8)),
            ("vit_small_plus_patch16_dinov3", dinov3(6)),
            ("vit_base_patch16_dinov3_qkvb", dinov3(12)),
            ("vit_huge_plus_patch16_dinov3", dinov3(20)),
            ("vit_7b_patch16_dinov3", dinov3(32)),
            ("vit_giant_patch14_dinov2", None),
            ("vit_base_patch16_plus_240", None),
            ("vit_base_patch16_reg4_224", None),
            ("vit_7b_patch16_224", None),
            ("vit_base_patch16_224_miil", None),
            ("vit_base_patch16_rope_224", None),
            ("vit_base_patch16_clip_224", None),
            ("vit_base_patch_224", None),
            ("resnet50", None),
        ] {
            assert_eq!(kind_of(name), expected, "{name}");
        }
    }
}
