"""The vision transformers of timm, treated as the ViT, DeiT or DINOv2 with the same weights."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..points import BranchPoint, OutputPoint, Point
from .layout import Layout, affine, parameter, refuse, submodule

MODULE = "timm.models.vision_transformer"

# The names in a family's checkpoints by timm's names.
NAMES = {
    "vit": {
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    },
    "dinov2": {name: name for name in ("norm1", "norm2", "mlp.fc1", "mlp.fc2")},
}
NAMES["deit"] = NAMES["vit"]
NAMES["dinov2_with_registers"] = NAMES["dinov2"]


def is_timm(model: nn.Module) -> bool:
    """Whether `model` is a VisionTransformer of timm or a subclass of it."""
    return any(
        base.__module__ == MODULE and base.__name__ == "VisionTransformer" for base in type(model).__mro__
    )


def timm_vit(model: nn.Module) -> Layout:
    """The layout of a VisionTransformer, a DINOv2 with LayerScale and perhaps registers, and a DeiT with a distillation token."""
    base: Any = model
    blocks = list(base.blocks)
    _check(base, blocks)
    scaled = not isinstance(blocks[0].ls1, nn.Identity)
    distilled = getattr(base, "dist_token", None) is not None
    registers = getattr(base, "reg_token", None)
    if registers is not None:
        model_type = "dinov2_with_registers"
    else:
        model_type = "dinov2" if scaled else "deit" if distilled else "vit"
    points: list[Point] = [OutputPoint(base.norm_pre)]
    for block in blocks:
        points += [BranchPoint(block.norm1, block.drop_path1), BranchPoint(block.norm2, block.drop_path2)]
    # With average pooling timm moves the last norm after the pooling.
    moved = isinstance(base.norm, nn.Identity)
    last_norm: nn.Module = base.fc_norm if moved else base.norm

    def weights() -> dict[str, Tensor]:
        tensors = affine("embeddings.patch_embeddings.projection", base.patch_embed.proj)
        tensors["embeddings.cls_token"] = base.cls_token
        tensors["embeddings.position_embeddings"] = base.pos_embed
        if registers is not None:
            tensors["embeddings.register_tokens"] = registers
        if distilled:
            tensors["embeddings.distillation_token"] = base.dist_token
        for number, block in enumerate(blocks):
            tensors |= _block(f"encoder.layer.{number}", block, NAMES[model_type], scaled)
        return tensors | affine("layernorm", last_norm)

    return Layout(
        model_type=model_type,
        base=base,
        method="forward_features",
        blocks=blocks,
        points=points,
        width=base.embed_dim,
        poolings=("cls",),
        weights=weights,
        last_norm=last_norm if moved else None,
    )


def _block(prefix: str, block: Any, names: dict[str, str], scaled: bool) -> dict[str, Tensor]:
    """The weights of one block. In timm, query, key and value are one layer of three times the width."""
    tensors = affine(f"{prefix}.attention.output.dense", block.attn.proj)
    for part in ("weight", "bias"):
        thirds = parameter(block.attn.qkv, part).chunk(3)
        for name, third in zip(("query", "key", "value"), thirds):
            tensors[f"{prefix}.attention.attention.{name}.{part}"] = third
    for path, name in names.items():
        tensors |= affine(f"{prefix}.{name}", submodule(block, path))
    if scaled:
        for number in (1, 2):
            factors = parameter(submodule(block, f"ls{number}"), "gamma")
            tensors[f"{prefix}.layer_scale{number}.lambda1"] = factors
    return tensors


def _check(model: Any, blocks: list[Any]) -> None:
    """Refuses variants with another chain or embedding."""
    for block in blocks:
        if type(block).__name__ != "Block" or type(block).__module__ != MODULE:
            raise refuse(
                model, "blocks of", f"`{type(block).__name__}`", f"only `{MODULE}.Block` is supported"
            )
    scaled = not isinstance(blocks[0].ls1, nn.Identity)
    if getattr(model, "reg_token", None) is not None and not scaled:
        raise refuse(
            model, "register tokens", model.num_reg_tokens, "they are supported in DINOv2 alone"
        )
    if getattr(model, "cls_token", None) is None or model.pos_embed is None:
        raise refuse(
            model,
            "no class token, or no positions",
            "true",
            "only models with a class token and learned positions are supported",
        )
    if not isinstance(model.norm_pre, nn.Identity):
        raise refuse(model, "pre_norm", "true", "only models without a norm before the blocks are supported")
    if not all(isinstance(norm, nn.Identity) for norm in (blocks[0].attn.q_norm, blocks[0].attn.k_norm)):
        raise refuse(model, "qk_norm", "true", "only models without norms of query and key are supported")
