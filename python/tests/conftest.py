"""A tiny backbone and task, and studies on them."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import adaplace

REPOSITORY = Path(__file__).resolve().parents[2]
FIXTURES = REPOSITORY / "crates/backbone/tests/parity/fixtures"

#: Placements of one adapter, of all kinds: 25 connections.
SINGLE = """
[connections]
kinds = ["sequential", "parallel", "long-range", "recurrent"]
[adapter]
ranks = [2]
[budget]
adapters = 1
"""

WORDS = [f"word{index}" for index in range(56)]


def write_backbone(folder: Path) -> Path:
    """The tiny BERT that the parity tests use (width 32, two blocks, 12 positions), with a tokenizer of whole words."""
    shutil.copytree(FIXTURES / "bert", folder)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[A]", "[B]", "[C]"]
    vocabulary = {token: index for index, token in enumerate(special + WORDS)}
    piece = lambda name, number: {name: {"id": number[0], "type_id": number[1]}}  # noqa: E731
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [piece("SpecialToken", ("[CLS]", 0)), piece("Sequence", ("A", 0)), piece("SpecialToken", ("[SEP]", 0))],
            "pair": [
                piece("SpecialToken", ("[CLS]", 0)),
                piece("Sequence", ("A", 0)),
                piece("SpecialToken", ("[SEP]", 0)),
                piece("Sequence", ("B", 1)),
                piece("SpecialToken", ("[SEP]", 1)),
            ],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]},
            },
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


def write_task(folder: Path, seed: int = 0) -> Path:
    """Two classes: whether `word0` stands before `word1`; the other words tell nothing."""
    generator = random.Random(seed)
    folder.mkdir(parents=True)
    for part, count in [("train", 48), ("validation", 32), ("test", 32)]:
        lines = []
        for index in range(count):
            words = generator.sample(WORDS[2:], 5)
            pair = ["word0", "word1"] if index % 2 else ["word1", "word0"]
            first, second = sorted(generator.sample(range(7), 2))
            words.insert(first, pair[0])
            words.insert(second, pair[1])
            lines.append(json.dumps({"text": " ".join(words), "label": index % 2}))
        (folder / f"{part}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


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
