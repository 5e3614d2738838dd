"""A slide's scale from its red cells: where the file says none, and against what it says."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image

from smearscan import red_cells
from smearscan.building import DetectorChoice
from smearscan.cli import smearscan
from smearscan.config import ScanConfig
from smearscan.reading import SlideSpec, SurveyTask
from smearscan.results import Picture
from smearscan.smears import SmearPlan, plan_smear
from smearscan.testing.runs import lasting_results

Runner = Callable[..., object]
SCALES = (0.1, 0.15, 0.2, 0.25, 0.35, 0.5)
SIDE_PX = 1100


def draw(mpp: float) -> Picture:
    plan = SmearPlan(SIDE_PX, SIDE_PX, mpp, seed=round(1000 * mpp), layout="field", white_cells=12)
    return plan_smear(plan).paint((0, 0, SIDE_PX, SIDE_PX))


def write(path: Path, picture: Picture, mpp: float | None = None) -> Path:
    """Write a TIFF that says a scale, or none."""
    said = {} if mpp is None else {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "centimeter"}
    tifffile.imwrite(path, picture, photometric="rgb", tile=(256, 256), metadata=None, **said)  # type: ignore[arg-type]
    return path


def rows_of(report: Path) -> dict[str, dict[str, str]]:
    with (report / "summary.csv").open(encoding="utf-8", newline="") as file:
        return {row["slide"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def quarter() -> Picture:
    """A smear of 0.25 microns per pixel."""
    return draw(0.25)


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    folder = tmp_path / "slides"
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_six_scales_without_a_scale_in_the_file(slides: Path, scan_folder: Runner, tmp_path: Path) -> None:
    for mpp in SCALES:
        write(slides / f"{mpp}.tif", draw(mpp))
    scan_folder(slides)
    rows = rows_of(tmp_path / "report")
    assert len(rows) == len(SCALES)
    for mpp in SCALES:
        row = rows[f"{mpp}.tif"]
        assert row["mpp_source"] == "red cells"
        assert float(row["mpp"]) == pytest.approx(mpp, rel=0.12)
        assert row["red_cell_mpp"] == row["mpp"]
        assert 0 <= float(row["red_cell_spread"]) < red_cells.MOST_SPREAD
        # What follows goes by it: 12 cells are found, of the right size, on the right area.
        assert 9 <= int(row["proposals"]) <= 16
        assert float(row["area_total_mm2"]) == pytest.approx((SIDE_PX * float(row["mpp"]) / 1000) ** 2, abs=2e-4)
        assert "doubt" not in row["flags"]


def test_the_scale_is_the_same_for_any_number_of_workers_and_stays(
    quarter: Picture, slides: Path, scan_folder: Runner, tmp_path: Path
) -> None:
    write(slides / "none.tif", quarter)
    scan_folder(slides, tmp_path / "one", workers=1, tile_size=512)
    scan_folder(slides, tmp_path / "two", workers=2, tile_size=4096)
    assert lasting_results(tmp_path / "one") == lasting_results(tmp_path / "two")
    again = scan_folder(slides, tmp_path / "one", workers=2)
    assert again.kept == 1  # type: ignore[attr-defined]
    record = json.loads((tmp_path / "one" / "slides" / "none.tif" / "slide.json").read_text(encoding="utf-8"))
    assert record["info"]["mpp_source"] == "red cells"
    page = (tmp_path / "one" / "slides" / "none.tif" / "index.html").read_text(encoding="utf-8")
    assert "µm per pixel, estimated from its red cells (spread" in page


def test_a_wrong_scale_is_doubted_and_a_right_one_is_not(quarter: Picture, slides: Path, scan_folder: Runner, tmp_path: Path) -> None:
    write(slides / "right.tif", quarter, 0.25)
    write(slides / "double.tif", quarter, 0.5)
    lines: list[str] = []
    scan_folder(slides, tell=lines.append)
    rows = rows_of(tmp_path / "report")
    assert (float(rows["double.tif"]["mpp"]), rows["double.tif"]["mpp_source"]) == (0.5, "file")
    assert rows["double.tif"]["flags"].startswith("The scale is in doubt: file says 0.5 um per pixel")
    assert f"it would be {float(rows['double.tif']['red_cell_mpp']):.3g}. 0.5 is used." in rows["double.tif"]["flags"]
    assert float(rows["double.tif"]["red_cell_mpp"]) == pytest.approx(0.25, rel=0.1)
    assert "doubt" not in rows["right.tif"]["flags"]
    assert [line for line in lines if "in doubt" in line] == [
        line for line in lines if line.startswith("double.tif: The scale is in doubt")
    ]
    assert sum("in doubt" in line for line in lines) == 1
    page = (tmp_path / "report" / "slides" / "double.tif" / "index.html").read_text(encoding="utf-8")
    assert "The scale is in doubt: file says 0.5" in page


def test_what_is_said_on_the_command_line_holds_and_an_implausible_file_does_not(
    quarter: Picture, slides: Path, scan_folder: Runner, tmp_path: Path
) -> None:
    """72 dpi is no microscope's scale: --mpp is used where it is given, else the red cells are asked."""
    Image.fromarray(quarter).save(slides / "screen.png", dpi=(72, 72))
    scan_folder(slides, tmp_path / "said", mpp=0.26)
    scan_folder(slides, tmp_path / "asked")
    said, asked = (rows_of(tmp_path / name)["screen.png"] for name in ("said", "asked"))
    assert (said["mpp"], said["mpp_source"]) == ("0.260000", "--mpp")
    assert asked["mpp_source"] == "red cells"
    assert "implausible" in asked["notes"]


