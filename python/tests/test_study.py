"""Studies: with the built-in scorer, by ask and tell, with objectives of one's own."""

import _thread
import json
import math
import pickle
import random
import signal
import threading
import time
from pathlib import Path

import pytest

import adaplace
from adaplace import Score
from tiny import SINGLE


def closed_form(placement):
    """Better the nearer the target is to h_2; different for every connection."""
    return sum(1 - abs(one.target - 2) / 8 - one.source / 1000 for one in placement.connections)


def test_a_run_gives_the_same_journal_with_any_workers(study, lines):
    one, two = study("one"), study("two")
    one.run()
    two.run(workers=2)
    assert one.finished and two.finished
    assert lines(one.folder) == lines(two.folder)
    assert one.ranking == two.ranking
    # ten trials, a race of two, both of them and the baseline twice each
    assert len(one.records) == 10 + 2 + 2 * 2 + 2
    for file in ["study.toml", "ranking.json", "gradient-map.json", "report.html", "placements/1.toml"]:
        assert (one.folder / file).is_file()
    assert adaplace.Placement.read(one.folder / "placements/1.toml") == one.best


def test_ask_and_tell_in_any_order_give_the_journal_of_a_run(study, lines):
    run, told = study("run", strategy="evolution", trials=14), study("told", strategy="evolution", trials=14)
    run.run()
    generator = random.Random(1)
    scorer = told.scorer
    while trials := told.ask():
        generator.shuffle(trials)
        for trial in trials:
            told.tell(trial, scorer.score(trial.placement, trial.steps, trial.repetition))
    assert told.finished
    assert lines(told.folder) == lines(run.folder)


def test_a_study_says_how_far_it_is(study):
    own = study(objective="closed form")
    prefix = f"<Study `{own.folder}`: random on `task`, "
    assert repr(own) == f"{prefix}0 of 10 trials>"
    own.tell(own.ask(1)[0], 0.5)
    assert repr(own) == f"{prefix}1 of 10 trials>"
    own.run(closed_form)
    assert repr(own) == f"{prefix}finished>"
    own.close()
    assert repr(own) == f"{prefix}closed>"


def test_a_study_that_trains_is_in_use(study):
    own, seen = study(trials=2), []
    own.run(on_trial=lambda record: seen.append(repr(own)))
    assert set(seen) == {f"<Study `{own.folder}`: random on `task`, in use>"}


def test_ask_gives_each_trial_away_once(study):
    asked = study(proposals=4)
    first, second = asked.ask(3), asked.ask(3)
    assert [trial.number for trial in first + second] == [0, 1, 2, 3]
    # all trials of the proposal are given away, and none is told
    assert asked.ask() == [] and not asked.finished
    asked.give_back(2)
    assert [trial.number for trial in asked.ask()] == [2]


def test_trials_that_somebody_else_holds_are_not_forgotten(study):
    held = study(objective="closed form", proposals=4)
    trials = held.ask(2)
    with pytest.raises(RuntimeError, match="not told yet"):
        held.run(closed_form)
    for trial in trials:
        held.give_back(trial.number)
    held.run(closed_form)
    assert held.finished


def test_an_objective_of_ones_own_is_searched(study):
    own = study(objective="closed form", strategy="exhaustive", trials=25)
    own.run(closed_form)
    assert [(one.source, one.target) for one in own.best.connections] == [(0, 2)]
    trial = own.ranking["trials"][0]
    assert trial["result"]["score"]["validation_accuracy"] == closed_form(own.best)


def test_a_loss_is_minimised(study):
    own = study(objective="closed form", strategy="exhaustive", trials=25, metric="loss")
    own.run(lambda placement: -closed_form(placement))
    assert [(one.source, one.target) for one in own.best.connections] == [(0, 2)]


