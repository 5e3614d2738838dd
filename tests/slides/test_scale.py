"""How large a pixel is: who is believed, what is not, and every place where files say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from smearscan.errors import ConfigError, MissingResolution
from smearscan.results import SlideInfo
from smearscan.slides import open_slide
from smearscan.slides.scale import settle_scale

PIXELS = np.full((64, 64, 3), 200, np.uint8)


def info_of(path: Path, **scales: Any) -> SlideInfo:
    with open_slide(path, **({"scale_needed": False} | scales)) as slide:
        return slide.info


def tiff(path: Path, **options: Any) -> Path:
    tifffile.imwrite(path, PIXELS, **({"photometric": "rgb", "metadata": None} | options))
    return path


@pytest.mark.parametrize(
    ("csv", "file", "flag", "chosen", "source"),
    [
        (0.25, (0.25, 0.25), 0.25, 0.25, "slides-csv"),
        (0.20, (0.25, 0.25), 0.50, 0.20, "slides-csv"),
        (None, (0.25, 0.25), 0.50, 0.25, "file"),
        (None, None, 0.50, 0.50, "--mpp"),
        (0.30, None, None, 0.30, "slides-csv"),
        (None, (352.8, 352.8), 0.50, 0.50, "--mpp"),
        (None, (0.001, 0.001), None, None, None),
        (None, None, None, None, None),
    ],
)
def test_who_is_believed(
    csv: float | None, file: tuple[float, float] | None, flag: float | None, chosen: float | None, source: str | None
) -> None:
    scale = settle_scale("a.svs", file, mpp=flag, csv_mpp=csv, needed=False)
    assert (scale.mpp, scale.source) == (chosen, source)


@pytest.mark.parametrize(("file_mpp", "noted"), [(0.25, False), (0.262, False), (0.264, True), (0.236, True), (2.5, True)])
def test_statements_that_differ_by_more_than_five_percent_are_noted(file_mpp: float, noted: bool) -> None:
    assert bool(settle_scale("a.svs", (file_mpp, file_mpp), mpp=None, csv_mpp=0.25, needed=True).notes) == noted


def test_implausible_values_are_called_so_and_not_used() -> None:
    scale = settle_scale("a.svs", (25.0, 25.0), mpp=None, csv_mpp=0.25, needed=True)
    assert scale.mpp == 0.25
    assert "25 um per pixel, which is implausible" in scale.notes[0]


def test_sides_that_differ_are_noted() -> None:
    scale = settle_scale("a.svs", (0.25, 0.30), mpp=None, csv_mpp=None, needed=True)
    assert scale.mpp == pytest.approx(0.275)
    assert "0.25 um per pixel across and 0.3 down" in scale.notes[0]


@pytest.mark.parametrize("value", [0.0, -1.0, 0.0199, 2.01, 250.0, float("nan"), float("inf")])
def test_implausible_flags_and_tables_are_usage_errors(value: float) -> None:
    with pytest.raises(ConfigError, match="--mpp"):
        settle_scale("a.svs", (0.25, 0.25), mpp=value, csv_mpp=None, needed=True)
    with pytest.raises(ConfigError, match=r"a\.svs"):
        settle_scale("a.svs", (0.25, 0.25), mpp=None, csv_mpp=value, needed=True)


def test_no_scale_anywhere_asks_for_one(tmp_path: Path) -> None:
    path = tiff(tmp_path / "blood.tif")
    with pytest.raises(MissingResolution) as caught:
        open_slide(path)
    assert str(caught.value) == "blood.tif does not say its microns per pixel. Give it with --mpp or in --slides-csv."
    assert info_of(path).mpp is None


def test_screen_resolutions_are_no_microscope_scale(tmp_path: Path) -> None:
    for dpi in (72, 96, 300):
        Image.fromarray(PIXELS).save(tmp_path / "field.png", dpi=(dpi, dpi))
        with pytest.raises(MissingResolution, match="implausible"):
            open_slide(tmp_path / "field.png")
        info = info_of(tmp_path / "field.png", mpp=0.1)
        assert (info.mpp, info.mpp_source) == (0.1, "--mpp")


@pytest.mark.parametrize(
    ("resolution", "unit", "mpp"),
    [
        ((40000, 40000), "centimeter", 0.25),
        ((101600, 101600), "inch", 0.25),
        ((4, 4), "none", None),
        ((0, 0), "centimeter", None),
        ((72, 72), "inch", None),
    ],
)
def test_tiff_resolution_units(tmp_path: Path, resolution: tuple[int, int], unit: str, mpp: float | None) -> None:
    info = info_of(tiff(tmp_path / "a.tif", resolution=resolution, resolutionunit=unit))
    assert info.mpp == (None if mpp is None else pytest.approx(mpp))
    assert info.mpp_source == (None if mpp is None else "file")


def test_a_tiff_without_a_unit_means_inches(tmp_path: Path) -> None:
    """TIFF 6.0 says so of a missing ResolutionUnit."""
    path = tiff(tmp_path / "a.tif", resolution=(101600, 101600), resolutionunit="inch")
    with tifffile.TiffFile(path, mode="r+") as file:
        tag = file.pages.first.tags[296]
        file.filehandle.seek(tag.offset)
        file.filehandle.write(b"\xff\xfd")  # a private tag nobody knows
    assert info_of(path).mpp == pytest.approx(0.25)


@pytest.mark.parametrize(("size", "unit"), [(0.25, "µm"), (250, "nm"), (0.00025, "mm"), (2500, "Å")])
def test_ome_units(tmp_path: Path, size: float, unit: str) -> None:
    metadata = {"axes": "YXS", "PhysicalSizeX": size, "PhysicalSizeXUnit": unit, "PhysicalSizeY": size, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(tmp_path / "a.ome.tif", PIXELS, photometric="rgb", metadata=metadata)
    assert info_of(tmp_path / "a.ome.tif").mpp == pytest.approx(0.25)


def test_imagej_microns(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, imagej=True, resolution=(4, 4), metadata={"unit": "um"})
    assert info_of(tmp_path / "a.tif").mpp == pytest.approx(0.25)
    tifffile.imwrite(tmp_path / "b.tif", PIXELS, imagej=True, resolution=(4, 4), metadata={"unit": "pixel"})
    assert info_of(tmp_path / "b.tif").mpp is None


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_pictures_with_a_microscopes_resolution(tmp_path: Path, suffix: str) -> None:
    fine = 25400 / 0.5
    Image.fromarray(PIXELS).save(tmp_path / f"a{suffix}", dpi=(fine, fine))
    assert info_of(tmp_path / f"a{suffix}").mpp == pytest.approx(0.5, rel=0.01)


def test_the_row_says_what_was_decided(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", resolution=(40000, 40000), resolutionunit="centimeter")
    info = info_of(path, csv_mpp=0.5, mpp=0.25)
    assert (info.mpp, info.mpp_source) == (0.5, "slides-csv")
    assert info.notes == (
        "file says 0.25 um per pixel, slides-csv says 0.5: slides-csv is used",
        "--mpp says 0.25 um per pixel, slides-csv says 0.5: slides-csv is used",
    )
