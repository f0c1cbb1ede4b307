"""Checks that a placement was made for the given model."""

from __future__ import annotations

import warnings
from typing import Literal

import torch

from adaplace._adaplace import AdapterFile, AdaplaceError, BackboneReference, Placement

from . import adapter_file
from .errors import AttachError
from .families import Layout
from .hashing import weights_sha256
from .placement import PathLike

Check = Literal["error", "warn"]

POOLINGS = ("mean", "cls", "last")

# The number of stack frames between the user's call of `attach` and the warning.
STACK_LEVEL = 4


def check_backbone(
    placement: Placement, expected: BackboneReference | None, layout: Layout, check: Check
) -> BackboneReference:
    """The properties of the model. Complains if they differ from those that the placement was made for.

    Another number or width of hidden states is always an error, because the adapters would not fit.
    """
    found = BackboneReference(
        model_type=layout.model_type,
        hidden_states=layout.hidden_states,
        width=layout.width,
        pooling=_pooling(expected, layout),
        weights_sha256=weights_sha256(layout.weights()),
    )
    if expected is None:
        # A placement file was checked against its own number of hidden states, which is compared below.
        try:
            placement.check_range(found.hidden_states)
        except AdaplaceError as error:
            raise AttachError(str(error)) from error
        return found
    for field in ("hidden_states", "width"):
        if getattr(expected, field) != getattr(found, field):
            raise AttachError(_mismatch(field, expected, found))
    for field in ("model_type", "pooling", "weights_sha256"):
        if getattr(expected, field) != getattr(found, field):
            message = _mismatch(field, expected, found)
            dtype = next(layout.base.parameters()).dtype
            if field == "weights_sha256" and dtype.itemsize < torch.float32.itemsize:
                message += f" in the precision of its file (it is in {str(dtype).removeprefix('torch.')} now)"
            complain(message, check)
    return found


def read_adapters(
    path: PathLike, placement: Placement, backbone: BackboneReference, check: Check
) -> AdapterFile:
    """Reads the adapter file at `path`. Complains if its header names another placement or backbone."""
    file = adapter_file.read(path, placement, backbone.width)
    try:
        file.check_origin(placement, backbone.weights_sha256)
    except AdaplaceError as error:
        complain(str(error), check)
    return file


def complain(message: str, check: Check) -> None:
    """Raises an error, or warns if the user asked for that."""
    if check == "error":
        raise AttachError(f'{message}, or attach with check="warn"')
    warnings.warn(message, stacklevel=STACK_LEVEL)


def check_mode(check: str) -> None:
    if check not in ("error", "warn"):
        raise AttachError(f'check is `{check}`; it must be "error" or "warn"')


def _pooling(expected: BackboneReference | None, layout: Layout) -> str:
    """The pooling asked for, if the family supports it. Text models support both."""
    if expected is None:
        return layout.poolings[0]
    if expected.pooling not in POOLINGS:
        raise AttachError(
            f"the placement has the pooling `{expected.pooling}`; only {', '.join(POOLINGS)} are supported"
        )
    return expected.pooling if expected.pooling in layout.poolings else layout.poolings[0]


def _mismatch(field: str, expected: BackboneReference, found: BackboneReference) -> str:
    return (
        f"the placement was made for a backbone with the {field} `{getattr(expected, field)}`, but the model "
        f"has `{getattr(found, field)}`; load the backbone that it was made for"
    )