def test_an_objective_that_raises_loses_nothing(study, lines):
    calls = []

    def fragile(placement):
        calls.append(placement)
        if len(calls) == 5:
            raise RuntimeError("out of memory")
        return closed_form(placement)

    own = study(objective="fragile")
    with pytest.raises(RuntimeError, match="out of memory"):
        own.run(fragile)
    assert len(own.records) == 4
    assert own.best == max(calls[:4], key=closed_form)
    own.close()
    again = study(objective="fragile")
    again.run(fragile)
    reference = study("reference", objective="fragile")
    reference.run(closed_form)
    assert lines(again.folder) == lines(reference.folder)
    assert len(calls) == 1 + len(reference.records)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_number_is_an_error_that_names_the_trial(study, value):
    own = study(objective="broken")
    with pytest.raises(ValueError, match=rf"returned {value} for trial 0 \("):
        own.run(lambda placement: value)
    assert own.records == []
    own.run(closed_form)
    assert own.finished


def test_no_number_within_a_score_is_an_error_as_well(study):
    own = study(objective="broken")
    trial = own.ask(1)[0]
    with pytest.raises(ValueError, match="the validation loss of trial 0 is NaN"):
        own.tell(trial, Score(0.5, math.nan, 1.0))
    own.tell(trial, Score(0.5, 1.0, 1.0))


def test_exceptions_that_are_caught_make_failed_trials(study):
    def fragile(placement):
        if placement.connections[0].target == 4:
            raise ArithmeticError("no convergence")
        return closed_form(placement)

    own = study(objective="fragile", strategy="exhaustive", trials=25)
    own.run(fragile, catch=(ArithmeticError,))
    failed = [record for record in own.records if "failed" in record["result"]]
    assert {record["result"]["failed"] for record in failed} == {"ArithmeticError: no convergence"}
    assert sum(record["phase"] == "search" for record in failed) == 5
    assert own.dataframe()["failed"].notna().sum() == len(failed)


def test_a_trial_is_told_once(study):
    asked = study()
    trial = asked.ask(1)[0]
    asked.tell(trial, 0.5)
    with pytest.raises(adaplace.AdaplaceError, match="trial 0 was not asked for"):
        asked.tell(trial, 0.5)


def test_the_objective_belongs_to_the_study(study):
    own = study(objective="mine")
    with pytest.raises(ValueError, match="`mine`"):
        own.run()
    own.close()
    with pytest.raises(adaplace.AdaplaceError, match="objective"):
        study(objective="another")
    built_in = study("other")
    with pytest.raises(ValueError, match="built-in"):
        built_in.run(closed_form)


def test_a_folder_belongs_to_one_study_and_one_process(study):
    study()
    with pytest.raises(adaplace.AdaplaceError, match="another process"):
        study()


def test_a_folder_of_another_study_is_left_alone(study):
    study().close()
    with pytest.raises(adaplace.AdaplaceError, match="trials"):
        study(trials=3)


def test_a_finished_study_goes_on_with_more_trials(study):
    with study(objective="closed form", trials=4) as first:
        first.run(closed_form)
        records = first.records
    with study(objective="closed form", trials=9) as grown:
        grown.run(closed_form)
        assert grown.records[: len(records)] == records
        assert sum(record["phase"] == "search" for record in grown.records) == 9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": "luck"}, "luck"),
        ({"trials": 0}, "`trials`: 0 is out of range: it must be at least 1"),
        ({"steps": 0}, "`steps`: 0 is out of range"),
        ({"metric": "beauty"}, "unknown variant `beauty`"),
        ({"statistic": ["rank", "rank"]}, "rank"),
        ({"learning_rate": -1.0}, "`learning_rate`: -1 is out of range"),
        ({"trials": -1}, "`trials`: invalid value: integer `-1`"),
    ],
)
def test_bad_settings_are_named_and_nothing_is_made(study, tmp_path, settings, message):
    with pytest.raises((adaplace.AdaplaceError, ValueError)) as raised:
        study(**settings)
    assert message in str(raised.value)
    assert not (tmp_path / "study").exists()


