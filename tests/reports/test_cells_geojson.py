"""cells.geojson.gz against the rules by which QuPath reads it, in Python.

The rules are those of QuPath's PathIO, QuPathTypeAdapters, GsonTools and ROITypeAdapters (versions 0.4 and 0.5; gzip since 0.4): what
they refuse is refused here, what they pass over is passed over, and what they would quietly take for something else
(an annotation, a class of two levels) is what comes out here, too.
"""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
import uuid
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smearscan.reports import CellsGeojson, CellTable, SlideReport, cell_ids, slide_record, write_geojson
from smearscan.results import NOTICE, Scanned
from smearscan.testing.classifiers import fake_card
from smearscan.testing.reports import SLIDES, fake_failure, fake_scanned

SCANNED = {name: slide for name, slide in SLIDES.items() if isinstance(slide.outcome, Scanned)}
FIXED = ("x001976y000044", "57e091a2-5117-5bd8-95bc-911d1fe28d8e")
KINDS = {"annotation", "detection", "cell", "tile", "tmaCore", "root"}


@dataclass(frozen=True)
class Shape:
    kind: str  # ellipse | rectangle | polygon
    bounds: tuple[float, float, float, float]


@dataclass(frozen=True)
class QuPathObject:
    kind: str
    unique: uuid.UUID | None
    shape: Shape
    name: str | None
    classes: tuple[str, ...]
    colour: tuple[int, ...] | None
    measurements: dict[str, float]


def import_objects(path: Path) -> list[QuPathObject]:
    """Read a file as QuPath's `Import objects` does."""
    content = path.read_bytes()
    if path.name.endswith(".gz"):
        content = gzip.decompress(content)
    assert path.name.removesuffix(".gz").endswith((".json", ".geojson")), "QuPath goes by the ending"
    text = content.decode("ascii")  # QuPath decodes in the machine's own encoding: only ASCII is the same in all of them
    tree = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert tree["type"] == "FeatureCollection", "anything else would be read as one feature, or not at all"
    return [_feature(each) for each in tree["features"]]


def _feature(tree: dict[str, Any]) -> QuPathObject:
    assert tree["type"] == "Feature"
    unique = uuid.UUID(tree["id"]) if "id" in tree else None  # another id is dropped, which nobody would notice
    properties = tree.get("properties", {})
    kind = properties.get("objectType", "annotation")
    measurements = properties.get("measurements", {})
    assert isinstance(measurements, dict), "an array of names and values is the form of before 0.4"
    for name, value in measurements.items():
        assert isinstance(value, int | float), f"{name} is {value!r}: Java cannot cast it to Double"
        assert not isinstance(value, bool), f"{name} is {value!r}: Java cannot cast it to Double"
    names, colour = _classification(properties.get("classification"))
    return QuPathObject(
        kind if kind in KINDS else "annotation", unique, _shape(tree["geometry"]), properties.get("name"), names, colour, measurements
    )


def _classification(tree: Any) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    if tree is None:
        return (), None
    assert isinstance(tree, dict)
    assert "colorRGB" not in tree, "the form of before 0.4"
    assert ("name" in tree or "names" in tree) and "color" in tree, "QuPath refuses the whole file"
    colour = tree["color"]
    assert len(colour) in (0, 1, 3, 4)
    assert all(type(part) is int and 0 <= part <= 255 for part in colour)
    names = [tree["name"]] if "name" in tree else tree["names"]
    assert all(name.strip() and "\n" not in name for name in names)
    return tuple(part.strip() for name in names for part in name.split(":")), tuple(colour)


def _shape(tree: dict[str, Any]) -> Shape:
    assert tree["type"] == "Polygon"
    (ring,) = tree["coordinates"]
    assert ring[0] == ring[-1], "JTS refuses an open ring, and with it the file"
    assert len(ring) >= 4
    assert all(len(point) == 2 for point in ring)
    xs, ys = zip(*ring, strict=True)
    area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring)) / 2
    assert area > 0, "RFC 7946 wants the outer ring counterclockwise, and QuPath no empty one"
    bounds = (min(xs), min(ys), max(xs), max(ys))
    if tree.get("isEllipse"):
        return Shape("ellipse", bounds)
    square = {(x, y) for x in bounds[::2] for y in bounds[1::2]} == {(x, y) for x, y in ring}
    return Shape("rectangle" if square else "polygon", bounds)


