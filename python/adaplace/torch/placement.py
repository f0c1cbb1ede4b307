"""Reads placement files: the connections with their adapters, and the backbone they were made for."""

from __future__ import annotations

import hashlib
import math
import os
import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Union, runtime_checkable

from .errors import AttachError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMAT = "adaplace.placement/1"
ACTIVATION = "gelu"
INPUT_NORM = "layer-norm"
POOLINGS = ("mean", "cls")

PathLike = Union[str, "os.PathLike[str]"]


class Connection(NamedTuple):
    """A connection that reads hidden state h_source and adds the adapter's output to h_target."""

    source: int
    target: int

    @property
    def is_recurrent(self) -> bool:
        """Whether the connection feeds back, which needs a second pass."""
        return self.target < self.source

    def __str__(self) -> str:
        return f"{self.source}->{self.target}"


@dataclass(frozen=True)
class AdapterSpec:
    """The rank of an adapter and the factor on its output."""

    rank: int
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= 0xFFFF:
            raise AttachError(f"an adapter has the rank {self.rank}; a rank is between 1 and 65535")
        # Files and hashes contain the scale as f32.
        try:
            rounded = struct.unpack("<f", struct.pack("<f", self.scale))[0]
        except OverflowError:
            rounded = math.inf
        if not math.isfinite(rounded):
            raise AttachError(f"an adapter has the scale {self.scale}; it must be finite as f32")
        object.__setattr__(self, "scale", rounded)


@dataclass(frozen=True)
class BackboneReference:
    """The properties that identify the backbone of a placement."""

    model_type: str
    hidden_states: int
    width: int
    pooling: str
    weights_sha256: str