def test_a_study_is_resumed_from_its_folder_alone(study, lines, tmp_path):
    begun = study("begun", strategy={"name": "evolution", "population": 6}, trials=12)
    begun.tell(begun.ask(1)[0], failed="for once")
    begun.close()
    with adaplace.Study.resume(begun.folder) as resumed:
        assert type(resumed) is adaplace.Study
        resumed.run()
        assert resumed.configuration["strategy"]["population"] == 6
        assert lines(begun.folder)[0]["result"] == {"failed": "for once"}
    with pytest.raises(adaplace.AdaplaceError, match="study.toml"):
        adaplace.Study.resume(tmp_path / "nothing")


def test_a_study_of_other_columns_is_resumed_from_its_folder_alone(backbone, folders, tmp_path):
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for file in Path(folders[1]).iterdir():
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        lines = [json.dumps({"sentence": row["text"], "gold": row["label"]}) for row in rows]
        (renamed / file.name).write_text("\n".join(lines) + "\n")
    task = adaplace.Task(renamed, backbone, text_column="sentence", label_column="gold")
    assert task.fingerprint == adaplace.Task(folders[1], backbone).fingerprint
    space = adaplace.SearchSpace.from_toml(SINGLE, backbone, task)
    adaplace.Study(tmp_path / "study", backbone, task, space, trials=2).close()
    with adaplace.Study.resume(tmp_path / "study") as resumed:
        assert resumed.configuration["task"]["columns"]["text"] == "sentence"


def test_a_subset_and_its_study_have_one_seed(backbone, folders, tmp_path):
    subset = adaplace.Task(folders[1], backbone, train_examples=20, seed=1)
    space = adaplace.SearchSpace.from_toml(
        "[connections]\nkinds = ['parallel']\n[adapter]\nranks = [2]\n[budget]\nadapters = 1", backbone, subset
    )
    with pytest.raises(ValueError, match="seed 1, but the study has seed 0"):
        adaplace.Study(tmp_path / "study", backbone, subset, space)


def test_other_threads_run_while_it_trains(study):
    busy = study(trials=20, steps=40)
    count = 0
    done = threading.Event()

    def tick():
        nonlocal count
        while not done.is_set():
            count += 1
            time.sleep(0.001)

    ticking = threading.Thread(target=tick)
    ticking.start()
    start = time.perf_counter()
    busy.run(workers=2)
    seconds = time.perf_counter() - start
    done.set()
    ticking.join()
    # A thread that waited for the interpreter would tick a few times at most.
    assert count > 50 * min(seconds, 1)


@pytest.mark.skipif(
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN, reason="a shell's background jobs do not hear Ctrl-C"
)
def test_ctrl_c_ends_a_run_behind_a_whole_trial(study, lines):
    stopped = study(trials=25, steps=30)
    seen = []

    def interrupt(record):
        seen.append(record)
        if len(seen) == 3:
            _thread.interrupt_main()

    with pytest.raises(KeyboardInterrupt):
        stopped.run(on_trial=interrupt)
    assert 3 <= len(stopped.records) < 25
    stopped.run()
    reference = study("reference", trials=25, steps=30)
    reference.run()
    assert lines(stopped.folder) == lines(reference.folder)


def test_an_error_in_a_callback_ends_the_run(study):
    stopped = study()

    def broken(record):
        raise ZeroDivisionError("in the callback")

    with pytest.raises(ZeroDivisionError, match="in the callback"):
        stopped.run(on_trial=broken)
    stopped.run()
    assert stopped.finished


def test_a_closed_study_says_so(study):
    closed = study()
    closed.close()
    for use in [closed.ask, closed.run, lambda: closed.records]:
        with pytest.raises(RuntimeError, match="closed"):
            use()


def test_a_dataframe_has_a_row_for_each_line(study):
    pandas = pytest.importorskip("pandas")
    finished = study()
    finished.run()
    frame = finished.dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["trial"]) == list(range(18))
    assert frame["phase"].value_counts().to_dict() == {"search": 10, "race": 2, "finalist": 4, "baseline": 2}
    assert frame["accuracy"].between(0, 1).all()
    assert list(study("empty").dataframe().columns) == list(frame.columns)


