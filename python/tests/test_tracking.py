"""Studies in experiment trackers and in Optuna, with the real libraries and without a connection."""

import json
import math
import sys
import threading

import pytest

import adaplace
from adaplace.records import journal, row


@pytest.fixture
def half(study):
    """A study that is half done: an objective fails for one of its placements, and then gives up."""
    seen = []

    def objective(placement):
        seen.append(placement)
        if len(seen) == 2:
            raise ValueError("does not fit")
        if len(seen) == 6:
            raise KeyboardInterrupt
        return 1 / (1 + len(seen))

    half = study("half", objective="counting", metric="loss")
    with pytest.raises(KeyboardInterrupt):
        half.run(objective, catch=(ValueError,))
    return half, objective


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory):
    """One database for all tests, since making its tables takes long."""
    client = pytest.importorskip("mlflow").MlflowClient
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db")
        yield client()


def test_mlflow_has_a_run_for_the_study_and_one_below_for_each_training(study, mlflow):
    finished = study()
    finished.run()
    assert adaplace.track(finished, to="mlflow", project="trials") == len(finished.records)
    # Another call finds nothing new, also from the folder alone.
    assert adaplace.track(finished.folder, to="mlflow", project="trials") == 0
    experiment = mlflow.get_experiment_by_name("trials").experiment_id
    runs = mlflow.search_runs([experiment], max_results=100)
    below = {run.data.tags["mlflow.parentRunId"] for run in runs if "mlflow.parentRunId" in run.data.tags}
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert below == {parent.info.run_id} and parent.info.status == "FINISHED"
    assert parent.data.params["search.trials"] == "10"
    placed = " ".join(f"{one.source}->{one.target}" for one in finished.best.connections)
    assert parent.data.tags["best_placement"] == placed
    by_trial = {int(run.data.params["trial"]): run for run in runs if run is not parent}
    for record in finished.records:
        run = by_trial[record["trial"]]
        assert run.data.metrics["accuracy"] == record["result"]["score"]["validation_accuracy"]
        assert run.data.params["phase"] == record["phase"]
    best = [point.value for point in mlflow.get_metric_history(parent.info.run_id, "best_combined")]
    assert best == sorted(best) and len(best) == len(finished.records)


def test_a_running_study_is_tracked_on_behind_the_last_call(half, mlflow):
    study, objective = half
    assert adaplace.track(study, to="mlflow") == 5
    experiment = mlflow.get_experiment_by_name("adaplace").experiment_id
    runs = mlflow.search_runs([experiment])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.status == "RUNNING"
    (failed,) = [run for run in runs if run.info.status == "FAILED"]
    assert failed.data.params["failed"] == "ValueError: does not fit" and "accuracy" not in failed.data.metrics
    # The first trial was the best so far: 1/2, then 1/4, 1/5 and 1/6 are better losses.
    best = [point.value for point in mlflow.get_metric_history(parent.info.run_id, "best_loss")]
    assert best == pytest.approx([1 / 2, 1 / 2, 1 / 4, 1 / 5, 1 / 6])

    study.run(objective)
    rest = adaplace.track(study, to="mlflow")
    assert rest == len(study.records) - 5 and rest > 0
    assert mlflow.get_run(parent.info.run_id).info.status == "FINISHED"


def test_following_ends_with_the_study(study, mlflow):
    running = study()
    counts = []
    follower = threading.Thread(
        target=lambda: counts.append(adaplace.track(running.folder, to="mlflow", project="followed", follow=True, interval=0.05))
    )
    follower.start()
    running.run()
    follower.join(timeout=60)
    assert counts == [len(running.records)]


def test_tensorboard_has_a_folder_for_each_training(study):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    finished = study()
    finished.run()
    count = adaplace.track(finished, to="tensorboard")
    folder = finished.folder / "tensorboard"
    assert count == len(finished.records) == len(list(folder.glob("trial-*")))
    for record in finished.records:
        read = EventAccumulator(str(folder / f"trial-{record['trial']:05}")).Reload()
        (point,) = read.Scalars("accuracy")
        assert point.value == pytest.approx(record["result"]["score"]["validation_accuracy"])
    steps = [point.step for point in EventAccumulator(str(folder)).Reload().Scalars("best_combined")]
    assert steps == [record["trial"] for record in finished.records]


def wandb_records(content):
    """The records of a `.wandb` file: chunks within blocks as in LevelDB's log, behind a header of 7 bytes."""
    block, at, record = 1 << 15, 7, b""
    while at + 7 <= len(content):
        if block - at % block < 7:
            at += block - at % block
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        # whole, first, in between, last
        if kind in (1, 4):
            yield record
            record = b""


