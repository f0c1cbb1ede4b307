"""Attaches the adapters of a placement to a loaded model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adaplace._adaplace import AdapterFile, Placement, PlacementFile

from .adapter import Adapter, blank_linear, fill_uniform
from .adapter_file import tensors_of
from .attached import MARK, Attached
from .checks import Check, check_backbone, check_mode, read_adapters
from .errors import AttachError
from .families import Layout, layout_of
from .placement import PathLike, read_placement


def attach(
    model: nn.Module,
    placement: PathLike | Mapping[str, Any] | Placement | PlacementFile,
    adapters: PathLike | None = None,
    *,
    check: Check = "error",
    num_classes: int | None = None,
    seed: int | None = None,
    trainable: Sequence[str] = (),
) -> Attached:
    """Adds the adapters of `placement` to `model`, by hooks on this instance, and freezes the model.

    `model` is a model of transformers of one of these types, with or without a task head, or a vision transformer of
    timm: BERT, RoBERTa, XLM-R, ELECTRA, DistilBERT, ModernBERT, GPT-2, Llama, Mistral, Qwen2, Qwen3, Gemma, Gemma 2,
    Gemma 3, ViT, DeiT, DINOv2 and the vision tower of CLIP. `placement` is the path of a placement file, its parsed content, an
    `adaplace.PlacementFile`, or an `adaplace.Placement`. The last one names no backbone, so it can be attached
    to any model that is large enough.

    `adapters` is the path of an adapter file, whose head is also used. Without it the adapters are new and add
    nothing yet: W_down and b_down are uniform in +-1/sqrt(width), drawn from `seed` if it is given and
    otherwise from PyTorch's generator, and W_up and b_up are zero. `num_classes` adds a new head.

    `check` decides whether a placement or adapters for another backbone of the same shape cause an error or a
    warning. `trainable` names modules or parameters of the model that stay trainable, such as the `classifier`
    of a sequence classifier.

    The adapters are f32, or f64 if the model is. Their output is cast to the type of the hidden state.

    Raises `AttachError` if anything does not fit.
    """
    check_mode(check)
    layout = layout_of(model)
    if MARK in layout.base.__dict__:
        raise AttachError(
            f"`{type(layout.base).__name__}` has adapters already; detach them first, or attach one "
            "placement that holds all connections"
        )
    wanted, made_for = read_placement(placement)
    backbone = check_backbone(wanted, made_for, layout, check)
    file = None if adapters is None else read_adapters(adapters, wanted, made_for or backbone, check)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    like = _like(layout)
    modules = {
        (one.source, one.target): Adapter(layout.width, one, generator=generator, dtype=like.dtype)
        for one in wanted.connections
    }
    head = _head(layout.width, file, num_classes, generator, like.dtype)
    for module in (*modules.values(), head):
        if module is not None:
            module.to(like.device).train(model.training)
    kept = _kept_trainable(model, trainable)
    attached = Attached(model, layout, wanted, backbone, modules, head)
    if file is not None:
        _load(attached, file)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in kept)
    return attached


def _like(layout: Layout) -> Tensor:
    """A tensor with the type and device that the adapters should have.

    Half precision is too coarse for training, so adapters of such a model are f32.
    """
    weight = next(layout.base.parameters())
    dtype = torch.promote_types(weight.dtype, torch.float32)
    return torch.empty(0, dtype=dtype, device=weight.device)


def _head(
    width: int,
    file: AdapterFile | None,
    num_classes: int | None,
    generator: torch.Generator | None,
    dtype: torch.dtype,
) -> nn.Linear | None:
    stored = 0 if file is None else file.num_classes
    if stored and num_classes not in (None, stored):
        raise AttachError(
            f"the head in the adapter file has {stored} classes, but num_classes is {num_classes}; leave "
            "num_classes out, or attach without the file"
        )
    classes = stored or num_classes
    if classes is None:
        return None
    if classes < 1:
        raise AttachError(f"num_classes is {classes}; a head has at least one class")
    head = blank_linear(width, classes, dtype)
    fill_uniform(head.weight, width, generator)
    nn.init.zeros_(head.bias)
    return head


@torch.no_grad()
def _load(attached: Attached, file: AdapterFile) -> None:
    """Copies the values of the file, whose tensors were checked against the placement when it was read."""
    tensors = tensors_of(file)
    for name, parameter in attached.own_parameters().items():
        # A file without a head leaves a new one as it is.
        if name in tensors:
            parameter.copy_(tensors[name])
    attached.classes = file.classes
    attached.max_length = file.max_length
    attached.scale = file.scale
    if file.num_classes or file.problem == "language-modelling":
        attached.problem = file.problem


def _kept_trainable(model: nn.Module, trainable: Sequence[str]) -> set[str]:
    """The names of the model's parameters that `trainable` covers."""
    if isinstance(trainable, str):
        raise AttachError(f'trainable is the text `{trainable}`; pass a list, ["{trainable}"]')
    names = [name for name, _ in model.named_parameters()]
    kept: set[str] = set()
    for part in trainable:
        covered = {name for name in names if name == part or name.startswith(f"{part}.")}
        if not covered:
            raise AttachError(
                f"`{type(model).__name__}` has no parameter in `{part}`; see its named_parameters()"
            )
        kept |= covered
    return kept
