"""The hash of a backbone's weights, equal to the one that the engine computes for a model folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .families import layout_of


def weights_sha256(tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 of all `tensors` in the order of their names, as 64 hexadecimal digits.

    The names are those of the family's checkpoints, without prefix. The digest of a tensor is the SHA-256 of its
    name, a zero byte, its shape as `384x1536`, a zero byte and its values as little-endian f32 in row-major
    order. The digests of all tensors are then hashed together.
    """
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(_tensor_digest(name, tensors[name]))
    return total.hexdigest()


def _tensor_digest(name: str, tensor: Tensor) -> bytes:
    shape = "x".join(str(size) for size in tensor.shape)
    digest = hashlib.sha256(name.encode() + b"\0" + shape.encode() + b"\0")
    digest.update(little_endian(tensor).data)
    return digest.digest()


def little_endian(tensor: Tensor) -> Any:
    """The values as a little-endian f32 array of NumPy, in row-major order."""
    values = tensor.detach().to(device="cpu", dtype=torch.float32).contiguous().numpy()
    return values.astype("<f4", copy=False)


def model_weights_sha256(model: nn.Module) -> str:
    """The hash of the backbone in `model`, equal to the engine's hash of the folder from which it was loaded."""
    return weights_sha256(layout_of(model).weights())
