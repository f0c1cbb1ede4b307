"""The compiled part of the package: the engine itself."""

from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeAlias, final

__version__: str

_Path: TypeAlias = str | PathLike[str]
_Kind: TypeAlias = Literal["sequential", "parallel", "long-range", "recurrent"]
_Statistic: TypeAlias = Literal[
    "rank",
    "relative-rank",
    "effective-rank",
    "stable-rank",
    "nuclear-norm",
    "frobenius-norm",
    "spectral-norm",
    "alignment",
    "validation-alignment",
    "agreement",
]

class AdaplaceError(Exception):
    """An error of the engine. The message says what is wrong and what to do next."""

class DivergedError(AdaplaceError):
    """The loss of a training is not finite. This is a failed trial, not a failed study."""

@final
class Backbone:
    """A frozen, pre-trained transformer.

    Args:
        folder: A Hugging Face model folder, or ``org/name`` or ``org/name@revision`` of the hub.
        pooling: ``"mean"`` or ``"cls"``. By default it is that of the folder, else the mean; for pictures, the class token.
        precision: The precision to which the operands of frozen products are rounded: ``"f32"``, ``"bf16"``, or
            ``"auto"``, which is bf16 on a machine with AMX.

    Raises:
        AdaplaceError: If a file is missing or damaged, or the architecture is not implemented.
    """

    def __new__(
        cls,
        folder: _Path,
        *,
        pooling: Literal["mean", "cls"] | None = None,
        precision: Literal["auto", "f32", "bf16"] = "auto",
    ) -> Backbone: ...
    @property
    def folder(self) -> Path:
        """The folder from which the backbone was read."""
    @property
    def model_type(self) -> str:
        """The architecture, as named in ``config.json``."""
    @property
    def blocks(self) -> int:
        """The number L of transformer blocks."""
    @property
    def hidden_states(self) -> int:
        """The number of hidden states h_0 .. h_N, N + 1 = 2 L + 1."""
    @property
    def width(self) -> int:
        """The width d of a hidden state."""
    @property
    def parameters(self) -> int:
        """The number of frozen weights."""
    @property
    def pooling(self) -> str:
        """The pooling of the last state into one vector."""
    @property
    def precision(self) -> str:
        """The precision to which the operands of frozen products are rounded."""
    @property
    def weights_sha256(self) -> str:
        """The hash of the weights, which does not depend on how they are sharded, prefixed or stored."""

