"""The course of a training as a table and as a picture."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

from classifiers.base import NOTICE
from classifiers.training.progress import Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRAINING, VALIDATION, MARK = "#0072B2", "#D55E00", "#595959"


def write_curves_csv(path: Path, history: Sequence[Epoch]) -> None:
    """Write one line an epoch."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([each.name for each in fields(Epoch)])
        for epoch in history:
            writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in asdict(epoch).values()])


def best_epochs(history: Sequence[Epoch], monitors: Sequence[str]) -> list[int]:
    """Return for each stage the place of its best epoch, whose weights were kept; the first of equals."""
    best = []
    for stage, monitor in enumerate(monitors, start=1):
        places = [place for place, epoch in enumerate(history) if epoch.stage == stage]
        best.append(max(places, key=lambda place: history[place].monitored(monitor)))
    return best


def write_curves_png(path: Path, history: Sequence[Epoch], monitors: Sequence[str], title: str, warning: str = "") -> None:
    """Draw loss and accuracy of training and validation by epoch; stages are parted by lines, best epochs are marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    best = best_epochs(history, monitors)
    _draw(upper, history, "loss", best)
    _draw(lower, history, "accuracy", best)
    upper.set_ylabel("loss")
    upper.set_ylim(bottom=0)
    lower.set_ylabel("accuracy")
    lower.set_xlabel("epoch")
    lower.xaxis.get_major_locator().set_params(integer=True)
    _mark_stages(upper, history, monitors)
    upper.legend(loc="upper right", frameon=False)
    figure.suptitle(title + (f"\n{warning}" if warning else ""), fontsize=11)
    figure.supxlabel(NOTICE, fontsize=8, color=MARK)
    figure.savefig(path, metadata={"Software": ""})


def _draw(axes: Axes, history: Sequence[Epoch], name: str, best: Sequence[int]) -> None:
    numbers = range(1, len(history) + 1)
    training = [getattr(each, name) for each in history]
    validation = [getattr(each, f"validation_{name}") for each in history]
    marker = "o" if len(history) == 1 else None
    axes.plot(numbers, training, color=TRAINING, linestyle="--", marker=marker, label="training cells")
    if validation[-1] is None:
        return _tidy(axes)
    axes.plot(numbers, validation, color=VALIDATION, marker=marker, label="validation cells")
    axes.plot([place + 1 for place in best], [validation[place] for place in best], "D", color=MARK, label="weights kept", markersize=6)
    for place in best:
        axes.annotate(
            f"epoch {place + 1}: {validation[place]:.4f}",
            (place + 1, validation[place]),
            textcoords="offset points",
            xytext=(0, -17 if name == "loss" else 9),  # where no curve is: the best epoch lies low in one, high in the other
            ha="right" if place >= len(history) / 6 else "left",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )
    _tidy(axes)


def _tidy(axes: Axes) -> None:
    axes.margins(y=0.12)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _mark_stages(axes: Axes, history: Sequence[Epoch], monitors: Sequence[str]) -> None:
    for stage in range(1, len(monitors) + 1):
        places = [place for place, epoch in enumerate(history, start=1) if epoch.stage == stage]
        if len(monitors) > 1:
            axes.text((places[0] + places[-1]) / 2, 1.01, f"stage {stage}", transform=axes.get_xaxis_transform(), ha="center", color=MARK)
        if stage > 1:
            for each in axes.figure.axes:
                each.axvline(places[0] - 0.5, color=MARK, linestyle=":", linewidth=1)