def imported(slide: SlideReport, folder: Path) -> list[QuPathObject]:
    CellsGeojson().write(slide, folder)
    return import_objects(folder / "cells.geojson.gz")


@pytest.mark.parametrize("slide", SCANNED.values(), ids=SCANNED)
def test_every_cell_is_a_detection(slide: SlideReport, tmp_path: Path) -> None:
    found = imported(slide, tmp_path)
    assert isinstance(slide.outcome, Scanned)
    assert len(found) == len(slide.outcome.cells)
    assert {each.kind for each in found} <= {"detection"}
    assert [each.name for each in found] == list(slide.cell_ids)
    assert len({each.unique for each in found}) == len(found), "QuPath asks about ids it has seen"
    assert all(each.unique and each.unique.version == 5 for each in found)
    np.testing.assert_allclose([each.shape.bounds for each in found] or np.zeros((0, 4)), slide.outcome.cells.boxes, atol=0.05)


def test_a_cell_says_what_it_was_called_and_why(tmp_path: Path) -> None:
    slide = fake_scanned()
    assert isinstance(slide.outcome, Scanned)
    cells = slide.outcome.cells
    colours = {"blast": (213, 94, 0), "other": (0, 114, 178), "smudge": (136, 136, 136)}
    found = imported(slide, tmp_path)
    assert {each.classes for each in found} == {("blast",), ("other",), ("smudge",)}
    for row, each in enumerate(found):
        (name,) = each.classes
        assert name == slide.outcome.called[row]
        assert each.colour == colours[name]
        assert list(each.measurements) == ["P(blast)", "P(other)", "P(smudge)", "Objectness", "Diameter µm"]
        assert list(each.measurements.values())[:3] == pytest.approx(cells.probabilities[row].tolist(), abs=5e-7)
        left, _, right, _ = cells.boxes[row].tolist()
        assert each.measurements["Diameter µm"] == pytest.approx((right - left) * 0.25, abs=5e-3)


def test_a_cell_is_an_ellipse_and_a_window_a_square(tmp_path: Path) -> None:
    assert {each.shape.kind for each in imported(fake_scanned(), tmp_path)} == {"ellipse"}
    windows = imported(fake_scanned(windows=True), tmp_path)
    assert {each.shape.kind for each in windows} == {"rectangle"}
    assert "Diameter µm" not in windows[0].measurements


def test_without_a_scale_there_is_no_diameter(tmp_path: Path) -> None:
    assert "Diameter µm" not in imported(fake_scanned(mpp=None), tmp_path)[0].measurements


def test_a_slide_with_bounds_is_measured_from_their_corner(tmp_path: Path) -> None:
    slide = fake_scanned()
    assert isinstance(slide.outcome, Scanned)
    info = replace(slide.outcome.info, bounds_left=1203, bounds_top=77)
    found = imported(replace(slide, outcome=replace(slide.outcome, info=info)), tmp_path)
    moved = slide.outcome.cells.boxes - np.array([1203, 77, 1203, 77])
    np.testing.assert_allclose([each.shape.bounds for each in found], moved, atol=1e-6)


def test_ids_stay_with_their_cell_and_slide(tmp_path: Path) -> None:
    first, again = imported(fake_scanned(), tmp_path), imported(fake_scanned(), tmp_path)
    other = imported(fake_scanned("tuesday/blood.tif"), tmp_path)
    assert [each.unique for each in first] == [each.unique for each in again]
    assert {each.unique for each in first}.isdisjoint(each.unique for each in other)
    assert (first[0].name, str(first[0].unique)) == FIXED, "ids of files that users have must never change"


