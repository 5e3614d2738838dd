"""What is not plain RGB in a TIFF: made RGB, or refused with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps

from smearscan.errors import UnreadableSlide
from smearscan.results import Picture
from smearscan.slides import open_slide
from smearscan.slides.colours import from_ycbcr, lay_on_white

SHAPE = (90, 130)


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write(path: Path, data: NDArray[Any], **options: Any) -> Path:
    tifffile.imwrite(path, data, **({"metadata": None, "tile": (32, 32), "compression": "zlib"} | options))
    return path


def read_all(path: Path) -> Picture:
    with open_slide(path, scale_needed=False) as slide:
        return slide.read((0, 0, slide.info.width, slide.info.height))


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableSlide) as caught:
        open_slide(path, scale_needed=False)
    return str(caught.value)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_orientations(tmp_path: Path, orientation: int) -> None:
    stored = noise(*SHAPE, 3)
    path = write(tmp_path / "turned.tif", stored, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    image = Image.fromarray(stored)
    image.getexif()[274] = orientation
    shown = np.asarray(ImageOps.exif_transpose(image))
    with open_slide(path, scale_needed=False) as slide:
        assert (slide.info.height, slide.info.width) == shown.shape[:2]
        np.testing.assert_array_equal(slide.read((0, 0, slide.info.width, slide.info.height)), shown)
        np.testing.assert_array_equal(slide.read((17, 5, 70, 60)), shown[5:60, 17:70])


def test_turned_tiles_have_turned_sizes(tmp_path: Path) -> None:
    path = write(tmp_path / "turned.tif", noise(*SHAPE, 3), photometric="rgb", tile=(32, 64), extratags=[(274, "H", 1, 6, True)])
    with open_slide(path, scale_needed=False) as slide:
        assert (slide.info.levels[0].tile_width, slide.info.levels[0].tile_height) == (32, 64)


def test_grey_is_widened(tmp_path: Path) -> None:
    grey = noise(*SHAPE)
    np.testing.assert_array_equal(read_all(write(tmp_path / "a.tif", grey, photometric="minisblack")), np.stack([grey] * 3, axis=-1))


def test_inverted_grey(tmp_path: Path) -> None:
    grey = noise(*SHAPE)
    np.testing.assert_array_equal(read_all(write(tmp_path / "a.tif", grey, photometric="miniswhite")), np.stack([255 - grey] * 3, axis=-1))


def test_palette(tmp_path: Path) -> None:
    colours, indices = noise(256, 3, seed=1), noise(*SHAPE)
    colormap = (colours.T.astype(np.uint16) << 8) | colours.T
    path = write(tmp_path / "a.tif", indices, photometric="palette", colormap=colormap)
    np.testing.assert_array_equal(read_all(path), colours[indices])


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_alpha_is_laid_on_white(tmp_path: Path, kind: str) -> None:
    colours, alpha = noise(*SHAPE, 3), noise(*SHAPE, seed=2)
    alpha[:30], alpha[30:60] = 0, 255
    share = alpha[..., None] / 255
    stored = colours if kind == "unassalpha" else np.rint(colours * share).astype(np.uint8)
    path = write(tmp_path / "a.tif", np.dstack([stored, alpha]), photometric="rgb", extrasamples=[kind])
    read = read_all(path)
    assert (read[:30] == 255).all()
    np.testing.assert_array_equal(read[30:60], colours[30:60])
    assert np.abs(read - (colours * share + 255 * (1 - share))).max() <= (0.51 if kind == "unassalpha" else 1.01)


def test_grey_with_alpha(tmp_path: Path) -> None:
    grey, alpha = noise(*SHAPE), np.full(SHAPE, 255, np.uint8)
    alpha[:40] = 0
    path = write(tmp_path / "a.tif", np.dstack([grey, alpha]), photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"])
    read = read_all(path)
    assert (read[:40] == 255).all()
    np.testing.assert_array_equal(read[40:, :, 1], grey[40:])


def test_a_fourth_channel_of_unknown_meaning_is_left_out_and_said(tmp_path: Path) -> None:
    four = noise(*SHAPE, 4)
    path = write(tmp_path / "a.tif", four, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(read_all(path), four[..., :3])
    with open_slide(path, scale_needed=False) as slide:
        assert any("left out" in note for note in slide.info.notes)


def test_laying_on_white_rounds_to_nearest() -> None:
    colours, alpha = np.meshgrid(np.arange(256), np.arange(256))
    laid = lay_on_white(np.stack([colours] * 3, axis=-1).astype(np.uint8), alpha.astype(np.uint8))
    exact = (colours * alpha + 255 * (255 - alpha)) / 255
    assert np.abs(laid[..., 0] - exact).max() <= 0.5


def test_uncompressed_ycbcr_is_turned_to_rgb(tmp_path: Path) -> None:
    colours = noise(*SHAPE, 3)
    stored = np.asarray(Image.fromarray(colours).convert("YCbCr"))
    path = write(tmp_path / "a.tif", stored, photometric="ycbcr", subsampling=(1, 1), extratags=[(530, "H", 2, (1, 1), True)])
    read = read_all(path).astype(int)
    assert np.abs(read - np.asarray(Image.fromarray(stored, mode="YCbCr").convert("RGB"))).max() <= 1


def test_ycbcr_of_the_primary_colours() -> None:
    red_green_blue = np.array([[[76, 85, 255], [150, 44, 21], [29, 255, 107]]], np.uint8)
    assert np.abs(from_ycbcr(red_green_blue).astype(int) - np.eye(3, dtype=int)[None] * 255).max() <= 2


@pytest.mark.parametrize(
    ("data", "options", "reason"),
    [
        (np.zeros((64, 64, 3), np.uint16), {"photometric": "rgb"}, "16-bit"),
        (np.zeros((64, 64, 3), np.float32), {"photometric": "rgb"}, "32-bit floating-point"),
        (np.zeros((64, 64), np.int8), {"photometric": "minisblack"}, "8-bit signed"),
        (np.zeros((64, 64), bool), {"photometric": "minisblack", "tile": None, "compression": None}, "1-bit"),
        (np.zeros((64, 64, 4), np.uint8), {"photometric": "separated"}, "CMYK"),
        (np.zeros((64, 64, 3), np.uint8), {"photometric": "cielab"}, "CIE Lab"),
        (np.zeros((64, 64, 7), np.uint8), {"photometric": "minisblack", "planarconfig": "contig"}, "7 channels"),
        (np.zeros((4, 64, 64, 3), np.uint8), {"photometric": "rgb"}, "4 pictures of the same size"),
    ],
)
def test_refusals_say_why(tmp_path: Path, data: NDArray[Any], options: dict[str, Any], reason: str) -> None:
    message = refusal(write(tmp_path / "odd.tif", data, **options))
    assert message.startswith("odd.tif cannot be opened: ")
    assert reason in message
    assert "save" in message


def ome(path: Path, data: NDArray[Any], axes: str, **metadata: Any) -> Path:
    tifffile.imwrite(path, data, ome=True, photometric="rgb" if axes.endswith("S") else "minisblack", metadata={"axes": axes} | metadata)
    return path


@pytest.mark.parametrize(("planes", "used"), [(7, 4), (4, 3), (2, 2)])
def test_the_middle_plane_of_a_z_stack_is_used_and_said(tmp_path: Path, planes: int, used: int) -> None:
    stack = noise(planes, *SHAPE, 3)
    path = ome(tmp_path / "stack.ome.tif", stack, "ZYXS")
    np.testing.assert_array_equal(read_all(path), stack[used - 1])
    with open_slide(path, scale_needed=False) as slide:
        assert f"z-stack of {planes} planes: plane {used} is used" in slide.info.notes


def test_three_channels_are_red_green_and_blue(tmp_path: Path) -> None:
    stack = noise(3, 5, *SHAPE)
    path = ome(tmp_path / "channels.ome.tif", stack, "CZYX")
    np.testing.assert_array_equal(read_all(path), stack[:, 2].transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("data", "axes", "metadata", "reason"),
    [
        (noise(4, 64, 64), "CYX", {}, "4 channels"),
        (noise(3, 64, 64), "TYX", {}, "time series of 3"),
        (noise(3, 64, 64), "CYX", {"Channel": {"EmissionWavelength": [461, 520, 610]}}, "fluorescence"),
        (noise(3, 64, 64), "CYX", {"Channel": {"Color": [65535, 16711935, -16776961]}}, "colours of their own"),
    ],
)
def test_channels_that_are_no_rgb_are_refused(tmp_path: Path, data: NDArray[Any], axes: str, metadata: dict[str, Any], reason: str) -> None:
    assert reason in refusal(ome(tmp_path / "stains.ome.tif", data, axes, **metadata))


def test_empty_tiles_are_white_glass(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    drawn = noise(32, 32, 3)
    tiles = (drawn.tobytes() if index == 1 else b"" for index in range(4))
    tifffile.imwrite(path, tiles, shape=(64, 64, 3), dtype=np.uint8, photometric="rgb", tile=(32, 32), compression=None, metadata=None)
    expected = np.full((64, 64, 3), 255, np.uint8)
    expected[:32, 32:] = drawn
    np.testing.assert_array_equal(read_all(path), expected)


def test_a_thumbnail_before_the_slide_is_not_taken_for_it(tmp_path: Path) -> None:
    path, slide_pixels = tmp_path / "thumbnail_first.tif", noise(256, 512, 3)
    with tifffile.TiffWriter(path) as writer:
        writer.write(noise(60, 100, 3), photometric="rgb", metadata=None)
        writer.write(slide_pixels, photometric="rgb", tile=(64, 64), metadata=None, resolution=(40000, 40000), resolutionunit="centimeter")
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read((0, 0, 512, 256)), slide_pixels)
        assert slide.info.mpp == pytest.approx(0.25)
        assert slide.info.notes == ("picture 2 of 2 in the file is the largest and is used",)


def test_label_and_thumbnail_pages_are_no_levels(tmp_path: Path) -> None:
    """A square label and a thumbnail of another shape stand among the pages, as scanners write them."""
    path = tmp_path / "with_label.tif"
    first = noise(256, 512, 3)
    with tifffile.TiffWriter(path) as writer:
        writer.write(first, photometric="rgb", tile=(64, 64), metadata=None)
        writer.write(first[::2, ::2], photometric="rgb", tile=(64, 64), subfiletype=1, metadata=None)
        writer.write(noise(100, 100, 3), photometric="rgb", tile=(64, 64), subfiletype=1, metadata=None)
        writer.write(noise(90, 70, 3), photometric="rgb", subfiletype=1, metadata=None)
    with open_slide(path, scale_needed=False) as slide:
        assert [(level.width, level.height) for level in slide.info.levels] == [(512, 256), (256, 128)]
