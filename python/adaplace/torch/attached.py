"""A model with adapters attached."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from adaplace._adaplace import BackboneReference, Connection, Placement

from . import adapter_file
from .adapter import Adapter
from .chain import Chain
from .checkpointing import Checkpointing
from .errors import AttachError
from .families import Layout
from .passes import Passes
from .placement import Pair, PathLike
from .pooling import Pooler
from .switches import CheckpointingSwitches

# The key in the `__dict__` of a backbone that has adapters.
MARK = "_adaplace_attached"
MODEL = "model"
HEAD = "head"


class Attached(CheckpointingSwitches, nn.Module):
    """A model with the adapters of a placement, as returned by `attach`.

    It is called like the model and returns what the model returns. Its parameters are those of the model,
    frozen, under `model.`, and those of adapters and head under their names in an adapter file:
    `{source}-{target}.down.weight` (rank, width), `.down.bias` (rank), `.up.weight` (width, rank), `.up.bias`
    (width), `head.weight` (classes, width) and `head.bias` (classes). `state_dict` contains only what is
    trained. As a context manager it detaches the adapters at the end.
    """

    head: Optional[nn.Linear]

    def __init__(
        self,
        model: nn.Module,
        layout: Layout,
        placement: Placement,
        backbone: BackboneReference,
        adapters: Mapping[Pair, Adapter],
        head: nn.Linear | None,
    ) -> None:
        super().__init__()
        self.model = model
        for (source, target), adapter in adapters.items():
            self.add_module(f"{source}-{target}", adapter)
        self.head = head
        self.training = model.training
        self.placement = placement
        #: The properties of the model, including the hash of its weights.
        self.backbone = backbone
        #: The names of the head's rows and the number of tokens to which texts were cut, as far as they are known.
        self.classes: Sequence[str] | None = None
        self.max_length: int | None = None
        #: The kind of problem that it was trained for, such as `classification`; None for new adapters.
        self.problem: adapter_file.Problem | None = None
        #: The mean and the standard deviation by which the head's output becomes a number in the labels' unit.
        self.scale: tuple[float, float] | None = None
        self._pooler = Pooler(layout.base, layout.method, layout.last_norm, backbone.pooling)
        self._required_grad = {name: weight.requires_grad for name, weight in model.named_parameters()}
        self._handles: list[RemovableHandle] = []
        self._passes: Passes | None = None
        # The parameters of the model that were trained as well, once the adapters are detached.
        self._trained: set[str] | None = None
        # `Trainer` inspects the forward for the columns of a data set that it takes, which are the model's.
        self.__dict__["forward"] = _Forward(self)
        self.register_load_state_dict_post_hook(_forget_frozen)  # type: ignore[no-untyped-call]
        self._install(layout, Chain(adapters, placement.passes))

    def _install(self, layout: Layout, chain: Chain) -> None:
        layout.base.__dict__[MARK] = True
        # Without adapters the model runs as it is, without hooks and without another stack frame.
        if not chain.adapters:
            return
        for n in chain.touched:
            self._handles += layout.points[n].install(chain, n)
        checkpointing = Checkpointing(chain, layout.base, layout.blocks)
        self._passes = Passes(layout.base, layout.method, chain, checkpointing)
        self._passes.install()

    def forward(self, *args: Any, labels: Tensor | None = None, **kwargs: Any) -> Any:
        """Runs the model with the adapters and returns its output."""
        self._check_attached()
        # `Trainer` looks for this name. Models without labels do not get it.
        return self.model(*args, **kwargs) if labels is None else self.model(*args, labels=labels, **kwargs)

    def features(self, *args: Any, **inputs: Any) -> Tensor:
        """The pooled last hidden state, (batch, width), after the last layer norm if there is one."""
        self._check_attached()
        features: Tensor = self._pooler(*args, **inputs)
        return features

    def logits(self, *args: Any, **inputs: Any) -> Tensor:
        """The head of the pooled last hidden state, (batch, classes), for inputs of the backbone."""
        if self.head is None:
            raise AttachError("there is no head; attach with `num_classes` or an adapter file that contains one")
        features = self.features(*args, **inputs)
        logits: Tensor = self.head(features.to(self.head.weight.dtype))
        return logits

    def token_logits(self, *args: Any, **inputs: Any) -> Tensor:
        """The head of the last hidden state at every token, (batch, tokens, classes), for inputs of the backbone."""
        if self.head is None:
            raise AttachError("there is no head; attach with `num_classes` or an adapter file that contains one")
        self._check_attached()
        features = self._pooler.tokens(*args, **inputs)
        logits: Tensor = self.head(features.to(self.head.weight.dtype))
        return logits

    def classify(self, *args: Any, **inputs: Any) -> Tensor:
        """An alias of `logits`."""
        return self.logits(*args, **inputs)

    @property
    def adapters(self) -> dict[Pair, Adapter]:
        """The adapters by the pair (source, target) of their connection, in ascending order."""
        return {(one.source, one.target): self._adapter(one) for one in self.placement.connections}

    @property
    def config(self) -> Any:
        """The model's configuration, if it has one."""
        return getattr(self.model, "config", None)

    @property
    def is_attached(self) -> bool:
        """Whether the adapters are attached to the model."""
        return self._trained is None

    def trainable_parameters(self) -> list[nn.Parameter]:
        """The parameters to train: adapters, head, and those of the model that were left trainable."""
        left = self._trainable_names()
        of_model = [parameter for name, parameter in self.model.named_parameters() if name in left]
        own = [parameter for parameter in self.own_parameters().values() if parameter.requires_grad]
        return own + of_model

    def own_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters of adapters and head, under their names in an adapter file."""
        named = self.named_parameters()
        return {name: parameter for name, parameter in named if not name.startswith(f"{MODEL}.")}

    def save_adapters(
        self,
        path: PathLike,
        *,
        classes: Sequence[str] | None = None,
        max_length: int | None = None,
        head: bool = True,
    ) -> None:
        """Writes adapters and head to a file that the engine can read, all in f32.

        `classes` names the head's rows in their order, and `max_length` is the number of tokens to which texts
        were cut. Both are written to the header, with the problem and its scale, where the engine's `evaluate` looks for them; without them,
        those of the adapter file that was attached are written. Without `head` the file contains only the
        adapters, which `attach` can read, but the engine needs a head, except for language modelling.
        """
        classes = self.classes if classes is None else classes
        tensors = self.own_parameters()
        if head and self.problem != "language-modelling":
            self._check_head(classes)
        else:
            tensors = {name: one for name, one in tensors.items() if not name.startswith(f"{HEAD}.")}
        adapter_file.write(
            path,
            self.placement,
            self.backbone.width,
            tensors,
            weights_sha256=self.backbone.weights_sha256,
            classes=classes,
            max_length=self.max_length if max_length is None else max_length,
            problem=self.problem,
            scale=self.scale,
        )

    def detach(self) -> nn.Module:
        """Removes the adapters from the model, which is then as before, and returns the model.

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
        """The values of adapters, head, and the trainable parameters of the model under `model.`."""
        prefix = args[1] if len(args) > 1 else kwargs.get("prefix", "")
        state = super().state_dict(*args, **kwargs)
        for name in self._frozen_names():
            state.pop(prefix + name, None)
        return state

    def extra_repr(self) -> str:
        connections = ", ".join(f"{source}->{target}" for source, target in self.adapters)
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
        """The model's parameters that are trained as well or, once it is detached, those that were."""
        if self._trained is not None:
            return self._trained
        return {name for name, parameter in self.model.named_parameters() if parameter.requires_grad}

    def _check_head(self, classes: Sequence[str] | None) -> None:
        if self.head is None:
            raise AttachError(
                "there is no head to save; attach with `num_classes`, or save with `head=False`"
            )
        rows = self.head.out_features
        if classes is not None and len(classes) != rows:
            raise AttachError(f"{len(classes)} classes are named, but the head has {rows}; name one for each row")

    def _check_attached(self) -> None:
        if not self.is_attached:
            raise AttachError(
                "the adapters were detached from the model; call the model itself, or attach again"
            )


class _Forward:
    """`Attached.forward` with the signature of the model's forward."""

    def __init__(self, owner: Attached) -> None:
        self.owner = owner

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return Attached.forward(self.owner, *args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.owner.model.forward)


def _forget_frozen(module: nn.Module, keys: Any) -> None:
    """Does not report as missing what `state_dict` leaves out."""
    assert isinstance(module, Attached)
    frozen = set(module._frozen_names())
    keys.missing_keys[:] = [
        key
        for key in keys.missing_keys
        if not any(key == name or key.endswith("." + name) for name in frozen)
    ]
