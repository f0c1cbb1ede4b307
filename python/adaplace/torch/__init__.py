"""Placements of adaplace in PyTorch: attach the adapters of a placement file to a model of transformers or
timm.

    from transformers import AutoModel
    from adaplace.torch import attach

    model = AutoModel.from_pretrained("sentence-transformers/all-MiniLM-L6-v2")
    with attach(model, "placement.toml", "adapters.safetensors") as attached:
        logits = attached.logits(**tokens)

Without an adapter file the adapters are new and add nothing yet; train `attached.trainable_parameters()`,
with a loop of your own or with `Trainer` (`Trainer(model=attached, ..)` for a model with its own task head,
which stays trainable with `trainable=["classifier"]`; `Trainer(model=Classifier(attached), ..)` for the
placement's head), and write them for the engine with `attached.save_adapters("adapters.safetensors")`.

A connection i -> j reads hidden state h_i and adds A(h_i) to h_j; of sequential (i = j), parallel (j = i +
1), long-range (j > i + 1) and recurrent (j < i) ones, the last make the backbone run twice. Neither the
model's class nor its weights are touched, and `detach` leaves the model as it was.

The engine trains without dropout. A model in training mode applies its own, as always; set the dropout
probabilities of its configuration to 0 to train as the engine does.
"""

try:
    import safetensors
    import torch
except ImportError as error:
    raise ImportError("`adaplace.torch` needs PyTorch; `pip install 'adaplace[torch]'` brings it") from error

from .adapter import Adapter
from .attach import attach
from .attached import Attached
from .classifier import Classifier
from .errors import AttachError
from .hashing import model_weights_sha256
from .placement import AdapterSpec, BackboneReference, Connection, Placement

del safetensors, torch

__all__ = [
    "Adapter",
    "AdapterSpec",
    "AttachError",
    "Attached",
    "BackboneReference",
    "Classifier",
    "Connection",
    "Placement",
    "attach",
    "model_weights_sha256",
]
