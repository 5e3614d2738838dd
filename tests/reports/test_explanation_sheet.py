"""The colours of maps, their bars, and sheets of any number of views."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smearscan.reports.explanation_files import file_stem
from smearscan.reports.explanation_sheet import (
    BAR,
    EDGE,
    GAP,
    HEADER,
    PANEL,
    TITLE,
    CellFacts,
    Panel,
    diverging,
    draw_activations,
    draw_explanation,
    inferno,
    overlay,
)

FACTS = CellFacts(
    "x000001y000002", "night.tif", "model", "blast", (("blast", 0.9), ("other", 0.1)), 0.9, 0.5, "blast", "blast", "other", True
)
CROP = np.full((32, 32, 3), 200, np.uint8)


def values(low: float, high: float) -> NDArray[np.float32]:
    return np.tile(np.linspace(low, high, 32, dtype=np.float32), (32, 1))


def test_positive_is_red_negative_blue_and_nothing_white() -> None:
    (least, lower, nothing, upper, most) = diverging(np.array([-1, -0.5, 0, 0.5, 1], np.float32)).astype(int)
    assert nothing.tolist() == [255, 255, 255]
    assert least[2] - least[0] > 100 < most[0] - most[2]
    assert lower[2] > lower[0] + 30
    assert upper[0] > upper[2] + 30
    assert least.sum() < lower.sum() < nothing.sum() > upper.sum() > most.sum(), "the farther from nothing, the darker"


def test_inferno_rises_from_black_to_a_bright_yellow() -> None:
    light = inferno(np.linspace(0, 1, 20, dtype=np.float32)[None])[0].astype(int) @ np.array([299, 587, 114])
    assert (np.diff(light) > 0).all()
    assert light[0] < 10_000
    assert light[-1] > 230_000


def test_what_lies_beyond_the_scale_has_the_colour_of_its_end() -> None:
    assert (diverging(np.array([-3, 3], np.float32)) == diverging(np.array([-1, 1], np.float32))).all()
    assert (inferno(np.array([[-1, 2]], np.float32)) == inferno(np.array([[0, 1]], np.float32))).all()


@pytest.mark.parametrize("signed", [False, True])
def test_the_colour_bar_runs_as_the_map_does(signed: bool) -> None:
    """The map of this cell rises from left to right, as its colour bar does, so both rows of pixels are alike."""
    sheet = draw_explanation(CROP, [Panel("method", "", values(-1.0 if signed else 0.0, 1), signed)], FACTS).astype(int)
    left, top = EDGE + PANEL + GAP, HEADER + TITLE
    drawn, bar = sheet[top + 100, left : left + PANEL], sheet[top + PANEL + 6 + BAR // 2, left : left + PANEL]
    assert np.abs(drawn - bar).max() <= 60, "a map of 32 px has steps, a bar has none"
    assert np.abs(drawn - bar).mean() < 8
    over, under = sheet[top + 100, left + PANEL + GAP :][:PANEL], sheet[top + PANEL + 6 + BAR // 2, left + PANEL + GAP :][:PANEL]
    assert np.abs(over - under).mean() < 6, "the overlay's bar is mixed with the grey of the crop"


@pytest.mark.parametrize("views", [1, 2, 5, 9])
def test_a_sheet_holds_every_view(views: int) -> None:
    panels = [Panel("m", f"layer{number}", values(0, 1), False, notes=("50 % in the cell",)) for number in range(views)]
    sheet = draw_explanation(CROP, panels, FACTS)
    bright = (sheet == inferno(np.ones((1, 1), np.float32))[0, 0]).all(axis=2)
    # The right edge of each map is its brightest colour, as is the end of its colour bar.
    assert bright.any(axis=0).sum() >= 1
    assert int((np.diff(bright.astype(int), axis=0) == 1).any(axis=1).sum()) == 2 * (1 if views == 1 else -(-views // 4))


def test_an_empty_map_is_said_to_be_empty_and_is_drawn() -> None:
    empty = draw_explanation(CROP, [Panel("m", "", np.zeros((32, 32), np.float32), True)], FACTS)
    full = draw_explanation(CROP, [Panel("m", "", values(-1, 1), True)], FACTS)
    assert empty.shape == full.shape
    assert (empty != full).any()


def test_an_overlay_is_the_map_at_45_percent_over_grey() -> None:
    over = overlay(CROP, np.ones((32, 32), np.float32), signed=True)
    expected = 0.45 * diverging(np.ones(1, np.float32))[0] + 0.55 * 200
    assert np.abs(over[0, 0] - expected).max() <= 1


def test_activations_are_drawn_in_the_order_given() -> None:
    dark, bright = np.zeros((4, 4), np.float32), np.ones((4, 4), np.float32)
    sheet = draw_activations(CROP, [(7, dark), (3, bright), (1, dark)], FACTS, "features").astype(int)
    row = sheet[HEADER + TITLE + 60, EDGE + PANEL + GAP :]
    side = 2 * PANEL // 3
    means = [row[place * (side + GAP) + 5 :][: side - 10].mean() for place in range(3)]
    assert means[1] > 150
    assert max(means[0], means[2]) < 50


def test_names_of_files_are_safe_and_never_alike() -> None:
    assert file_stem(3, "a b/ü:c?.jpg") == "0003-a-b-ü-c"
    assert file_stem(12, "../../etc/passwd") == "0012-etc-passwd"
    assert len(file_stem(1, "x" * 500)) < 80
    assert file_stem(1, "same.png") != file_stem(2, "same.png")
