"""Studies on a Ray cluster of several nodes on this machine."""

import time

import pytest

import adaplace
from tiny import SINGLE

ray = pytest.importorskip("ray")

import adaplace.ray  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402


@pytest.fixture(scope="module")
def cluster():
    """Three nodes: the driver's, without cores, and two with one core each."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    yield cluster, nodes
    ray.shutdown()
    cluster.shutdown()


def test_the_journal_is_that_of_a_local_run_and_a_lost_node_loses_nothing(cluster, study, lines, monkeypatch):
    cluster, nodes = cluster
    local = study("local", strategy="evolution", trials=40, steps=200)
    local.run(workers=2)
    lost = []

    class Watched(adaplace.ray._Pool):
        def wait(self):
            result = super().wait()
            lost.extend(self._lost)
            return result

    monkeypatch.setattr(adaplace.ray, "_Pool", Watched)
    spread = study("spread", strategy="evolution", trials=40, steps=200)
    seen = []

    def kill(record):
        seen.append(record)
        # In the middle of a proposal, so that the other actor is at work, on whichever node it stands.
        if len(seen) == 3:
            cluster.remove_node(nodes[0], allow_graceful=False)
            cluster.remove_node(nodes[1], allow_graceful=False)
            cluster.add_node(num_cpus=1)
        if len(seen) == 20:
            cluster.add_node(num_cpus=1)

    adaplace.ray.run(spread, num_workers=2, on_trial=kill)
    assert spread.finished
    assert lost, "no trial was lost with its node"
    assert lines(spread.folder) == lines(local.folder)
    assert spread.ranking == local.ranking
    assert [record["trial"] for record in seen] == list(range(len(local.records)))


def test_a_run_that_ends_early_gives_its_trials_back(cluster, study, lines):
    stopped = study("stopped")

    def interrupt(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adaplace.ray.run(stopped, num_workers=2, on_trial=interrupt)
    assert 1 <= len(stopped.records) < 16
    adaplace.ray.run(stopped, num_workers=2)
    local = study("local")
    local.run()
    assert lines(stopped.folder) == lines(local.folder)


def test_trials_that_somebody_else_holds_are_not_waited_for_for_ever(cluster, study):
    held = study(proposals=2)
    held.ask()
    with pytest.raises(RuntimeError, match="not told yet"):
        adaplace.ray.run(held, num_workers=1)


def test_a_worker_that_cannot_start_is_an_error(cluster, study, monkeypatch):
    class Broken(adaplace.ray._Worker):
        def __init__(self, scorer, threads):
            raise OSError("no room on the device")

    monkeypatch.setattr(adaplace.ray, "_Worker", Broken)
    broken = study()
    with pytest.raises(adaplace.AdaplaceError, match="a worker cannot start"):
        adaplace.ray.run(broken, num_workers=2)
    monkeypatch.undo()
    adaplace.ray.run(broken, num_workers=2)
    assert broken.finished


def test_a_stopped_study_goes_on_elsewhere(cluster, study, lines):
    begun = study("begun")
    for trial in begun.ask(3):
        begun.tell(trial, begun.scorer.score(trial.placement, trial.steps, trial.repetition))
    adaplace.ray.run(begun, num_workers=1)
    local = study("local")
    local.run()
    assert lines(begun.folder) == lines(local.folder)


def search(folders, tmp_path, name, *options):
    (tmp_path / "space.toml").write_text(SINGLE)
    return (
        *("search", "--backbone", folders[0], "--task", folders[1], "--space", tmp_path / "space.toml"),
        *("--strategy", "random", "--trials", "6", "--steps", "3", "--finalists", "1", "--repetitions", "2"),
        *("--out", tmp_path / name, *options),
    )


def test_the_program_searches_on_the_cluster(cluster, program, folders, tmp_path, lines):
    local = program(*search(folders, tmp_path, "local"))
    address = cluster[0].address
    spread = program(*search(folders, tmp_path, "spread", "--executor", "ray", "--address", address, "--workers", "2"))
    assert lines(tmp_path / "spread") == lines(tmp_path / "local")
    # All but the seconds in the first line and the names of the folders.
    assert spread.splitlines()[1:8] == local.splitlines()[1:8]
    assert (tmp_path / "spread" / "report.html").is_file()


def test_the_program_says_what_is_wrong(program, folders, tmp_path, monkeypatch):
    unreachable = search(folders, tmp_path, "spread", "--executor", "ray", "--address", "127.0.0.1:1")
    assert "no Ray cluster can be reached at `127.0.0.1:1`" in program(*unreachable, code=1)
    misplaced = search(folders, tmp_path, "local", "--address", "127.0.0.1:1")
    assert "`--address` belongs to `--executor ray`" in program(*misplaced, code=2)
    for option in [("--cache-memory", "1GiB"), ("--instruction-set", "portable")]:
        local_only = search(folders, tmp_path, "spread", "--executor", "ray", *option)
        assert f"`{option[0]}` belongs to `--executor local`" in program(*local_only, code=2)


def test_more_than_a_node_has_is_refused(cluster, study):
    asked = study()
    start = time.perf_counter()
    with pytest.raises(adaplace.AdaplaceError, match="no node of the cluster has {'CPU': 64}"):
        adaplace.ray.run(asked, resources_per_worker={"CPU": 64})
    assert time.perf_counter() - start < 5
    assert asked.records == []


def test_more_workers_than_the_cluster_holds_are_no_harm(cluster, study):
    crowded = study(trials=4)
    adaplace.ray.run(crowded, num_workers=5)
    assert crowded.finished


def test_a_cluster_that_is_not_reachable_is_named(study, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    unreachable = study()
    with pytest.raises(adaplace.AdaplaceError, match="`127.0.0.1:1`"):
        adaplace.ray.run(unreachable, address="127.0.0.1:1")
    assert unreachable.records == []
    unreachable.run()
    assert unreachable.finished


def test_an_objective_of_ones_own_is_refused(study):
    with pytest.raises(ValueError, match="`mine`"):
        adaplace.ray.run(study(objective="mine"))


def test_no_workers_are_refused(study):
    with pytest.raises(ValueError, match="`num_workers` is 0"):
        adaplace.ray.run(study(), num_workers=0)
