"""A backbone as the chain of its hidden states, and the effect of a placement on them in one pass.

h_0 is the output of the embedding, h_{2l+1} that of the attention sublayer of block l including the residual,
and h_{2l+2} that of its MLP sublayer. State n is the output of the sublayer (or the embedding), plus A(h_i) of
every connection i -> n with i < n, read in this pass, plus A(h_i) of every connection with i > n, read in the
previous pass (nothing in the first one). Then a sequential connection n -> n adds A(h_n) of the sum so far.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Optional

from torch import Tensor

from .adapter import Adapter
from .errors import AttachError
from .placement import Pair

# The states by their number. None means that a state was computed but no connection reads it.
States = dict[int, Optional[Tensor]]


class Pass:
    """The states that one pass over the chain has computed so far, and those of the previous pass."""

    __slots__ = ("before", "residuals", "states")

    def __init__(self, before: States | None, states: States | None = None) -> None:
        self.states: States = {} if states is None else states
        self.before = before
        # The residuals of pre-norm sublayers that are being computed, by the number of the resulting state.
        self.residuals: dict[int, Tensor] = {}


class Chain:
    """The adapters of a placement by their target, its number of passes, and the current pass of this thread."""

    def __init__(self, adapters: Mapping[Pair, Adapter], passes: int) -> None:
        self.adapters = dict(adapters)
        self.passes = passes
        self.sources = {source for source, _ in adapters}
        self.touched = sorted(self.sources | {target for _, target in adapters})
        self._incoming: dict[int, list[tuple[int, Adapter]]] = {}
        for (source, target), adapter in sorted(self.adapters.items()):
            self._incoming.setdefault(target, []).append((source, adapter))
        self._local = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        # Copies and pickles are made between passes, and the current pass belongs to its thread alone.
        return {name: value for name, value in self.__dict__.items() if name != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._local = threading.local()

    @contextmanager
    def activated(self, current: Pass) -> Iterator[Pass]:
        """Within this context, the computed states belong to the pass `current`."""
        outer = getattr(self._local, "current", None)
        self._local.current = current
        try:
            yield current
        finally:
            self._local.current = outer

    @property
    def current(self) -> Pass:
        """The current pass."""
        current: Pass | None = getattr(self._local, "current", None)
        if current is None:
            raise AttachError(
                "a part of a model with adapters was called by itself; call the whole model, "
                "or detach the adapters first"
            )
        return current

    def reads(self, target: int) -> list[int]:
        """The sources of all connections to `target`."""
        return [source for source, _ in self._incoming.get(target, [])]

    def visit(self, n: int, base: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Computes h_n and the additions of the adapters from the output of the sublayer or embedding.

        All have the shape (batch, tokens, width). h_n is kept if a connection reads it.
        """
        current = self.current
        state = base
        added = []
        sequential = None
        for source, adapter in self._incoming.get(n, []):
            if source == n:
                sequential = adapter
                continue
            states = current.states if source < n else current.before
            if states is not None:
                added.append(adapter(_known(states, source)).to(base.dtype))
                state = state + added[-1]
        if sequential is not None:
            added.append(sequential(state))
            state = state + added[-1]
        current.states[n] = state if n in self.sources else None
        return state, added

    def check_complete(self, current: Pass) -> None:
        """Checks that a pass has computed all states that matter. Otherwise adapters were silently left out."""
        missed = [n for n in self.touched if n not in current.states]
        if missed:
            raise AttachError(
                f"the model's forward did not compute h_{missed[0]}, which an adapter reads or adds to; "
                "this version of its library computes it in an unknown way, please report it"
            )


def _known(states: States, n: int) -> Tensor:
    state = states.get(n)
    if state is None:
        raise AttachError(
            f"h_{n} is read before it was computed; this version of the model's library computes its "
            "blocks in an unknown order, please report it"
        )
    return state
