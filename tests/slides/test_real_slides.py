"""Genuine slide files: they open with the bytes that tifffile and OpenSlide give, or are refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from smearscan.errors import UnreadableSlide
from smearscan.results import Picture
from smearscan.slides import find_slides, open_slide
from smearscan.slides.orientation import ORIENTATIONS
from smearscan.testing.slides import crop_on_white, random_boxes

pytestmark = pytest.mark.data

OPENED = {
    "CMU-1-Small-Region.svs": ("tifffile (aperio)", [(2220, 2967)]),
    "boxes.tiff": ("tifffile", [(300, 250), (150, 125), (75, 62), (37, 31)]),
    "small_HE_levels.tiff": ("tifffile", [(300, 250), (150, 125), (75, 62), (37, 31)]),
    "test_orient6.tif": ("tifffile", [(180, 120), (90, 60), (45, 30)]),
    "yb10kx5k.zstd.tiff": ("tifffile", [(10000, 5000), (5000, 2500), (2500, 1250), (1250, 625), (625, 312)]),
}
REFUSED = {
    "broken.svs": "it is no slide or picture of a kind that is read here",
    "multi-channel-z-series.ome.tif": "8-bit signed numbers",
    "small_dicom.dcm": "no Image Type",
}
UNREADABLE = {"unreadable.svs": "tile 0 is damaged"}


def test_every_file_is_found_and_known_to_these_tests(data_folder: Path) -> None:
    found = find_slides([data_folder / "slides"])
    assert {slide.key for slide in found.slides} == {*OPENED, *REFUSED, *UNREADABLE}
    assert found.rejected == ()


@pytest.mark.parametrize("name", OPENED)
def test_the_same_bytes_as_tifffile(data_folder: Path, name: str) -> None:
    path = data_folder / "slides" / name
    reader, sizes = OPENED[name]
    with open_slide(path, scale_needed=False) as slide:
        assert slide.info.reader == reader
        assert [(level.width, level.height) for level in slide.info.levels] == sizes
        with tifffile.TiffFile(path) as file:
            tag = file.pages.first.tags.valueof(274, 1)
            for level, stored in zip(slide.info.levels, file.series[0].levels, strict=True):
                pixels = stored.asarray()
                rgb: Picture = np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels
                shown = ORIENTATIONS[tag].turn(rgb)
                for box in random_boxes(level.width, level.height, 6):
                    np.testing.assert_array_equal(slide.read(box, level.index), crop_on_white(shown, box))


@pytest.mark.parametrize("name", sorted(OPENED.keys() - {"test_orient6.tif"}))
def test_the_same_bytes_as_openslide(data_folder: Path, name: str) -> None:
    """The turned file is left out: OpenSlide mirrors each of its tiles in itself, which makes no picture."""
    path = data_folder / "slides" / name
    with open_slide(path, scale_needed=False) as slide, openslide.OpenSlide(path) as other:
        for level in slide.info.levels:
            width, height = min(level.width, 3000), min(level.height, 3000)
            region = np.asarray(other.read_region((0, 0), level.index, (width, height)))
            assert (region[..., 3] == 255).all()
            np.testing.assert_array_equal(slide.read((0, 0, width, height), level.index), region[..., :3])


def test_the_turned_letter_is_turned_as_pillow_turns_it(data_folder: Path) -> None:
    """The picture is an F that its tag lays on its side."""
    from PIL import Image

    path = data_folder / "slides" / "test_orient6.tif"
    with open_slide(path, scale_needed=False) as slide, Image.open(path) as image:
        np.testing.assert_array_equal(slide.read((0, 0, 180, 120))[..., 0], np.asarray(image))


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_its_own_sentence(data_folder: Path, name: str) -> None:
    with pytest.raises(UnreadableSlide) as caught:
        open_slide(data_folder / "slides" / name, scale_needed=False)
    assert str(caught.value).startswith(f"{name} cannot be opened: ")
    assert REFUSED[name] in str(caught.value)
    assert str(data_folder) not in str(caught.value)


@pytest.mark.parametrize("name", UNREADABLE)
def test_opens_and_cannot_be_read(data_folder: Path, name: str) -> None:
    with open_slide(data_folder / "slides" / name) as slide, pytest.raises(UnreadableSlide, match=UNREADABLE[name]):
        slide.read((0, 0, 16, 16))


def test_the_scale_of_the_svs(data_folder: Path) -> None:
    with open_slide(data_folder / "slides" / "CMU-1-Small-Region.svs") as slide:
        assert (slide.info.mpp, slide.info.mpp_source, slide.info.notes) == (pytest.approx(0.499), "file", ())
