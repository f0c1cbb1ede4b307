"""ViT, DeiT, DINOv2, DINOv3 and the towers of CLIP and SigLIP for pictures of transformers: a layer norm starts a residual branch, and no module computes the sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ..points import BranchPoint, OutputPoint, Point
from .layout import Layout, affine, parameter, refuse, submodule

# The parts of a block by their names in checkpoints, and their names in versions of transformers.
ATTENTION: dict[str, tuple[str, ...]] = {
    "attention.attention.query": ("attention.attention.query", "attention.q_proj"),
    "attention.attention.key": ("attention.attention.key", "attention.k_proj"),
    "attention.attention.value": ("attention.attention.value", "attention.v_proj"),
    "attention.output.dense": ("attention.output.dense", "attention.o_proj"),
}
VIT = ATTENTION | {
    "intermediate.dense": ("intermediate.dense", "mlp.fc1"),
    "output.dense": ("output.dense", "mlp.fc2"),
    "layernorm_before": ("layernorm_before",),
    "layernorm_after": ("layernorm_after",),
}
CLIP = (
    *(f"self_attn.{name}_proj" for name in ("q", "k", "v", "out")),
    "layer_norm1",
    "layer_norm2",
    "mlp.fc1",
    "mlp.fc2",
)
DINOV2 = ATTENTION | {
    "mlp.fc1": ("mlp.fc1",),
    "mlp.fc2": ("mlp.fc2",),
    "norm1": ("norm1",),
    "norm2": ("norm2",),
}


def vit(base: nn.Module, config: Any) -> Layout:
    """ViT with its class token, and DeiT with a distillation token as well."""
    points: list[Point] = []
    for block in _blocks(base):
        # Before version 5 each residual branch ends in its own module, since then both end in one dropout.
        attention = submodule(block, "dropout", "attention.output")
        mlp = submodule(block, "dropout", "output.dropout")
        points += [
            BranchPoint(submodule(block, "layernorm_before"), attention),
            BranchPoint(submodule(block, "layernorm_after"), mlp),
        ]
    tokens = ("cls_token", "distillation_token") if config.model_type == "deit" else ("cls_token",)
    return _layout(base, config, points, VIT, tokens, scales=())


def dinov2(base: nn.Module, config: Any) -> Layout:
    """DINOv2, with or without registers, with a learned factor per feature of a sublayer's output and one drop path for both branches."""
    if getattr(config, "use_swiglu_ffn", False):
        raise refuse(base, "use_swiglu_ffn", "true", "use the small, base or large model")
    points: list[Point] = []
    for block in _blocks(base):
        gate = submodule(block, "drop_path")
        points += [BranchPoint(submodule(block, norm), gate) for norm in ("norm1", "norm2")]
    scales = ("layer_scale1", "layer_scale2")
    registers = config.model_type == "dinov2_with_registers" and config.num_register_tokens > 0
    tokens = ("cls_token", "register_tokens") if registers else ("cls_token",)
    return _layout(base, config, points, DINOV2, tokens, scales)


def dinov3(base: nn.Module, config: Any) -> Layout:
    """DINOv3: the hooks of DINOv2, and rotary positions in its attention."""
    blocks = list(submodule(base, "model.layer", "layer").children())
    points: list[Point] = []
    for block in blocks:
        gate = submodule(block, "drop_path")
        points += [BranchPoint(submodule(block, norm), gate) for norm in ("norm1", "norm2")]

    def weights() -> dict[str, Tensor]:
        # Since version 5 the blocks are in a module of their own, but not in checkpoints. Nothing reads the mask token.
        named = {name.removeprefix("model."): value for name, value in base.named_parameters()}
        return {name: value for name, value in named.items() if value.numel() and not name.endswith("mask_token")}

    return Layout(
        model_type=config.model_type,
        base=base,
        method="forward",
        blocks=blocks,
        points=[OutputPoint(submodule(base, "embeddings")), *points],
        width=config.hidden_size,
        poolings=("cls",),
        weights=weights,
    )


def clip(base: nn.Module, config: Any) -> Layout:
    """CLIP's tower for pictures, whose last norm follows the class token's reading."""
    return _tower(base, config, "clip_vision_model", "cls")


def siglip(base: nn.Module, config: Any) -> Layout:
    """SigLIP's tower for pictures, which has no class token, and whose own head is left out."""
    return _tower(base, config, "siglip_vision_model", "mean")


def _tower(base: nn.Module, config: Any, model_type: str, pooling: str) -> Layout:
    # Before version 5 the tower is a module of the model.
    tower = submodule(base, "vision_model") if hasattr(base, "vision_model") else base
    blocks = list(submodule(tower, "encoder.layers").children())
    points: list[Point] = []
    for block in blocks:
        points += [
            BranchPoint(submodule(block, "layer_norm1"), submodule(block, "self_attn.out_proj")),
            BranchPoint(submodule(block, "layer_norm2"), submodule(block, "mlp.fc2")),
        ]
    embeddings, last_norm = submodule(tower, "embeddings"), submodule(tower, "post_layernorm")
    reads_class = pooling == "cls"
    begin = submodule(tower, "pre_layrnorm") if reads_class else embeddings

    def weights() -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = {f"embeddings.{name}": value for name, value in embeddings.named_parameters()}
        for number, block in enumerate(blocks):
            for name in CLIP:
                tensors |= affine(f"encoder.layers.{number}.{name}", submodule(block, name))
        if reads_class:
            tensors |= affine("pre_layrnorm", begin)
        return tensors | affine("post_layernorm", last_norm)

    return Layout(
        model_type=model_type,
        base=base,
        method="forward",
        blocks=blocks,
        points=[OutputPoint(begin), *points],
        width=config.hidden_size,
        poolings=(pooling,),
        weights=weights,
        # SigLIP's is part of its forward.
        last_norm=last_norm if reads_class else None,
    )


def _blocks(base: nn.Module) -> list[nn.Module]:
    return list(submodule(base, "encoder.layer", "layers").children())


def _layout(
    base: nn.Module,
    config: Any,
    points: Sequence[Point],
    parts: Mapping[str, Sequence[str]],
    tokens: Sequence[str],
    scales: Sequence[str],
) -> Layout:
    embeddings = submodule(base, "embeddings")
    blocks = _blocks(base)

    def weights() -> dict[str, Tensor]:
        tensors = affine(
            "embeddings.patch_embeddings.projection", submodule(embeddings, "patch_embeddings.projection")
        )
        for name in (*tokens, "position_embeddings"):
            tensors[f"embeddings.{name}"] = parameter(embeddings, name)
        for number, block in enumerate(blocks):
            for name, paths in parts.items():
                tensors |= affine(f"encoder.layer.{number}.{name}", submodule(block, *paths))
            for name in scales:
                scale = parameter(submodule(block, name), "lambda1")
                tensors[f"encoder.layer.{number}.{name}.lambda1"] = scale
        return tensors | affine("layernorm", submodule(base, "layernorm"))

    return Layout(
        model_type=config.model_type,
        base=base,
        method="forward",
        blocks=blocks,
        points=[OutputPoint(embeddings), *points],
        width=config.hidden_size,
        poolings=("cls",),
        weights=weights,
    )
