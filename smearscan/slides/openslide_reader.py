"""The scanner makers' own formats, through OpenSlide."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from smearscan.results import Box, Level, Picture, SlideInfo
from smearscan.slides.base import Slide
from smearscan.slides.colours import lay_on_white
from smearscan.slides.damage import Damaged, library_call
from smearscan.slides.side_files import bytes_on_disk
from smearscan.slides.tile_cache import TileCache

CACHE_BYTES = 32 << 20  # each handle's own cache of decoded tiles
BLOCK_PX = 512  # side of the blocks in which uneven levels are read
BLOCK_CACHE_BYTES = 32 << 20


class OpenSlideSlide(Slide):
    """A file of a vendor that OpenSlide knows; its label and macro images are never asked for."""

    def __init__(self, path: Path, vendor: str) -> None:
        self._path = path
        handle = _open(path)
        try:
            info, self.claimed_mpp = _info(path, vendor, handle)
        finally:
            handle.close()
        super().__init__(info)

    def _prepare(self) -> None:
        super()._prepare()
        self._cache = TileCache(BLOCK_CACHE_BYTES)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_cache"}

    def _open_handle(self) -> Any:
        return _open(self._path)

    @staticmethod
    def _close_handle(handle: Any) -> None:
        handle.close()

    def _read_inside(self, handle: Any, box: Box, level: int) -> Picture:
        downsample = self.info.levels[level].downsample
        if downsample.is_integer():
            return _read_region(handle, box, level, downsample)
        left, top, right, bottom = box
        picture = np.empty((bottom - top, right - left, 3), np.uint8)
        for block in self._blocks(box, level):
            pixels = self._cache.get_or_make((level, *block[:2]), BLOCK_PX**2, partial(_read_region, handle, block, level, downsample))
            x0, y0, x1, y1 = max(left, block[0]), max(top, block[1]), min(right, block[2]), min(bottom, block[3])
            picture[y0 - top : y1 - top, x0 - left : x1 - left] = pixels[y0 - block[1] : y1 - block[1], x0 - block[0] : x1 - block[0]]
        return picture

    def _blocks(self, box: Box, level: int) -> Iterator[Box]:
        """Yield the blocks of a fixed grid that a box touches.

        OpenSlide takes a region's corner in whole level-0 pixels. Where a level is not exactly 2, 4, ... times smaller, that
        corner lies between two pixels of the level, and OpenSlide blends them: the same pixel would differ from box to box.
        """
        shape = self.info.levels[level]
        for top in range(box[1] // BLOCK_PX * BLOCK_PX, box[3], BLOCK_PX):
            for left in range(box[0] // BLOCK_PX * BLOCK_PX, box[2], BLOCK_PX):
                yield left, top, min(left + BLOCK_PX, shape.width), min(top + BLOCK_PX, shape.height)


def _read_region(handle: Any, box: Box, level: int, downsample: float) -> Picture:
    left, top, right, bottom = box
    corner = (round(left * downsample), round(top * downsample))
    with library_call("OpenSlide cannot decode it", _error_class()):
        region = np.asarray(handle.read_region(corner, level, (right - left, bottom - top)))
    return lay_on_white(region[..., :3], region[..., 3])


def vendor_of(path: Path) -> str | None:
    """Return OpenSlide's name of the vendor, None where it does not know the file."""
    import openslide

    with library_call("OpenSlide cannot look at it", openslide.OpenSlideError):
        vendor = openslide.OpenSlide.detect_format(str(path))
    return None if vendor is None else str(vendor)


def _error_class() -> type[Exception]:
    import openslide

    error: type[Exception] = openslide.OpenSlideError
    return error


def _open(path: Path) -> Any:
    import openslide

    with library_call("OpenSlide cannot open it", openslide.OpenSlideError):
        slide = openslide.OpenSlide(str(path))
        slide.set_cache(openslide.OpenSlideCache(CACHE_BYTES))
    return slide


def _info(path: Path, vendor: str, handle: Any) -> tuple[SlideInfo, tuple[float, float] | None]:
    with library_call("OpenSlide cannot describe it", _error_class()):
        properties = dict(handle.properties)
        sizes = list(handle.level_dimensions)
        downsamples = list(handle.level_downsamples)
    levels = tuple(
        Level(
            index,
            width,
            height,
            float(downsample),
            _whole(properties.get(f"openslide.level[{index}].tile-width")),
            _whole(properties.get(f"openslide.level[{index}].tile-height")),
        )
        for index, ((width, height), downsample) in enumerate(zip(sizes, downsamples, strict=True))
    )
    if not levels or min(min(size) for size in sizes) < 1:
        raise Damaged("it holds no picture")
    across, down = (_positive(properties.get(f"openslide.mpp-{axis}")) for axis in "xy")
    info = SlideInfo(
        path=path,
        reader=f"openslide ({vendor})",
        width=levels[0].width,
        height=levels[0].height,
        mpp=None,
        mpp_source=None,
        levels=levels,
        bounds_left=_whole(properties.get("openslide.bounds-x")) or 0,
        bounds_top=_whole(properties.get("openslide.bounds-y")) or 0,
        bytes_on_disk=bytes_on_disk(path),
    )
    return info, None if across is None or down is None else (across, down)


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.lstrip("-").isdecimal() else None


def _positive(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else 0.0
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
