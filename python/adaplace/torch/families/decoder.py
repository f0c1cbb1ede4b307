"""Decoders and ModernBERT of transformers: a norm starts a residual branch, in Gemma 2 and 3 another one ends it, and no module
computes the sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ..points import BranchPoint, OutputPoint, Point
from ..errors import AttachError
from .layout import Layout, refuse, submodule

# For the attention and the MLP of a block, the module that reads the state and the last one of the branch.
Branches = tuple[tuple[str, str], tuple[str, str]]

LLAMA: Branches = (("input_layernorm", "self_attn.o_proj"), ("post_attention_layernorm", "mlp.down_proj"))
GEMMA2: Branches = (
    ("input_layernorm", "post_attention_layernorm"),
    ("pre_feedforward_layernorm", "post_feedforward_layernorm"),
)
GPT2: Branches = (("ln_1", "attn.resid_dropout"), ("ln_2", "mlp.dropout"))
STARCODER2: Branches = (("input_layernorm", "self_attn.o_proj"), ("post_attention_layernorm", "mlp.c_proj"))
MODERNBERT: Branches = (("attn_norm", "attn.out_drop"), ("mlp_norm", "mlp.Wo"))

DECODER = ("last", "mean", "cls")


def llama(base: nn.Module, config: Any) -> Layout:
    """Llama, Mistral, Qwen2 and Qwen3."""
    return _layout(base, config, ("embed_tokens", "layers"), LLAMA, DECODER)


def starcoder2(base: nn.Module, config: Any) -> Layout:
    return _layout(base, config, ("embed_tokens", "layers"), STARCODER2, DECODER)


def gemma(base: nn.Module, config: Any) -> Layout:
    _check_scale(base)
    return llama(base, config)


def gemma2(base: nn.Module, config: Any) -> Layout:
    """Gemma 2 and Gemma 3."""
    _check_scale(base)
    return _layout(base, config, ("embed_tokens", "layers"), GEMMA2, DECODER)


def _check_scale(base: nn.Module) -> None:
    if not hasattr(submodule(base, "embed_tokens"), "embed_scale"):
        raise AttachError(
            f"`{type(base).__name__}` multiplies its embeddings outside of any module here; use transformers 5"
        )


def gpt2(base: nn.Module, config: Any) -> Layout:
    if getattr(config, "add_cross_attention", False):
        raise refuse(base, "add_cross_attention", "true", "only `false` is supported")
    return _layout(base, config, ("drop", "h"), GPT2, DECODER)


def modernbert(base: nn.Module, config: Any) -> Layout:
    return _layout(base, config, ("embeddings", "layers"), MODERNBERT, ("mean", "cls", "last"))


def _layout(
    base: nn.Module, config: Any, names: tuple[str, str], branches: Branches, poolings: Sequence[str]
) -> Layout:
    begin, blocks = submodule(base, names[0]), list(submodule(base, names[1]).children())
    points: list[Point] = [OutputPoint(begin)]
    for block in blocks:
        points += [BranchPoint(submodule(block, norm), submodule(block, end)) for norm, end in branches]

    def weights() -> dict[str, Tensor]:
        return dict(base.named_parameters())

    return Layout(
        model_type=config.model_type,
        base=base,
        method="forward",
        blocks=blocks,
        points=points,
        width=config.hidden_size,
        poolings=poolings,
        weights=weights,
    )
