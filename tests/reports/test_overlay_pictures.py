"""The pictures of cells: theirs, complete, readable back, and the same every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from smearscan.reports import ReportWriter, SlideReport, lettering
from smearscan.reports.overlay_pictures import OverlayPictures, overlay_file
from smearscan.reports.overlay_sheet import PANEL, Facts, draw_sheet, fitted, heat
from smearscan.results import NOTICE, CellPicture, Picture, Scanned
from smearscan.testing.reports import SLIDES, ReportContract, fake_failure, fake_scanned

PX = 32
FACTS = Facts("monday/blood.tif", "x000010y000020", "a model", "blast 0.973", "called blast, flagged", "blast", "blast", 0.25)


def picture_of(row: int, heat_map: bool = True) -> CellPicture:
    """A picture that is recognised by its grey: no two rows have the same."""
    context = np.full((3 * PX, 3 * PX, 3), 40 + row % 200, np.uint8)
    values = np.linspace(0, 1, PX * PX, dtype=np.float32).reshape(PX, PX) if heat_map else None
    return CellPicture(row, context[:PX, :PX].copy(), context, (0, 0, 264, 264), values)


def with_pictures(slide: SlideReport, rows: tuple[int, ...], heat_map: bool = True) -> SlideReport:
    assert isinstance(slide.outcome, Scanned)
    return replace(slide, outcome=replace(slide.outcome, pictures=tuple(picture_of(row, heat_map) for row in rows)))


def read_png(path: Path) -> Picture:
    content = cv2.imread(str(path))
    assert content is not None
    return np.asarray(cv2.cvtColor(content, cv2.COLOR_BGR2RGB), np.uint8)


class TestOverlayPictures(ReportContract):
    @pytest.fixture
    def writer(self) -> ReportWriter:
        return OverlayPictures()

    @pytest.fixture(params=["cells", "no scale", "windows", "no cells", "unreadable"])
    def slide(self, request: pytest.FixtureRequest) -> SlideReport:
        slide = SLIDES[request.param]
        return slide if request.param in {"no cells", "unreadable"} else with_pictures(slide, (3, 0, 77))


def test_each_cell_has_its_own_pictures(tmp_path: Path) -> None:
    rows = (200, 3, 60)
    slide = with_pictures(fake_scanned(), rows)
    OverlayPictures().write(slide, tmp_path)
    names = {path.name for path in (tmp_path / "overlays").iterdir()}
    assert names == {f"{kind}-{slide.cell_ids[row]}.png" for row in rows for kind in ("cell", "crop", "heat")}
    for row in rows:
        crop = read_png(tmp_path / "overlays" / f"crop-{slide.cell_ids[row]}.png")
        np.testing.assert_array_equal(crop, picture_of(row).crop)
        assert read_png(tmp_path / "overlays" / f"heat-{slide.cell_ids[row]}.png").shape == (PX, PX, 3)
        sheet = read_png(tmp_path / overlay_file(slide.cell_ids[row]))
        assert (sheet[150:200, 60:100] == 40 + row % 200).all(), "the crop's panel shows that cell"


def test_without_heat_maps_there_are_none(tmp_path: Path) -> None:
    slide = with_pictures(fake_scanned(), (4,), heat_map=False)
    OverlayPictures().write(slide, tmp_path)
    assert sorted(path.name for path in (tmp_path / "overlays").iterdir()) == sorted(
        f"{kind}-{slide.cell_ids[4]}.png" for kind in ("cell", "crop")
    )
    assert draw_sheet(picture_of(4, heat_map=False), FACTS).shape[1] < draw_sheet(picture_of(4), FACTS).shape[1]


@pytest.mark.parametrize("slide", [fake_scanned(), fake_failure()])
def test_without_pictures_no_folder_is_made(slide: SlideReport, tmp_path: Path) -> None:
    OverlayPictures().write(slide, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_png_says_nothing_but_its_pixels_and_the_notice(tmp_path: Path) -> None:
    """No time, no program: other chunks beside the picture's own would differ from machine to machine."""
    slide = with_pictures(fake_scanned(), (4,))
    OverlayPictures().write(slide, tmp_path)
    for path in (tmp_path / "overlays").iterdir():
        content, place, chunks = path.read_bytes(), 8, set()
        while place < len(content):
            chunks.add(content[place + 4 : place + 8])
            place += 12 + int.from_bytes(content[place : place + 4], "big")
        assert chunks == {b"IHDR", b"tEXt", b"IDAT", b"IEND"}
        with Image.open(path) as read:
            read.verify()  # the checksums, too
        with Image.open(path) as read:
            assert dict(read.text) == {"Comment": NOTICE}  # type: ignore[attr-defined]


def darkness(picture: Picture) -> float:
    return float((255 - picture.astype(np.float64)).sum())


