"""Pools the last hidden state into one vector per example."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from .errors import AttachError


class Pooler:
    """Runs the backbone and pools its output: `mean` over the real tokens, `cls`, the first token, or `last`, the last real
    one, whether padding comes before or after the text."""

    def __init__(self, base: nn.Module, method: str, last_norm: nn.Module | None, pooling: str) -> None:
        self.base = base
        self.method = method
        self.last_norm = last_norm
        self.pooling = pooling

    def tokens(self, *args: Any, **inputs: Any) -> Tensor:
        """The features of every token, (batch, tokens, width)."""
        return self._normal(self._state(*args, **inputs))

    def _state(self, *args: Any, **inputs: Any) -> Tensor:
        inputs.pop("labels", None)
        # A forward is called through the module, so that its other hooks run as well.
        run = self.base if self.method == "forward" else getattr(self.base, self.method)
        output = run(*args, **inputs)
        state: Tensor = output if isinstance(output, Tensor) else output[0]
        return state

    def __call__(self, *args: Any, **inputs: Any) -> Tensor:
        """The pooled features, (batch, width)."""
        state = self._state(*args, **inputs)
        if self.pooling == "cls":
            return self._normal(state[:, 0])
        mask = self._mask(args, inputs)
        if self.pooling == "last":
            return self._normal(_last(state, mask))
        state = self._normal(state)
        if mask is None:
            return state.mean(1)
        weights = mask.unsqueeze(-1).to(state.dtype)
        return (state * weights).sum(1) / weights.sum(1)

    def _normal(self, state: Tensor) -> Tensor:
        if self.last_norm is None:
            return state
        normal: Tensor = self.last_norm(state)
        return normal

    def _mask(self, args: Any, inputs: dict[str, Any]) -> Tensor | None:
        """The attention mask, (batch, tokens), 1 for real tokens."""
        mask = inputs.get("attention_mask")
        if len(args) > 1:
            signature = inspect.signature(getattr(self.base, self.method))
            mask = signature.bind(*args, **inputs).arguments.get("attention_mask")
        if mask is None:
            return None
        if mask.ndim != 2:
            raise AttachError(
                f"the attention mask has the shape {tuple(mask.shape)}; "
                "pooling over real tokens needs (batch, tokens)"
            )
        real: Tensor = mask
        return real


def _last(state: Tensor, mask: Tensor | None) -> Tensor:
    """The row of the last real token of every example, (batch, width)."""
    if mask is None:
        return state[:, -1]
    places = torch.arange(mask.shape[1], device=mask.device)
    last = (places * (mask != 0)).argmax(1)
    return state[torch.arange(len(state), device=state.device), last.to(state.device)]
