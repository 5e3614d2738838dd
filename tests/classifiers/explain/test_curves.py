"""The plots of explanations hold what was measured, and their tables can be read back."""

from __future__ import annotations

import csv
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from classifiers.base import NOTICE
from classifiers.evaluation.drawing import BLAST, DARK, LIGHT, OTHER, THEMES, Draw, to_png
from classifiers.explain import curves
from classifiers.explain.removal import Curves, Removal
from classifiers.explain.sanity import Depth, Limits, SanityReport
from classifiers.explain.sufficiency import EVERY_CLASS, Sufficiency


def sufficiency(method: str = "lime", right: tuple[int, ...] = (0, 4, 8)) -> Sufficiency:
    """Eight cells of two classes, of which so many are called right with 1, 5 and 15 superpixels; the last in one cell less."""
    truths = np.array([0, 1] * 4)
    kept = np.stack([np.where(np.arange(8) < count, truths, 1 - truths) for count in right])
    kept[-1, 0] = -1
    return Sufficiency(method, ("other", "blast"), truths, truths, (1, 5, 15), kept, 0.01)


def removal(method: str = "lime") -> Removal:
    changed = np.array([0, 0.25, 1])
    return Removal(method, (Curves(changed, np.array([1, 0.5, 0]), np.array([0, 0.5, 1])),))


def report(method: str, rank: float) -> SanityReport:
    depths = (Depth("head", 1, 0.9, 0.9), Depth("stem", 4, rank, 0.2))
    return SanityReport(method, "blast", 12, depths, 0.0, 16, 0.9, 0.3, Limits())


DRAWN = {
    "methods": curves.draw_methods([sufficiency(), sufficiency("random", (0, 2, 4))]),
    "classes": curves.draw_classes(sufficiency(), {"other": "other", "blast": "blast"}),
    "removal": curves.draw_removal([removal(), removal("random")]),
    "cascade": curves.draw_cascade([report("gradcam", 0.1), report("edges", 1.0)]),
}


def lines_of(draw: Draw) -> dict[str, list[list[float]]]:
    """Return what is drawn, by what the legend says."""
    figure = Figure()
    draw(figure, LIGHT)
    found: dict[str, list[list[float]]] = {}
    for axes in figure.axes:
        for line in axes.get_lines():
            found.setdefault(str(line.get_label()), []).append([round(float(value), 3) for value in np.asarray(line.get_ydata())])
    return found


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_a_plot_is_the_same_each_time_on_either_paper_and_carries_the_notice(draw: Draw) -> None:
    pngs = [to_png(draw, theme, width=10) for theme in THEMES]
    assert pngs[0] == to_png(draw, LIGHT, width=10)
    assert pngs[0] != pngs[1] == to_png(draw, DARK, width=10)
    for png in pngs:
        with Image.open(BytesIO(png)) as picture:
            assert picture.info["Comment"] == NOTICE
            assert picture.size == (1500, 690)


def test_precision_and_accuracy_are_drawn_by_method() -> None:
    lime, chance = (lines_of(DRAWN["methods"])[name] for name in ("lime", "random"))
    assert lime == [[0, 0.5, 1], [0, 0.5, 1]]
    assert chance == [[0, 0.25, 0.417], [0, 0.25, 0.429]]


def test_every_class_has_its_line_and_blasts_their_colour() -> None:
    assert {EVERY_CLASS, "other", "blast"} <= set(lines_of(DRAWN["classes"]))
    figure = Figure()
    DRAWN["classes"](figure, LIGHT)
    colours = {str(line.get_label()): line.get_color() for line in figure.axes[0].get_lines()}
    assert (colours["blast"], colours["other"], colours[EVERY_CLASS]) == (BLAST, OTHER, LIGHT.ink)


def test_areas_stand_in_the_legend() -> None:
    found = lines_of(DRAWN["removal"])
    assert {"lime 0.375", "lime 0.625", "random 0.375", "random 0.625"} <= set(found)
    assert found["lime 0.375"][0][0] == 1
    assert found["lime 0.625"][0][0] == 0


def test_a_cascade_begins_with_the_trained_network_and_says_what_is_too_much_alike() -> None:
    found = lines_of(DRAWN["cascade"])
    assert found["gradcam"] == [[1, 0.9, 0.1]]
    assert found["edges: too much alike"] == [[1, 0.9, 1]]


def test_a_table_can_be_read_back(tmp_path: Path) -> None:
    lines = sufficiency(right=(0, 8, 8)).lines()
    curves.write_csv(tmp_path / "sufficiency.csv", lines)
    with (tmp_path / "sufficiency.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(lines)
    assert list(rows[0]) == ["method", "class_name", "kept", "cells", "called", "precision", "accuracy", "sufficient", NOTICE]
    for row, line in zip(rows, lines, strict=True):
        assert (row["class_name"], row["kept"]) == (line.class_name, "" if line.kept is None else str(line.kept))
        assert row["sufficient"] == str(int(line.sufficient))
        assert row["precision"] == ("" if np.isnan(line.precision) else f"{line.precision:.6f}")
    curves.write_csv(tmp_path / "empty.csv", [])
    assert (tmp_path / "empty.csv").read_text() == f"{NOTICE}\n"
