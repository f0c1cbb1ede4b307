"""The layouts of hidden states in the model families, with one file for each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ..errors import AttachError
from . import decoder, post_norm, pre_norm
from .layout import Layout
from .timm_dinov3 import is_eva, timm_dinov3
from .timm_vit import is_timm, timm_vit

__all__ = ["FAMILIES", "Layout", "layout_of"]

# For each `model_type`, the class of transformers whose forward is one pass, and its layout.
FAMILIES: dict[str, tuple[str, Callable[[nn.Module, Any], Layout]]] = {
    "bert": ("BertModel", post_norm.bert),
    "roberta": ("RobertaModel", post_norm.bert),
    "xlm-roberta": ("XLMRobertaModel", post_norm.bert),
    "electra": ("ElectraModel", post_norm.electra),
    "mpnet": ("MPNetModel", post_norm.mpnet),
    "deberta-v2": ("DebertaV2Model", post_norm.deberta),
    "distilbert": ("DistilBertModel", post_norm.distilbert),
    "vit": ("ViTModel", pre_norm.vit),
    "deit": ("DeiTModel", pre_norm.vit),
    "dinov2": ("Dinov2Model", pre_norm.dinov2),
    "clip_vision_model": ("CLIPVisionModel", pre_norm.clip),
    "dinov2_with_registers": ("Dinov2WithRegistersModel", pre_norm.dinov2),
    "siglip_vision_model": ("SiglipVisionModel", pre_norm.siglip),
    "dinov3_vit": ("DINOv3ViTModel", pre_norm.dinov3),
    "modernbert": ("ModernBertModel", decoder.modernbert),
    "gpt2": ("GPT2Model", decoder.gpt2),
    "llama": ("LlamaModel", decoder.llama),
    "mistral": ("MistralModel", decoder.llama),
    "starcoder2": ("Starcoder2Model", decoder.starcoder2),
    "qwen2": ("Qwen2Model", decoder.llama),
    "qwen3": ("Qwen3Model", decoder.llama),
    "gemma": ("GemmaModel", decoder.gemma),
    "gemma2": ("Gemma2Model", decoder.gemma2),
    "gemma3_text": ("Gemma3TextModel", decoder.gemma2),
}


def layout_of(model: nn.Module) -> Layout:
    """The layout of a model of transformers (with or without a task head) or of timm."""
    if is_timm(model):
        return timm_vit(model)
    if is_eva(model):
        return timm_dinov3(model)
    config = getattr(model, "config", None)
    model_type = getattr(config, "model_type", None)
    base = getattr(model, "base_model", model)
    if model_type in FAMILIES and type(model).__name__ == FAMILIES[model_type][0]:
        # A part of DINOv3 is called what models call their backbone.
        base = model
    if model_type not in FAMILIES or not isinstance(base, nn.Module):
        raise AttachError(
            f"`{type(model).__name__}` with the model_type `{model_type}` is not supported; "
            f"use a model of transformers with the model_type {', '.join(FAMILIES)}, or the "
            "VisionTransformer or the DINOv3 of timm"
        )
    name, describe = FAMILIES[model_type]
    if all(ancestor.__name__ != name for ancestor in type(base).__mro__):
        raise AttachError(
            f"`{type(model).__name__}` is built on `{type(base).__name__}`; only `{name}` is supported"
        )
    return describe(base, config)