@pytest.mark.parametrize(
    "changed",
    [
        {"slide": "tuesday/blood.tif"},
        {"cell": "x000010y000021"},
        {"model": "another"},
        {"score": "blast 0.974"},
        {"call": "called other, not flagged"},
        {"kind": "other"},
        {"explained": "other"},
        {"mpp": 0.5},
        {"mpp": None},
    ],
)
def test_every_fact_is_on_the_sheet(changed: dict[str, str]) -> None:
    assert not np.array_equal(draw_sheet(picture_of(0), replace(FACTS, **changed)), draw_sheet(picture_of(0), FACTS))  # type: ignore[arg-type]


def test_the_notices_are_on_the_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    before = lettering.write

    def note(picture: Picture, text: str, place: tuple[int, int], **how: object) -> int:
        written.append(text if "room" not in how else lettering.shortened(text, how["room"], how.get("size", 12)))  # type: ignore[arg-type]
        return before(picture, text, place, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(lettering, "write", note)
    draw_sheet(picture_of(0), FACTS)
    assert "For research use only. Not for use in diagnostic procedures." in written
    assert any("shows what moved the model's score, not pathology" in line for line in written)
    written.clear()
    draw_sheet(picture_of(0, heat_map=False), FACTS)
    assert "For research use only. Not for use in diagnostic procedures." in written


def test_nothing_reaches_beyond_the_sheet_or_into_the_panels() -> None:
    """Long names are shortened: the margins stay white, and the panels are what they are with short ones."""
    long = replace(FACTS, slide="a folder/" * 30 + "x.tif", model="m" * 300, score="blast " * 40, call="called " * 40, explained="l" * 200)
    short, sheet = draw_sheet(picture_of(0), FACTS), draw_sheet(picture_of(0), long)
    assert sheet.shape == short.shape
    for margin in (sheet[:, :14], sheet[:, -14:], sheet[:6], sheet[-6:]):
        assert (margin == 255).all()
    np.testing.assert_array_equal(sheet[84 : 84 + PANEL], short[84 : 84 + PANEL])


@pytest.mark.parametrize(
    "text", ["Blütenstraße Żółć Кровь 血液 µ", "\udcff broken \n line\x00", "<script>alert('x')</script> & \N{GRINNING FACE}", ""]
)
def test_any_name_can_be_drawn(text: str) -> None:
    sheet = np.full((40, 600, 3), 255, np.uint8)
    wide = lettering.write(sheet, text, (10, 25), size=14)
    assert (darkness(sheet) > 0) == bool(text)
    assert (sheet[:, 10 + wide + 2 :] == 255).all(), "the width is what it takes"


def test_a_shortened_name_keeps_its_ends_and_fits() -> None:
    name = "2024-03/second reading/of a long cohort/slide 0001 run 12.ndpi"
    short = lettering.shortened(name, 200, 14)
    start, end = short.split("…")
    assert name.startswith(start)
    assert name.endswith(end)
    assert 150 < lettering.width(short, 14) <= 200
    assert lettering.shortened("a.tif", 200, 14) == "a.tif"


def grey_crop(value: int = 128) -> Picture:
    return np.full((PX, PX, 3), value, np.uint8)


def test_heat_is_inferno_over_the_greyed_crop_at_45_percent() -> None:
    values = np.zeros((PX, PX), np.float32)
    values[:, PX // 2 :] = 1
    coloured = np.zeros((PX, PX, 3), np.uint8)
    coloured[..., 0], coloured[..., 2] = 200, 100
    mixed = heat(coloured, values)
    grey = 0.299 * 200 + 0.114 * 100
    np.testing.assert_allclose(mixed[5, 5], 0.55 * grey + 0.45 * np.array([0, 0, 4]), atol=1.5)
    np.testing.assert_allclose(mixed[5, -5], 0.55 * grey + 0.45 * np.array([252, 255, 164]), atol=1.5)


def test_hotter_is_brighter_everywhere_on_the_scale() -> None:
    """So that the map can be read in greyscale and by the colour blind."""
    ramp: NDArray[np.float32] = np.tile(np.linspace(0, 1, PX, dtype=np.float32), (PX, 1))
    row = cv2.cvtColor(heat(grey_crop(), ramp), cv2.COLOR_RGB2GRAY)[0].astype(int)
    assert (np.diff(row) >= 0).all()
    assert row[-1] - row[0] > 80


@pytest.mark.parametrize("side", [16, PANEL, 500])
def test_pictures_of_any_size_fit_a_panel(side: int) -> None:
    assert fitted(np.full((side, side, 3), 77, np.uint8)).shape == (PANEL, PANEL, 3)
    assert (fitted(np.full((side, side, 3), 77, np.uint8)) == 77).all()


def test_a_map_in_which_nothing_speaks_for_the_class_says_so() -> None:
    nothing = replace(picture_of(0), heat_map=np.zeros((PX, PX), np.float32))
    little = replace(picture_of(0), heat_map=np.full((PX, PX), 1e-3, np.float32))
    title = (slice(60, 82), slice(236, 444))
    assert darkness(draw_sheet(nothing, FACTS)[title]) > darkness(draw_sheet(little, FACTS)[title])
