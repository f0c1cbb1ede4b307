"""A study by ask and tell, with the built-in scorer or an objective of one's own."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from adaplace import _adaplace
from adaplace._adaplace import Backbone, Placement, Score, SearchSpace, Task, Trial
from adaplace.records import row
from adaplace.tracking import to_optuna

if TYPE_CHECKING:
    import optuna
    import pandas

Objective = Callable[[Placement], "float | Score"]


class Study(_adaplace.Study):
    """The search for a placement, in a folder that can be resumed.

    The arguments mean what the options of ``adaplace search`` mean, with the same defaults; a study made here is the one
    that the program would make, and either goes on with the other's.

    Args:
        folder: Where everything is written; a study that is there already is resumed if it is the same.
        backbone: The frozen model.
        task: What it is to learn. If it was drawn with ``train_examples``, then with the study's ``seed``.
        space: What may be placed where.
        strategy: ``"random"``, ``"greedy"``, ``"gradient-greedy"``, ``"evolution"``, ``"surrogate"``, ``"prune"`` or
            ``"exhaustive"``, or a mapping with the ``name`` and settings, such as ``{"name": "greedy", "candidates": 8}``;
            ``"surrogate"`` if not given.
        trials: Placements to try.
        steps: Optimiser steps of a trial.
        seed: Of all random choices.
        metric: ``"accuracy"`` (larger is better), ``"loss"`` (smaller is better), ``"combined"``, accuracy - loss / 2
            (larger is better, and steadier than accuracy alone), or what counts every class, ``"balanced-accuracy"``,
            ``"macro-f1"`` or ``"matthews"``, on the validation part.
        costs: ``"parameters"`` and ``"extra-flops"`` where they are minimised as well.
        statistic: What stands for a connection's promise: gradient statistics, whose mean rank counts.
        finalists: How many of the best placements race: the better half goes on from every rung, until two are left.
        race: Trainings of each finalist on the first rung, twice as many on every following one; 0 for no race.
        repetitions: Trainings of the last two (without a race of all finalists) on orders that chose nothing.
        halving: Reduction factor of successive halving, or none.
        proposals: How many placements the strategy proposes at a time; as many can be scored side by side.
        batch_size: Examples in a batch.
        learning_rate: Highest learning rate of the adapters.
        head_learning_rate: Highest learning rate of the head.
        gradient_examples: Training examples that the gradient map is made from, at most.
        objective: The name of an objective of one's own, if the trials are not scored by the built-in one. It is part of
            the study: to resume it the same name must be given.
        cache_memory: Bytes of frozen states that are kept, a quarter of the memory if not given. Changes no result.

    Raises:
        AdaplaceError: If the folder holds something else or is at work in another process, or a setting is out of range.
    """

    def __new__(
        cls,
        folder: str | PathLike[str],
        backbone: Backbone,
        task: Task,
        space: SearchSpace,
        *,
        strategy: str | Mapping[str, Any] | None = None,
        trials: int = 64,
        steps: int = 64,
        seed: int = 0,
        metric: str = "combined",
        costs: Sequence[str] = (),
        statistic: Sequence[str] = ("rank", "validation-alignment"),
        finalists: int = 8,
        race: int = 1,
        repetitions: int = 3,
        halving: int | None = None,
        proposals: int = 8,
        batch_size: int = 32,
        learning_rate: float = 3e-3,
        head_learning_rate: float = 1e-3,
        gradient_examples: int = 512,
        objective: str | None = None,
        cache_memory: int | None = None,
    ) -> Study:
        settings = {
            "strategy": dict(strategy) if isinstance(strategy, Mapping) else strategy,
            "trials": trials,
            "steps": steps,
            "seed": seed,
            "metric": metric,
            "costs": list(costs),
            "statistic": [statistic] if isinstance(statistic, str) else list(statistic),
            "finalists": finalists,
            "race": race,
            "repetitions": repetitions,
            "halving": halving,
            "proposals": proposals,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "head_learning_rate": head_learning_rate,
            "gradient_examples": gradient_examples,
            "objective": objective,
        }
        configuration = _adaplace.new_configuration(backbone, task, space, json.dumps(settings))
        return cls._open(folder, backbone, task, configuration, cache_memory)

    @classmethod
    def resume(cls, folder: str | PathLike[str], *, cache_memory: int | None = None) -> Study:
        """The study that is in a folder, with the backbone and task that its ``study.toml`` names.

        Raises:
            AdaplaceError: If there is none, or backbone or task are not what they were.
        """
        file = Path(folder) / "study.toml"
        stored = _adaplace.read_configuration(file)
        source, subset = stored["backbone"], stored["task"]
        backbone = Backbone(source["folder"], pooling=source["pooling"], precision=source["precision"])
        task = Task(
            subset["folder"],
            backbone,
            max_length=subset.get("max_length"),
            train_examples=subset.get("train_examples"),
            seed=stored["search"]["seed"],
            **{f"{column}_column": name for column, name in subset.get("columns", {}).items()},
        )
        return cls._open(folder, backbone, task, file.read_text(), cache_memory)

    @classmethod
    def _open(
        cls,
        folder: str | PathLike[str],
        backbone: Backbone,
        task: Task,
        configuration: str,
        cache_memory: int | None,
    ) -> Study:
        study: Study = _adaplace.Study.__new__(cls, folder, backbone, task, configuration, cache_memory)
        return study

    def ask(self, n: int | None = None) -> list[Trial]:
        """At most ``n`` trials to be scored now, or all there are; each is given away once.

        Those of one proposal can be scored side by side and told in any order. An empty list means that the trials given
        away must be told first, or, if there are none, that the study is finished.
        """
        return super().ask(n)

    def tell(
        self,
        trial: Trial,
        score: float | Score | None = None,
        *,
        failed: str | None = None,
        seconds: float = 0.0,
    ) -> None:
        """The result of a trial, written to the journal once all trials before it are told.

        Args:
            trial: What ``ask`` gave.
            score: A ``Score``, or one number: the value of the study's metric. Of an accuracy the losses are recorded as
                ``1 - accuracy``, of a loss the accuracy as ``1 - loss``; of any other metric it is taken as an accuracy, too.
            failed: Why there is no score, instead of it.
            seconds: How long it took.

        Raises:
            ValueError: If the score is no finite number. The trial can be told again.
            AdaplaceError: If the trial was told already, or is none of this study.
        """
        self.record(trial.number, None if score is None else self._score(trial, score), failed, seconds)

    def run(
        self,
        objective: Objective | None = None,
        *,
        workers: int = 1,
        catch: tuple[type[Exception], ...] = (),
        on_trial: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        """Scores all that is left, until the study is finished.

        Ctrl-C lets the running trainings finish and raises ``KeyboardInterrupt``; whatever was scored is in the journal,
        and another ``run`` goes on behind it.

        Args:
            objective: Scores a placement: a ``Score``, or a number as in ``tell``. Without one the built-in scorer trains,
                and other Python threads run meanwhile.
            workers: Trainings of the built-in scorer side by side, one thread each; a single one uses all cores. Changes no
                result.
            catch: Exceptions of ``objective`` that make a failed trial. Any other ends the run; nothing told is lost.
            on_trial: Called with the journal's record of each trial.

        Raises:
            RuntimeError: If trials that ``ask`` gave away before are all that is left.
            ValueError: If there is an objective and the study was not opened with its name, or the reverse; if the
                objective gives no finite number.
        """
        named = self.configuration["search"].get("objective")
        if objective is None:
            if named is not None:
                raise ValueError(f"the study is scored by the objective `{named}`; give it to `run`")
            self.train(workers, on_trial)
        else:
            if named is None:
                raise ValueError("the study is scored by the built-in scorer; open it with `objective=\"a name\"` to use another")
            while trials := self.ask(1):
                self._score_one(trials[0], objective, catch)
                if on_trial is not None:
                    on_trial(self.records[-1])
            if not self.finished:
                raise RuntimeError("trials that `ask` gave away are not told yet; tell them, or `give_back` their numbers")
        self.report()

    def _score_one(self, trial: Trial, objective: Objective, catch: tuple[type[Exception], ...]) -> None:
        start = time.perf_counter()
        try:
            try:
                score = objective(trial.placement)
            except catch as error:
                self.tell(trial, failed=f"{type(error).__name__}: {error}", seconds=time.perf_counter() - start)
            else:
                self.tell(trial, score, seconds=time.perf_counter() - start)
        except BaseException:
            self.give_back(trial.number)
            raise

    def _score(self, trial: Trial, score: float | Score) -> Score:
        if isinstance(score, Score):
            return score
        value = float(score)
        if not math.isfinite(value):
            raise ValueError(
                f"the objective gave {value} for trial {trial.number} ({trial.placement}); "
                "a score is a finite number: tell `failed` with a reason, or raise an exception that `catch` names"
            )
        metric = self.configuration["search"]["metric"]
        if metric == "loss":
            return Score(accuracy=1 - value, loss=value, train_loss=value)
        if metric in _OF_CLASSES:
            return Score(value, 1 - value, 1 - value, balanced_accuracy=value, macro_f1=value, matthews=value)
        return Score(accuracy=value, loss=1 - value, train_loss=1 - value)

    def dataframe(self) -> pandas.DataFrame:
        """All trainings, one row for each line of the journal; needs ``pandas``.

        Columns: ``trial``, ``phase``, ``placement``, ``connections``, ``steps``, ``repetition``, ``accuracy``, ``loss``,
        ``train_loss``, ``balanced_accuracy``, ``macro_f1``, ``matthews``, ``failed``, ``seconds``; the numbers of a failed
        trial are missing, those of classes also where nothing measured them.
        """
        import pandas

        return pandas.DataFrame([row(record) for record in self.records], columns=_COLUMNS)

    def to_optuna(self, path: str | PathLike[str], *, name: str | None = None) -> optuna.Study:
        """Writes the trials as a study of Optuna's to a file: see ``adaplace.to_optuna``."""
        return to_optuna(self, path, name=name)

    def __enter__(self) -> Study:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_OF_CLASSES = {"balanced-accuracy", "macro-f1", "matthews"}

_COLUMNS = [
    "trial",
    "phase",
    "placement",
    "connections",
    "steps",
    "repetition",
    "accuracy",
    "loss",
    "train_loss",
    "balanced_accuracy",
    "macro_f1",
    "matthews",
    "failed",
    "seconds",
]