def test_it_can_be_switched_off(quarter: Picture, slides: Path, scan_folder: Runner, tmp_path: Path) -> None:
    write(slides / "none.tif", quarter)
    write(slides / "double.tif", quarter, 0.5)
    scan_folder(slides, scale_from_red_cells=False)
    rows = rows_of(tmp_path / "report")
    assert (rows["none.tif"]["mpp"], rows["none.tif"]["mpp_source"], rows["none.tif"]["red_cell_mpp"]) == ("", "", "")
    assert "doubt" not in rows["double.tif"]["flags"]


def test_a_slide_without_red_cells_is_refused_with_a_sentence(slides: Path, scan_folder: Runner, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    write(slides / "cloth.tif", np.clip(rng.normal(200, 20, (900, 900, 3)), 0, 255).astype(np.uint8))
    scan_folder(slides)
    row = rows_of(tmp_path / "report")["cloth.tif"]
    assert row["status"] == "failed"
    why = "cloth.tif does not say its microns per pixel, and no red cells were found that could tell it."
    assert row["reason"] == f"{why} Give it with --mpp or in --slides-csv."


def test_windows_in_pixels_need_no_scale(slides: Path) -> None:
    rng = np.random.default_rng(1)
    write(slides / "cloth.tif", np.clip(rng.normal(200, 20, (900, 900, 3)), 0, 255).astype(np.uint8))
    spec = SlideSpec("cloth.tif", slides / "cloth.tif", None, None, scale_needed=False, red_cells=True)
    info = SurveyTask(spec, DetectorChoice(ScanConfig(proposals="window")), None, gated=False, tile_size=1024)().info
    assert (info.mpp, info.mpp_source, info.red_cell_mpp) == (None, None, None)
    assert info.notes == ("its microns per pixel are not known, and no red cells were found that could tell it",)


def test_inspect_and_check_ask_the_red_cells_too(quarter: Picture, slides: Path) -> None:
    write(slides / "none.tif", quarter)
    write(slides / "double.tif", quarter, 0.5)
    shown = CliRunner().invoke(smearscan, ["inspect", str(slides), "--json"])
    scales = {slide["slide"]: slide for slide in json.loads(shown.stdout)["slides"]}
    assert scales["none.tif"]["mpp_source"] == "red cells"
    assert scales["none.tif"]["mpp"] == pytest.approx(0.25, rel=0.1)
    assert scales["none.tif"]["red_cell_spread"] is not None
    assert scales["double.tif"]["mpp_source"] == "file"
    assert "none.tif: Its scale, 0.2" in CliRunner().invoke(smearscan, ["inspect", str(slides)]).stderr
    off = CliRunner().invoke(smearscan, ["inspect", str(slides / "none.tif"), "--json", "--no-scale-from-red-cells"])
    assert json.loads(off.stdout)["slides"][0]["mpp"] is None
    checked = CliRunner().invoke(smearscan, ["check", str(slides), "--json", "--workers", "1"])
    assert checked.exit_code == 3
    problems = {slide["slide"]: slide["problems"] for slide in json.loads(checked.stdout)["slides"]}
    assert problems["none.tif"] == []
    assert len(problems["double.tif"]) == 1
    assert problems["double.tif"][0].startswith("The scale is in doubt: file says 0.5 um per pixel")


@pytest.mark.data
@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "yb10kx5k.zstd.tiff", "small_HE_levels.tiff", "boxes.tiff"])
def test_what_is_no_smear_has_no_red_cells(data_folder: Path, scan_folder: Runner, tmp_path: Path, name: str) -> None:
    """A scale that the file says is used without a word; where it says none, the slide is refused with a sentence."""
    ending = scan_folder(data_folder / "slides" / name)
    row = rows_of(tmp_path / "report")[name]
    assert "doubt" not in row["flags"]
    assert row["red_cell_mpp"] == ""
    if row["mpp"]:
        assert row["mpp_source"] == "file"
    else:
        assert "no red cells were found that could tell it. Give it with --mpp" in row["reason"]
    assert ending is not None


