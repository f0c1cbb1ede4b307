"""Writes studies to other tools: a run for the study, and one for each of its trainings below it."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from adaplace import _adaplace
from adaplace.records import MEASURED, flat, journal, larger_is_better, ranking, row, value

if TYPE_CHECKING:
    import optuna

    from adaplace.study import Study

#: The file in a study's folder that records how far the study has been tracked.
_STATE = "tracking.json"


def track(
    study: Study | str | PathLike[str],
    to: str,
    *,
    project: str = "adaplace",
    name: str | None = None,
    directory: str | PathLike[str] | None = None,
    follow: bool = False,
    interval: float = 5.0,
) -> int:
    """Writes a study to an experiment tracker: a run for the study, and one for each training of its journal below it.

    The study may be finished or running, here or in another process: its folder is read and nothing is computed. Each
    training is written once. Another call with the same tool and project continues after the last one.

    The tool itself decides where everything is stored (``MLFLOW_TRACKING_URI``, ``WANDB_MODE``, ``TRACKIO_DIR``).

    Args:
        study: A ``Study``, or the folder of one.
        to: The tool: ``"tensorboard"`` (needs ``torch`` and ``tensorboard``), ``"mlflow"``, ``"wandb"`` or ``"trackio"``.
        project: The project, or experiment, to which the runs belong.
        name: The name of the study's run, by default that of its folder.
        directory: The directory of TensorBoard's files, by default ``tensorboard`` in the study's folder.
        follow: Whether to wait for further trainings until the study is finished.
        interval: The time in seconds after which to look for further trainings.

    Returns:
        The number of trainings that were written.

    Raises:
        ValueError: If there is no such tool, or if ``directory`` is given for a tool other than TensorBoard.
        ImportError: If the tool is not installed.
        AdaplaceError: If the folder contains no study.
    """
    folder = Path(study.folder if isinstance(study, _adaplace.Study) else study)
    if to not in _TOOLS:
        raise ValueError(f"there is no tracker `{to}`; choose one of {', '.join(_TOOLS)}")
    if directory is not None and to != "tensorboard":
        raise ValueError(f"`directory` is TensorBoard's; `{to}` has its own settings for the place of its files")
    settings = _adaplace.read_configuration(folder / "study.toml")
    where = Path(directory) if directory is not None else folder / "tensorboard"
    state = _State(folder, f"{to}:{where if to == 'tensorboard' else project}")
    target = _Target(project, name or folder.resolve().name, where, state.run, flat(settings))
    try:
        tracker = _TOOLS[to](target)
    except ImportError as error:
        raise _missing(to) from error
    written, best = 0, math.nan
    metric = settings["search"]["metric"]
    try:
        while True:
            # This is read first, so nothing that is written meanwhile is missed.
            finished = ranking(folder)
            for index, record in enumerate(journal(folder)):
                training = row(record)
                if training["phase"] == "search":
                    best = _better(best, value(training, metric), metric)
                if index < state.trainings:
                    continue
                tracker.training(training, {f"best_{metric.replace('-', '_')}": best})
                state.advance(index + 1, tracker.run)
                written += 1
            if finished is not None or not follow:
                break
            time.sleep(interval)
        tracker.close(None if finished is None else _named(finished))
    except BaseException:
        tracker.close(None)
        raise
    return written


def to_optuna(
    study: Study | str | PathLike[str],
    path: str | PathLike[str],
    *,
    name: str | None = None,
) -> optuna.Study:
    """Writes the trials of a study as a study of Optuna, for its plots, importances and dashboard.

    The parameters of a trial are the connections that occur in any trial, ``"0->4"`` and so on, with the rank of the
    adapter there, or 0. The value of a trial is the study's metric. Races and repetitions are not included. User attributes
    contain the rest. A study of this name that was written before is replaced.

    Args:
        study: A ``Study``, or the folder of one, finished or running.
        path: An SQLite file, or a journal if the path ends in ``.log``. It is created if it does not exist.
        name: The name of Optuna's study, by default that of the folder.

    Raises:
        ImportError: If Optuna is not installed.
        ValueError: If the file contains a study of this name that something else created.
        AdaplaceError: If the folder contains no study.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        raise _missing("optuna") from error

    folder = Path(study.folder if isinstance(study, _adaplace.Study) else study)
    settings = _adaplace.read_configuration(folder / "study.toml")
    metric = settings["search"]["metric"]
    name = name or folder.resolve().name
    path = Path(path)
    storage = JournalStorage(JournalFileBackend(str(path))) if path.suffix == ".log" else f"sqlite:///{path}"
    if name in optuna.get_all_study_names(storage):
        if "adaplace" not in optuna.load_study(study_name=name, storage=storage).user_attrs:
            raise ValueError(f"`{path}` contains a study `{name}` of another origin; choose another name")
        optuna.delete_study(study_name=name, storage=storage)
    made = optuna.create_study(
        storage=storage, study_name=name, direction="maximize" if larger_is_better(metric) else "minimize"
    )
    made.set_user_attr("adaplace", settings)

    records = [record for record in journal(folder) if record["phase"] == "search"]
    ranks: dict[str, int] = {}
    for record in records:
        for one in record["placement"]:
            connection = f"{one['source']}->{one['target']}"
            ranks[connection] = max(ranks.get(connection, 0), one["rank"])
    distributions = {
        connection: optuna.distributions.IntDistribution(0, ranks[connection])
        for connection in sorted(ranks, key=lambda connection: tuple(map(int, connection.split("->"))))
    }
    trials = []
    for record in records:
        training = row(record)
        worth = value(training, metric)
        placed = {f"{one['source']}->{one['target']}": one["rank"] for one in record["placement"]}
        succeeded = math.isfinite(worth)
        trials.append(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.COMPLETE if succeeded else optuna.trial.TrialState.FAIL,
                value=worth if succeeded else None,
                params={connection: placed.get(connection, 0) for connection in distributions},
                distributions=dict(distributions),
                user_attrs={key: entry for key, entry in training.items() if entry is not None and entry == entry},
            )
        )
    made.add_trials(trials)
    return made


