"""Switches gradient checkpointing on and off from outside, as `Trainer` does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn


class CheckpointingSwitches:
    """Forwards to the model's own methods of these names. `use_reentrant` has no effect, see `checkpointing`."""

    def _switched(self) -> nn.Module:
        """The inner model."""
        raise NotImplementedError

    def activation_checkpointing_enable(
        self, activation_checkpointing_kwargs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Makes the blocks run again in the backward pass instead of keeping what they computed."""
        model = self._switched()
        for name, keyword in (
            ("activation_checkpointing_enable", "activation_checkpointing_kwargs"),
            ("gradient_checkpointing_enable", "gradient_checkpointing_kwargs"),
        ):
            enable: Callable[..., None] | None = getattr(model, name, None)
            if enable is not None:
                enable(**{keyword: activation_checkpointing_kwargs}, **kwargs)
                return
        # timm has no settings for this.
        getattr(model, "set_grad_checkpointing")(True)

    def activation_checkpointing_disable(self) -> None:
        """Undoes `activation_checkpointing_enable`."""
        model = self._switched()
        for name in ("activation_checkpointing_disable", "gradient_checkpointing_disable"):
            disable: Callable[[], None] | None = getattr(model, name, None)
            if disable is not None:
                disable()
                return
        getattr(model, "set_grad_checkpointing")(False)

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """The name of `activation_checkpointing_enable` in versions of transformers before 5.24."""
        self.activation_checkpointing_enable(gradient_checkpointing_kwargs, **kwargs)

    def gradient_checkpointing_disable(self) -> None:
        """The name of `activation_checkpointing_disable` in versions of transformers before 5.24."""
        self.activation_checkpointing_disable()
