"""cells.csv says what was found, in the cells' order."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smearscan.reports import CellsCsv, SlideReport, cell_ids
from smearscan.results import NOTICE, Scanned
from smearscan.testing.reports import fake_failure, fake_scanned


def read(slide: SlideReport, folder: Path) -> list[dict[str, str]]:
    CellsCsv().write(slide, folder)
    with (folder / "cells.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def scanned(slide: SlideReport) -> Scanned:
    assert isinstance(slide.outcome, Scanned)
    return slide.outcome


def test_the_columns_stand_in_their_order(tmp_path: Path) -> None:
    CellsCsv().write(fake_scanned(cells=0), tmp_path)
    assert (tmp_path / "cells.csv").read_text() == (
        "id,left,top,right,bottom,x_um,y_um,diameter_um,p_blast,p_other,p_smudge,called,flagged,objectness,overlay,cam_in_cell,excluded,"
        + NOTICE
        + "\n"
    )


def test_a_row_is_a_cell(tmp_path: Path) -> None:
    slide = fake_scanned(cells=60)
    outcome = scanned(slide)
    rows = read(slide, tmp_path)
    assert len(rows) == 60
    for index, row in enumerate(rows):
        left, top, right, bottom = outcome.cells.boxes[index].tolist()
        assert [float(row[name]) for name in ("left", "top", "right", "bottom")] == [left, top, right, bottom]
        assert float(row["x_um"]) == pytest.approx((left + right) / 2 * 0.25, abs=5e-4)
        assert float(row["y_um"]) == pytest.approx((top + bottom) / 2 * 0.25, abs=5e-4)
        assert float(row["diameter_um"]) == pytest.approx((right - left) * 0.25, abs=5e-3)
        assert [float(row[f"p_{name}"]) for name in ("blast", "other", "smudge")] == pytest.approx(
            outcome.cells.probabilities[index].tolist(), abs=5e-7
        )
        assert row["called"] == outcome.called[index]
        assert row["excluded"] == outcome.excluded[index]
        assert row["flagged"] == str(int(outcome.flagged[index]))
        assert row["overlay"] == slide.overlays.get(row["id"], "")
        assert row["cam_in_cell"] == "", "there is no heat map"
    assert {row["flagged"] for row in rows} == {"0", "1"}, "the slide holds both, so that the column is tested"
    assert sum(bool(row["overlay"]) for row in rows) == 3


def test_flags_can_be_recounted_from_the_scores_in_the_file(tmp_path: Path) -> None:
    slide = fake_scanned(cells=500, seed=3)
    for row in read(slide, tmp_path):
        blast, other, smudge = (float(row[f"p_{name}"]) for name in ("blast", "other", "smudge"))
        counted = max(blast, other) >= smudge
        assert (row["flagged"] == "1") == (counted and blast / (blast + other) >= slide.card.threshold)


def test_without_a_scale_nothing_is_in_micrometres(tmp_path: Path) -> None:
    assert {row[name] for row in read(fake_scanned(mpp=None), tmp_path) for name in ("x_um", "y_um", "diameter_um")} == {""}


def test_a_window_has_a_place_but_no_diameter(tmp_path: Path) -> None:
    rows = read(fake_scanned(windows=True), tmp_path)
    assert {row["diameter_um"] for row in rows} == {""}
    assert all(row["x_um"] for row in rows)


def test_a_slide_that_was_not_scanned_has_no_table_of_cells(tmp_path: Path) -> None:
    CellsCsv().write(fake_failure(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_whole_pixels_have_no_decimals_and_others_one(tmp_path: Path) -> None:
    slide = fake_scanned(cells=2)
    cells = replace(scanned(slide).cells, boxes=np.array([[-0.01, 2, 30.26, 40.04], [99_999.5, 3, 100_041.5, 44]], np.float32))
    rows = read(replace(slide, outcome=replace(scanned(slide), cells=cells), overlays={}), tmp_path)
    assert [[row[name] for name in ("left", "top", "right", "bottom")] for row in rows] == [
        ["0", "2", "30.3", "40"],
        ["99999.5", "3", "100041.5", "44"],
    ]
    assert [row["id"] for row in rows] == ["x000015y000021", "x100020y000023"]


def test_an_id_is_the_centre_s_pixel_and_unique() -> None:
    same = [10, 10, 20, 20]
    assert cell_ids([same, [0, 0, 1, 1], same, same]) == ("x000015y000015", "x000000y000000", "x000015y000015-2", "x000015y000015-3")
    assert cell_ids(np.zeros((0, 4), np.float32)) == ()
    assert cell_ids([[1_234_560, -4, 1_234_564, -2]]) == ("x1234562y-00003",)


def test_an_id_stays_when_another_cell_is_found() -> None:
    boxes = scanned(fake_scanned()).cells.boxes
    without = cell_ids(np.delete(boxes, 7, axis=0))
    assert set(cell_ids(boxes)) - set(without) == {cell_ids(boxes)[7]}


def test_a_class_named_like_a_formula_is_text(tmp_path: Path) -> None:
    slide = fake_scanned(cells=3)
    outcome = replace(scanned(slide), called=('=HYPERLINK("x")', "-1", "plain, with comma"))
    rows = read(replace(slide, outcome=outcome), tmp_path)
    assert [row["called"] for row in rows] == ['\'=HYPERLINK("x")', "'-1", "plain, with comma"]
