"""Finds where to put a few adapters in a frozen, pre-trained transformer.

>>> import adaplace
>>> backbone = adaplace.Backbone("sentence-transformers/all-MiniLM-L6-v2")
>>> task = adaplace.Task("tasks/trec6", backbone, train_examples=500)
>>> space = adaplace.SearchSpace("extended", backbone, task)
>>> with adaplace.Study("results/first", backbone, task, space, trials=64) as study:
...     study.run(workers=2)
...     study.dataframe()

Importing the package needs no other library. ``adaplace.torch`` (which loads placements into PyTorch) needs ``torch``,
``adaplace.ray`` needs ``ray``, ``Study.dataframe`` needs ``pandas``, ``adaplace.plots`` needs ``matplotlib``, ``track``
needs the tracker to which it writes, and ``to_optuna`` needs ``optuna``.
"""

from adaplace._adaplace import (
    AdaplaceError,
    Backbone,
    BackboneReference,
    Connection,
    DivergedError,
    GradientMap,
    Placement,
    PlacementFile,
    Score,
    Scorer,
    SearchSpace,
    Task,
    Trial,
    __version__,
)
from adaplace.study import Study
from adaplace.tracking import to_optuna, track

__all__ = [
    "AdaplaceError",
    "Backbone",
    "BackboneReference",
    "Connection",
    "DivergedError",
    "GradientMap",
    "Placement",
    "PlacementFile",
    "Score",
    "Scorer",
    "SearchSpace",
    "Study",
    "Task",
    "Trial",
    "__version__",
    "to_optuna",
    "track",
]
