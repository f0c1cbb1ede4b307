"""Placements of adaplace in PyTorch: attaches the adapters of a placement file to a model of transformers or
timm.

    from transformers import AutoModel
    from adaplace.torch import attach

    model = AutoModel.from_pretrained("sentence-transformers/all-MiniLM-L6-v2")
    with attach(model, "placement.toml", "adapters.safetensors") as attached:
        logits = attached.logits(**tokens)

Without an adapter file the adapters are new and add nothing yet. Train `attached.trainable_parameters()` with
your own loop or with `Trainer`: `Trainer(model=attached, ..)` for a model with its own task head, which stays
trainable with `trainable=["classifier"]`, or `Trainer(model=Classifier(attached), ..)` for the placement's
head: `Classifier`, `Regressor`, `MultiLabelClassifier`, `TokenClassifier`, or `LanguageModel` with the model's own
head over its vocabulary. `with_loss` chooses one for trained adapters. `attached.save_adapters("adapters.safetensors")` writes them for the engine.

A connection i -> j reads hidden state h_i and adds A(h_i) to h_j. It is sequential (i = j), parallel (j =
i + 1), long-range (j > i + 1) or recurrent (j < i). With a recurrent connection the backbone runs twice. The
model's class and weights are not changed, and `detach` restores the model.

The engine trains without dropout. A model in training mode applies its own dropout, as always. Set the dropout
probabilities of its configuration to 0 to train like the engine.
"""

try:
    import torch
except ImportError as error:
    raise ImportError("`adaplace.torch` needs PyTorch; install it with `pip install 'adaplace[torch]'`") from error

from .adapter import Adapter
from .attach import attach
from .attached import Attached
from .errors import AttachError
from .hashing import model_weights_sha256
from .heads import (
    Classifier,
    LanguageModel,
    MultiLabelClassifier,
    Regressor,
    TokenClassifier,
    with_loss,
)

del torch

__all__ = [
    "Adapter",
    "AttachError",
    "Attached",
    "Classifier",
    "LanguageModel",
    "MultiLabelClassifier",
    "Regressor",
    "TokenClassifier",
    "attach",
    "model_weights_sha256",
    "with_loss",
]
