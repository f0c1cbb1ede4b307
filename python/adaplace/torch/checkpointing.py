"""Gradient checkpointing of a model with adapters.

A checkpointed block runs again in the backward pass. An adapter in it may read states from outside the block,
and later blocks may read states inside it. Both remain correct because the states that are read are passed to
the block's function as inputs, like the hidden state itself: the second run sees exactly those of its own
pass, and keeps no reference to anything else. Only the first run reports its states to the pass.

Checkpointing with `use_reentrant=True` cannot work here: it computes the block without a graph, so no
gradient would reach a state that is read inside. While a pass runs, checkpointed blocks therefore use
`use_reentrant=False`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from .chain import Chain, Pass


class Checkpointing:
    """Takes over the checkpointing of `blocks`, where block l computes h_{2l+1} and h_{2l+2}."""

    def __init__(self, chain: Chain, base: nn.Module, blocks: Sequence[nn.Module]) -> None:
        self.chain = chain
        self.base = base
        self.blocks = list(blocks)
        # Since transformers 4.53 these are the blocks themselves, before that their parents.
        self._holders = [module for module in base.modules() if hasattr(module, "gradient_checkpointing")]

    @contextmanager
    def taken_over(self) -> Iterator[None]:
        """Within this context, checkpointed blocks run as described above."""
        with ExitStack() as restored:
            if getattr(self.base, "grad_checkpointing", False):
                self._take_over_timm(restored)
            for holder in self._holders:
                if getattr(holder, "gradient_checkpointing", False):
                    original = getattr(holder, "_gradient_checkpointing_func", None)
                    function = functools.partial(self._run_bound, holder, _not_reentrant(original))
                    restored.enter_context(_replaced(holder, "_gradient_checkpointing_func", function))
            yield

    def _run_bound(
        self, holder: nn.Module, checkpointed: Callable[..., Any], function: Callable[..., Any], *inputs: Any
    ) -> Any:
        """Runs `function`, which belongs to the block `holder`, or to the block that `holder` is about to call."""
        for number, block in enumerate(self.blocks):
            if block is holder or block is getattr(function, "__self__", None):
                return self._run(number, checkpointed, function, *inputs)
        return checkpointed(function, *inputs)

    def _take_over_timm(self, restored: ExitStack) -> None:
        # timm checkpoints in its own function, in training or not, so the blocks do it themselves here.
        restored.enter_context(_replaced(self.base, "grad_checkpointing", False))
        for number, block in enumerate(self.blocks):
            function = functools.partial(self._run_timm, number, block.forward)
            restored.enter_context(_replaced(block, "forward", function))

    def _run_timm(self, number: int, forward: Callable[..., Any], state: Any, **settings: Any) -> Any:
        # The settings, such as rotary positions, do not depend on what is trained.
        return self._run(number, _not_reentrant(None), functools.partial(forward, **settings), state)

    def _run(
        self, number: int, checkpointed: Callable[..., Any], function: Callable[..., Any], *inputs: Any
    ) -> Any:
        if not torch.is_grad_enabled():
            return function(*inputs)
        inside = (2 * number + 1, 2 * number + 2)
        sources = sorted({source for target in inside for source in self.chain.reads(target)})
        outer = self.chain.current
        # The numbers of the states that the block reads from this pass and from the previous one. The function
        # below must not reference the states themselves, because the graph that owns them references it.
        now = [n for n in sources if n < inside[0]]
        before = [n for n in sources if n >= inside[0]] if outer.before is not None else None
        read = [outer.states[n] for n in now] + [(outer.before or {})[n] for n in before or []]
        # The first run empties this list.
        report_to = [outer]
        del outer

        def run(*arguments: Any) -> Any:
            states = iter(arguments[len(arguments) - len(now) - len(before or []) :])
            inner = Pass(
                states=dict(zip(now, states)), before=None if before is None else dict(zip(before, states))
            )
            with self.chain.activated(inner):
                result = function(*arguments[: len(inputs)])
            if report_to:
                seen = report_to.pop().states
                seen.update((n, inner.states[n]) for n in inside if n in inner.states)
            return result

        return checkpointed(run, *inputs, *read)


def _not_reentrant(original: object) -> Callable[..., Any]:
    """The checkpointing that was asked for, with all its settings except `use_reentrant`."""
    if isinstance(original, functools.partial):
        return functools.partial(original.func, **{**original.keywords, "use_reentrant": False})
    return functools.partial(checkpoint, use_reentrant=False)


@contextmanager
def _replaced(module: nn.Module, name: str, value: object) -> Iterator[None]:
    own = module.__dict__
    had, original = name in own, own.get(name)
    own[name] = value
    try:
        yield
    finally:
        if had:
            own[name] = original
        else:
            del own[name]
