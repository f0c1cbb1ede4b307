"""Adapters and head as one module with the loss of a kind of problem."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .adapter_file import Problem
from .attached import Attached
from .errors import AttachError
from .switches import CheckpointingSwitches


class _WithLoss(CheckpointingSwitches, nn.Module):
    """A model with adapters and a head, read like in the engine.

    The output is a dictionary with `logits`, (batch, outputs) unless tokens are labelled. If `labels` are given, it starts with their mean loss as
    `loss`, as `Trainer` expects.
    """

    # `Trainer` would pass the number of examples in the whole batch, but the loss here is the mean over its own
    # examples.
    accepts_loss_kwargs = False
    problem: Problem

    def __init__(self, attached: Attached) -> None:
        super().__init__()
        if attached.problem not in (None, self.problem):
            raise AttachError(f"the head was trained for {attached.problem}, not for {self.problem}")
        attached.problem = self.problem
        self.attached = attached

    def forward(self, labels: Tensor | None = None, **inputs: Any) -> dict[str, Tensor]:
        logits = self.logits(**inputs)
        if labels is None:
            return {"logits": self.shown(logits)}
        return {"loss": self.loss(logits, labels), "logits": self.shown(logits)}

    def logits(self, **inputs: Any) -> Tensor:
        return self.attached.logits(**inputs)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        raise NotImplementedError

    def shown(self, logits: Tensor) -> Tensor:
        """The output of the head in the unit of the labels."""
        return logits

    def _switched(self) -> nn.Module:
        return self.attached.model


class Classifier(_WithLoss):
    """One class for each example: `labels` are their numbers, (batch), and the loss is the cross-entropy.

    `class_weights`, (classes), are the factors of the classes' losses, as in `torch.nn.CrossEntropyLoss`.
    """

    problem: Problem = "classification"
    class_weights: Tensor | None

    def __init__(self, attached: Attached, class_weights: Tensor | None = None) -> None:
        super().__init__(attached)
        self.register_buffer("class_weights", class_weights, persistent=False)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, weight=self.class_weights)


class Regressor(_WithLoss):
    """A number for each example: `labels`, (batch), and `logits`, (batch, 1), are in their own unit.

    The head predicts numbers of mean 0 and deviation 1, and the loss is the mean squared error of those. `scale` is the
    mean and the standard deviation of the training labels; without it, that of the adapter file is used, or (0, 1).
    """

    problem: Problem = "regression"

    def __init__(self, attached: Attached, scale: tuple[float, float] | None = None) -> None:
        super().__init__(attached)
        rows = 1 if attached.head is None else attached.head.out_features
        if rows != 1:
            raise AttachError(f"the head has {rows} rows, but a number takes one; attach with `num_classes=1`")
        if scale is not None:
            if not scale[1] > 0:
                raise AttachError(f"the deviation of the labels is {scale[1]}; it must be above 0")
            attached.scale = scale
        elif attached.scale is None:
            attached.scale = (0.0, 1.0)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        mean, deviation = self._scale()
        return F.mse_loss(logits.squeeze(-1), (labels.to(logits.dtype) - mean) / deviation)

    def shown(self, logits: Tensor) -> Tensor:
        mean, deviation = self._scale()
        return logits * deviation + mean

    def _scale(self) -> tuple[float, float]:
        assert self.attached.scale is not None
        return self.attached.scale


class MultiLabelClassifier(_WithLoss):
    """Any of the classes for each example: `labels` are 1 for those it has and 0 for others, (batch, classes).

    The loss is the mean binary cross-entropy, and an example has a class if its logit is above 0.
    """

    problem: Problem = "multi-label"

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


class TokenClassifier(_WithLoss):
    """A class for each word, at its first token: `labels` are (batch, tokens), with -100 for every other token.

    `logits` are (batch, tokens, classes). The loss is the mean cross-entropy of the labelled tokens; `class_weights`,
    (classes), are the factors of the classes' losses.
    """

    problem: Problem = "token-classification"
    class_weights: Tensor | None

    def __init__(self, attached: Attached, class_weights: Tensor | None = None) -> None:
        super().__init__(attached)
        self.register_buffer("class_weights", class_weights, persistent=False)

    def logits(self, **inputs: Any) -> Tensor:
        return self.attached.token_logits(**inputs)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), weight=self.class_weights)


class LanguageModel(_WithLoss):
    """The model's own head over its vocabulary: `labels` are the token ids, (batch, tokens), with -100 for those of prompts.

    The model must be one for causal language modelling, such as `AutoModelForCausalLM` loads. `logits` are (batch, tokens,
    vocabulary). The loss is the mean cross-entropy of the labelled tokens, each predicted at the one before it.
    """

    problem: Problem = "language-modelling"

    def __init__(self, attached: Attached) -> None:
        if attached.head is not None:
            raise AttachError("a language model predicts with its own head; attach without `num_classes`")
        super().__init__(attached)

    def logits(self, **inputs: Any) -> Tensor:
        logits = getattr(self.attached(**inputs), "logits", None)
        if logits is None:
            raise AttachError("the model has no head over its vocabulary; load it with `AutoModelForCausalLM`")
        found: Tensor = logits
        return found

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())


def with_loss(attached: Attached) -> nn.Module:
    """The module for the problem that the attached adapters were trained for."""
    modules: dict[str | None, type[_WithLoss]] = {
        one.problem: one
        for one in (Classifier, Regressor, MultiLabelClassifier, TokenClassifier, LanguageModel)
    }
    return modules[attached.problem or "classification"](attached)
