"""TIFF in all its layouts, through tifffile and imagecodecs.

tifffile's structure and decoders are used, not its zarr view: the view was measured to decode no faster, and it knows nothing
of orientation, palettes or a broken tile among good ones. Each tile or strip that a box touches is read and decoded by
the thread that asked; decoding leaves Python's lock, so reader threads gain.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from smearscan.results import Box, Level, Picture, SlideInfo
from smearscan.slides.base import Slide
from smearscan.slides.damage import Damaged, library_call
from smearscan.slides.tiff_layout import TiffLayout, read_layout
from smearscan.slides.tiff_segments import Segment, decode, read_raw, segments_of
from smearscan.slides.tile_cache import TileCache

CACHE_BYTES = 96 << 20  # decoded tiles that the next box, overlapping by its margin, asks for again


class TiffSlide(Slide):
    """A TIFF file."""

    def __init__(self, path: Path, layout: TiffLayout, *, reader: str = "tifffile") -> None:
        self._layout: TiffLayout | None = layout
        self.claimed_mpp = layout.claimed_mpp
        super().__init__(_info(path, layout, reader))

    def _prepare(self) -> None:
        super()._prepare()
        self._layout_lock = threading.Lock()
        self._cache = TileCache(CACHE_BYTES)

    def __getstate__(self) -> dict[str, Any]:
        # tifffile's decode functions are closures: the process that unpickles reads the structure itself.
        return {name: value for name, value in super().__getstate__().items() if name not in ("_layout_lock", "_cache")} | {"_layout": None}

    def _open_handle(self) -> Any:
        with self._layout_lock:
            if self._layout is None:
                self._layout = read_layout(self.info.path)
        with library_call("the file is not there any more"):
            return self.info.path.open("rb")

    @staticmethod
    def _close_handle(handle: Any) -> None:
        handle.close()

    def close(self) -> None:
        super().close()
        self._cache.clear()

    def _read_inside(self, handle: Any, box: Box, level: int) -> Picture:
        layout = self._layout
        assert layout is not None, "a handle is opened after the layout"
        shown, stored = self.info.levels[level], layout.levels[level]
        left, top, right, bottom = layout.orientation.stored_box(box, shown.width, shown.height)
        samples = np.empty((bottom - top, right - left, stored.samples if len(stored.planes) == 1 else len(stored.planes)), np.uint8)
        for segment in segments_of(stored, (left, top, right, bottom)):
            x0, y0, x1, y1 = segment.covered
            self._fill(samples[y0 - top : y1 - top, x0 - left : x1 - left], handle, segment, level)
        return np.ascontiguousarray(layout.orientation.turn(stored.colours.to_rgb(samples)))

    def _fill(self, target: NDArray[np.uint8], file: BinaryIO, segment: Segment, level: int) -> None:
        """Write the pixels of a segment to their place, `target`."""
        stored = segment.stored
        apart = stored.separate or len(stored.planes) > 1
        channels = slice(segment.channel, segment.channel + 1) if apart else slice(None)
        if segment.is_missing:
            target[..., channels] = stored.colours.blank(target.shape[2])[channels]
        elif stored.is_raw:
            target[..., channels] = read_raw(file, segment)
        else:
            key = (level, segment.channel, segment.index)
            decoded = self._cache.get_or_make(key, stored.segment_width * stored.segment_height, lambda: decode(file, segment))
            place = target[..., channels]
            if decoded.shape[2] != place.shape[2]:
                raise Damaged(f"tile {segment.index} decodes to {decoded.shape[2]} channels where {place.shape[2]} are due")
            place[...] = decoded[segment.rows, segment.columns]


def _info(path: Path, layout: TiffLayout, reader: str) -> SlideInfo:
    levels: list[Level] = []
    for index, stored in enumerate(layout.levels):
        width, height = layout.orientation.shown_size(stored.width, stored.height)
        tile = layout.orientation.shown_size(stored.segment_width, stored.segment_height) if stored.is_tiled else (None, None)
        first = levels[0] if levels else None
        downsample = (first.width / width + first.height / height) / 2 if first else 1.0
        levels.append(Level(index, width, height, downsample, *tile))
    return SlideInfo(
        path=path,
        reader=reader,
        width=levels[0].width,
        height=levels[0].height,
        mpp=None,
        mpp_source=None,
        levels=tuple(levels),
        notes=layout.notes,
        bytes_on_disk=path.stat().st_size,
    )
