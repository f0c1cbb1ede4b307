"""Studies on a tiny backbone and task."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import adaplace
from tiny import REPOSITORY, SINGLE, write_backbone, write_task


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny")
    return write_backbone(root / "backbone"), write_task(root / "task")


@pytest.fixture(scope="session")
def backbone(folders):
    return adaplace.Backbone(folders[0])


@pytest.fixture(scope="session")
def task(folders, backbone):
    return adaplace.Task(folders[1], backbone)


@pytest.fixture(scope="session")
def space(backbone, task):
    return adaplace.SearchSpace.from_toml(SINGLE, backbone, task)


@pytest.fixture
def study(tmp_path, backbone, task, space):
    """Opens a study in a folder of the test."""
    opened = []

    def make(name="study", **settings):
        defaults = {"strategy": "random", "trials": 10, "steps": 3, "finalists": 2, "repetitions": 2, "batch_size": 8}
        study = adaplace.Study(tmp_path / name, backbone, task, space, **(defaults | settings))
        opened.append(study)
        return study

    yield make
    for one in opened:
        one.close()


@pytest.fixture(scope="session")
def lines():
    """The lines of a study's journal without the seconds, which alone may differ between two runs."""

    def read(folder):
        records = [json.loads(line) for line in (Path(folder) / "journal.jsonl").read_text().splitlines()]
        for record in records:
            del record["seconds"]
        return records

    return read


@pytest.fixture(scope="session")
def program():
    """Runs the program `adaplace`, which `ADAPLACE` names; skipped where it is not built."""
    path = Path(os.environ.get("ADAPLACE", REPOSITORY / "target/debug/adaplace"))
    if not path.is_file():
        pytest.skip(f"`{path}` is not built; `cargo build` makes it, or `ADAPLACE` names another")

    def run(*arguments, code=0):
        command = [str(path), *map(str, arguments)]
        environment = os.environ | {"ADAPLACE_PYTHON": sys.executable}
        result = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert result.returncode == code, result.stderr
        return result.stdout if code == 0 else result.stderr

    return run
