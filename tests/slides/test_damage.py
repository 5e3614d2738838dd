"""Damaged files: one broken tile, a cut-off file, and bytes flipped at random."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from smearscan.errors import SlideError, UnreadableSlide
from smearscan.results import Picture
from smearscan.slides import open_slide


def tiled(path: Path, picture: Picture, **options: object) -> Path:
    settings = {"photometric": "rgb", "tile": (64, 64), "compression": "zlib", "metadata": None} | options
    tifffile.imwrite(path, picture, **settings)
    return path


def break_tile(path: Path, index: int) -> None:
    """Overwrite a tile's bytes with nonsense."""
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        offset, count = page.dataoffsets[index], page.databytecounts[index]
    data = bytearray(path.read_bytes())
    data[offset : offset + count] = b"\xff\xd8\xff\xc4\x00\x01" + bytes(count - 6)
    path.write_bytes(data)


@pytest.mark.parametrize("compression", ["zlib", "lzw", "zstd", "jpeg", "jpeg2000", "webp"])
def test_one_broken_tile_does_not_spoil_the_others(tmp_path: Path, drawn: Picture, compression: str) -> None:
    path = tiled(tmp_path / "broken.tif", drawn, compression=compression)
    with open_slide(path, mpp=0.25) as slide:
        whole = slide.read((0, 0, 307, 201))
    break_tile(path, 6)  # x 64 to 128, y 64 to 128
    with open_slide(path, mpp=0.25) as slide:
        for _ in range(2):
            with pytest.raises(UnreadableSlide) as caught:
                slide.read((60, 60, 70, 70))
            assert "broken.tif" in str(caught.value)
            assert "(60, 60, 70, 70)" in str(caught.value)
            assert "tile 6" in str(caught.value)
            np.testing.assert_array_equal(slide.read((0, 0, 307, 64)), whole[:64])
            np.testing.assert_array_equal(slide.read((128, 0, 307, 201)), whole[:, 128:])


def test_openslide_reads_on_after_a_broken_tile(tmp_path: Path, aperio_writer: Callable[..., Path], drawn: Picture) -> None:
    """OpenSlide itself answers every later call with the first error."""
    path = aperio_writer(tmp_path / "broken.svs", [drawn], compression="lzw", compressionargs=None)
    break_tile(path, 6)
    with open_slide(path) as slide:
        assert slide.info.reader == "openslide (aperio)"
        for _ in range(3):
            with pytest.raises(UnreadableSlide, match=r"broken\.svs: the box \(60, 60, 70, 70\)"):
                slide.read((60, 60, 70, 70))
            np.testing.assert_array_equal(slide.read((128, 0, 307, 201)), drawn[:, 128:])


def test_a_broken_tile_of_an_svs(tmp_path: Path, aperio_writer: Callable[..., Path], drawn: Picture) -> None:
    path = aperio_writer(tmp_path / "broken.svs", [drawn])
    break_tile(path, 6)
    with open_slide(path) as slide:
        assert slide.info.reader == "tifffile (aperio)"
        with pytest.raises(UnreadableSlide, match="tile 6"):
            slide.read((60, 60, 70, 70))
        assert slide.read((128, 0, 307, 201)).mean() < 200


def test_a_lazy_array_raises_the_same_error(tmp_path: Path, drawn: Picture) -> None:
    path = tiled(tmp_path / "broken.tif", drawn)
    break_tile(path, 0)
    with open_slide(path, mpp=0.25) as slide, pytest.raises(UnreadableSlide, match="tile 0"):
        slide.pixels().compute(scheduler="synchronous")


def test_a_cut_off_file_reads_what_is_there_and_says_what_is_not(tmp_path: Path, drawn: Picture) -> None:
    path = tiled(tmp_path / "cut.tif", drawn, compression=None)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with open_slide(path, mpp=0.25) as slide:
        assert any("7 of 20 tiles or strips lie beyond the end" in note for note in slide.info.notes)
        np.testing.assert_array_equal(slide.read((0, 0, 307, 64)), drawn[:64])
        with pytest.raises(UnreadableSlide, match="beyond the end of the file"):
            slide.read((0, 150, 10, 201))


def test_a_file_that_is_all_cut_off_is_refused(tmp_path: Path, drawn: Picture) -> None:
    path = tiled(tmp_path / "cut.tif", drawn)
    with tifffile.TiffFile(path) as file:
        first = min(file.pages.first.dataoffsets)
    path.write_bytes(path.read_bytes()[: first + 3])
    with pytest.raises(UnreadableSlide, match=r"cut\.tif .*cut off"):
        open_slide(path, mpp=0.25)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "0 bytes"), (b"Dear doctor, the slide", "text that begins"), (b"II*\0\x08\0", "TIFF"), (bytes(5000), "begins with|zeros")],
)
def test_files_that_are_no_slides(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "named.svs").write_bytes(data)
    with pytest.raises(UnreadableSlide, match=reason) as caught:
        open_slide(tmp_path / "named.svs")
    assert str(caught.value).startswith("named.svs cannot be opened: ")
    assert str(tmp_path) not in str(caught.value)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSlide, match=r"gone\.svs cannot be opened: No such file"):
        open_slide(tmp_path / "gone.svs")


