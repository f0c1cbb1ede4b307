"""The hash of a backbone's weights, the same that the engine computes for a model folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .families import layout_of


def weights_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over all `tensors` in the order of their names, as 64 hexadecimal digits.

    The names are those of the family's checkpoints, without prefix. Per tensor, SHA-256 is taken over the
    name, a zero byte, the shape as `384x1536`, a zero byte and the values as little-endian f32 in row-major
    order; the digests of all tensors are hashed once more.
    """
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(_tensor_digest(name, tensors[name]))
    return total.hexdigest()


def _tensor_digest(name: str, tensor: Tensor) -> bytes:
    shape = "x".join(str(size) for size in tensor.shape)
    digest = hashlib.sha256(name.encode() + b"\0" + shape.encode() + b"\0")
    values = tensor.detach().to(device="cpu", dtype=torch.float32).contiguous().numpy()
    digest.update(values.astype("<f4", copy=False).data)
    return digest.digest()


def model_weights_sha256(model: nn.Module) -> str:
    """The hash of the backbone in `model`: what the engine computes for the folder it came from."""
    return weights_sha256(layout_of(model).weights())
