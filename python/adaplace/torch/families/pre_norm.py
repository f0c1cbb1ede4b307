"""ViT, DeiT, DINOv2 and CLIP's tower for pictures of transformers: a layer norm starts a residual branch, and no module computes the sum."""

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


def clip(base: nn.Module, config: Any) -> Layout:
    """CLIP's tower for pictures, whose last norm follows the class token's reading."""
    # Before version 5 the tower is a module of the model.
    tower = submodule(base, "vision_model") if hasattr(base, "vision_model") else base
    blocks = list(submodule(tower, "encoder.layers").children())
    points: list[Point] = []
    for block in blocks:
        points += [
            BranchPoint(submodule(block, "layer_norm1"), submodule(block, "self_attn.out_proj")),
            BranchPoint(submodule(block, "layer_norm2"), submodule(block, "mlp.fc2")),
        ]
    begin, last_norm = submodule(tower, "pre_layrnorm"), submodule(tower, "post_layernorm")

    def weights() -> dict[str, Tensor]:
        embeddings = submodule(tower, "embeddings")
        tensors = {"embeddings.class_embedding": parameter(embeddings, "class_embedding")}
        for name in ("patch_embedding", "position_embedding"):
            tensors[f"embeddings.{name}.weight"] = parameter(submodule(embeddings, name), "weight")
        for number, block in enumerate(blocks):
            for name in CLIP:
                tensors |= affine(f"encoder.layers.{number}.{name}", submodule(block, name))
        return tensors | affine("pre_layrnorm", begin) | affine("post_layernorm", last_norm)

    return Layout(
        model_type="clip_vision_model",
        base=base,
        method="forward",
        blocks=blocks,
        points=[OutputPoint(begin), *points],
        width=config.hidden_size,
        poolings=("cls",),
        weights=weights,
        last_norm=last_norm,
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
