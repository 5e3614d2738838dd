"""The trials of a tuning as one picture: how good each was, the best so far, what mattered, and how each value fared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.base import NOTICE
from classifiers.tuning.objective import Direction, direction_of
from classifiers.tuning.table import TrialRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, TRIAL, BEST, QUIET = "#1b1e23", "#0072B2", "#D55E00", "#565e69"
SLICES = 8  # keys that are drawn one by one, those that matter most
FEW = 6  # numbers of a list that was chosen from, and not of a range
LOG_FROM = 30.0  # largest to smallest value, from which on an axis is logarithmic


def write_trials_png(path: Path, rows: Sequence[TrialRow], *, metric: str, importances: Mapping[str, float], title: str) -> None:
    """Draw the trials; keys stand in the order of their importance, where that is known."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    keys = sorted(rows[0].changes) if rows else []
    keys = sorted(keys, key=lambda key: (-importances.get(key, 0.0), key))[:SLICES]
    direction = direction_of(metric)
    columns = min(max(len(keys), 1), 4)
    lines = -(-len(keys) // columns)
    figure = Figure(figsize=(max(9.0, 3.1 * columns), 4.0 + 2.9 * lines), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subfigures(2, 1, height_ratios=[3.6, 2.9 * max(lines, 1)], squeeze=False).ravel()
    history, shares = upper.subplots(1, 2, width_ratios=[2, 1])
    _draw_history(history, rows, metric, direction)
    _draw_importances(shares, keys, importances)
    places = lower.subplots(max(lines, 1), columns, sharey=True, squeeze=False).ravel()
    best = _best(rows, direction)
    for axes, key in zip(places, keys, strict=False):
        _draw_slice(axes, rows, key, best)
    for axes in places[len(keys) :]:
        axes.set_visible(False)
    for axes in places[::columns]:
        axes.set_ylabel(f"validation {metric}")
    figure.suptitle(f"{title}: {len(rows)} {'trial' if len(rows) == 1 else 'trials'}, judged by the validation cells", fontsize=11)
    lower.supxlabel(NOTICE, fontsize=8, color=QUIET)
    figure.savefig(path, metadata={"Software": ""})


def _best(rows: Sequence[TrialRow], direction: Direction) -> TrialRow | None:
    sign = -1 if direction == "maximize" else 1
    finished = [row for row in rows if row.value is not None]
    return min(finished, key=lambda row: (sign * (row.value or 0.0), row.number), default=None)


def _draw_history(axes: Axes, rows: Sequence[TrialRow], metric: str, direction: Direction) -> None:
    finished = [(row.number, row.value) for row in rows if row.value is not None]
    if finished:
        numbers, values = zip(*finished, strict=True)
        so_far = np.maximum.accumulate(values) if direction == "maximize" else np.minimum.accumulate(values)
        axes.step(numbers, so_far, where="post", color=BEST, linewidth=1.6, label="best so far")
        axes.plot(numbers, values, "o", color=TRIAL, markersize=4.5, label="trial")
    for state, marker in (("cut short", "v"), ("failed", "x")):
        others = [row.number for row in rows if row.state == state]
        if others:
            axes.plot(
                others,
                [0.03 if direction == "maximize" else 0.97] * len(others),  # where the bad ones are
                marker,
                color=QUIET,
                transform=axes.get_xaxis_transform(),
                label=state,
                markersize=5,
            )
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("trial")
    axes.set_ylabel(f"validation {metric}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("Course", loc="left", fontsize=10)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8, loc="best")
    _tidy(axes)


def _draw_importances(axes: Axes, keys: Sequence[str], importances: Mapping[str, float]) -> None:
    axes.set_title("Share in the differences (fANOVA)", loc="left", fontsize=10)
    if not importances:
        axes.text(0.5, 0.5, "too few trials that differ\nto tell what matters", ha="center", va="center", color=QUIET)
        axes.set_axis_off()
        return
    values = [importances.get(key, 0.0) for key in keys]
    bars = axes.barh(range(len(keys)), values, color=TRIAL, height=0.6)
    axes.bar_label(bars, labels=[f"{value:.0%}" for value in values], padding=3, fontsize=8)
    axes.set_yticks(range(len(keys)), [_short(key) for key in keys], fontsize=8)
    axes.set_xlim(0, max(values) * 1.2)
    axes.invert_yaxis()
    axes.set_xticks([])
    _tidy(axes)
    axes.grid(visible=False)


def _draw_slice(axes: Axes, rows: Sequence[TrialRow], key: str, best: TrialRow | None) -> None:
    finished = [(row.changes[key], row.value) for row in rows if row.value is not None]
    chosen = [value for value, _ in finished]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in chosen)
    distinct = set(chosen) if numbers else {str(value) for value in chosen}
    few = sorted(distinct) if not numbers or len(distinct) <= min(FEW, len(chosen) - 1) else []
    place = _places(few, as_text=not numbers) if few else float
    xs = np.array([place(value) for value in chosen])
    if few:  # side by side where values are few, each trial a little off so that none hides another
        xs = xs + (np.arange(len(xs)) % 5 - 2) * 0.06
        axes.set_xticks(range(len(few)), [_said(value) for value in few], fontsize=8)
        axes.set_xlim(-0.5, len(few) - 0.5)
    elif len(xs) and min(xs) > 0 and max(xs) / min(xs) >= LOG_FROM:
        axes.set_xscale("log")
    axes.plot(xs, [value for _, value in finished], "o", color=TRIAL, markersize=4.5, alpha=0.75)
    if best is not None:
        where = [row.number for row in rows if row.value is not None].index(best.number)
        axes.plot([xs[where]], [finished[where][1]], "o", markersize=10, markerfacecolor="none", markeredgecolor=BEST, markeredgewidth=1.8)
    axes.set_title(_short(key), loc="left", fontsize=9)
    _tidy(axes)


def _places(values: Sequence[Any], *, as_text: bool) -> Any:
    return lambda value: values.index(str(value) if as_text else value)


def _said(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _short(key: str) -> str:
    """Return a dotted key without what all keys have: stages.0.batch_size of a single stage is batch_size."""
    return key.removeprefix("stages.0.").removeprefix("network.options.")


def _tidy(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=QUIET)
    axes.title.set_color(INK)
