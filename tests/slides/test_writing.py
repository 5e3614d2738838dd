"""The pyramid writer: every pixel where it belongs, at every level, in bounded memory."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from numpy.typing import NDArray

from smearscan.errors import OutputError
from smearscan.slides.writing import halved, level_sizes, write_picture, write_pyramid


def _slope(width: int, height: int) -> NDArray[np.uint8]:
    """A picture that JPEG keeps well and in which no two places look alike."""
    across, down = np.meshgrid(np.linspace(20, 230, width), np.linspace(230, 20, height))
    return np.dstack([across, down, (across + down) / 2]).astype(np.uint8)


def _blocks(picture: NDArray[np.uint8], block: int) -> Iterator[NDArray[np.uint8]]:
    for top in range(0, picture.shape[0], block):
        for left in range(0, picture.shape[1], block):
            yield picture[top : top + block, left : left + block]


@pytest.mark.parametrize(("width", "height"), [(2048, 1024), (2500, 1301), (1023, 3001), (300, 200), (4097, 513), (1, 1)])
@pytest.mark.parametrize("block", [256, 1024])
def test_every_level_is_the_picture_at_its_scale(width: int, height: int, block: int, tmp_path: Path) -> None:
    picture = _slope(width, height)
    path = tmp_path / "a.tif"
    write_pyramid(path, _blocks(picture, block), width, height, 0.25, block=block, quality=95)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff
        assert len(file.series) == 1
        levels = file.series[0].levels
        assert [level.shape[:2][::-1] for level in levels] == level_sizes(width, height)
        expected = picture
        for level in levels:
            assert np.abs(level.asarray().astype(int) - expected).max() <= 12
            assert level.keyframe.tile == (block // 2, block // 2)
            expected = halved(expected)


def test_openslide_reads_the_same_levels_and_the_scale(tmp_path: Path) -> None:
    picture = _slope(3000, 2200)
    path = tmp_path / "a.tif"
    write_pyramid(path, _blocks(picture, 1024), 3000, 2200, 0.23)
    with openslide.OpenSlide(path) as slide:
        assert list(slide.level_dimensions) == level_sizes(3000, 2200)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.23, rel=1e-5)
        region = np.asarray(slide.read_region((1400, 900), 0, (300, 300)))[..., :3]
    assert np.abs(region.astype(int) - picture[900:1200, 1400:1700]).max() <= 12


def test_the_scale_stands_in_centimetres_at_every_level(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_pyramid(path, _blocks(_slope(1500, 1500), 1024), 1500, 1500, 0.25)
    with tifffile.TiffFile(path) as file:
        for index in range(len(file.pages)):
            page = file.pages[index]
            assert isinstance(page, tifffile.TiffPage)
            over, under = page.tags["XResolution"].value
            assert page.tags["ResolutionUnit"].value == 3
            assert 1e4 / (over / under) == pytest.approx(0.25 * 2**index)
            assert page.tags["YResolution"].value == (over, under)


def test_the_same_blocks_give_the_same_bytes(tmp_path: Path) -> None:
    picture = _slope(1500, 1100)
    for name in ("a.tif", "b.tif"):
        write_pyramid(tmp_path / name, _blocks(picture, 1024), 1500, 1100, 0.25)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_a_source_that_breaks_leaves_no_file(tmp_path: Path) -> None:
    blocks = list(_blocks(_slope(2048, 2048), 1024))
    with pytest.raises(ValueError, match="missing"):
        write_pyramid(tmp_path / "a.tif", blocks[:-1], 2048, 2048, 0.25)
    with pytest.raises(ValueError, match="must be"):
        write_pyramid(tmp_path / "a.tif", [blocks[0][:5], *blocks[1:]], 2048, 2048, 0.25)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        write_pyramid(tmp_path / "nowhere" / "a.tif", _blocks(_slope(64, 64), 1024), 64, 64, 0.25)
    with pytest.raises(OutputError, match="nowhere"):
        write_picture(tmp_path / "nowhere" / "a.png", _slope(64, 64))


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"the one before")

    def fill_the_disk(partial: Path, data: bytes) -> int:
        partial.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", fill_the_disk)
    with pytest.raises(OutputError, match=r"a\.png cannot be written: No space left on device"):
        write_picture(path, _slope(64, 64))
    assert path.read_bytes() == b"the one before"
    assert list(tmp_path.iterdir()) == [path]


def test_plain_pictures_are_written_as_their_name_says(tmp_path: Path) -> None:
    picture = _slope(300, 200)
    for name in ("a.png", "a.jpg"):
        write_picture(tmp_path / name, picture, quality=95)
    assert (tmp_path / "a.png").read_bytes()[1:4] == b"PNG"
    assert (tmp_path / "a.jpg").read_bytes()[:2] == b"\xff\xd8"


_WRITE = """
import sys, resource
from pathlib import Path
import numpy as np
from smearscan.slides.writing import write_pyramid
side = int(sys.argv[2])
block = np.full((1024, 1024, 3), 200, np.uint8)
block[::7] = 90
blocks = (block for _ in range((side // 1024) ** 2))
write_pyramid(Path(sys.argv[1]), blocks, side, side, 0.25)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_slides_height(tmp_path: Path) -> None:
    peaks = {}
    for side in (2048, 20480):
        done = subprocess.run(
            [sys.executable, "-c", _WRITE, str(tmp_path / "a.tif"), str(side)], capture_output=True, text=True, check=True
        )
        peaks[side] = int(done.stdout) * (1 if sys.platform == "linux" else 1 / 1024) / 1024
    assert peaks[20480] < peaks[2048] + 150, peaks  # MB; the picture itself is 1258 MB
