"""Adapter files: the engine reads, checks and writes them, and the values become tensors here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from adaplace._adaplace import AdapterFile, AdaplaceError, Placement

from .errors import AttachError
from .hashing import little_endian
from .placement import PathLike


#: What a head predicts.
Problem: TypeAlias = Literal[
    "classification", "regression", "multi-label", "token-classification", "language-modelling"
]


def read(path: PathLike, placement: Placement, width: int) -> AdapterFile:
    """Reads the adapter file at `path`, for the connections and ranks of `placement` at this width."""
    try:
        return AdapterFile.read(path, placement, width)
    except AdaplaceError as error:
        raise AttachError(str(error)) from error


def tensors_of(file: AdapterFile) -> dict[str, Tensor]:
    """The tensors by their names, `{source}-{target}.down.weight` .., all f32."""
    return {
        name: torch.frombuffer(bytearray(values), dtype=torch.float32).reshape(shape)
        for name, shape, values in file.tensors
    }


def write(
    path: PathLike,
    placement: Placement,
    width: int,
    tensors: Mapping[str, Tensor],
    *,
    weights_sha256: str,
    classes: Sequence[str] | None,
    max_length: int | None,
    problem: Problem | None = None,
    scale: tuple[float, float] | None = None,
) -> None:
    """Writes f32 copies of `tensors`, completely or not at all."""
    values = {name: little_endian(tensor).tobytes() for name, tensor in tensors.items()}
    try:
        AdapterFile.write(
            path,
            placement,
            width,
            values,
            weights_sha256=weights_sha256,
            classes=classes,
            max_length=max_length,
            problem=None if problem == "classification" else problem,
            scale=scale,
        )
    except AdaplaceError as error:
        raise AttachError(str(error)) from error
