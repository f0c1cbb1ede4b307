"""Replaces the forward of a model with adapters by the same forward, run once or twice."""

from __future__ import annotations

import inspect
from types import MethodType
from typing import Any

from torch import nn

from .chain import Chain, Pass
from .checkpointing import Checkpointing


class Passes:
    """Shadows the method `name` of the instance `module` without changing its class.

    With a recurrent connection the method runs twice with the same arguments. The states of the first pass are
    kept for the second, whose output is returned. The gradient flows through both.
    """

    def __init__(self, module: nn.Module, name: str, chain: Chain, checkpointing: Checkpointing) -> None:
        self.module = module
        self.name = name
        self.chain = chain
        self.checkpointing = checkpointing
        self.shadowed = module.__dict__.get(name)

    def install(self) -> None:
        self.module.__dict__[self.name] = self

    def remove(self) -> None:
        if self.shadowed is None:
            del self.module.__dict__[self.name]
        else:
            self.module.__dict__[self.name] = self.shadowed

    @property
    def original(self) -> Any:
        """The bound method that is shadowed."""
        if self.shadowed is not None:
            return self.shadowed
        return MethodType(getattr(type(self.module), self.name), self.module)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.original)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        before = None
        output = None
        with self.checkpointing.taken_over():
            for _ in range(self.chain.passes):
                with self.chain.activated(Pass(before)) as current:
                    output = self.original(*args, **kwargs)
                self.chain.check_complete(current)
                before = current.states
        return output
