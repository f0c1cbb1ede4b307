"""Adapters and head as one module with a loss."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .attached import Attached
from .switches import CheckpointingSwitches


class Classifier(CheckpointingSwitches, nn.Module):
    """A model with adapters and the placement's head, pooled like in the engine.

    The output is a dictionary with `logits`, (batch, classes). If `labels`, (batch), are given, it starts with
    their cross-entropy as `loss`, as `Trainer` expects.
    """

    # `Trainer` would pass the number of examples in the whole batch, but the cross-entropy here is the mean over
    # its own examples.
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
