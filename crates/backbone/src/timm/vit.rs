//! ViT, DeiT and DINOv2.

use super::{Config, check_all_read, check_heads, named, of_block, of_family};
use crate::bicubic::Bicubic;
use crate::checkpoint::Checkpoint;
use crate::image_embedding::Tokens;
use crate::source::Source;
use crate::vit::{self, Architecture};
use crate::weight_file::StoredTensor;
use crate::{Backbone, BackboneError, dinov2};

/// The epsilon of the layer norms.
const EPSILON: f64 = 1e-6;

pub(super) fn load(
    source: &Source<'_>,
    config: &Config,
    heads: usize,
    stored: Checkpoint,
) -> Result<Backbone, BackboneError> {
    let shapes = Shapes::of(&stored).map_err(|reason| config.refused(source, reason))?;
    check_heads(source, heads, shapes.width)?;
    let family = of_family(source, shapes.model_type());
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
    let own_config = vit::Config {
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
    let backbone = vit::load(&family, &mut checkpoint, &own_config, &architecture)?;
    check_all_read(source, config, &checkpoint)?;
    Ok(backbone)
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
    let whole = [
        ("cls_token", "cls_token"),
        ("dist_token", "distillation_token"),
        ("reg_token", "register_tokens"),
        ("pos_embed", "position_embeddings"),
        (
            "patch_embed.proj.weight",
            "patch_embeddings.projection.weight",
        ),
        ("patch_embed.proj.bias", "patch_embeddings.projection.bias"),
    ];
    if let Some((_, other)) = whole.iter().find(|(known, _)| *known == tensor.name) {
        return named(tensor, format!("embeddings.{other}"));
    }
    if let Some(part) = tensor.name.strip_prefix("norm.") {
        let name = format!("layernorm.{part}");
        return named(tensor, name);
    }
    let Some((block, module, part)) = of_block(&tensor.name) else {
        return vec![tensor];
    };
    let block = format!("encoder.layer.{block}");
    let name = match module {
        "attn.qkv" => {
            let names = ["query", "key", "value"]
                .map(|which| format!("{block}.attention.attention.{which}.{part}"));
            return tensor.thirds(names).unwrap_or_else(|| vec![tensor]);
        }
        "attn.proj" => format!("{block}.attention.output.dense.{part}"),
        "ls1" => format!("{block}.layer_scale1.lambda1"),
        "ls2" => format!("{block}.layer_scale2.lambda1"),
        other => {
            let own = own.iter().find(|[known, _]| *known == other);
            format!("{block}.{}.{part}", own.map_or(other, |[_, own]| own))
        }
    };
    named(tensor, name)
}
