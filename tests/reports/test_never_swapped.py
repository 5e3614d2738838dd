"""A slide's files are its own: reports made in mixed-up order, by many threads, for slides with confusable names.

Every slide has cells of its own and pictures in a colour of its own, so that a file in the wrong folder shows.
"""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from PIL import Image

from smearscan import plugins, tables
from smearscan.ledger import Ledger
from smearscan.reports import CellTable, ReportWriter, SlideReport, slide_record, summary_row
from smearscan.reports.overlay_pictures import overlay_file
from smearscan.reports.spreadsheet import path as path_in_table
from smearscan.results import CellPicture, Scanned, SlideMap
from smearscan.testing.reports import fake_failure, fake_scanned

# Equal but for case, folder, separator, suffix, escape, a spreadsheet's eye, or a slide that is a folder of another.
# fmt: off
KEYS = (
    "blood.tif", "Blood.tif", "BLOOD.TIF", "a/blood.tif", "A/blood.tif", "b/blood.tif", "a/b/blood.tif", "a_blood.tif", "a-blood.tif",
    "blood", "blood.svs", "blood (1).tif", "blood (10).tif", "blood (2).tif", "a:blood.tif", "a%3Ablood.tif", "=blood.tif",
    "'=blood.tif", "series", "series/blood.tif", "caf\u00e9.tif", "cafe\u0301.tif", "<b>blood</b>.tif", "😀.tif", "1/2.tif", "2/1.tif",
)
# fmt: on
FAILED = {"a/b/blood.tif", "blood.svs", "2/1.tif"}
WINDOWED = {"Blood.tif", "b/blood.tif", "1/2.tif"}


def colour(key: str) -> tuple[int, int, int]:
    """Return the colour of a slide's pictures; they differ enough to survive a palette."""
    number = KEYS.index(key)
    return 40 + 7 * number, 250 - 7 * number, 5 + (97 * number) % 240


@cache
def report_on(key: str) -> SlideReport:
    """Return a report that differs from every other one in all it holds."""
    if key in FAILED:
        failure = fake_failure(key)
        return replace(failure, specimen=f"specimen of {key}", input_digest=f"sha256:{key}")
    number = KEYS.index(key)
    slide = fake_scanned(key, cells=120 + 3 * number, seed=100 + number, windows=key in WINDOWED)
    assert isinstance(slide.outcome, Scanned)
    plain = np.full((48, 64, 3), colour(key), np.uint8)
    squares = np.zeros((3, 4), np.uint8)
    flagged = np.flatnonzero(slide.outcome.flagged)[:2].tolist()
    pictures = tuple(CellPicture(row, plain[:32, :32], np.tile(plain[:32, :32], (3, 3, 1)), (0, 0, 96, 96)) for row in flagged)
    outcome = replace(slide.outcome, slide_map=SlideMap(plain, 62.5, squares, ("",), 1000.0), pictures=pictures)
    overlays = {slide.cell_ids[row]: overlay_file(slide.cell_ids[row]) for row in flagged}
    return replace(slide, outcome=outcome, specimen=f"specimen of {key}", input_digest=f"sha256:{key}", overlays=overlays)


