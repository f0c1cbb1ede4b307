"""The description of a loaded model that is needed to attach adapters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ..errors import AttachError
from ..points import Point


@dataclass(frozen=True)
class Layout:
    """A model as a chain of hidden states."""

    model_type: str
    # The module whose method `method` is one pass, from its inputs to the last state after the last norm.
    base: nn.Module
    method: str
    blocks: Sequence[nn.Module]
    # The place of every hidden state, h_0 to h_N.
    points: Sequence[Point]
    width: int
    # The supported poolings of the last state. The first one is the family's default.
    poolings: Sequence[str]
    # The weights that make up the backbone, by their names in the family's checkpoints.
    weights: Callable[[], dict[str, Tensor]]
    # The last layer norm, if `method` leaves it out.
    last_norm: nn.Module | None = None

    @property
    def hidden_states(self) -> int:
        return len(self.points)


def submodule(module: nn.Module, *paths: str) -> nn.Module:
    """The first of `paths` that exists, since versions of a library name the same part differently."""
    for path in paths:
        found: object = module
        for name in path.split("."):
            found = getattr(found, name, None)
        if isinstance(found, nn.Module):
            return found
    raise AttachError(
        f"`{type(module).__name__}` has no part `{'` or `'.join(paths)}`; "
        "this version of its library has an unknown layout, please report it"
    )


def parameter(module: nn.Module, name: str) -> Tensor:
    """The parameter `name` of `module`."""
    found = getattr(module, name, None)
    if not isinstance(found, Tensor):
        raise AttachError(
            f"`{type(module).__name__}` has no parameter `{name}`, which every backbone of its family has; "
            "such a variant is not supported"
        )
    return found


def affine(name: str, module: nn.Module) -> dict[str, Tensor]:
    """The weight and bias of a linear layer, layer norm or convolution."""
    return {f"{name}.{part}": parameter(module, part) for part in ("weight", "bias")}


def refuse(model: nn.Module, setting: str, found: object, supported: str) -> AttachError:
    """The error for a variant that the engine does not support either."""
    return AttachError(f"`{type(model).__name__}` has {setting} = {found}; {supported}")
