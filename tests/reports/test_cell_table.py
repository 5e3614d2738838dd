"""The table of cells is the same right after a scan and read back from cells.csv."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from smearscan.errors import OutputError
from smearscan.reports import CellsCsv, CellTable, SlideReport
from smearscan.results import CellPicture, Scanned
from smearscan.testing.classifiers import fake_card
from smearscan.testing.reports import SLIDES, fake_failure, fake_scanned

SCANNED = {name: slide for name, slide in SLIDES.items() if isinstance(slide.outcome, Scanned)}


def read_back(slide: SlideReport, folder: Path) -> CellTable:
    CellsCsv().write(slide, folder)
    return CellTable.from_csv(folder / "cells.csv", slide.card.classes)


def assert_same(first: CellTable, second: CellTable) -> None:
    for each in fields(CellTable):
        one, other = getattr(first, each.name), getattr(second, each.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype, each.name
            np.testing.assert_array_equal(one, other, err_msg=each.name)  # to the last bit
        else:
            assert one == other, each.name


@pytest.mark.parametrize("slide", SCANNED.values(), ids=SCANNED)
def test_the_file_gives_the_table_back(slide: SlideReport, tmp_path: Path) -> None:
    assert_same(read_back(slide, tmp_path), CellTable.from_scanned(slide))


def test_odd_numbers_come_back_to_the_last_bit(tmp_path: Path) -> None:
    slide = fake_scanned(cells=400, seed=9, mpp=0.2527)
    assert isinstance(slide.outcome, Scanned)
    cells = slide.outcome.cells
    shifted = replace(cells, boxes=cells.boxes + np.random.default_rng(2).normal(0, 9, cells.boxes.shape).astype(np.float32))
    slide = replace(slide, outcome=replace(slide.outcome, cells=shifted), overlays={})
    assert_same(read_back(slide, tmp_path), CellTable.from_scanned(slide))


def test_the_few_cells_with_a_heat_map_keep_their_shares(tmp_path: Path) -> None:
    slide = fake_scanned(cells=9)
    assert isinstance(slide.outcome, Scanned)
    pixels = np.zeros((4, 4, 3), np.uint8)
    shown = [(7, 0.8125), (2, None), (4, 0.0), (5, 1.0)]
    pictures = tuple(CellPicture(row, pixels, pixels, (0, 0, 4, 4), cam_in_cell=share) for row, share in shown)
    slide = replace(slide, outcome=replace(slide.outcome, pictures=pictures))
    table = read_back(slide, tmp_path)
    np.testing.assert_array_equal(table.cam_in_cell, [np.nan, np.nan, np.nan, np.nan, 0, 1, np.nan, 0.812, np.nan])
    assert_same(table, CellTable.from_scanned(slide))


def test_class_names_that_a_spreadsheet_would_run_come_back_as_they_are(tmp_path: Path) -> None:
    names = ("=blast", 'other, "odd"\ncell', "@smudge")
    roles = dict(zip(names, ("blast", "other", "excluded"), strict=True))
    slide = fake_scanned(cells=30)
    assert isinstance(slide.outcome, Scanned)
    renamed = dict(zip(slide.card.classes, names, strict=True))
    outcome = replace(
        slide.outcome,
        cells=replace(slide.outcome.cells, classes=names),
        called=tuple(renamed[name] for name in slide.outcome.called),
        excluded=tuple(renamed[name] if name else "=too close to the edge" * (row == 0) for row, name in enumerate(slide.outcome.excluded)),
    )
    slide = replace(slide, outcome=outcome, card=fake_card(names, roles))  # type: ignore[arg-type]
    table = read_back(slide, tmp_path)
    assert set(table.called) <= set(names)
    assert table.excluded[0] in {"'=too close to the edge", *names}
    assert_same(table, CellTable.from_scanned(slide))


def test_a_slide_that_was_not_scanned_has_no_table() -> None:
    with pytest.raises(ValueError, match="was not scanned"):
        CellTable.from_scanned(fake_failure())


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cells\.csv is gone: scan the slide again"):
        CellTable.from_csv(tmp_path / "cells.csv", ("blast", "other"))


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda text: "", "its columns are not those of this version"),
        (lambda text: text.replace("objectness", "score"), r"its columns are not those of this version \(objectness, score\)"),
        (lambda text: text[: len(text) // 2], "fields and not"),
        (lambda text: text.replace(",other,", ",other,,", 1), "fields and not"),
        (lambda text: text.replace("x0", "x0,abc", 1).replace(",blast,0,", ",", 1), "could not convert|fields and not"),
        (lambda text: "\udcff" + text, "invalid start byte"),
    ],
)
def test_a_damaged_file_is_a_sentence(damage: object, why: str, tmp_path: Path) -> None:
    CellsCsv().write(fake_scanned(cells=20), tmp_path)
    path = tmp_path / "cells.csv"
    path.write_bytes(damage(path.read_text()).encode(errors="surrogateescape"))  # type: ignore[operator]
    with pytest.raises(OutputError, match=why) as caught:
        CellTable.from_csv(path, fake_card().classes)
    assert str(path) in str(caught.value)