def _missing(library: str) -> ImportError:
    return ImportError(f"`{library}` is not installed; install it with `pip install 'adaplace[{library}]'`")


class _State:
    """The run of a study in a tool, and the number of lines of its journal that were written."""

    def __init__(self, folder: Path, key: str) -> None:
        self._path, self._key = folder / _STATE, key
        try:
            self._all = json.loads(self._path.read_text())
        except FileNotFoundError:
            self._all = {}
        own = self._all.get(key, {})
        self.run: str | None = own.get("run")
        self.trainings: int = own.get("trainings", 0)

    def advance(self, trainings: int, run: str) -> None:
        self.trainings = trainings
        self._all[self._key] = {"run": run, "trainings": trainings}
        beside = self._path.with_suffix(".json.new")
        beside.write_text(json.dumps(self._all, indent=1) + "\n")
        os.replace(beside, self._path)


class _Target:
    """The settings of a tracker."""

    def __init__(
        self, project: str, name: str, directory: Path, run: str | None, settings: dict[str, str | int | float | bool]
    ) -> None:
        self.project, self.name, self.directory = project, name, directory
        #: The run that was created before.
        self.run = run
        self.settings = settings


class _Tracker(Protocol):
    """A tool with the run of a study."""

    #: The name or id by which the run is found again.
    run: str

    def training(self, training: dict[str, Any], best: dict[str, float]) -> None:
        """Writes the run of a training, and adds the best so far to the run of the study."""

    def close(self, named: dict[str, str] | None) -> None:
        """Ends the run, and adds what a finished study names."""


def _better(best: float, found: float, metric: str) -> float:
    if math.isnan(found) or math.isnan(best):
        return best if math.isnan(found) else found
    return max(best, found) if larger_is_better(metric) else min(best, found)


def _named(ranking: dict[str, Any]) -> dict[str, str]:
    """The placement that a finished study names."""
    placement = ranking["finalists"][0]["repeated"]["placement"] if ranking["finalists"] else []
    return {"best_placement": " ".join(f"{one['source']}->{one['target']}" for one in placement)}


def _measured(training: dict[str, Any]) -> dict[str, float]:
    measured = {key: float(training[key]) for key in (*MEASURED, "seconds")}
    return {key: number for key, number in measured.items() if math.isfinite(number)}


def _described(training: dict[str, Any]) -> dict[str, str | int]:
    described = {key: training[key] for key in ("connections", "steps", "repetition", "phase", "trial", "placement")}
    return described if training["failed"] is None else {**described, "failed": training["failed"]}


def _called(training: dict[str, Any]) -> str:
    return f"{training['phase']} {training['trial']}: {training['connections']}"