@final
class Task:
    """A task, encoded for a backbone: its training and validation part. The test part is never read.

    Args:
        folder: A folder with ``{train,validation}.jsonl``, ``.csv`` or ``.parquet``, or with
            ``{train,validation}/CLASS/*.png``; or ``org/name[:subset][@revision]``, a dataset of the Hugging Face hub.
        backbone: The backbone that reads the task.
        max_length: The number of tokens to which texts are cut. The default is 128, or the backbone's longest.
        train_examples: The size of a stratified subset of the training examples. By default all are used.
        seed: The seed with which the subset is drawn.
        text_column: The column or key of a text, ``text`` by default.
        pair_column: The column or key of the second text of a pair. The default is ``text_pair``, if there is one.
        label_column: The column or key of the class, ``label`` by default.
        image_column: The column of encoded pictures in Parquet. The default is ``image``, or the only column with pictures.

    Raises:
        AdaplaceError: If the folder is missing or damaged, or the backbone cannot read it.
    """

    def __new__(
        cls,
        folder: _Path,
        backbone: Backbone,
        *,
        max_length: int | None = None,
        train_examples: int | None = None,
        seed: int = 0,
        text_column: str | None = None,
        pair_column: str | None = None,
        label_column: str | None = None,
        image_column: str | None = None,
    ) -> Task: ...
    @property
    def name(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    @property
    def classes(self) -> list[str]:
        """The labels, in the order of a head's logits."""
    @property
    def train_examples(self) -> int: ...
    @property
    def validation_examples(self) -> int: ...
    @property
    def max_length(self) -> int | None:
        """The number of tokens to which texts are cut, None for pictures."""
    @property
    def fingerprint(self) -> str:
        """The hash of the encoded examples of both parts."""

@final
class Connection:
    """A connection i -> j with its adapter: it reads h_source and adds to h_target.

    Args:
        source: The hidden state that is read.
        target: The hidden state to which the output is added.
        rank: The bottleneck width r.
        scale: The factor on the adapter's output.
    """

    def __new__(cls, source: int, target: int, rank: int = 8, scale: float = 1.0) -> Connection: ...
    @property
    def source(self) -> int: ...
    @property
    def target(self) -> int: ...
    @property
    def rank(self) -> int: ...
    @property
    def scale(self) -> float: ...
    @property
    def kind(self) -> _Kind:
        """The kind: sequential i = j, parallel j = i + 1, long-range j > i + 1, recurrent j < i."""
    def __hash__(self) -> int: ...

@final
class Placement:
    """A set of connections, each with its adapter. Their order is irrelevant.

    Args:
        connections: The connections, as ``Connection`` or ``(source, target[, rank[, scale]])`` with default rank 8 and
            scale 1.

    Raises:
        AdaplaceError: If a connection is given twice, or a rank or scale is out of range.
    """

    def __new__(
        cls,
        connections: Iterable[
            Connection | tuple[int, int] | tuple[int, int, int] | tuple[int, int, int, float]
        ] = (),
    ) -> Placement: ...
    @staticmethod
    def read(path: _Path) -> Placement:
        """Reads the placement in a file."""
    def write(self, path: _Path, backbone: Backbone) -> None:
        """Writes the placement, made for ``backbone``, to a file."""
    def to_toml(self, backbone: Backbone) -> str:
        """The content of the file that ``write`` writes."""
    @property
    def connections(self) -> list[Connection]:
        """The connections in canonical order."""
    @property
    def passes(self) -> int:
        """The number of forward passes: 2 with a recurrent connection, else 1."""
    @property
    def hash(self) -> str:
        """The name of the placement, the same on every machine and in every version."""
    def __len__(self) -> int: ...
    def __hash__(self) -> int: ...

@final
class SearchSpace:
    """The set of allowed placements, resolved for a backbone and a task.

    Args:
        path: ``"extended"``, ``"parallel"``, ``"sequential"``, ``"long-range"``, ``"recurrent"``, ``"single"``, or a file.
        backbone: The backbone, which determines hidden states and width.
        task: The task, which determines the number of tokens of a typical example, for which costs are counted.

    Raises:
        AdaplaceError: If the file is missing or damaged, or no placement meets its budget.
    """

    def __new__(cls, path: _Path, backbone: Backbone, task: Task) -> SearchSpace: ...
    @staticmethod
    def from_toml(text: str, backbone: Backbone, task: Task) -> SearchSpace:
        """The space described by a text in TOML."""
    @property
    def connections(self) -> list[tuple[int, int]]:
        """All pairs (source, target) that may carry an adapter."""
    @property
    def ranks(self) -> list[int]: ...
    @property
    def size(self) -> float:
        """The number of placements in the space."""
    def sample(self, seed: int = 0) -> Placement:
        """A placement drawn uniformly, within the budget."""
    def cost(self, placement: Placement) -> dict[str, Any]:
        """``adapters``, ``parameters``, and ``extra_flops`` per example as a share of the frozen forward pass."""
    def __contains__(self, placement: Placement) -> bool: ...

@final
class GradientMap:
    """Statistics of the gradient matrix of every connection, taken at the linear probe of the frozen model.

    ``map["rank"]`` is a square table of floats: rows are sources, columns targets.
    """

    @staticmethod
    def compute(
        backbone: Backbone,
        task: Task,
        *,
        statistics: Iterable[_Statistic] = ("rank",),
        examples: int = 512,
        batch_size: int = 32,
        seed: int = 0,
    ) -> GradientMap:
        """Fits the probe and computes the gradient on at most ``examples`` training examples.

        The map contains all statistics of singular values, and those cross-fitted ones (``alignment``,
        ``validation-alignment``, ``agreement``) that are named.
        """
    @staticmethod
    def read(path: _Path) -> GradientMap:
        """Reads the map in a file, such as ``gradient-map.json`` of a study."""
    def write(self, path: _Path) -> None: ...
    @property
    def hidden_states(self) -> int: ...
    @property
    def examples(self) -> int: ...
    @property
    def task(self) -> str: ...
    @property
    def probe(self) -> dict[str, Any]:
        """The linear probe: its ``l2``, and ``train`` and ``validation`` with ``loss`` and ``accuracy``."""
    @property
    def statistics(self) -> list[_Statistic]: ...
    def __getitem__(self, statistic: _Statistic | str) -> list[list[float]]: ...

@final
class Score:
    """The score of a placement.

    Args:
        accuracy: The share of the validation part that is classified correctly.
        loss: The mean cross-entropy on the validation part, in nats.
        train_loss: The mean cross-entropy of the last epoch, in nats.
        balanced_accuracy: The mean recall of the classes on the validation part. It and the next two are given together
            or not at all.
        macro_f1: The mean F1 of the classes on the validation part.
        matthews: The Matthews correlation on the validation part.
    """

    def __new__(
        cls,
        accuracy: float,
        loss: float,
        train_loss: float,
        balanced_accuracy: float | None = None,
        macro_f1: float | None = None,
        matthews: float | None = None,
    ) -> Score: ...
    @property
    def accuracy(self) -> float: ...
    @property
    def loss(self) -> float: ...
    @property
    def train_loss(self) -> float: ...
    @property
    def balanced_accuracy(self) -> float | None: ...
    @property
    def macro_f1(self) -> float | None: ...
    @property
    def matthews(self) -> float | None: ...

@final
class Trial:
    """A training that a study asks for."""

    @property
    def number(self) -> int:
        """The number of the trial and of its line in the journal, from 0."""
    @property
    def phase(self) -> Literal["search", "race", "finalist", "baseline"]: ...
    @property
    def placement(self) -> Placement: ...
    @property
    def steps(self) -> int:
        """The number of optimiser steps."""
    @property
    def repetition(self) -> int:
        """The repetition: 0 in the search, from 1 in the race, and after it for finalists and baseline."""

@final
class Scorer:
    """The built-in scorer: a short training that starts from the linear probe.

    It can be pickled once, with weights, encoded task and probe. The copy computes the same scores.
    """

    def __new__(
        cls,
        backbone: Backbone,
        task: Task,
        *,
        batch_size: int = 32,
        learning_rate: float = 3e-3,
        head_learning_rate: float = 1e-3,
        seed: int = 0,
    ) -> Scorer: ...
    def score(
        self,
        placement: Placement,
        steps: int = 64,
        repetition: int = 0,
        *,
        threads: int | None = None,
    ) -> Score:
        """Trains a placement for some steps and evaluates it on the validation part.

        ``threads`` is the number of threads, by default all cores, and changes no result. Other Python threads run
        meanwhile.

        Raises:
            DivergedError: If the loss is not finite.
            AdaplaceError: If a connection is out of the backbone's range.
        """
    @property
    def probe_accuracy(self) -> float:
        """The validation accuracy of the linear probe."""

class Study:
    """See :class:`adaplace.Study`."""

    def __new__(
        cls,
        folder: _Path,
        backbone: Backbone,
        task: Task,
        configuration: str,
        cache_memory: int | None = None,
    ) -> Any: ...
    @property
    def folder(self) -> Path: ...
    @property
    def configuration(self) -> dict[str, Any]:
        """The content of ``study.toml``."""
    @property
    def gradient_map(self) -> GradientMap:
        """The gradient map of the frozen model."""
    @property
    def scorer(self) -> Scorer:
        """The built-in scorer, with the frozen states that the study caches."""
    @property
    def finished(self) -> bool:
        """Whether nothing is left to be scored and the ranking is written."""
    @property
    def records(self) -> list[dict[str, Any]]:
        """All trainings so far, as in the journal."""
    @property
    def ranking(self) -> dict[str, Any] | None:
        """The content of ``ranking.json``, or None before the study is finished."""
    @property
    def best(self) -> Placement:
        """The best placement: the best finalist once the study is finished, the best complete trial before.

        Raises:
            ValueError: If no complete trial has a score yet.
        """
    def ask(self, n: int | None = None) -> list[Trial]: ...
    def record(self, number: int, score: Score | None, failed: str | None, seconds: float) -> None: ...
    def give_back(self, number: int) -> None:
        """Returns a trial that could not be scored, so that ``ask`` hands it out again."""
    def train(self, workers: int, on_trial: Callable[[dict[str, Any]], object] | None = None) -> None: ...
    def report(self) -> Path:
        """Writes ``report.html`` again and returns its path."""
    def close(self) -> None:
        """Releases the folder for other processes. What was told is in its journal."""

def new_configuration(backbone: Backbone, task: Task, space: SearchSpace, settings: str) -> str:
    """The content of the ``study.toml`` of a new study, whose ``settings`` are JSON."""

def read_configuration(path: _Path) -> dict[str, Any]:
    """The checked content of a ``study.toml``."""