def test_the_map_may_have_the_connections_of_the_space_alone(backbone, task, tmp_path):
    sequential = SINGLE.replace(', "parallel", "long-range", "recurrent"', "")
    space = adaplace.SearchSpace.from_toml(sequential, backbone, task)
    assert len(space.connections) == 5
    with adaplace.Study(tmp_path / "study", backbone, task, space, gradient_connections="space") as study:
        table = study.gradient_map["nuclear-norm"]
    known = [(i, j) for i, row in enumerate(table) for j, value in enumerate(row) if not math.isnan(value)]
    assert known == [(n, n) for n in range(5)]
    with pytest.raises(ValueError, match="unknown variant `some`"):
        adaplace.Study(tmp_path / "other", backbone, task, space, gradient_connections="some")


def test_charts_are_drawn(study):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    from adaplace import plots

    finished = study()
    finished.run()
    assert plots.gradient_map(finished.gradient_map).images
    best = plots.progress(finished).lines[1].get_ydata()
    assert list(best) == sorted(best) and len(best) == 10
    every_kind = adaplace.Placement([(0, 0), (1, 2), (0, 4), (4, 1)])
    axes = plots.placement(every_kind, 5)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(plots.COLOURS)
    for backward_or_ring in [(4, 0), (2, 2)]:
        bottom, top = plots.placement(adaplace.Placement([backward_or_ring]), 5).get_ylim()
        assert bottom <= -0.5 and top >= 0.5, "the chain is cut off"
    pyplot.close("all")


def test_study_toml_is_that_of_the_program(study, program, folders, tmp_path):
    """Same defaults, same meaning: the program resumes what was begun here."""
    (tmp_path / "space.toml").write_text(SINGLE)
    here = study("here", trials=64, steps=64, finalists=8, repetitions=3, batch_size=32, strategy=None)
    program(
        *("search", "--backbone", folders[0], "--task", folders[1], "--space", tmp_path / "space.toml"),
        *("--out", tmp_path / "there"),
    )
    assert (here.folder / "study.toml").read_text() == (tmp_path / "there" / "study.toml").read_text()
    here.run()
    read = lambda folder: json.loads((folder / "ranking.json").read_text())  # noqa: E731
    assert read(here.folder) == read(tmp_path / "there")


def test_metrics_of_classes_rank_and_are_in_the_table(study):
    built_in = study(metric="macro-f1", trials=4)
    built_in.run()
    searched = built_in.dataframe().query("phase == 'search'")
    best = built_in.ranking["trials"][0]["result"]["score"]["by_class"]["macro_f1"]
    assert best == searched.macro_f1.max()
    assert searched.balanced_accuracy.between(0, 1).all() and searched.matthews.between(-1, 1).all()
    # A number of an objective of one's own is the metric's; a score must say it.
    own = study("own", objective="mine", metric="matthews", trials=2)
    with pytest.raises(ValueError, match="Matthews"):
        own.run(lambda _: adaplace.Score(0.5, 1.0, 1.0))
    own.run(lambda _: -0.25)
    assert own.ranking["trials"][0]["result"]["score"]["by_class"]["matthews"] == -0.25


