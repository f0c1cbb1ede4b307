"""The adapter file: trained adapters and head as safetensors, as the engine reads and writes them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .errors import AttachError
from .placement import PathLike, Placement

# The entry of the file's header with the metadata of the adapters, and the keys in it.
HEADER = "adaplace"
PLACEMENT = "placement"
WEIGHTS = "weights_sha256"
CLASSES = "classes"
MAX_LENGTH = "max_length"

HEAD_WEIGHT = "head.weight"
HEAD_BIAS = "head.bias"


@dataclass(frozen=True)
class AdapterFile:
    """The checked content: the `tensors` of the adapters, `{source}-{target}.down.weight` .., and the head."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> int | None:
        """The number of rows of the head, if there is one."""
        return len(self.tensors[HEAD_BIAS]) if HEAD_BIAS in self.tensors else None

    def origin_problems(self, path: PathLike, placement: Placement, weights: str) -> list[str]:
        """The entries of the header that contradict this placement and these weights.

        Connections and ranks alone do not reveal adapters of another scale or backbone.
        """
        return [
            f"`{os.fspath(path)}` was trained with another {key}, `{found}` and not `{expected}`; "
            "use the placement and backbone that it was trained for"
            for key, expected in ((PLACEMENT, placement.hash), (WEIGHTS, weights))
            if (found := self.metadata.get(key, expected)) != expected
        ]


def read(path: PathLike, placement: Placement, width: int) -> AdapterFile:
    """Reads the adapter file at `path`, for the connections and ranks of `placement` at this width."""
    path = os.fspath(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except OSError as error:
        raise AttachError(f"cannot read `{path}`: {error.strerror or error}") from error
    except SafetensorError as error:
        raise AttachError(f"`{path}` is damaged or truncated ({error})") from error
    expected = adapter_shapes(placement, width)
    if HEAD_WEIGHT in tensors or HEAD_BIAS in tensors:
        rows = tensors[HEAD_BIAS if HEAD_BIAS in tensors else HEAD_WEIGHT]
        classes = len(rows) if rows.ndim else 0
        expected |= {HEAD_WEIGHT: (classes, width), HEAD_BIAS: (classes,)}
    for name, shape in expected.items():
        _check_tensor(path, name, tensors.get(name), shape)
    unknown = sorted(tensors.keys() - expected.keys())
    if unknown:
        raise AttachError(
            f"`{path}` contains the tensor `{unknown[0]}` of shape {tuple(tensors[unknown[0]].shape)}, "
            "which the placement does not have; it belongs to another placement"
        )
    return AdapterFile(tensors, _metadata(path, header.get(HEADER)))


def write(path: PathLike, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes f32 copies of `tensors`, completely or not at all."""
    path = os.fspath(path)
    values = {
        name: tensor.detach().to(device="cpu", dtype=torch.float32).contiguous()
        for name, tensor in tensors.items()
    }
    for name, tensor in values.items():
        if not torch.isfinite(tensor).all():
            raise AttachError(f"tensor `{name}` contains a value that is not finite; the training diverged")
    # The header's entries have no fixed order, but with a single entry equal trainings lead to equal files.
    header = {HEADER: json.dumps(dict(sorted(metadata.items())), ensure_ascii=False, separators=(",", ":"))}
    partial = path + ".partial"
    try:
        with open(partial, "wb") as file:
            file.write(save(values, header))
            # This makes sure that the renaming cannot reach the disk before the bytes.
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        if os.path.exists(partial):
            os.remove(partial)
        raise AttachError(f"cannot write `{path}`: {error.strerror}") from error


def adapter_shapes(placement: Placement, width: int) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors of the adapters."""
    shapes: dict[str, tuple[int, ...]] = {}
    for (source, target), spec in placement.adapters.items():
        shapes |= {
            f"{source}-{target}.down.weight": (spec.rank, width),
            f"{source}-{target}.down.bias": (spec.rank,),
            f"{source}-{target}.up.weight": (width, spec.rank),
            f"{source}-{target}.up.bias": (width,),
        }
    return shapes


def _check_tensor(path: str, name: str, tensor: Tensor | None, shape: tuple[int, ...]) -> None:
    if tensor is None:
        raise AttachError(
            f"`{path}` has no tensor `{name}` of shape {shape}; it belongs to another "
            "placement or is incomplete"
        )
    if tensor.dtype != torch.float32 or tuple(tensor.shape) != shape:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise AttachError(
            f"`{path}`: tensor `{name}` is {kind} of shape {tuple(tensor.shape)}, but the placement needs "
            f"float32 of shape {shape}; it belongs to another rank or backbone"
        )
    if not torch.isfinite(tensor).all():
        raise AttachError(
            f"`{path}`: tensor `{name}` contains a value that is not finite; train the placement again"
        )


def _metadata(path: str, text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    try:
        values = json.loads(text)
    except ValueError as error:
        raise AttachError(f"the header of `{path}` is damaged ({error})") from error
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise AttachError(f"the header of `{path}` is damaged (its entry `{HEADER}` does not map names to texts)")
    return values
