"""What is measured of explanations, as plots and as CSV: sufficiency, deletion and insertion, randomised weights.

path.write_bytes(to_png(draw_removal(found), LIGHT, width=9))       # both from classifiers.evaluation.drawing
write_csv(path, [line for each in found for line in each.lines()])
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from classifiers.base import NOTICE
from classifiers.evaluation.drawing import BLAST, OTHER, Draw, Theme, style_of
from classifiers.explain.rankings import RANDOM
from classifiers.explain.removal import GRID, Removal
from classifiers.explain.sanity import SanityReport
from classifiers.explain.sufficiency import EVERY_CLASS, SHARE, Line, Sufficiency

DIGITS: Final = 6  # of a number in a file
Series = tuple[str, Sufficiency, str]  # what the legend says, and of which class


def draw_methods(found: Sequence[Sufficiency]) -> Draw:
    """Precision and accuracy over the superpixels that are kept, of all classes together, a line a method."""
    return _draw_sufficiency([(each.method, each, EVERY_CLASS) for each in found], f"{EVERY_CLASS}, by method")


def draw_classes(found: Sufficiency, roles: Mapping[str, str]) -> Draw:
    """The same of one method, a line a class; of two classes, by the card's `roles`, the blast has its colour and the other one its own."""
    names = [EVERY_CLASS, *(name for column, name in enumerate(found.classes) if (found.truths == column).any())]
    colours = {name: {"blast": BLAST, "other": OTHER}.get(roles[name]) for name in names[1:]} if len(names) == 3 else {}
    return _draw_sufficiency([(name, found, name) for name in names], f"{found.method}, by class", colours)


def draw_removal(found: Sequence[Removal]) -> Draw:
    """Mean deletion and insertion curves, a line a method, with their areas."""

    def draw(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(1, 2, sharey=True)
        for index, each in enumerate(found):
            style = _style(each.method, index, len(found), theme)
            areas = (each.deletion_area, each.insertion_area)
            for axes, curve, area in zip(panels, each.mean_curves(), areas, strict=True):
                axes.plot(GRID, curve, label=f"{each.method} {area:.3f}", **style)
        for axes, title in zip(panels, ("Deletion: hidden, most important first", "Insertion: shown, most important first"), strict=True):
            axes.set_title(title)
            axes.set_xlabel("share of the crop")
            axes.set_ylim(-0.02, 1.02)
            axes.legend(title="area under the curve", title_fontsize=8.5, fontsize=8.5)
        panels[0].set_ylabel("mean probability of the class")

    return draw


def draw_cascade(reports: Sequence[SanityReport]) -> Draw:
    """How alike maps stay as weights are randomised from the head down, a line a method."""

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        for index, each in enumerate(reports):
            shares = [depth.layers / each.depths[-1].layers for depth in each.depths]
            label = each.method if each.changes else f"{each.method}: too much alike"
            axes.plot([0, *shares], [1, *(depth.rank for depth in each.depths)], label=label, **style_of(index, len(reports)))
        axes.axhline(reports[0].limits.randomised, color=theme.quiet, linewidth=0.8, linestyle=(0, (2, 3)))
        axes.set_title("Maps with randomised weights, against the trained network's")
        axes.set_xlabel("share of the layers that is randomised, from the head down")
        axes.set_ylabel("mean rank correlation")
        axes.set_ylim(-1.05, 1.05)
        axes.legend(fontsize=8.5)

    return draw


def write_csv(path: Path, records: Sequence[Any]) -> None:
    """Write records of one dataclass, a column a field; what is no number is empty. The last, empty column is the notice."""
    names = [field.name for field in dataclasses.fields(records[0])] if records else []
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*names, NOTICE])
        for record in records:
            writer.writerow([*(_text(getattr(record, name)) for name in names), ""])


def _draw_sufficiency(series: Sequence[Series], title: str, colours: Mapping[str, str | None] | None = None) -> Draw:
    def draw(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(1, 2, sharey=True)
        for index, (label, found, class_name) in enumerate(series):
            style = _style(label, index, len(series), theme)
            if colour := (colours or {}).get(label):
                style["color"] = colour
            lines = [found.line(class_name, count) for count in (*found.counts, None)]
            for axes, measure in zip(panels, ("precision", "accuracy"), strict=True):
                _plot(axes, lines, measure, {"label": label, **style})
        if len({found.line(name, None).precision for _, found, name in series}) == 1:
            precision = series[0][1].line(series[0][2], None).precision
            panels[0].axhline(SHARE * precision, color=theme.quiet, linewidth=0.8, linestyle=(0, (2, 3)))
            panels[0].annotate(
                f"2/3 of the whole crops' {precision:.2f}",
                (1, SHARE * precision),
                xycoords=("axes fraction", "data"),
                xytext=(-2, 3),
                textcoords="offset points",
                ha="right",
                fontsize=8.5,
                color=theme.quiet,
            )
        for axes, name in zip(panels, ("Precision", "Accuracy"), strict=True):
            axes.set_title(f"{name}: {title}")
            axes.set_xlabel("superpixels kept; square: the whole crop")
            axes.set_ylim(-0.02, 1.02)
        panels[1].legend(fontsize=8.5, loc="lower right")

    return draw


def _plot(axes: Axes, lines: Sequence[Line], measure: str, style: dict[str, Any]) -> None:
    """Draw one line; the last one of `lines` is that of the whole crops."""
    counts = [line.kept for line in lines if line.kept is not None]
    values = [getattr(line, measure) for line in lines]
    axes.plot(counts, values[:-1], marker="o", markersize=3.5, **style)
    axes.plot([max(counts) + 5], values[-1:], "s", markersize=5, color=style["color"])
    axes.set_xlim(0, max(counts) + 7)


def _style(label: str, index: int, count: int, theme: Theme) -> dict[str, Any]:
    """Return colour and line; chance, and all classes together, are drawn as what the others are compared with."""
    if label in (RANDOM, EVERY_CLASS):
        return {"color": theme.ink, "linestyle": (0, (1, 1.5)) if label == RANDOM else "-", "linewidth": 1.8}
    return {"color": theme.ink, **style_of(index, count)}


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:.{DIGITS}f}" if isinstance(value, float) else str(value)
