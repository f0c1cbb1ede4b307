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
    """What the engine cannot do; the message says why, and what to do next."""

class DivergedError(AdaplaceError):
    """A training whose loss is no number: a failed trial, not a failed study."""

@final
class Backbone:
    """A frozen, pre-trained transformer.

    Args:
        folder: A Hugging Face model folder, or ``org/name`` or ``org/name@revision`` of the hub.
        pooling: ``"mean"`` or ``"cls"``; by default what the folder says, else the mean, of pictures the class token.
        precision: What the operands of the frozen products are rounded to: ``"f32"``, ``"bf16"``, or ``"auto"``, which is
            bf16 on a machine with AMX.

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
        """Where it was read from."""
    @property
    def model_type(self) -> str:
        """The architecture, as ``config.json`` names it."""
    @property
    def blocks(self) -> int:
        """Transformer blocks L."""
    @property
    def hidden_states(self) -> int:
        """Hidden states h_0 .. h_N, so N + 1 = 2 L + 1."""
    @property
    def width(self) -> int:
        """Width d of a hidden state."""
    @property
    def parameters(self) -> int:
        """Frozen weights."""
    @property
    def pooling(self) -> str:
        """How the last state becomes one vector."""
    @property
    def precision(self) -> str:
        """What the operands of its products are rounded to."""
    @property
    def weights_sha256(self) -> str:
        """Hash of its weights: the same however they are sharded, prefixed or stored."""

@final
class Task:
    """A task, encoded for a backbone: its training and validation part. The test part is never read.

    Args:
        folder: With ``{train,validation}.jsonl``, ``.csv`` or ``.parquet``, or ``{train,validation}/CLASS/*.png``; or
            ``org/name[:subset][@revision]``, a dataset of the Hugging Face hub.
        backbone: What reads it.
        max_length: Texts are cut to this many tokens; 128, or the backbone's longest, if not given.
        train_examples: Size of a stratified subset of the training examples ..
        seed: .. and the seed that it is drawn with.
        text_column: Column or key of a text; ``text`` if not given.
        pair_column: Column or key of the second text of a pair; ``text_pair``, where there is one, if not given.
        label_column: Column or key of the class; ``label`` if not given.
        image_column: Column of encoded pictures in Parquet; ``image``, or the only one of pictures, if not given.

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
        """Texts are cut to this many tokens; none for pictures."""
    @property
    def fingerprint(self) -> str:
        """Hash of the encoded examples of both parts."""

@final
class Connection:
    """A connection i -> j with its adapter: it reads h_source and adds to h_target.

    Args:
        source: The hidden state that is read.
        target: The hidden state that is added to.
        rank: Bottleneck width r.
        scale: Factor on the adapter's output.
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
        """Sequential i = j, parallel j = i + 1, long-range j > i + 1, recurrent j < i."""
    def __hash__(self) -> int: ...

@final
class Placement:
    """A set of connections, each with its adapter; their order has no meaning.

    Args:
        connections: ``Connection`` or ``(source, target[, rank[, scale]])``, rank 8 and scale 1 where they are left out.

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
        """The placement in a file."""
    def write(self, path: _Path, backbone: Backbone) -> None:
        """Writes it, made for ``backbone``, as a file."""
    def to_toml(self, backbone: Backbone) -> str:
        """The content of the file that ``write`` writes."""
    @property
    def connections(self) -> list[Connection]:
        """In canonical order."""
    @property
    def passes(self) -> int:
        """Forward passes: 2 with a recurrent connection, else 1."""
    @property
    def hash(self) -> str:
        """Its name: the same on every machine and in every version."""
    def __len__(self) -> int: ...
    def __hash__(self) -> int: ...

@final
class SearchSpace:
    """What may be placed where, resolved for a backbone and a task.

    Args:
        path: ``"extended"``, ``"parallel"``, ``"sequential"``, ``"long-range"``, ``"recurrent"``, ``"single"``, or a file.
        backbone: Gives hidden states and width.
        task: Gives the tokens of a typical example, on which costs are counted.

    Raises:
        AdaplaceError: If the file is missing or damaged, or no placement meets its budget.
    """

    def __new__(cls, path: _Path, backbone: Backbone, task: Task) -> SearchSpace: ...
    @staticmethod
    def from_toml(text: str, backbone: Backbone, task: Task) -> SearchSpace:
        """A space that is described by this text."""
    @property
    def connections(self) -> list[tuple[int, int]]:
        """All (source, target) that may be placed."""
    @property
    def ranks(self) -> list[int]: ...
    @property
    def size(self) -> float:
        """How many placements it holds."""
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
        """Fits the probe and takes the gradient of at most ``examples`` training examples. All statistics of singular
        values are in the map; the cross-fitted ones (``alignment``, ``validation-alignment``, ``agreement``) are if they
        are named."""
    @staticmethod
    def read(path: _Path) -> GradientMap:
        """The map in a file, as ``gradient-map.json`` of a study is one."""
    def write(self, path: _Path) -> None: ...
    @property
    def hidden_states(self) -> int: ...
    @property
    def examples(self) -> int: ...
    @property
    def task(self) -> str: ...
    @property
    def probe(self) -> dict[str, Any]:
        """How good the linear probe is: ``l2``, and ``train`` and ``validation`` with ``loss`` and ``accuracy``."""
    @property
    def statistics(self) -> list[_Statistic]: ...
    def __getitem__(self, statistic: _Statistic | str) -> list[list[float]]: ...

@final
class Score:
    """How good a placement turned out to be.

    Args:
        accuracy: Share of the validation part that is right.
        loss: Mean cross-entropy on the validation part, in nats.
        train_loss: Mean cross-entropy of the last epoch, in nats.
        balanced_accuracy: Mean recall of the classes on the validation part; with the next two, or none of them.
        macro_f1: Mean F1 of the classes.
        matthews: Matthews correlation.
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
        """From 0: that of its line in the journal."""
    @property
    def phase(self) -> Literal["search", "race", "finalist", "baseline"]: ...
    @property
    def placement(self) -> Placement: ...
    @property
    def steps(self) -> int:
        """Optimiser steps."""
    @property
    def repetition(self) -> int:
        """0 in the search, from 1 in the race, behind it for the repetitions of finalists and baseline."""

@final
class Scorer:
    """The built-in scorer: a short training that starts from the linear probe.

    It can be pickled, once: weights, encoded task and probe go along, and the copy gives the same scores.
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
        """Trains a placement for some steps and judges it on the validation part, on so many threads (all cores if not
        given), which changes no result. Other Python threads run meanwhile.

        Raises:
            DivergedError: If the loss is no number.
            AdaplaceError: If a connection is out of the backbone's range.
        """
    @property
    def probe_accuracy(self) -> float:
        """Validation accuracy of the linear probe."""

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
        """The map of the frozen model."""
    @property
    def scorer(self) -> Scorer:
        """The built-in scorer, with the frozen states that the study keeps."""
    @property
    def finished(self) -> bool:
        """Whether nothing is left to be scored: the ranking is written."""
    @property
    def records(self) -> list[dict[str, Any]]:
        """All trainings so far, as the journal has them."""
    @property
    def ranking(self) -> dict[str, Any] | None:
        """The content of ``ranking.json``; none before the study is finished."""
    @property
    def best(self) -> Placement:
        """The placement of the first place: of the finalists once the study is finished, of the complete trials before.

        Raises:
            ValueError: If there is none yet.
        """
    def ask(self, n: int | None = None) -> list[Trial]: ...
    def record(self, number: int, score: Score | None, failed: str | None, seconds: float) -> None: ...
    def give_back(self, number: int) -> None:
        """``ask`` gives the trial away once more: whoever had it could not score it."""
    def train(self, workers: int, on_trial: Callable[[dict[str, Any]], object] | None = None) -> None: ...
    def report(self) -> Path:
        """Writes ``report.html`` anew; gives its path."""
    def close(self) -> None:
        """Leaves the folder to other processes; what was told is in its journal."""

def new_configuration(backbone: Backbone, task: Task, space: SearchSpace, settings: str) -> str:
    """The content of the ``study.toml`` of a new study; ``settings`` are JSON."""

def read_configuration(path: _Path) -> dict[str, Any]:
    """The content of a ``study.toml``, checked."""
