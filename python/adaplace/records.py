"""A study's journal as flat rows, and its settings."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

#: The keys of a row with the results of a training.
MEASURED = (
    "accuracy",
    "loss",
    "train_loss",
    "balanced_accuracy",
    "macro_f1",
    "matthews",
    "pearson",
    "spearman",
    "r2",
    "root_mean_squared_error",
    "micro_f1",
    "mean_average_precision",
    "exact_match",
    "entity_f1",
    "entity_precision",
    "entity_recall",
    "token_accuracy",
    "perplexity",
)

#: The measure of each kind of problem that is looked at first.
_HEADLINES = ("accuracy", "pearson", "micro_f1", "entity_f1", "token_accuracy")


def row(record: dict[str, Any]) -> dict[str, Any]:
    """A line of the journal as a row, in which numbers that were not measured are NaN."""
    score = record["result"].get("score", {})
    kinds = ("by_class", "numbers", "sets", "tags", "language")
    measures = {name: value for kind in kinds for name, value in (score.get(kind) or {}).items()}
    return {
        "trial": record["trial"],
        "phase": record["phase"],
        "placement": record["hash"],
        "connections": " ".join(f"{one['source']}->{one['target']}" for one in record["placement"]),
        "steps": record["steps"],
        "repetition": record["repetition"],
        "accuracy": score.get("validation_accuracy", math.nan),
        "loss": score.get("validation_loss", math.nan),
        "train_loss": score.get("train_loss", math.nan),
        **{name: measures.get(name, math.nan) for name in MEASURED[3:]},
        "failed": record["result"].get("failed"),
        "seconds": record["seconds"],
    }


def value(of: dict[str, Any], metric: str) -> float:
    """The value of a study's metric in a row, or NaN if the training failed or the metric was not measured."""
    if metric == "combined":
        return headline(of) - float(of["loss"]) / 2
    return float(of[metric.replace("-", "_")])


def headline(of: dict[str, Any]) -> float:
    """The measure of a row that is looked at first: that of its kind of problem."""
    values = (float(of[name]) for name in _HEADLINES)
    return next((value for value in values if not math.isnan(value)), math.nan)


def larger_is_better(metric: str) -> bool:
    return metric not in ("loss", "perplexity")


def journal(folder: Path) -> list[dict[str, Any]]:
    """The complete lines of a study's journal, to which another process may be writing."""
    try:
        text = (folder / "journal.jsonl").read_bytes()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]


def ranking(folder: Path) -> dict[str, Any] | None:
    """The ranking of a finished study, or None while it runs or has been resumed."""
    path = folder / "ranking.json"
    try:
        if path.stat().st_mtime_ns < (folder / "journal.jsonl").stat().st_mtime_ns:
            return None
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return found


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, str | int | float | bool]:
    """Flattens nested settings: ``{"search": {"trials": 3}}`` becomes ``{"search.trials": 3}``."""
    levels: dict[str, str | int | float | bool] = {}
    for key, setting in settings.items():
        name = f"{prefix}{key}"
        if isinstance(setting, dict):
            levels.update(flat(setting, f"{name}."))
        elif isinstance(setting, str | int | float | bool):
            levels[name] = setting
        else:
            levels[name] = json.dumps(setting)
    return levels
