//! DINOv3, whose positions are rotary.

use super::{Config, check_all_read, check_heads, named, of_block, of_family};
use crate::checkpoint::Checkpoint;
use crate::dinov3::{self, OwnConfig};
use crate::source::Source;
use crate::vit;
use crate::weight_file::StoredTensor;
use crate::{Backbone, BackboneError};

/// The base of the rotary positions.
const BASE: f64 = 100.0;

/// The number of patches along a side if the configuration does not name a size.
const GRID: usize = 16;

pub(super) fn load(
    source: &Source<'_>,
    config: &Config,
    heads: usize,
    stored: Checkpoint,
) -> Result<Backbone, BackboneError> {
    let refuse = |reason| Err(config.refused(source, reason));
    let has = |name: &str| stored.shape(name).is_some();
    if has("pos_embed") || !has("blocks.0.gamma_1") {
        return refuse(
            "only models with rotary positions and factors of the sublayers are supported",
        );
    }
    let (Some(&[_, _, width]), Some(&[_, num_channels, patch_size, _])) = (
        stored.shape("cls_token"),
        stored.shape("patch_embed.proj.weight"),
    ) else {
        return refuse(
            "only models with a class token and a convolution over patches are supported",
        );
    };
    check_heads(source, heads, width)?;
    let up = ["fc1", "fc1_x"].map(|name| stored.shape(&format!("blocks.0.mlp.{name}.weight")));
    let (Some(&[intermediate_size, _]), use_gated_mlp) = (up[0].or(up[1]), up[1].is_some()) else {
        return refuse("only models with a plain or a gated MLP are supported");
    };
    let num_register_tokens = match stored.shape("reg_token") {
        None => 0,
        Some(&[1, count, _]) => count,
        Some(_) => {
            return refuse("its register tokens have another shape than (1, count, width)");
        }
    };
    let biases = has("blocks.0.attn.q_bias");
    let block = |number: &usize| has(&format!("blocks.{number}.attn.qkv.weight"));
    let own = OwnConfig {
        intermediate_size,
        rope_theta: BASE,
        query_bias: biases,
        key_bias: false,
        value_bias: biases,
        proj_bias: true,
        mlp_bias: true,
        use_gated_mlp,
        num_register_tokens,
    };
    let input = config
        .pretrained_cfg
        .as_ref()
        .and_then(|one| one.input_size);
    let own_config = vit::Config {
        hidden_size: width,
        num_hidden_layers: (0..).take_while(block).count(),
        num_attention_heads: heads,
        image_size: input.map_or(GRID * patch_size, |[_, height, _]| height),
        patch_size,
        num_channels,
        hidden_act: if use_gated_mlp { "silu" } else { "gelu" }.to_owned(),
        layer_norm_eps: Some(1e-5),
        qkv_bias: true,
    };
    let mut checkpoint = stored.renamed(renamed);
    let family = of_family(source, "dinov3_vit");
    let backbone = dinov3::load_with(&family, &mut checkpoint, &own_config, &own)?;
    check_all_read(source, config, &checkpoint)?;
    Ok(backbone)
}

/// A tensor under the name that transformers gives it, or its parts.
fn renamed(tensor: StoredTensor) -> Vec<StoredTensor> {
    let whole = [
        ("cls_token", "cls_token"),
        ("reg_token", "register_tokens"),
        ("patch_embed.proj.weight", "patch_embeddings.weight"),
        ("patch_embed.proj.bias", "patch_embeddings.bias"),
    ];
    if let Some((_, other)) = whole.iter().find(|(known, _)| *known == tensor.name) {
        return named(tensor, format!("embeddings.{other}"));
    }
    let Some((block, module, part)) = of_block(&tensor.name) else {
        return vec![tensor];
    };
    let block = format!("layer.{block}");
    let name = match (module, part) {
        ("attn.qkv", _) => {
            let names =
                ["q", "k", "v"].map(|which| format!("{block}.attention.{which}_proj.{part}"));
            return tensor.thirds(names).unwrap_or_else(|| vec![tensor]);
        }
        ("attn", "q_bias") => format!("{block}.attention.q_proj.bias"),
        ("attn", "v_bias") => format!("{block}.attention.v_proj.bias"),
        ("attn.proj", _) => format!("{block}.attention.o_proj.{part}"),
        ("gamma_1", _) => format!("{block}.layer_scale1.lambda1"),
        ("gamma_2", _) => format!("{block}.layer_scale2.lambda1"),
        ("mlp.fc1" | "mlp.fc1_x", _) => format!("{block}.mlp.up_proj.{part}"),
        ("mlp.fc1_g", _) => format!("{block}.mlp.gate_proj.{part}"),
        ("mlp.fc2", _) => format!("{block}.mlp.down_proj.{part}"),
        _ => format!("{block}.{module}.{part}"),
    };
    named(tensor, name)
}
