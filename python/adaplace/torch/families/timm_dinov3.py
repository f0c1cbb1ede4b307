"""The DINOv3 of timm, treated as that of transformers with the same weights."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..points import BranchPoint, OutputPoint, Point
from .layout import Layout, affine, parameter, refuse, submodule

MODULE = "timm.models.eva"

# The names in checkpoints of transformers by timm's names of an MLP, without and with a gate.
MLPS = (
    {"mlp.fc1": "mlp.up_proj", "mlp.fc2": "mlp.down_proj"},
    {"mlp.fc1_g": "mlp.gate_proj", "mlp.fc1_x": "mlp.up_proj", "mlp.fc2": "mlp.down_proj"},
)


def is_eva(model: nn.Module) -> bool:
    """Whether `model` is an Eva of timm, of which DINOv3 is one."""
    return any(base.__module__ == MODULE and base.__name__ == "Eva" for base in type(model).__mro__)


def timm_dinov3(model: nn.Module) -> Layout:
    """The layout of DINOv3, which timm reads at the mean of its patches unless it is told otherwise, and we at its class token."""
    base: Any = model
    blocks = list(base.blocks)
    _check(base, blocks)
    points: list[Point] = [OutputPoint(base.norm_pre)]
    for block in blocks:
        points += [BranchPoint(block.norm1, block.drop_path1), BranchPoint(block.norm2, block.drop_path2)]

    def weights() -> dict[str, Tensor]:
        tensors = affine("embeddings.patch_embeddings", base.patch_embed.proj)
        tensors["embeddings.cls_token"] = base.cls_token
        if base.reg_token is not None:
            tensors["embeddings.register_tokens"] = base.reg_token
        for number, block in enumerate(blocks):
            tensors |= _block(f"layer.{number}", block)
        return tensors | affine("norm", base.norm)

    return Layout(
        model_type="dinov3_vit",
        base=base,
        method="forward_features",
        blocks=blocks,
        points=points,
        width=base.embed_dim,
        poolings=("cls",),
        weights=weights,
    )


def _block(prefix: str, block: Any) -> dict[str, Tensor]:
    """The weights of one block. In timm, query, key and value are one layer, and the key has no bias."""
    tensors = affine(f"{prefix}.attention.o_proj", block.attn.proj)
    for name, third in zip(("q", "k", "v"), parameter(block.attn.qkv, "weight").chunk(3)):
        tensors[f"{prefix}.attention.{name}_proj.weight"] = third
    for name in ("q", "v"):
        bias = getattr(block.attn, f"{name}_bias", None)
        if bias is not None:
            tensors[f"{prefix}.attention.{name}_proj.bias"] = bias
    for path, name in MLPS[hasattr(block.mlp, "fc1_g")].items():
        tensors |= affine(f"{prefix}.{name}", submodule(block, path))
    for number in (1, 2):
        tensors |= affine(f"{prefix}.norm{number}", submodule(block, f"norm{number}"))
        tensors[f"{prefix}.layer_scale{number}.lambda1"] = parameter(block, f"gamma_{number}")
    return tensors


def _check(model: Any, blocks: list[Any]) -> None:
    """Refuses all other models of this class."""
    rope = type(model.rope).__name__ if model.rope is not None else "None"
    if rope != "RotaryEmbeddingDinoV3" or model.pos_embed is not None:
        raise refuse(model, "rotary positions by", f"`{rope}`", "only DINOv3 is supported")
    if not isinstance(model.norm, nn.LayerNorm):
        raise refuse(model, "no norm after its blocks", "true", "only DINOv3 is supported")
    for block in blocks:
        if type(block).__name__ != "EvaBlock" or block.gamma_1 is None:
            raise refuse(model, "blocks of", f"`{type(block).__name__}`", "only DINOv3 is supported")