def test_wandb_groups_the_trainings_with_their_study(half, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    study, _ = half
    assert adaplace.track(study, to="wandb", project="trials") == 5
    # A run that is finished is not yet on the disk: wandb's own process writes it.
    wandb.teardown()
    runs, metrics = [], {}
    for path in (tmp_path / "wandb").glob("offline-run-*/*.wandb"):
        run = None
        for content in wandb_records(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            if record.WhichOneof("record_type") == "run":
                run = record.run
                runs.append(run)
            if record.WhichOneof("record_type") == "history":
                items = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
                metrics.setdefault(run.run_id, []).append(items)
    assert {(run.project, run.run_group) for run in runs} == {("trials", "half")}
    assert sorted(run.job_type for run in runs) == ["search"] * 5 + ["study"]
    (parent,) = {run.run_id for run in runs if run.job_type == "study"}
    assert [point["best_loss"] for point in metrics[parent]][-1] == pytest.approx(1 / 6)
    assert metrics[f"{parent}-0"][0]["loss"] == pytest.approx(1 / 2)


def test_trackio_groups_the_trainings_with_their_study(half, tmp_path, monkeypatch):
    # The folder is read when the library is imported.
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    trackio = pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage

    study, _ = half
    project = f"trials-{tmp_path.name}"
    assert adaplace.track(study, to="trackio", project=project) == 5
    assert adaplace.track(study, to="trackio", project=project) == 0
    runs = {run.name: run for run in trackio.Api().runs(project)}
    assert len(runs) == 6 and all(run.config["_Group"] == "half" for run in runs.values())
    (parent,) = [name for name in runs if name == "half"]
    assert runs[parent].config["search.trials"] == 10
    best = [point["best_loss"] for point in SQLiteStorage.get_logs(project, parent) if "best_loss" in point]
    assert best == pytest.approx([1 / 2, 1 / 2, 1 / 4, 1 / 5, 1 / 6])


def test_what_cannot_be_tracked_is_refused(study, tmp_path):
    finished = study()
    with pytest.raises(ValueError, match="no tracker `neptune`; choose one of tensorboard, mlflow, wandb, trackio"):
        adaplace.track(finished, to="neptune")
    with pytest.raises(ValueError, match="`directory` is TensorBoard's"):
        adaplace.track(finished, to="mlflow", directory=tmp_path)
    with pytest.raises(adaplace.AdaplaceError, match=r"study\.toml"):
        adaplace.track(tmp_path, to="mlflow")


@pytest.mark.parametrize("library", ["tensorboard", "mlflow", "wandb", "trackio", "optuna"])
def test_a_missing_library_is_named_with_its_extra(half, monkeypatch, library):
    study, _ = half
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard" if library == "tensorboard" else library, None)
    with pytest.raises(ImportError, match=rf"pip install 'adaplace\[{library}\]'"):
        if library == "optuna":
            study.to_optuna("trials.db")
        else:
            adaplace.track(study, to=library)


@pytest.mark.parametrize("file", ["trials.db", "trials.log"])
def test_trials_become_a_study_of_optuna(half, tmp_path, file):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study, objective = half
    path = tmp_path / file
    made = study.to_optuna(path)
    assert [trial.state.name for trial in made.trials] == ["COMPLETE", "FAIL"] + ["COMPLETE"] * 3
    assert made.best_value == pytest.approx(1 / 6) and made.direction.name == "MINIMIZE"
    for record, trial in zip(study.records, made.trials, strict=True):
        placed = {f"{one['source']}->{one['target']}": one["rank"] for one in record["placement"]}
        assert {key: rank for key, rank in trial.params.items() if rank > 0} == placed
        assert trial.user_attrs["placement"] == record["hash"]
    # Written again it holds what came meanwhile, and importances can be computed: all trials have the same parameters.
    study.run(objective)
    made = study.to_optuna(path)
    assert len(made.trials) == 10
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    assert set(optuna.importance.get_param_importances(made, evaluator=evaluator)) == set(made.trials[0].params)
    other = tmp_path / f"other-{file}"
    storage = (
        optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(other)))
        if other.suffix == ".log"
        else f"sqlite:///{other}"
    )
    optuna.create_study(study_name="mine", storage=storage)
    with pytest.raises(ValueError, match="`mine` of another origin"):
        study.to_optuna(other, name="mine")


def test_only_whole_lines_of_a_journal_are_read(half):
    study, _ = half
    path = study.folder / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"trial": 5, "pha')
    assert len(journal(study.folder)) == 5
    path.write_bytes(whole)
    assert math.isnan(row(journal(study.folder)[1])["accuracy"])
