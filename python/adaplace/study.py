"""Studies by ask and tell, with the built-in scorer or a custom objective."""

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
from adaplace.records import MEASURED, larger_is_better, row
from adaplace.tracking import to_optuna

if TYPE_CHECKING:
    import optuna
    import pandas

Objective = Callable[[Placement], "float | Score"]


class Study(_adaplace.Study):
    """The search for a placement, in a folder that can be resumed.

    The arguments have the meaning of the options of ``adaplace search``, and None is the default of the option. The study is the same that the
    program would create, and the program and this class can resume each other's studies.

    Args:
        folder: The folder to which everything is written. A study that is already there is resumed if it is the same.
        backbone: The frozen model.
        task: The task to learn. If it is a subset by ``train_examples``, it must be drawn with the study's ``seed``.
        space: The search space.
        strategy: ``"random"``, ``"greedy"``, ``"gradient-greedy"``, ``"evolution"``, ``"surrogate"``, ``"prune"``,
            ``"exhaustive"``, ``"stratified"`` or ``"sample"``, or a mapping with the ``name`` and settings, such as
            ``{"name": "greedy", "candidates": 8}``. The default is ``"surrogate"``.
        trials: The number of placements to try.
        steps: The number of optimiser steps of a trial.
        seed: The seed of all random choices.
        metric: The metric on the validation part: ``"loss"`` (smaller is better), ``"combined"``, which is the headline
            measure - loss / 2 (larger is better, and more stable than the measure alone), or one of the kind of problem.
            A classification has ``"accuracy"``, its headline, ``"balanced-accuracy"``, ``"macro-f1"`` and
            ``"matthews"``, a regression ``"pearson"``, its headline, ``"spearman"`` and ``"r2"``, a multi-label
            problem ``"micro-f1"``, its headline, ``"macro-f1"``, ``"mean-average-precision"`` and ``"exact-match"``, a token
            classification ``"entity-f1"``, its headline, ``"entity-precision"``, ``"entity-recall"``,
            ``"token-accuracy"`` and ``"macro-f1"``, and language modelling ``"token-accuracy"``, its headline, and
            ``"perplexity"`` (smaller is better).
        costs: The costs to minimise as well, ``"parameters"`` or ``"extra-flops"``.
        statistic: The gradient statistics that define the connection score, by their mean rank.
        finalists: The number of best placements that race. The better half continues on every rung, until two are left.
        race: The trainings of each finalist on the first rung, with twice as many on every following one; 0 for no race.
        repetitions: The trainings of the last two finalists (of all, if there is no race) on orders that were not used to
            choose them.
        halving: The reduction factor of successive halving, or None to do without.
        proposals: The number of placements that the strategy proposes at a time, which can be scored in parallel.
        batch_size: The number of examples in a batch.
        learning_rate: The highest learning rate of the adapters.
        head_learning_rate: The highest learning rate of the head.
        gradient_examples: The largest number of training examples for the gradient map.
        gradient_connections: The connections in the gradient map: ``"all"`` (the default), or those of the search
            ``"space"`` alone, which saves time and memory with a large backbone.
        objective: The name of a custom objective, if the trials are not scored by the built-in scorer. It is part of the
            study: the same name is needed to resume it.
        cache_memory: The number of bytes for cached frozen states, by default a quarter of the memory that the backbone leaves.
            Changes no result.

    Raises:
        AdaplaceError: If the folder contains something else or is in use by another process, or if a setting is out of
            range.
    """

    def __new__(
        cls,
        folder: str | PathLike[str],
        backbone: Backbone,
        task: Task,
        space: SearchSpace,
        *,
        strategy: str | Mapping[str, Any] | None = None,
        trials: int | None = None,
        steps: int | None = None,
        seed: int | None = None,
        metric: str | None = None,
        costs: Sequence[str] | None = None,
        statistic: str | Sequence[str] | None = None,
        finalists: int | None = None,
        race: int | None = None,
        repetitions: int | None = None,
        halving: int | None = None,
        proposals: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        head_learning_rate: float | None = None,
        gradient_examples: int | None = None,
        gradient_connections: str | None = None,
        objective: str | None = None,
        cache_memory: int | None = None,
    ) -> Study:
        settings = {
            "strategy": dict(strategy) if isinstance(strategy, Mapping) else strategy,
            "trials": trials,
            "steps": steps,
            "seed": seed,
            "metric": metric,
            "costs": None if costs is None else list(costs),
            "statistic": [statistic] if isinstance(statistic, str) else statistic and list(statistic),
            "finalists": finalists,
            "race": race,
            "repetitions": repetitions,
            "halving": halving,
            "proposals": proposals,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "head_learning_rate": head_learning_rate,
            "gradient_examples": gradient_examples,
            "gradient_connections": gradient_connections,
            "objective": objective,
        }
        configuration = _adaplace.new_configuration(backbone, task, space, json.dumps(settings))
        return cls._open(folder, backbone, task, configuration, cache_memory)

    @classmethod
    def resume(cls, folder: str | PathLike[str], *, cache_memory: int | None = None) -> Study:
        """Opens the study in a folder, with the backbone and task that its ``study.toml`` names.

        Raises:
            AdaplaceError: If there is no study, or if backbone or task have changed.
        """
        file = Path(folder) / "study.toml"
        stored = _adaplace.read_configuration(file)
        source, subset = stored["backbone"], stored["task"]
        backbone = Backbone(
            source["folder"],
            pooling=source["pooling"],
            precision=source["precision"],
            device=source.get("device", "cpu"),
        )
        task = Task(
            subset["folder"],
            backbone,
            max_length=subset.get("max_length"),
            train_examples=subset.get("train_examples"),
            seed=stored["search"]["seed"],
            problem=subset.get("problem"),
            class_weights=subset.get("class_weights"),
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
        """Hands out at most ``n`` trials to be scored now, or all available ones. Each is handed out once.

        The trials of one proposal can be scored in parallel and told in any order. An empty list means that the trials
        handed out must be told first, or, if there are none, that the study is finished.
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
        """Tells the result of a trial, which is written to the journal once all earlier trials are told.

        Args:
            trial: A trial handed out by ``ask``.
            score: A ``Score``, or one number: the value of the study's metric. For an accuracy the losses are recorded as
                ``1 - accuracy``, for a loss the accuracy as ``1 - loss``. The value of any other metric also counts as the
                accuracy.
            failed: The reason why there is no score.
            seconds: The duration in seconds.

        Raises:
            ValueError: If the score is not finite. The trial can be told again.
            AdaplaceError: If the trial was already told, or does not belong to this study.
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

        Ctrl-C lets the running trainings finish and raises ``KeyboardInterrupt``. Whatever was scored is in the journal,
        and another ``run`` continues after it.

        Args:
            objective: A function that scores a placement and returns a ``Score``, or a number as in ``tell``. By default
                the built-in scorer trains, and other Python threads run meanwhile.
            workers: The number of trainings of the built-in scorer that run in parallel, with one thread each. A single one
                uses all cores. Changes no result.
            catch: The exceptions of ``objective`` that count as a failed trial. Any other ends the run, but nothing told is
                lost.
            on_trial: A function that is called with the journal's record of each trial.

        Raises:
            RuntimeError: If only trials are left that ``ask`` handed out before.
            ValueError: If there is an objective but the study was not opened with its name, or the reverse, or if the
                objective does not return a finite number.
        """
        named = self.configuration["search"].get("objective")
        if objective is None:
            if named is not None:
                raise ValueError(f"the study is scored by the objective `{named}`; pass it to `run`")
            self.train(workers, on_trial)
        else:
            if named is None:
                raise ValueError("the study is scored by the built-in scorer; open it with `objective=\"a name\"` to use another")
            while trials := self.ask(1):
                self._score_one(trials[0], objective, catch)
                if on_trial is not None:
                    on_trial(self.records[-1])
            if not self.finished:
                raise RuntimeError("trials that `ask` handed out are not told yet; tell them, or `give_back` their numbers")
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
                f"the objective returned {value} for trial {trial.number} ({trial.placement}), which is not finite; "
                "tell `failed` with a reason, or raise an exception that `catch` names"
            )
        metric = self.configuration["search"]["metric"]
        loss = {"loss": value, "perplexity": math.log(value) if value > 0 else math.nan}.get(metric, 1 - value)
        measure = value if larger_is_better(metric) else 1 - loss
        if self.problem == "classification":
            by_class = dict.fromkeys(_BY_CLASS, measure) if metric.replace("-", "_") in _BY_CLASS else {}
            return Score(measure, loss, loss, **by_class)
        measures = dict.fromkeys(_MEASURES[self.problem], measure)
        if self.problem == "regression":
            measures["root_mean_squared_error"] = loss
        if self.problem == "language-modelling":
            measures["perplexity"] = math.exp(loss)
        return Score(None, loss, loss, **measures)

    def dataframe(self) -> pandas.DataFrame:
        """All trainings, with one row for each line of the journal. This needs ``pandas``.

        The columns are ``trial``, ``phase``, ``placement``, ``connections``, ``steps``, ``repetition``, ``accuracy``,
        ``loss``, ``train_loss``, the other measures of all kinds of problems as in ``Score``, ``failed`` and ``seconds``.
        The numbers of a failed trial are missing, and so are measures of other kinds and those that were not taken.
        """
        import pandas

        return pandas.DataFrame([row(record) for record in self.records], columns=_COLUMNS)

    def to_optuna(self, path: str | PathLike[str], *, name: str | None = None) -> optuna.Study:
        """Writes the trials to a file as a study of Optuna. See ``adaplace.to_optuna``."""
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


_BY_CLASS = ("balanced_accuracy", "macro_f1", "matthews")
_MEASURES = {
    "regression": ("pearson", "spearman", "r2"),
    "multi-label": ("micro_f1", "macro_f1", "mean_average_precision", "exact_match"),
    "token-classification": ("entity_f1", "entity_precision", "entity_recall", "token_accuracy", "macro_f1"),
    "language-modelling": ("token_accuracy",),
}

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
    *MEASURED[3:],
    "failed",
    "seconds",
]