@dataclass(frozen=True)
class Placement:
    """Connections in ascending order with their adapters. Without `backbone` any large enough model fits."""

    adapters: Mapping[Connection, AdapterSpec] = field(default_factory=dict)
    backbone: BackboneReference | None = None

    def __post_init__(self) -> None:
        entries = sorted((Connection(*connection), spec) for connection, spec in self.adapters.items())
        object.__setattr__(self, "adapters", dict(entries))

    @property
    def passes(self) -> int:
        """The number of forward passes: 2 with a recurrent connection, else 1."""
        return 2 if any(connection.is_recurrent for connection in self.adapters) else 1

    @property
    def hash(self) -> str:
        """The name of the placement as computed by the engine, 16 hexadecimal digits."""
        digest = hashlib.sha256(FORMAT.encode())
        for (source, target), spec in self.adapters.items():
            digest.update(struct.pack("<HHHf", source, target, spec.rank, spec.scale))
        return digest.hexdigest()[:16]

    @staticmethod
    def read(path: PathLike) -> Placement:
        """Reads and checks the placement file at `path`."""
        path = os.fspath(path)
        try:
            with open(path, "rb") as file:
                document = tomllib.load(file)
        except OSError as error:
            raise AttachError(f"cannot read `{path}`: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise AttachError(f"`{path}` is not TOML: {error}") from error
        return Placement.from_document(document, f"`{path}`")

    @staticmethod
    def from_document(document: Mapping[str, Any], name: str = "the placement") -> Placement:
        """Checks the parsed content of a placement file, which messages call `name`."""
        found = document.get("format")
        # The format is checked first, because a later version may change everything else.
        if found != FORMAT:
            raise AttachError(
                f"{name} has the format `{found}`, but only `{FORMAT}` can be read; update adaplace"
            )
        table = _Table(document, name)
        table.only("format", "passes", "backbone", "adapter", "connection", "provenance")
        placement = Placement(_connections(table), _backbone(table))
        form = table.table("adapter")
        form.only("activation", "input_norm")
        for key, supported in (("activation", ACTIVATION), ("input_norm", INPUT_NORM)):
            if form.text(key) != supported:
                raise AttachError(f"{name} has the {key} `{form.text(key)}`; only `{supported}` is supported")
        placement._check_document(table)
        return placement

    def _check_document(self, table: _Table) -> None:
        if not self.adapters:
            raise AttachError(f"{table.name} contains no connection; a placement file has at least one")
        passes = table.number("passes", 0xFF)
        if passes != self.passes:
            raise AttachError(
                f"{table.name} has {passes} as `passes`, but its connections need {self.passes}; "
                "write it again with adaplace"
            )
        assert self.backbone is not None, "a document has a backbone"
        self.check_range(self.backbone.hidden_states, table.name)

    def check_range(self, hidden_states: int, name: str = "the placement") -> None:
        """Checks that the connections are within h_0 .. h_{hidden_states - 1}."""
        for connection in self.adapters:
            if not all(0 <= state < hidden_states for state in connection):
                raise AttachError(
                    f"{name} has the connection {connection}, outside of h_0 to h_{hidden_states - 1}; "
                    "it belongs to a deeper backbone"
                )


@runtime_checkable
class HasConnections(Protocol):
    """The engine's `adaplace.Placement`, whose connections have source, target, rank and scale."""

    @property
    def connections(self) -> Iterable[Any]: ...


def as_placement(placement: PathLike | Mapping[str, Any] | Placement | HasConnections) -> Placement:
    """Converts what a user may pass: the path of a placement file, its content, or a placement of either kind."""
    if isinstance(placement, Placement):
        return placement
    if isinstance(placement, HasConnections):
        entries = placement.connections
        return Placement(
            {Connection(one.source, one.target): AdapterSpec(one.rank, one.scale) for one in entries}
        )
    if isinstance(placement, Mapping):
        return Placement.from_document(placement)
    return Placement.read(placement)


def _backbone(table: _Table) -> BackboneReference:
    reference = table.table("backbone")
    reference.only("model_type", "hidden_states", "width", "pooling", "weights_sha256")
    return BackboneReference(
        model_type=reference.text("model_type"),
        hidden_states=reference.number("hidden_states", 0xFFFF),
        width=reference.number("width", 0xFFFF_FFFF),
        pooling=reference.text("pooling"),
        weights_sha256=reference.text("weights_sha256"),
    )


def _connections(table: _Table) -> dict[Connection, AdapterSpec]:
    adapters: dict[Connection, AdapterSpec] = {}
    for entry in table.tables("connection"):
        entry.only("source", "target", "rank", "scale")
        connection = Connection(entry.number("source", 0xFFFF), entry.number("target", 0xFFFF))
        if connection in adapters:
            raise AttachError(f"{table.name} has the connection {connection} twice; keep one of the two")
        try:
            adapters[connection] = AdapterSpec(entry.number("rank", 0xFFFF), entry.decimal("scale"))
        except AttachError as error:
            raise AttachError(f"{table.name}, connection {connection}: {error}") from None
    return adapters


class _Table:
    """A table of a TOML document whose values are read by type."""

    def __init__(self, values: Mapping[str, Any], name: str) -> None:
        self.values = values
        self.name = name

    def only(self, *keys: str) -> None:
        unknown = [key for key in self.values if key not in keys]
        if unknown:
            raise AttachError(
                f"{self.name} has the unknown key `{unknown[0]}`; the known ones are {', '.join(keys)}"
            )

    def text(self, key: str) -> str:
        value = self._get(key)
        if not isinstance(value, str):
            raise self._of_type(key, value, "text")
        return value

    def number(self, key: str, largest: int) -> int:
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
            raise self._of_type(key, value, f"a whole number from 0 to {largest}")
        return value

    def decimal(self, key: str) -> float:
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._of_type(key, value, "a number")
        return float(value)

    def table(self, key: str) -> _Table:
        value = self._get(key)
        if not isinstance(value, Mapping):
            raise self._of_type(key, value, "a table")
        return _Table(value, f"{self.name}, `{key}`")

    def tables(self, key: str) -> Iterable[_Table]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
            raise self._of_type(key, value, "an array of tables")
        return [_Table(entry, f"{self.name}, `{key}`") for entry in value]

    def _get(self, key: str) -> Any:
        if key not in self.values:
            raise AttachError(f"{self.name} lacks the key `{key}`; write it again with adaplace")
        return self.values[key]

    def _of_type(self, key: str, value: Any, expected: str) -> AttachError:
        return AttachError(f"{self.name} has {value!r} as `{key}`; it should be {expected}")