def writers() -> list[ReportWriter]:
    names = sorted(plugins.names("smearscan.reports"), key=lambda name: (name == "page", name))
    return [plugins.find("smearscan.reports", name)() for name in names]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report folder whose slides came from eight threads, in an order that nobody chose, through the same writers."""
    out, drafts, shared = tmp_path_factory.mktemp("report"), tmp_path_factory.mktemp("drafts"), writers()
    order = random.Random(7).sample(KEYS, len(KEYS))

    def draft(number: int, key: str) -> tuple[SlideReport, Path]:
        slide, folder = report_on(key), drafts / str(number)
        folder.mkdir()
        for writer in shared:
            writer.write(slide, folder)
        return slide, folder

    records, rows = {}, []
    with Ledger(out, random.Random(8).sample(KEYS, len(KEYS))) as book, ThreadPoolExecutor(8) as threads:
        for done in as_completed([threads.submit(draft, number, key) for number, key in enumerate(order)]):
            slide, folder = done.result()

            def fill(target: Path, folder: Path = folder) -> None:
                for path in sorted(folder.iterdir()):
                    path.rename(target / path.name)

            records[slide.key] = book.publish(slide.key, fill, slide_record(slide), {"total": 1.0})
            rows.append(summary_row(records[slide.key], 1.0))
            tables.write_slides(book, records, rows)
        tables.write_specimens(book, records)
        tables.write_index(book, records, "2026-01-01")
    return out


def table(path: Path, by: str) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row[by] for row in rows}) == len(rows), f"every {by} has one row"
    return {row[by]: row for row in rows}


def published(report: Path) -> Iterator[tuple[str, Path, Mapping[str, str]]]:
    """Yield every slide with the folder that its row names, and that row."""
    rows = table(report / "summary.csv", "slide")
    assert set(rows) == {path_in_table(key) for key in KEYS}
    for key in KEYS:
        row = rows[path_in_table(key)]
        yield key, report / row["folder"], row


def test_the_row_s_folder_is_the_slide_s_and_nobody_else_s(report: Path) -> None:
    seen = set()
    for key, folder, row in published(report):
        record = json.loads((folder / "slide.json").read_text(encoding="utf-8"))
        assert record["key"] == key
        assert (record["input_digest"], record["specimen"]) == (f"sha256:{key}", f"specimen of {key}")
        assert row["status"] == record["status"]
        assert (row["status"] == "unreadable") == (key in FAILED)
        seen.add(folder.resolve())
    assert len(seen) == len(KEYS)
    assert len({str(folder).casefold() for folder in seen}) == len(KEYS), "apart also where case does not count"


def test_the_cells_are_the_slide_s_and_add_up_to_its_row(report: Path) -> None:
    for key, folder, row in published(report):
        if key in FAILED:
            assert not (folder / "cells.csv").exists()
            assert row["cells"] == ""
            continue
        slide = report_on(key)
        found, expected = CellTable.from_csv(folder / "cells.csv", slide.card.classes), CellTable.from_scanned(slide)
        assert found.ids == expected.ids
        np.testing.assert_array_equal(found.probabilities, expected.probabilities)
        counted = np.array([not reason for reason in found.excluded])
        assert (int(row["cells"]), int(row["blasts"])) == (counted.sum(), (found.flagged & counted).sum())
        assert int(row["overlays"]) == sum(map(bool, found.overlay)) == 2
        assert all((folder / name).is_file() for name in found.overlay if name)


def test_the_exports_name_their_slide(report: Path) -> None:
    uuids: set[str] = set()
    for key, folder, _ in published(report):
        if key in FAILED:
            continue
        tree = json.loads(gzip.decompress((folder / "cells.geojson.gz").read_bytes()))
        assert tree["slide"] == key
        assert tuple(each["properties"]["name"] for each in tree["features"]) == report_on(key).cell_ids
        uuids.update(each["id"] for each in tree["features"])
        assert (folder / "scores.zarr").is_dir() == (key in WINDOWED)
        if key in WINDOWED:
            attributes: Any = zarr.open_group(folder / "scores.zarr", mode="r").attrs["ome"]
            assert attributes["multiscales"][0]["metadata"]["slide"] == key
    assert len(uuids) == sum(len(report_on(key).cell_ids) for key in KEYS), "no cell of one slide is taken for one of another"


def test_the_pictures_show_the_slide(report: Path) -> None:
    colours = np.array([colour(key) for key in KEYS])
    assert len({*map(colour, KEYS)}) == len(KEYS)
    for key, folder, _ in published(report):
        pictures = sorted(folder.rglob("*.png"))
        assert bool(pictures) == (key not in FAILED)
        if key in FAILED:
            continue
        assert {"map.png", *(f"crop-{each}.png" for each in report_on(key).overlays)} <= {path.name for path in pictures}
        for path in pictures:
            shown = np.isin(packed(colours), packed(pixels(path)))
            assert [each for each, there in zip(KEYS, shown, strict=True) if there] == [key], f"{path} shows another slide"
        off = np.abs(pixels(folder / "thumbnail.jpg").mean(axis=(0, 1)) - colours).sum(axis=1)
        assert KEYS[int(off.argmin())] == key


def pixels(path: Path) -> NDArray[np.int64]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), np.int64)


def packed(colours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each colour as one number."""
    return colours @ np.array([65536, 256, 1])


def test_the_pages_name_their_slide(report: Path) -> None:
    index = (report / "index.html").read_text(encoding="utf-8")
    for key, folder, row in published(report):
        page = unescape((folder / "index.html").read_text(encoding="utf-8"))
        assert key in page
        assert all(each in page for each in (report_on(key).overlays if key not in FAILED else ()))
        assert index.count(f'"{quote(row["folder"])}/index.html"') >= 1


def test_the_specimens_count_their_own_slide(report: Path) -> None:
    specimens = table(report / "specimens.csv", "specimen")
    for key, _, row in published(report):
        mine = specimens[f"specimen of {key}"]
        assert (mine["slides"], mine["blasts"]) == ("1", row["blasts"])
        assert (mine["not_scanned"] == path_in_table(key)) == (key in FAILED)
