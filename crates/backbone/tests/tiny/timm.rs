//! Checkpoints of timm that are not what the names of their architectures say. `tests/parity` has the models.

use adaplace_backbone::Backbone;
use safetensors::Dtype;

use crate::common::{assert_says, message};
use crate::families::folder;
use crate::folders::{Tensors, edit_tensors};

/// Checks that the edited checkpoint is refused by a message that names the architecture and says `reason`.
#[track_caller]
fn refused(family: &str, edit: impl FnOnce(&mut Tensors), reason: &str) {
    let folder = folder(family);
    edit_tensors(folder.path(), edit);
    let message = message(Backbone::load(folder.path(), None));
    assert_says(&message, &["config.json", "`architecture` = `", reason]);
}

fn vector(length: usize) -> (Dtype, Vec<usize>, Vec<u8>) {
    (Dtype::F16, vec![length], vec![0; 2 * length])
}

#[test]
fn weights_that_would_not_be_read() {
    for (family, name, says) in [
        ("timm-vit", "norm_pre.weight", "`norm_pre.weight`"),
        (
            "timm-vit",
            "blocks.1.attn.q_norm.weight",
            "attn.q_norm.weight`",
        ),
        ("timm-dinov2", "blocks.0.mlp.norm.bias", "mlp.norm.bias`"),
        ("timm-dinov3", "blocks.0.attn.qkv.bias", "k_proj.bias`"),
        ("timm-dinov3", "fc_norm.weight", "`fc_norm.weight`"),
    ] {
        let length = if name.contains("qkv") { 96 } else { 32 };
        let edit = |tensors: &mut Tensors| {
            tensors.insert(name.to_owned(), vector(length));
        };
        refused(family, edit, says);
    }
    // Heads and the token for hidden patches are left out on purpose.
    let folder = folder("timm-dinov3");
    edit_tensors(folder.path(), |tensors| {
        tensors.insert("head.bias".to_owned(), vector(7));
        tensors.insert("mask_token".to_owned(), vector(32));
    });
    Backbone::load(folder.path(), None).unwrap();
}

#[test]
fn tensors_that_are_missing_or_of_another_shape() {
    for (family, name, says) in [
        (
            "timm-vit",
            "cls_token",
            "a class token and learned positions",
        ),
        (
            "timm-vit",
            "pos_embed",
            "a class token and learned positions",
        ),
        ("timm-dinov2", "blocks.0.mlp.fc1.weight", "a plain MLP"),
        (
            "timm-dinov3",
            "cls_token",
            "a class token and a convolution",
        ),
        (
            "timm-dinov3",
            "blocks.0.gamma_1",
            "factors of the sublayers",
        ),
        (
            "timm-dinov3-gated",
            "blocks.0.mlp.fc1_x.weight",
            "a gated MLP",
        ),
    ] {
        let remove = |tensors: &mut Tensors| {
            tensors.remove(name).unwrap();
        };
        refused(family, remove, says);
    }
    for family in ["timm-dinov2-registers", "timm-dinov3"] {
        let flatten = |tensors: &mut Tensors| {
            tensors.get_mut("reg_token").unwrap().1 = vec![4, 32];
        };
        refused(family, flatten, "its register tokens have another shape");
    }
}
