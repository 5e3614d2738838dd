"""Every format that can be written here is written and read back, by random boxes at every level."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from smearscan.results import Picture
from smearscan.slides import Slide, open_slide
from smearscan.testing.slides import SlideContract

WIDTH, HEIGHT = 333, 262
Writer = Callable[[Path, Sequence[Picture]], Sequence[Picture]]


def draw(width: int = WIDTH, height: int = HEIGHT) -> Picture:
    """A picture without symmetry whose channels differ everywhere."""
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(3)
    channels = [x * 255 / width, y * 255 / height, 127 + 120 * np.sin(x / 40 + y / 29)]
    noise = rng.integers(-9, 10, (height, width, 3))
    picture: Picture = np.clip(np.stack(channels, axis=-1) + noise, 0, 255).astype(np.uint8)
    return picture


def pyramid() -> list[Picture]:
    first = draw()
    return [first, np.ascontiguousarray(first[:-1:2, :-1:2][:131, :166]), np.ascontiguousarray(first[::4, ::4][:65, :83])]


def tiff(**options: Any) -> Writer:
    """Write a pyramid as sub-images of the first page; the truth is what tifffile reads of it."""

    def write(path: Path, levels: Sequence[Picture]) -> Sequence[Picture]:
        settings: dict[str, Any] = {"photometric": "rgb", "tile": (64, 48), "metadata": None} | options
        big = settings.pop("bigtiff", False)
        ome = settings.pop("ome", False)
        if ome:
            settings["metadata"] = {"axes": "YXS"}
        separate = settings.get("planarconfig") == "separate"
        with tifffile.TiffWriter(path, bigtiff=big, ome=ome) as writer:
            for index, level in enumerate(levels):
                data = level.transpose(2, 0, 1) if separate else level
                if index == 0:
                    writer.write(data, subifds=len(levels) - 1, **settings)
                else:
                    writer.write(data, subfiletype=1, **(settings | {"metadata": None}))
        with tifffile.TiffFile(path) as file:
            read = [np.asarray(level.asarray()) for level in file.series[0].levels]
        return [level.transpose(1, 2, 0) if separate else level for level in read]

    return write


def flat_tiff(path: Path, levels: Sequence[Picture]) -> Sequence[Picture]:
    """Write a pyramid as pages one after the other, as libvips does."""
    with tifffile.TiffWriter(path) as writer:
        for index, level in enumerate(levels):
            writer.write(level, photometric="rgb", tile=(64, 64), subfiletype=int(index > 0), metadata=None, compression="zlib")
    return levels


def one_strip(path: Path, levels: Sequence[Picture]) -> Sequence[Picture]:
    tifffile.imwrite(path, levels[0], photometric="rgb", rowsperstrip=HEIGHT, metadata=None)
    return levels[:1]


def picture(suffix_format: str, **options: Any) -> Writer:
    """Write a plain picture with Pillow; the truth is what Pillow reads of it."""

    def write(path: Path, levels: Sequence[Picture]) -> Sequence[Picture]:
        Image.fromarray(levels[0]).save(path, format=suffix_format, **options)
        with Image.open(path) as image:
            return [np.asarray(image)]

    return write


def ome_zarr(version: str) -> Writer:
    def write(path: Path, levels: Sequence[Picture]) -> Sequence[Picture]:
        root = zarr.open_group(store=str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
        datasets = []
        for index, level in enumerate(levels):
            data = level.transpose(2, 0, 1)[None, :, None]
            root.create_array(str(index), data=data, chunks=(1, 1, 1, 50, 70))
            scale = [1, 1, 1, 0.25 * 2**index, 0.25 * 2**index]
            datasets.append({"path": str(index), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
        axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}] + [
            {"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"
        ]
        multiscales: list[dict[str, Any]] = [{"axes": axes, "datasets": datasets, "name": "drawn"}]
        if version == "0.4":
            root.attrs["multiscales"] = [multiscales[0] | {"version": version}]
        else:
            root.attrs["ome"] = {"version": version, "multiscales": multiscales}
        return levels

    return write


LOSSLESS_JPEG2000 = {"irreversible": False, "quality_mode": "dB", "quality_layers": [0]}
FORMATS: dict[str, tuple[str, Writer]] = {
    "tiled": ("a.tif", tiff()),
    "flat pyramid": ("a.tif", flat_tiff),
    "striped": ("a.tif", tiff(tile=None, rowsperstrip=7)),
    "striped, LZW": ("a.tif", tiff(tile=None, rowsperstrip=16, compression="lzw", predictor=True)),
    "one strip": ("a.tif", one_strip),
    "BigTIFF": ("a.btf", tiff(bigtiff=True)),
    "big-endian": ("a.tif", tiff(compression="zlib", predictor=True)),
    "planar": ("a.tif", tiff(planarconfig="separate")),
    "planar, Zstandard": ("a.tif", tiff(planarconfig="separate", compression="zstd")),
    "planar, striped": ("a.tif", tiff(planarconfig="separate", tile=None, rowsperstrip=10)),
    "JPEG": ("a.tif", tiff(compression="jpeg", compressionargs={"level": 85})),
    "JPEG, RGB inside": ("a.tif", tiff(compression="jpeg", compressionargs={"level": 85, "outcolorspace": "rgb"})),
    "JPEG, 4:2:0": ("a.tif", tiff(compression="jpeg", subsampling=(2, 2), tile=(64, 64))),
    "JPEG 2000": ("a.tif", tiff(compression="jpeg2000", tile=(64, 64))),
    "JPEG XL": ("a.tif", tiff(compression="jpegxl", tile=(64, 64))),
    "WebP": ("a.tif", tiff(compression="webp", compressionargs={"lossless": True}, tile=(64, 64))),
    "LZW": ("a.tif", tiff(compression="lzw", predictor=True)),
    "Deflate": ("a.tif", tiff(compression="zlib")),
    "PackBits": ("a.tif", tiff(compression="packbits")),
    "LZMA": ("a.tif", tiff(compression="lzma")),
    "Zstandard": ("a.tif", tiff(compression="zstd", predictor=True)),
    "LERC": ("a.tif", tiff(compression="lerc")),
    "OME-TIFF": ("a.ome.tif", tiff(ome=True, compression="zlib")),
    "OME-Zarr 0.4": ("a.ome.zarr", ome_zarr("0.4")),
    "OME-Zarr 0.5": ("a.zarr", ome_zarr("0.5")),
    "PNG": ("a.png", picture("PNG")),
    "BMP": ("a.bmp", picture("BMP")),
    "JPEG picture": ("a.jpg", picture("JPEG", quality=90)),
    "JPEG 2000 picture": ("a.jp2", picture("JPEG2000", **LOSSLESS_JPEG2000)),
    "WebP picture": ("a.webp", picture("WEBP", lossless=True)),
}
LOSSY = ("JPEG, 4:2:0", "JPEG", "JPEG, RGB inside", "JPEG picture", "JPEG XL", "JPEG 2000")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Sequence[Picture]]]:
    """Every format, written once for all tests of this file."""
    made = {}
    for number, (name, (file_name, write)) in enumerate(FORMATS.items()):
        folder = tmp_path_factory.mktemp(f"format{number}")
        path = folder / file_name
        made[name] = (path, write(path, pyramid()))
    return made


@pytest.mark.parametrize("name", FORMATS)
class TestFormat(SlideContract):
    boxes = 8

    @pytest.fixture
    def slide(self, name: str, written: dict[str, tuple[Path, Sequence[Picture]]]) -> Iterator[Slide]:
        with open_slide(written[name][0], mpp=0.25) as slide:
            yield slide

    @pytest.fixture
    def truth(self, name: str, written: dict[str, tuple[Path, Sequence[Picture]]]) -> Sequence[Picture]:
        return written[name][1]

    def test_truth_is_what_was_drawn(self, name: str, truth: Sequence[Picture]) -> None:
        """The other library's reading, which is the truth here, must itself be near what was written."""
        for drawn, level in zip(pyramid(), truth, strict=False):
            difference = np.abs(drawn.astype(int) - level)
            assert difference.mean() < (8 if name in LOSSY else 1e-9)


def test_the_writers_write_what_they_say(written: dict[str, tuple[Path, Sequence[Picture]]]) -> None:
    """A format that falls back to another in the library would test nothing."""
    codecs = {"JPEG": 7, "JPEG 2000": 34712, "LZW": 5, "Deflate": 8, "PackBits": 32773, "LZMA": 34925, "Zstandard": 50000, "WebP": 50001}
    for name, code in codecs.items():
        with tifffile.TiffFile(written[name][0]) as file:
            assert int(file.pages.first.compression) == code
            assert len(file.series[0].levels) == 3
    with tifffile.TiffFile(written["JPEG, 4:2:0"][0]) as file:
        assert file.pages.first.is_subsampled
    with tifffile.TiffFile(written["planar"][0]) as file:
        assert int(file.pages.first.planarconfig) == 2
    with tifffile.TiffFile(written["BigTIFF"][0]) as file:
        assert file.is_bigtiff
    assert imagecodecs.JPEGXL.available