@pytest.mark.parametrize("key", ["a\udce9.tif", "<script>\"'😀.tif", "line\nbreak.tif"])
def test_any_file_name_gives_a_file_that_opens(key: str, tmp_path: Path) -> None:
    slide = replace(fake_scanned(cells=5), key=key)
    assert len(imported(slide, tmp_path)) == 5
    assert json.loads(gzip.decompress((tmp_path / "cells.geojson.gz").read_bytes()))["slide"] == key


def test_a_class_with_a_colon_or_a_line_break_stays_one_class(tmp_path: Path) -> None:
    names = ("AML: blast", "other\ncell")
    card = fake_card(names, {"AML: blast": "blast", "other\ncell": "other"})
    slide = fake_scanned(cells=8)
    assert isinstance(slide.outcome, Scanned)
    cells = replace(slide.outcome.cells, classes=names, probabilities=slide.outcome.cells.probabilities[:, :2])
    outcome = replace(slide.outcome, cells=cells, called=(names[0], names[1]) * 4, excluded=("",) * 8)
    found = imported(replace(slide, outcome=outcome, card=card), tmp_path)
    assert {each.classes for each in found} == {("AML- blast",), ("other cell",)}


def test_it_carries_the_notice_where_qupath_passes_over_it(tmp_path: Path) -> None:
    slide = fake_scanned(cells=3)
    imported(slide, tmp_path)
    tree = json.loads(gzip.decompress((tmp_path / "cells.geojson.gz").read_bytes()))
    assert tree["notice"] == NOTICE
    assert tree["slide"] == slide.key


def test_the_header_holds_no_time_and_no_name(tmp_path: Path) -> None:
    imported(fake_scanned(cells=3), tmp_path)
    header = (tmp_path / "cells.geojson.gz").read_bytes()[:10]
    assert header[:4] == b"\x1f\x8b\x08\x00", "deflate, no flags: no name"
    assert header[4:8] == bytes(4), "no time"


def test_a_slide_that_was_not_scanned_has_no_file(tmp_path: Path) -> None:
    CellsGeojson().write(fake_failure(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_blocks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, record = CellTable.from_scanned(fake_scanned(cells=50)), slide_record(fake_scanned(cells=50))
    write_geojson(table, record, tmp_path)
    whole = (tmp_path / "cells.geojson.gz").read_bytes()
    monkeypatch.setattr("smearscan.reports.cells_geojson.BLOCK", 7)
    write_geojson(table, record, tmp_path)
    assert gzip.decompress((tmp_path / "cells.geojson.gz").read_bytes()) == gzip.decompress(whole)
    assert len(import_objects(tmp_path / "cells.geojson.gz")) == 50


@pytest.mark.slow
def test_a_million_cells_stream_in_under_a_minute(tmp_path: Path) -> None:
    record = slide_record(fake_scanned(cells=3))
    peaks = []
    for cells in (many_cells(20_000), many_cells(60_000)):
        tracemalloc.start()
        write_geojson(cells, record, tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0], "three times the cells need no more memory"
    many = many_cells(1_000_000)
    started = time.process_time()
    write_geojson(many, record, tmp_path)
    seconds = time.process_time() - started
    size = (tmp_path / "cells.geojson.gz").stat().st_size
    print(f"1,000,000 cells: {seconds:.1f} s of CPU, {size / 1e6:.0f} MB, {peaks[0] / 1e6:.0f} MB of memory")
    assert seconds < 60


def many_cells(n: int) -> CellTable:
    rng = np.random.default_rng(1)
    corner = rng.integers(0, 100_000, (n, 2)).astype(np.float64)
    cell_boxes = np.hstack([corner, corner + 50])
    return CellTable(
        ids=cell_ids(cell_boxes),
        boxes=cell_boxes,
        centres_um=corner * 0.25,
        diameters_um=np.full(n, 12.5),
        probabilities=np.round(rng.dirichlet([1, 3, 0.3], n), 6),
        classes=("blast", "other", "smudge"),
        called=("blast", "other") * (n // 2),
        flagged=np.arange(n) % 2 == 0,
        objectness=np.round(rng.random(n), 6),
        overlay=("",) * n,
        cam_in_cell=np.where(np.arange(n) % 1000, np.nan, 0.75),
        excluded=("",) * n,
    )