def test_a_study_of_numbers(folders, tmp_path):
    """Numbers are searched for like classes, by their own metrics, and an objective may tell them."""
    task_folder = tmp_path / "task"
    task_folder.mkdir()
    for part in ("train", "validation"):
        rows = [json.loads(line) for line in (folders[1] / f"{part}.jsonl").read_text().splitlines()]
        for place, row in enumerate(rows):
            row["label"] = 10 * row["label"] + place % 3
        (task_folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    backbone = adaplace.Backbone(folders[0])
    task = adaplace.Task(task_folder, backbone, problem="regression")
    assert task.problem == "regression" and task.classes == [] and task.scale is not None
    space = adaplace.SearchSpace.from_toml(SINGLE, backbone, task)
    options = {"strategy": "random", "trials": 3, "steps": 2, "finalists": 1, "repetitions": 1, "race": 0}
    with adaplace.Study(tmp_path / "built-in", backbone, task, space, metric="spearman", **options) as study:
        study.run()
        table = study.dataframe()
        assert table["accuracy"].isna().all() and table["pearson"].between(-1, 1).all()
        best = study.ranking["trials"][0]["result"]["score"]["numbers"]["spearman"]
        assert best == table[table["phase"] == "search"]["spearman"].max()
    # What was chosen for the task is in its study.
    adaplace.Study.resume(tmp_path / "built-in").close()
    with adaplace.Study(
        tmp_path / "own", backbone, task, space, metric="pearson", objective="mine", **options
    ) as study:
        study.run(lambda placement: 0.5)
        assert study.records[0]["result"]["score"]["numbers"]["pearson"] == 0.5
    with pytest.raises(adaplace.AdaplaceError, match="`accuracy` is not a metric of a regression"):
        adaplace.Study(tmp_path / "refused", backbone, task, space, metric="accuracy", **options)


def test_an_objective_for_tags(folders, tmp_path):
    """A number of an objective is that of the study's metric, whatever the task is."""
    task_folder = tmp_path / "task"
    task_folder.mkdir()
    for part in ("train", "validation"):
        rows = [json.loads(line) for line in (folders[1] / f"{part}.jsonl").read_text().splitlines()]
        rows = [{"tokens": row["text"].split(), "tags": ["O", *["B-X"] * 6]} for row in rows]
        (task_folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    backbone = adaplace.Backbone(folders[0])
    task = adaplace.Task(task_folder, backbone)
    space = adaplace.SearchSpace.from_toml(SINGLE, backbone, task)
    options = {"strategy": "random", "trials": 3, "steps": 2, "finalists": 1, "repetitions": 1, "race": 0}
    for metric in ("entity-recall", "macro-f1", "loss", "combined"):
        with adaplace.Study(tmp_path / metric, backbone, task, space, metric=metric, objective="mine", **options) as study:
            assert study.problem == "token-classification"
            study.run(lambda placement: 0.25 + placement.connections[0].source / 8)
            table = study.dataframe()
            assert table["accuracy"].isna().all() and table["entity_f1"].notna().all()
            chosen = min if metric == "loss" else max
            searched = table[table["phase"] == "search"]
            sources = [int(one.split("->")[0]) for one in searched["connections"]]
            assert study.ranking["trials"][0]["placement"][0]["source"] == chosen(sources)


def test_scores_of_every_problem():
    numbers = adaplace.Score(None, 0.5, 0.25, pearson=0.75, spearman=0.5, r2=0.5, root_mean_squared_error=2.0)
    assert (numbers.accuracy, numbers.pearson, numbers.root_mean_squared_error) == (None, 0.75, 2.0)
    sets = adaplace.Score(None, 0.5, 0.25, macro_f1=0.25, micro_f1=0.5, mean_average_precision=0.5, exact_match=0.1)
    assert (sets.micro_f1, sets.macro_f1, sets.balanced_accuracy) == (0.5, 0.25, None)
    tags = {"entity_f1": 0.5, "entity_precision": 0.6, "entity_recall": 0.4, "token_accuracy": 0.9, "macro_f1": 0.3}
    tags = adaplace.Score(None, 0.5, 0.25, **tags)
    assert (tags.entity_f1, tags.token_accuracy, tags.macro_f1, tags.micro_f1) == (0.5, 0.9, 0.3, None)
    language = adaplace.Score(None, 0.5, 0.25, token_accuracy=0.9, perplexity=1.5)
    assert (language.token_accuracy, language.perplexity, language.entity_f1) == (0.9, 1.5, None)
    for score in (numbers, sets, tags, language):
        assert pickle.loads(pickle.dumps(score)) == score
    assert repr(numbers) == "Score(pearson=0.75, loss=0.5, train_loss=0.25)"
    for wrong in ({"pearson": 0.5}, {}, {"micro_f1": 0.5, "macro_f1": 0.5}, {"perplexity": 2.0}):
        with pytest.raises(ValueError, match="one kind of problem"):
            adaplace.Score(None, 0.5, 0.5, **wrong)
