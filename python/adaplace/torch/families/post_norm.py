"""BERT, RoBERTa, XLM-R, ELECTRA, DistilBERT, MPNet and DeBERTa: a layer norm ends a sublayer, so every state is a module's output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ..points import OutputPoint
from .layout import Layout, affine, parameter, refuse, submodule

# The parts of a block: the layer norms that end its sublayers, and everything with weights.
BERT_NORMS = ("attention.output.LayerNorm", "output.LayerNorm")
BERT_PARTS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
    *BERT_NORMS,
)
DISTILBERT_NORMS = ("sa_layer_norm", "output_layer_norm")
DISTILBERT_PARTS = (
    "attention.q_lin",
    "attention.k_lin",
    "attention.v_lin",
    "attention.out_lin",
    "ffn.lin1",
    "ffn.lin2",
    *DISTILBERT_NORMS,
)


def bert(base: nn.Module, config: Any) -> Layout:
    """BERT and RoBERTa, which differ only in the numbering of positions."""
    return _like_bert(base, config, None)


def electra(base: nn.Module, config: Any) -> Layout:
    """ELECTRA: BERT with tables of another width, behind which is a linear layer."""
    return _like_bert(base, config, "embeddings_project" if hasattr(base, "embeddings_project") else None)


def _like_bert(base: nn.Module, config: Any, projection: str | None) -> Layout:
    for setting, supported in (
        ("is_decoder", False),
        ("add_cross_attention", False),
        ("position_embedding_type", "absolute"),
    ):
        found = getattr(config, setting, supported)
        if found != supported:
            raise refuse(base, setting, f"`{found}`", f"only `{supported}` is supported")
    tables = ("word", "position", "token_type")
    names = ("encoder.layer", BERT_NORMS, BERT_PARTS)
    return _layout(base, config, config.hidden_size, *names, tables, projection)


def mpnet(base: nn.Module, config: Any) -> Layout:
    """MPNet, whose encoder adds a bias by distance to the scores."""
    return _by_distance(base, config, ("attention.LayerNorm", "output.LayerNorm"))


def deberta(base: nn.Module, config: Any) -> Layout:
    """DeBERTa-v2 and v3, whose attention sees distances."""
    if getattr(submodule(base, "encoder"), "conv", None) is not None:
        raise refuse(base, "conv_kernel_size", config.conv_kernel_size, "only models without a convolution are supported")
    return _by_distance(base, config, BERT_NORMS)


def _by_distance(base: nn.Module, config: Any, norms: Sequence[str]) -> Layout:
    blocks = list(submodule(base, "encoder.layer").children())

    def weights() -> dict[str, Tensor]:
        named = base.named_parameters()
        return {name: value for name, value in named if not name.startswith("pooler.")}

    ends = [submodule(block, norm) for block in blocks for norm in norms]
    return Layout(
        model_type=config.model_type,
        base=base,
        method="forward",
        blocks=blocks,
        points=[OutputPoint(module) for module in (submodule(base, "embeddings"), *ends)],
        width=config.hidden_size,
        poolings=("mean", "cls", "last"),
        weights=weights,
    )


def distilbert(base: nn.Module, config: Any) -> Layout:
    """DistilBERT: BERT's blocks under other names, without token types."""
    tables = ("word", "position")
    names = ("transformer.layer", DISTILBERT_NORMS, DISTILBERT_PARTS)
    return _layout(base, config, config.dim, *names, tables)


def _layout(
    base: nn.Module,
    config: Any,
    width: int,
    where: str,
    norms: Sequence[str],
    parts: Sequence[str],
    tables: Sequence[str],
    projection: str | None = None,
) -> Layout:
    chunk = getattr(config, "chunk_size_feed_forward", 0)
    if chunk:
        raise refuse(
            base,
            "chunk_size_feed_forward",
            chunk,
            "set it to 0, because hidden states would be computed in pieces",
        )
    embeddings = submodule(base, "embeddings")
    blocks = list(submodule(base, where).children())

    def weights() -> dict[str, Tensor]:
        tensors = affine("embeddings.LayerNorm", submodule(embeddings, "LayerNorm"))
        for table in tables:
            name = f"{table}_embeddings"
            tensors[f"embeddings.{name}.weight"] = parameter(submodule(embeddings, name), "weight")
        if projection:
            tensors |= affine(projection, submodule(base, projection))
        for number, block in enumerate(blocks):
            for part in parts:
                tensors |= affine(f"{where}.{number}.{part}", submodule(block, part))
        return tensors

    begin = submodule(base, projection) if projection else embeddings
    ends = [submodule(block, norm) for block in blocks for norm in norms]
    return Layout(
        model_type=config.model_type,
        base=base,
        method="forward",
        blocks=blocks,
        points=[OutputPoint(module) for module in (begin, *ends)],
        width=width,
        poolings=("mean", "cls", "last"),
        weights=weights,
    )
