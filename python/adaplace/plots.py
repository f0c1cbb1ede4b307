"""Charts with ``matplotlib``. Each function draws into ``axes``, or into a new figure, and returns the axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaplace import records
from adaplace._adaplace import GradientMap, Placement
from adaplace.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: One colour for each kind of connection, distinguishable with colour-blindness (Okabe and Ito).
COLOURS = {"sequential": "#E69F00", "parallel": "#0072B2", "long-range": "#009E73", "recurrent": "#D55E00"}


def gradient_map(map: GradientMap, statistic: str = "rank", *, axes: Axes | None = None) -> Axes:
    """Draws one statistic of every connection, where rows are sources and columns targets."""
    axes = axes or _axes(5.5, 4.5)
    image = axes.imshow(map[statistic], cmap="viridis", origin="upper")
    axes.set(xlabel="target", ylabel="source", title=f"{statistic} of the gradient, {map.task}")
    axes.figure.colorbar(image, ax=axes)
    return axes


def progress(study: Study, *, axes: Axes | None = None) -> Axes:
    """Draws the metric of every trial of the search, and the best so far."""
    axes = axes or _axes(6.5, 4)
    metric = study.configuration["search"]["metric"]
    better = min if metric == "loss" else max
    numbers: list[int] = []
    values: list[float] = []
    best: list[float] = []
    for record in study.records:
        score = record["result"].get("score")
        if record["phase"] != "search" or score is None:
            continue
        value = records.value(records.row(record), metric)
        numbers.append(record["trial"] + 1)
        values.append(value)
        best.append(better(best[-1], value) if best else value)
    axes.plot(numbers, values, ".", color="0.6", label="trial")
    axes.step(numbers, best, where="post", color=COLOURS["parallel"], label="best so far")
    words = {"combined": "headline - loss / 2", "macro-f1": "macro F1", "micro-f1": "micro F1", "r2": "R2"}
    label = words.get(metric, metric.replace("-", " "))
    axes.set(xlabel="trials", ylabel=f"validation {label}")
    axes.legend(frameon=False)
    return axes


def placement(placement: Placement, hidden_states: int, *, axes: Axes | None = None) -> Axes:
    """Draws the connections as arcs over the chain of hidden states.

    Forward connections are above the chain, backward ones below, and sequential ones are rings.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Arc

    axes = axes or _axes(7, 3)
    axes.plot(range(hidden_states), [0] * hidden_states, "o-", color="0.6", markersize=5, zorder=1)
    for one in placement.connections:
        colour = COLOURS[one.kind]
        if one.kind == "sequential":
            axes.plot(one.source, 0, "o", markersize=12, fillstyle="none", markeredgewidth=2, color=colour)
            continue
        span = abs(one.target - one.source)
        sides = (0, 180) if one.target > one.source else (180, 360)
        middle = ((one.source + one.target) / 2, 0)
        # An arrowhead where the arc reaches its target.
        axes.plot(one.target, 0, "v" if one.target > one.source else "^", markersize=7, color=colour)
        axes.add_patch(Arc(middle, span, span, theta1=sides[0], theta2=sides[1], color=colour, linewidth=2))
    kinds = {one.kind for one in placement.connections}
    handles = [Line2D([], [], color=COLOURS[kind], linewidth=2, label=kind) for kind in COLOURS if kind in kinds]
    axes.legend(handles=handles, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    # Beyond 18 labels they would touch.
    labelled = range(0, hidden_states, 1 + hidden_states // 18)
    axes.set_xticks(labelled, [f"$h_{{{n}}}$" for n in labelled])
    axes.tick_params(axis="x", length=0)
    axes.set_yticks([])
    axes.set_aspect("equal")
    axes.autoscale_view()
    # The chain is not at the edge, whatever kinds there are.
    bottom, top = axes.get_ylim()
    axes.set_ylim(min(bottom, -0.5), max(top, 0.5))
    axes.spines[["left", "right", "top", "bottom"]].set_visible(False)
    return axes


def _axes(width: float, height: float) -> Axes:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
    return axes