@pytest.mark.data
@pytest.mark.parametrize(("pattern", "low", "high"), [("bccd/images/*.jpg", 0.06, 0.09), ("chula_rbc12/*.jpg", 0.16, 0.26)])
def test_real_fields_say_their_scale(data_folder: Path, scan_folder: Runner, tmp_path: Path, pattern: str, low: float, high: float) -> None:
    fields = sorted(data_folder.glob(pattern))[:8]
    scan_folder(fields)
    rows = rows_of(tmp_path / "report").values()
    told = [row for row in rows if row["mpp"]]
    assert told
    for row in told:
        assert row["mpp_source"] == "red cells"
        assert low < float(row["mpp"]) < high or "is a rough guess" in row["flags"]
    assert any(row["red_cell_spread"] and low < float(row["mpp"]) < high for row in told)
    for row in rows:
        assert row["mpp"] or "Give it with --mpp" in row["reason"]


def lone_cells(px: int = 60) -> Picture:
    """A field with two red cells on glass, `px` wide, which are too few to tell its scale well."""
    field = np.full((300, 420, 3), (235, 230, 228), np.uint8)
    for centre in ((120, 140), (300, 170)):
        cv2.circle(field, centre, px // 2, (205, 150, 140), -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(field, (0, 0), 1.2), np.uint8)


def test_the_few_red_cells_of_a_field_give_a_rough_scale_that_is_flagged(slides: Path, scan_folder: Runner, tmp_path: Path) -> None:
    Image.fromarray(lone_cells()).save(slides / "lone.png")
    scan_folder(slides)
    row = rows_of(tmp_path / "report")["lone.png"]
    assert row["mpp_source"] == "red cells"
    assert float(row["mpp"]) == pytest.approx(7.4 / 60, rel=0.15)
    assert row["red_cell_spread"] == ""
    assert "is a rough guess from very few red cells" in row["flags"]


@pytest.mark.data
def test_a_sparse_field_is_read_whole_although_most_of_it_is_glass(data_folder: Path, scan_folder: Runner, tmp_path: Path) -> None:
    scan_folder([data_folder / "bccd" / "images" / f"BloodImage_00{number}.jpg" for number in (301, 370)])
    assert all(row["proposals"] == "1" for row in rows_of(tmp_path / "report").values())
