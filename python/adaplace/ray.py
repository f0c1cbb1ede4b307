"""Scores the trials of a study on a Ray cluster.

Only the driver asks the study and writes the journal. Each worker is an actor with the backbone, the task and the frozen
states, whose sources are put into Ray's object store once. A training depends on nothing but its placement, steps and
repetition, so the journal is that of a local run, line by line, even if workers are lost.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

try:
    import ray
    from ray.exceptions import RayActorError
except ImportError as error:
    raise ImportError("`adaplace.ray` needs Ray; install it with `pip install 'adaplace[ray]'`") from error

from adaplace._adaplace import AdaplaceError, DivergedError, Placement, Score, Scorer, Trial
from adaplace.study import Study


class _Worker:
    """Scores placements, one at a time."""

    def __init__(self, scorer: Scorer, threads: int) -> None:
        self._scorer, self._threads = scorer, threads

    @ray.method(max_task_retries=-1)  # type: ignore[untyped-decorator]
    def ready(self) -> None:
        """Answers once the actor runs, also after Ray has started it elsewhere."""

    def score(self, placement: Placement, steps: int, repetition: int) -> tuple[Score | str, float]:
        """The score, or the reason why there is none, and the duration in seconds."""
        start = time.perf_counter()
        result: Score | str
        try:
            result = self._scorer.score(placement, steps, repetition, threads=self._threads)
        except DivergedError as error:
            result = str(error)
        return result, time.perf_counter() - start


class _Pool:
    """Actors, and the trials that they score.

    Ray restarts a lost actor on any node that has room. Its trial does not wait for that, because the next idle actor
    takes it.
    """

    def __init__(self, study: Study, size: int, resources: Mapping[str, float]) -> None:
        options = dict(resources)
        cpus = options.pop("CPU", 1)
        gpus = options.pop("GPU", 0)
        self._make = ray.remote(_Worker).options(
            num_cpus=cpus, num_gpus=gpus, resources=options or None, max_restarts=-1
        )
        self._threads = max(1, int(cpus))
        self._scorer = ray.put(study.scorer)
        self._starting: dict[Any, Any] = {}
        self._scoring: dict[Any, tuple[Any, Trial]] = {}
        self._idle: list[Any] = []
        self._lost: list[Trial] = []
        for _ in range(size):
            self._wait_for(self._actor())

    def _actor(self) -> Any:
        return self._make.remote(self._scorer, self._threads)

    def _wait_for(self, actor: Any) -> None:
        self._starting[actor.ready.remote()] = actor

    def start(self, ask: Callable[[], list[Trial]]) -> None:
        """Starts a trial on every idle actor: a lost one, or one from ``ask``."""
        while self._idle:
            trials = [self._lost.pop(0)] if self._lost else ask()
            if not trials:
                break
            actor, trial = self._idle.pop(), trials[0]
            work = actor.score.remote(trial.placement, trial.steps, trial.repetition)
            self._scoring[work] = (actor, trial)

    def wait(self) -> tuple[Trial, Score | str, float] | None:
        """Waits until an actor runs, is lost, or has scored a trial. Only the latter returns a result.

        Raises:
            AdaplaceError: If an actor cannot start.
            RuntimeError: If there is nothing to wait for.
        """
        awaited = [*self._scoring, *self._starting]
        if not awaited:
            raise RuntimeError("trials that `ask` handed out are not told yet; tell them, or `give_back` their numbers")
        (done,), _ = ray.wait(awaited, num_returns=1)
        if done in self._starting:
            actor = self._starting.pop(done)
            try:
                ray.get(done)
            except RayActorError as error:
                # Ray retries if the node of an actor is lost, so this one can never start.
                raise AdaplaceError(f"a worker cannot start: {_first_line(error)}") from error
            self._idle.append(actor)
            return None
        actor, trial = self._scoring.pop(done)
        try:
            score, seconds = ray.get(done)
        except RayActorError:
            self._lost.append(trial)
            self._wait_for(actor)
            return None
        self._idle.append(actor)
        return trial, score, seconds

    def shut_down(self) -> None:
        scoring = [actor for actor, _ in self._scoring.values()]
        for actor in [*self._idle, *self._starting.values(), *scoring]:
            ray.kill(actor)


def run(
    study: Study,
    num_workers: int = 2,
    resources_per_worker: Mapping[str, float] | None = None,
    *,
    address: str | None = None,
    on_trial: Callable[[dict[str, Any]], object] | None = None,
) -> None:
    """Scores all that is left of a study on a Ray cluster, until it is finished.

    Args:
        study: A study with the built-in scorer.
        num_workers: The number of actors, each of which scores one trial at a time.
        resources_per_worker: The resources to request from Ray, such as ``{"CPU": 4}``. The default is one core. A worker
            trains on as many threads as it has cores.
        address: The address of the cluster, if none is connected yet: ``"auto"``, ``"host:port"`` or ``"ray://host:port"``.
            By default a cluster on this machine is started.
        on_trial: A function that is called with the journal's record of each trial.

    Raises:
        AdaplaceError: If the cluster cannot be reached or lacks the resources for one worker, or if a worker cannot start.
        RuntimeError: If only trials are left that ``ask`` handed out before.
        ValueError: If the study has a custom objective.
    """
    if num_workers < 1:
        raise ValueError(f"`num_workers` is {num_workers}; it must be at least 1")
    named = study.configuration["search"].get("objective")
    if named is not None:
        raise ValueError(
            f"the study is scored by the objective `{named}`; use `ask` and `tell` with your own remote functions"
        )
    connect(address)
    resources = dict(resources_per_worker or {"CPU": 1})
    _check_resources(resources)
    pool = _Pool(study, num_workers, resources)
    told = len(study.records)
    asked: set[int] = set()

    def ask() -> list[Trial]:
        trials = study.ask(1)
        asked.update(trial.number for trial in trials)
        return trials

    try:
        while not study.finished:
            pool.start(ask)
            result = pool.wait()
            if result is None:
                continue
            trial, score, seconds = result
            if isinstance(score, Score):
                study.tell(trial, score, seconds=seconds)
            else:
                study.tell(trial, failed=score, seconds=seconds)
            asked.discard(trial.number)
            if on_trial is not None:
                records = study.records
                for record in records[told:]:
                    on_trial(record)
                told = len(records)
    finally:
        pool.shut_down()
        for number in asked:
            study.give_back(number)
    study.report()


def connect(address: str | None) -> None:
    """Connects to the cluster at ``address``, unless one is connected already.

    Raises:
        AdaplaceError: If the cluster cannot be reached.
    """
    if ray.is_initialized():
        return
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except Exception as error:
        where = f"at `{address}`" if address else "on this machine"
        raise AdaplaceError(
            f"no Ray cluster can be reached {where}: {_first_line(error)}; "
            "check the address and that `ray start` ran there"
        ) from error


def _first_line(error: BaseException) -> str:
    """The message of an error, without what Ray appends."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _knock(address: str | None) -> None:
    """Checks that the address accepts connections, for which Ray itself takes minutes.

    Raises:
        OSError: If it does not.
    """
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def _check_resources(resources: Mapping[str, float]) -> None:
    """Checks that one worker fits on one node. Otherwise Ray would wait forever."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fits = any(all(node.get(name, 0) >= amount for name, amount in resources.items()) for node in nodes)
    if not fits:
        has = "; ".join(str({name: node.get(name, 0) for name in resources}) for node in nodes)
        raise AdaplaceError(f"no node of the cluster has {resources} for a worker: there are {has}; ask for less")


def main(arguments: Sequence[str] | None = None) -> int:
    """Resumes the study in a folder. This is what ``adaplace search --executor ray`` runs."""
    parser = argparse.ArgumentParser(prog="python3 -m adaplace.ray", description=main.__doc__)
    parser.add_argument("folder", help="folder of a study, as created by `adaplace search`")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="number of actors, of one core each")
    parser.add_argument("--address", help="address of the cluster [default: a new one on this machine]")
    given = parser.parse_args(arguments)

    def progress(record: dict[str, Any]) -> None:
        done = record["trial"] + 1
        if done % 20 == 0:
            print(f"{done} trainings", file=sys.stderr, flush=True)

    try:
        with Study.resume(given.folder) as study:
            run(study, given.workers, address=given.address, on_trial=progress)
    except KeyboardInterrupt:
        print(f"stopped; what was scored is in `{given.folder}`", file=sys.stderr)
        return 130
    except (AdaplaceError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
