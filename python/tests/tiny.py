"""A tiny backbone, and a task that a linear probe on it cannot learn."""

import json
import random
import shutil
from pathlib import Path

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
    # `tokenizer.json` alone: BERT's class would build another one.
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
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