class _TensorBoard:
    def __init__(self, target: _Target) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.run = str(target.directory)
        self._writer = SummaryWriter(self.run)
        if target.run is None:
            lines = "\n".join(f"    {key} = {setting}" for key, setting in target.settings.items())
            self._writer.add_text("study", lines)

    def training(self, training: dict[str, Any], best: dict[str, float]) -> None:
        number = training["trial"]
        self._writer.add_hparams(_described(training), _measured(training), run_name=f"trial-{number:05}")
        for key, found in best.items():
            if math.isfinite(found):
                self._writer.add_scalar(key, found, number)

    def close(self, named: dict[str, str] | None) -> None:
        for key, text in (named or {}).items():
            self._writer.add_text(key, text)
        self._writer.close()


class _MLflow:
    def __init__(self, target: _Target) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self._client, self._metric, self._param = MlflowClient(), Metric, Param
        experiment = self._client.get_experiment_by_name(target.project)
        self._experiment = experiment.experiment_id if experiment else self._client.create_experiment(target.project)
        if target.run is None:
            self.run = self._client.create_run(self._experiment, run_name=target.name).info.run_id
            self._log(self.run, {}, target.settings)
        else:
            self.run = target.run
            self._client.update_run(self.run, status="RUNNING")

    def training(self, training: dict[str, Any], best: dict[str, float]) -> None:
        tags = {"mlflow.parentRunId": self.run}
        run = self._client.create_run(self._experiment, run_name=_called(training), tags=tags).info.run_id
        self._log(run, _measured(training), _described(training))
        self._client.set_terminated(run, "FINISHED" if training["failed"] is None else "FAILED")
        finite = {key: found for key, found in best.items() if math.isfinite(found)}
        self._log(self.run, finite, {}, training["trial"])

    def _log(self, run: str, numbers: Mapping[str, float], described: Mapping[str, Any], step: int = 0) -> None:
        now = int(time.time() * 1000)
        metrics = [self._metric(key, number, now, step) for key, number in numbers.items()]
        self._client.log_batch(run, metrics, [self._param(key, str(one)) for key, one in described.items()])

    def close(self, named: dict[str, str] | None) -> None:
        for key, text in (named or {}).items():
            self._client.set_tag(self.run, key, text)
        # A study that is not finished may be resumed.
        if named is not None:
            self._client.set_terminated(self.run)


class _WandB:
    def __init__(self, target: _Target) -> None:
        import wandb

        self._wandb, self._target = wandb, target
        self.run = target.run or uuid4().hex[:12]
        self._study = self._start(
            id=self.run, name=target.name, job_type="study", resume="allow", config=target.settings
        )

    def _start(self, **of: Any) -> Any:
        return self._wandb.init(
            project=self._target.project, group=self._target.name, reinit="create_new", **of
        )

    def training(self, training: dict[str, Any], best: dict[str, float]) -> None:
        number = training["trial"]
        run = self._start(
            id=f"{self.run}-{number}", name=_called(training), job_type=training["phase"], config=_described(training)
        )
        run.log(_measured(training))
        run.finish(exit_code=0 if training["failed"] is None else 1)
        self._study.log({key: found for key, found in best.items() if math.isfinite(found)}, step=number)

    def close(self, named: dict[str, str] | None) -> None:
        self._study.summary.update(named or {})
        self._study.finish()


class _Trackio:
    def __init__(self, target: _Target) -> None:
        import trackio

        self._trackio, self._target = trackio, target
        self.run = target.run or target.name
        #: The best so far of each trial. Trackio has one open run at a time, so the study's comes last.
        self._best: list[tuple[int, dict[str, float]]] = []

    def _start(self, name: str, config: dict[str, Any]) -> None:
        self._trackio.init(
            project=self._target.project,
            name=name,
            group=self._target.name,
            config=config,
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def training(self, training: dict[str, Any], best: dict[str, float]) -> None:
        self._start(f"{self.run} {_called(training)}", _described(training))
        self._trackio.log(_measured(training))
        self._trackio.finish()
        finite = {key: found for key, found in best.items() if math.isfinite(found)}
        self._best.append((training["trial"], finite))

    def close(self, named: dict[str, str] | None) -> None:
        self._start(self.run, {**self._target.settings, **(named or {})})
        for number, best in self._best:
            self._trackio.log(best, step=number)
        self._trackio.finish()


_TOOLS: dict[str, Callable[[_Target], _Tracker]] = {
    "tensorboard": _TensorBoard,
    "mlflow": _MLflow,
    "wandb": _WandB,
    "trackio": _Trackio,
}
