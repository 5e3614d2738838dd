"""`smearscan inspect`: its table, its JSON and its exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from PIL import Image

from smearscan.cli import smearscan

PIXELS = np.full((96, 128, 3), 180, np.uint8)


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    folder = tmp_path / "slides"
    (folder / "day1").mkdir(parents=True)
    options = {"photometric": "rgb", "tile": (64, 32), "metadata": None}
    with tifffile.TiffWriter(folder / "day1" / "a.tif") as writer:
        writer.write(PIXELS, resolution=(40000, 40000), resolutionunit="centimeter", **options)
        writer.write(PIXELS[::2, ::2], subfiletype=1, **options)
    Image.fromarray(PIXELS).save(folder / "b.png")
    return folder


def inspect(*arguments: object) -> Result:
    return CliRunner().invoke(smearscan, ["inspect", *map(str, arguments)])


def test_the_table(slides: Path) -> None:
    result = inspect(slides)
    assert result.exit_code == 0
    assert result.stdout == ""
    for part in ("day1/a.tif", "128 x 96", "1 2", "0.25", "file", "32 x 64", "tifffile", "kB", "b.png", "pillow"):
        assert part in result.stderr
    assert "b.png: its microns per pixel are not known" in result.stderr


def test_json(slides: Path) -> None:
    (slides / "broken.svs").write_bytes(b"")
    (slides / "notes.txt").write_bytes(b"hello")
    result = inspect(slides, "--json", "--mpp", 0.5)
    assert result.exit_code == 3
    said = json.loads(result.stdout)
    assert [(slide["slide"], slide["mpp"], slide["mpp_source"]) for slide in said["slides"]] == [
        ("b.png", 0.5, "--mpp"),
        ("day1/a.tif", 0.25, "file"),
    ]
    assert said["slides"][1]["levels"][1] == {
        "index": 1,
        "width": 64,
        "height": 48,
        "downsample": 2.0,
        "tile_width": 32,
        "tile_height": 64,
    }
    assert said["slides"][1]["path"] == str(slides / "day1" / "a.tif")
    assert [(slide["slide"], "0 bytes" in slide["reason"]) for slide in said["not_opened"]] == [("broken.svs", True)]
    assert [Path(other["path"]).name for other in said["not_slides"]] == ["notes.txt"]


def test_the_table_beside_the_slides(slides: Path, tmp_path: Path) -> None:
    (tmp_path / "slides.csv").write_text("slide,mpp\nday1/a.tif,0.5\nb.png,0.1\n", encoding="utf-8")
    result = inspect(slides, "--json", "--slides-csv", tmp_path / "slides.csv")
    said = {slide["slide"]: slide for slide in json.loads(result.stdout)["slides"]}
    assert (said["day1/a.tif"]["mpp"], said["b.png"]["mpp"]) == (0.5, 0.1)
    assert "file says 0.25 um per pixel, slides-csv says 0.5: slides-csv is used" in said["day1/a.tif"]["notes"]


def test_a_row_that_is_of_no_slide_is_said(slides: Path, tmp_path: Path) -> None:
    (tmp_path / "slides.csv").write_text("slide,mpp\nmisspelt.tif,0.5\n", encoding="utf-8")
    assert "line 2: no slide is named 'misspelt.tif'" in inspect(slides, "--slides-csv", tmp_path / "slides.csv").stderr


def test_exit_codes(slides: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "broken.svs").write_bytes(b"no slide")
    assert inspect(slides).exit_code == 0
    assert inspect(slides, tmp_path / "bad").exit_code == 3
    assert inspect(tmp_path / "bad").exit_code == 4
    assert inspect(tmp_path / "empty").exit_code == 4
    assert inspect(tmp_path / "nowhere").exit_code == 2
    assert inspect().exit_code == 2
    (slides / "old.nd2").write_bytes(b"a slide that is not read here")
    assert inspect(slides).exit_code == 3


def test_refusals_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "broken.svs").write_bytes(b"no slide")
    result = inspect(tmp_path)
    assert "broken.svs cannot be opened: " in result.stderr
    assert "Traceback" not in result.stderr


def test_a_name_that_is_no_utf_8_is_read_and_said(tmp_path: Path) -> None:
    """Linux names files in bytes; JSON has no bytes, and a strict stdout no lone surrogates."""
    name = os.fsdecode(b"bl\xf6d.png")
    Image.fromarray(PIXELS).save(tmp_path / name)
    result = inspect(tmp_path, "--json")
    assert result.exit_code == 0
    assert result.stdout.isascii()
    assert [slide["slide"] for slide in json.loads(result.stdout)["slides"]] == [name]


def test_what_is_no_slide_is_said_once(slides: Path) -> None:
    (slides / "report.pdf").write_bytes(b"%PDF-1.7")
    result = inspect(slides)
    assert result.exit_code == 0, "a PDF beside the slides is nothing to worry about"
    assert result.stderr.count("report.pdf: not a slide") == 1
    assert "smearscan inspect" not in result.stderr
