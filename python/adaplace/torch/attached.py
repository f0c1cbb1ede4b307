"""A model with adapters attached."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from . import adapter_file
from .adapter import Adapter
from .chain import Chain
from .checkpointing import Checkpointing
from .errors import AttachError
from .families import Layout
from .passes import Passes
from .placement import BackboneReference, Connection, PathLike, Placement
from .pooling import Pooler
from .switches import CheckpointingSwitches

# Set in the `__dict__` of a backbone that has adapters.
MARK = "_adaplace_attached"
MODEL = "model"


class Attached(CheckpointingSwitches, nn.Module):
    """A model with the adapters of a placement in it, made by `attach`.

    It is called as the model is and returns what the model returns. Its parameters are the model's, frozen,
    under `model.`, and those of adapters and head under their names in an adapter file:
    `{source}-{target}.down.weight` (rank, width), `.down.bias` (rank), `.up.weight` (width, rank), `.up.bias`
    (width), `head.weight` (classes, width) and `head.bias` (classes). `state_dict` holds what is trained and
    nothing else. As a context manager it detaches the adapters at the end.
    """

    head: Optional[nn.Linear]

    def __init__(
        self,
        model: nn.Module,
        layout: Layout,
        placement: Placement,
        backbone: BackboneReference,
        adapters: Mapping[Connection, Adapter],
        head: nn.Linear | None,
        metadata: Mapping[str, str],
    ) -> None:
        super().__init__()
        self.model = model
        for (source, target), adapter in adapters.items():
            self.add_module(f"{source}-{target}", adapter)
        self.head = head
        self.training = model.training
        self.placement = placement
        #: What the model is, the hash of its weights included.
        self.backbone = backbone
        self.metadata = dict(metadata)
        self._pooler = Pooler(layout.base, layout.method, layout.last_norm, backbone.pooling)
        self._required_grad = {name: weight.requires_grad for name, weight in model.named_parameters()}
        self._handles: list[RemovableHandle] = []
        self._passes: Passes | None = None
        # Of the model's parameters those that were trained along, once the adapters are detached.
        self._trained: set[str] | None = None
        # `Trainer` asks the forward which of a data set's columns it takes: those of the model.
        self.__dict__["forward"] = _Forward(self)
        self.register_load_state_dict_post_hook(_forget_frozen)  # type: ignore[no-untyped-call]
        self._install(layout, Chain(adapters))

    def _install(self, layout: Layout, chain: Chain) -> None:
        layout.base.__dict__[MARK] = True
        # Without adapters the model runs as it is: no hook, no second frame.
        if not chain.adapters:
            return
        for n in chain.touched:
            self._handles += layout.points[n].install(chain, n)
        checkpointing = Checkpointing(chain, layout.base, layout.blocks)
        self._passes = Passes(layout.base, layout.method, chain, checkpointing)
        self._passes.install()

    def forward(self, *args: Any, labels: Tensor | None = None, **kwargs: Any) -> Any:
        """What the model returns for these inputs, with the adapters at work."""
        self._check_attached()
        # Named, because `Trainer` looks for it; models without labels do not get it.
        return self.model(*args, **kwargs) if labels is None else self.model(*args, labels=labels, **kwargs)

    def features(self, *args: Any, **inputs: Any) -> Tensor:
        """The pooled last hidden state, (batch, width), behind the last layer norm if there is one."""
        self._check_attached()
        features: Tensor = self._pooler(*args, **inputs)
        return features

    def logits(self, *args: Any, **inputs: Any) -> Tensor:
        """head(pooled last hidden state), (batch, classes); the inputs are those of the backbone."""
        if self.head is None:
            raise AttachError("there is no head; attach with `num_classes` or an adapter file that holds one")
        features = self.features(*args, **inputs)
        logits: Tensor = self.head(features.to(self.head.weight.dtype))
        return logits

    def classify(self, *args: Any, **inputs: Any) -> Tensor:
        """The same as `logits`."""
        return self.logits(*args, **inputs)

    @property
    def adapters(self) -> dict[Connection, Adapter]:
        """The adapters by their connections, ascending."""
        return {connection: self._adapter(connection) for connection in self.placement.adapters}

    @property
    def config(self) -> Any:
        """The model's configuration, where it has one."""
        return getattr(self.model, "config", None)

    @property
    def is_attached(self) -> bool:
        """Whether the adapters are in the model; False once they are detached."""
        return self._trained is None

    def trainable_parameters(self) -> list[nn.Parameter]:
        """What an optimiser is to train: adapters, head, and what of the model was left trainable."""
        left = self._trainable_names()
        own = [parameter for name, parameter in self.model.named_parameters() if name in left]
        adapted = [adapter for adapter in (*self.adapters.values(), self.head) if adapter is not None]
        new = [
            parameter for module in adapted for parameter in module.parameters() if parameter.requires_grad
        ]
        return new + own

    def save_adapters(
        self,
        path: PathLike,
        *,
        classes: Sequence[str] | None = None,
        max_length: int | None = None,
        head: bool = True,
    ) -> None:
        """Writes adapters and head as the file that the engine reads, all in f32.

        `classes` names the head's rows in their order and `max_length` is the tokens that a text was cut to;
        both go into the header, where the engine's `evaluate` looks for them. Without `head` the file holds
        the adapters alone: `attach` reads it, the engine asks for a head.
        """
        tensors: dict[str, Tensor] = {
            f"{source}-{target}.{name}": parameter
            for (source, target), adapter in self.adapters.items()
            for name, parameter in adapter.named_parameters()
        }
        if head:
            tensors |= self._head_tensors(classes)
        metadata = dict(self.metadata)
        metadata[adapter_file.PLACEMENT] = self.placement.hash
        metadata[adapter_file.WEIGHTS] = self.backbone.weights_sha256
        if classes is not None:
            metadata[adapter_file.CLASSES] = json.dumps(
                list(classes), ensure_ascii=False, separators=(",", ":")
            )
        if max_length is not None:
            metadata[adapter_file.MAX_LENGTH] = str(max_length)
        adapter_file.write(path, tensors, metadata)

    def detach(self) -> nn.Module:
        """Takes the adapters out of the model, which is then as it was, and returns the model.

        The adapters stay in this object and can still be saved. A second call does nothing.
        """
        if self.is_attached:
            self._trained = self._trainable_names()
            for handle in self._handles:
                handle.remove()
            self._handles.clear()
            if self._passes is not None:
                self._passes.remove()
                self._passes = None
            del self._pooler.base.__dict__[MARK]
            parameters = dict(self.model.named_parameters())
            for name, required in self._required_grad.items():
                if name in parameters:
                    parameters[name].requires_grad_(required)
        return self.model

    def __enter__(self) -> Attached:
        return self

    def __exit__(self, *exception: object) -> None:
        self.detach()

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Adapters, head, and those of the model's parameters that are trainable, under `model.`."""
        prefix = args[1] if len(args) > 1 else kwargs.get("prefix", "")
        state = super().state_dict(*args, **kwargs)
        for name in self._frozen_names():
            state.pop(prefix + name, None)
        return state

    def extra_repr(self) -> str:
        connections = ", ".join(str(connection) for connection in self.placement.adapters)
        return f"connections=[{connections}], passes={self.placement.passes}"

    def _adapter(self, connection: Connection) -> Adapter:
        adapter = self._modules[f"{connection.source}-{connection.target}"]
        assert isinstance(adapter, Adapter)
        return adapter

    def _switched(self) -> nn.Module:
        return self.model

    def _frozen_names(self) -> Iterable[str]:
        trainable = self._trainable_names()
        return [f"{MODEL}.{name}" for name in self.model.state_dict(keep_vars=True) if name not in trainable]

    def _trainable_names(self) -> set[str]:
        """The model's parameters that are trained along; once it is detached, those that were."""
        if self._trained is not None:
            return self._trained
        return {name for name, parameter in self.model.named_parameters() if parameter.requires_grad}

    def _head_tensors(self, classes: Sequence[str] | None) -> dict[str, Tensor]:
        if self.head is None:
            raise AttachError(
                "there is no head to save; attach with `num_classes`, or save with `head=False`"
            )
        rows = self.head.out_features
        if classes is not None and len(classes) != rows:
            raise AttachError(f"{len(classes)} classes are named, the head has {rows}; name one for each row")
        return {adapter_file.HEAD_WEIGHT: self.head.weight, adapter_file.HEAD_BIAS: self.head.bias}

    def _check_attached(self) -> None:
        if not self.is_attached:
            raise AttachError(
                "the adapters were detached from the model; call the model itself, or attach again"
            )


class _Forward:
    """`Attached.forward` with the signature of the model's."""

    def __init__(self, owner: Attached) -> None:
        self.owner = owner

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return Attached.forward(self.owner, *args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.owner.model.forward)


def _forget_frozen(module: nn.Module, keys: Any) -> None:
    """What `state_dict` leaves out is not missing when it is loaded."""
    assert isinstance(module, Attached)
    frozen = set(module._frozen_names())
    keys.missing_keys[:] = [
        key
        for key in keys.missing_keys
        if not any(key == name or key.endswith("." + name) for name in frozen)
    ]
