"""The places in a model where a hidden state is computed, and the hooks there.

The hooks are objects instead of closures, so that a copied or pickled model gets its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .chain import Chain


class Point(Protocol):
    """The place of one hidden state."""

    def install(self, chain: Chain, n: int) -> list[RemovableHandle]:
        """Makes `chain` visit h_n here."""


@dataclass(frozen=True)
class OutputPoint:
    """The state is the output of `module`: the embedding, or the last layer norm of a post-norm sublayer."""

    module: nn.Module

    def install(self, chain: Chain, n: int) -> list[RemovableHandle]:
        return [self.module.register_forward_hook(_StateHook(chain, n))]


@dataclass(frozen=True)
class BranchPoint:
    """The state is the input of `norm` plus the output of `gate`, as in a pre-norm sublayer, whose sum no module
    computes.

    `gate` is the last module of the residual branch. A drop path or dropout is such a gate, so the additions of
    an adapter after it are never dropped. Both sublayers of a block may share a gate. Then `norm` tells for which
    of them it runs.
    """

    norm: nn.Module
    gate: nn.Module

    def install(self, chain: Chain, n: int) -> list[RemovableHandle]:
        return [
            self.norm.register_forward_pre_hook(_NormHook(chain, n)),
            self.gate.register_forward_hook(_GateHook(chain, n)),
        ]


class _Hook:
    def __init__(self, chain: Chain, n: int) -> None:
        self.chain = chain
        self.n = n


class _StateHook(_Hook):
    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return self.chain.visit(self.n, output)[0]


class _NormHook(_Hook):
    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.chain.current.residuals[self.n] = inputs[0]


class _GateHook(_Hook):
    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        residual = self.chain.current.residuals.pop(self.n, None)
        if residual is None:
            # A shared gate is running for the block's other sublayer.
            return None
        # The block adds the residual itself, so this gate returns only the branch and the additions.
        _, added = self.chain.visit(self.n, output + residual)
        for addition in added:
            output = output + addition
        return output if added else None