def test_a_file_that_goes_away_while_it_is_open(tmp_path: Path, drawn: Picture) -> None:
    path = tiled(tmp_path / "a.tif", drawn)
    with open_slide(path, mpp=0.25) as slide:
        path.unlink()
        with pytest.raises(UnreadableSlide, match=r"a\.tif: the box .* cannot be read: No such file"):
            slide.read((0, 0, 9, 9))


def test_damage_is_not_printed(tmp_path: Path, drawn: Picture) -> None:
    """tifffile logs what it finds odd, and Python shows log lines on stderr that nobody handles."""
    path = tiled(tmp_path / "odd.tif", drawn, software="a tag that can be missed")
    with tifffile.TiffFile(path) as file:
        tag = file.pages.first.tags["Software"].offset
    data = bytearray(path.read_bytes())
    data[tag + 2] = 200  # no such type
    path.write_bytes(data)
    open_it = "from smearscan.slides import open_slide; open_slide(Path(sys.argv[1]), mpp=0.25).close()"
    open_plainly = "import tifffile; tifffile.TiffFile(sys.argv[1]).close()"
    said = []
    for code in (open_it, open_plainly):
        command = [sys.executable, "-c", f"import sys; from pathlib import Path; {code}", str(path)]
        said.append(subprocess.run(command, capture_output=True, text=True, check=True).stderr)
    assert said[0] == ""
    assert "TiffTag" in said[1], "this file is to make tifffile speak"


@pytest.fixture
def writers(aperio_writer: Callable[..., Path], dicom_writer: Callable[..., Path]) -> tuple[Callable[..., Path], ...]:
    return aperio_writer, dicom_writer


WRECKS = 12  # of each format; run more by hand after a new version of a library


@pytest.mark.parametrize("kind", ["tiled", "lzw", "jpeg", "planar", "ome", "svs", "dcm", "png", "jpg", "bmp", "webp", "jp2"])
def test_random_damage_ends_as_a_slide_error(
    tmp_path: Path, kind: str, drawn: Picture, writers: tuple[Callable[..., Path], ...], capfd: pytest.CaptureFixture[str]
) -> None:
    """Flipped, zeroed and cut bytes, in the header and anywhere: the slide reads, or is refused; nothing else, and in silence."""
    whole = make(tmp_path, kind, drawn, *writers)
    rng = np.random.default_rng(5)
    outcomes = []
    for number in range(WRECKS):
        path = tmp_path / f"wreck{number}{whole.suffix}"
        path.write_bytes(wreck(whole.read_bytes(), rng))
        try:
            with open_slide(path, mpp=0.25) as slide:
                for level in slide.info.levels:
                    slide.read((0, 0, min(level.width, 300), min(level.height, 300)), level.index)
            outcomes.append("read")
        except SlideError as error:
            assert path.name in str(error)
            outcomes.append("refused")
    assert "refused" in outcomes
    assert capfd.readouterr() == ("", "")


def make(folder: Path, kind: str, drawn: Picture, aperio_writer: Callable[..., Path], dicom_writer: Callable[..., Path]) -> Path:
    from PIL import Image

    if kind == "svs":
        return aperio_writer(folder / "whole.svs", [drawn, drawn[::2, ::2]])
    if kind == "dcm":
        (folder / "alone").mkdir()
        return dicom_writer(folder / "alone" / "whole.dcm", drawn)
    if kind in ("png", "jpg", "bmp", "webp", "jp2"):
        Image.fromarray(drawn).save(folder / f"whole.{kind}")
        return folder / f"whole.{kind}"
    options: dict[str, dict[str, object]] = {
        "tiled": {},
        "lzw": {"compression": "lzw", "predictor": True, "tile": None, "rowsperstrip": 16},
        "jpeg": {"compression": "jpeg"},
        "planar": {"compression": None, "planarconfig": "separate"},
        "ome": {"ome": True, "metadata": {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}},
    }
    picture = drawn.transpose(2, 0, 1) if kind == "planar" else drawn
    return tiled(folder / "whole.tif", picture, **options[kind])


def wreck(data: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(data)
    way = rng.choice(["head", "tail", "anywhere", "zeros", "cut"])
    if way == "cut":
        return bytes(damaged[: rng.integers(1, len(damaged))])
    low, high = {"head": (0, min(len(data), 400)), "tail": (max(0, len(data) - 400), len(data))}.get(str(way), (0, len(data)))
    for position in rng.integers(low, high, rng.choice([1, 5, 20])):
        if way == "zeros":
            damaged[position : position + 30] = bytes(len(damaged[position : position + 30]))
        else:
            damaged[position] = rng.integers(256)
    return bytes(damaged)
