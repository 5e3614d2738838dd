"""A level of a slide as a lazy dask array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from smearscan.results import Level
from smearscan.slides.base import CHUNK_PX, Slide

if TYPE_CHECKING:
    import dask.array


class LevelView:
    """A level that can be sliced like an array; dask asks it for one chunk at a time.

    Going through `Slide.read` gives the lazy array the same colours, orientation, white background and errors as `read`.
    tifffile's own zarr view was measured beside it and decodes no faster (benchmarks/slide_readers.py).
    """

    ndim = 3
    dtype = np.dtype(np.uint8)

    def __init__(self, slide: Slide, level: Level) -> None:
        self.slide = slide
        self.level = level
        self.shape = (level.height, level.width, 3)

    def __getitem__(self, index: tuple[slice, ...]) -> Any:
        rows, columns, *channels = index
        top, bottom, row_step = rows.indices(self.level.height)
        left, right, column_step = columns.indices(self.level.width)
        if bottom <= top or right <= left:
            picture = np.zeros((max(bottom - top, 0), max(right - left, 0), 3), np.uint8)
        else:
            picture = self.slide.read((left, top, right, bottom), self.level.index)
        return picture[(slice(None, None, row_step), slice(None, None, column_step), *channels)]


def lazy_level(slide: Slide, level: Level) -> dask.array.Array:
    """Return the level as a dask array; equal files get equal names, so that dask reads a chunk once."""
    import dask.array
    from dask.base import tokenize

    chunks = (_chunk_px(level.tile_height), _chunk_px(level.tile_width), 3)
    name = f"slide-{tokenize(str(slide.info.path.absolute()), slide.info.bytes_on_disk, slide.info.reader, level)}"
    view = LevelView(slide, level)
    from_array: Any = dask.array.from_array  # dask's own annotations are partial
    array: dask.array.Array = from_array(view, chunks=chunks, name=name, asarray=False, fancy=False, meta=np.empty((0, 0, 0), np.uint8))
    return array


def _chunk_px(tile_px: int | None) -> int:
    if tile_px is None or tile_px >= 2 * CHUNK_PX:
        return CHUNK_PX if tile_px is None else tile_px
    return tile_px * max(1, round(CHUNK_PX / tile_px))
