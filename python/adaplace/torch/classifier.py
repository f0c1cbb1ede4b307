"""Adapters and head as one module with a loss."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .attached import Attached
from .switches import CheckpointingSwitches


class Classifier(CheckpointingSwitches, nn.Module):
    """A model with adapters read through the placement's head, as the engine reads it.

    Gives a dictionary with `logits`, (batch, classes), and with `labels`, (batch), their cross-entropy as
    `loss` before them: what `Trainer` works with.
    """

    # `Trainer` would pass on how many examples the whole batch holds; the cross-entropy here is the mean of
    # its own.
    accepts_loss_kwargs = False

    def __init__(self, attached: Attached) -> None:
        super().__init__()
        self.attached = attached

    def forward(self, labels: Tensor | None = None, **inputs: Any) -> dict[str, Tensor]:
        logits = self.attached.logits(**inputs)
        if labels is None:
            return {"logits": logits}
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}

    def _switched(self) -> nn.Module:
        return self.attached.model
