"""What every slide offers, whatever its file: what is known of it, lazy pixels, and boxes of pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from smearscan.errors import UnreadableSlide
from smearscan.results import Box, Level, Picture, SlideInfo
from smearscan.slides.damage import Damaged
from smearscan.slides.handles import ThreadHandles

if TYPE_CHECKING:
    import dask.array

CHUNK_PX = 1024  # a lazy array's chunks are the multiple of the file's tiles nearest to this
TRIES = 2  # a failed read is tried once more with a fresh handle: a network drive may have hiccuped


class Slide(ABC):
    """An open slide: RGB, 8 bits, as a pyramid.

    A reader fills `info` when it is made and offers the three methods below. Handles belong to the thread that reads,
    so one slide may be read by many threads, and a pickled slide opens its own in the process it comes to.
    """

    claimed_mpp: tuple[float, float] | None = None  # what the file itself says, x and y, plausible or not

    def __init__(self, info: SlideInfo) -> None:
        self.info = info
        self._closed = False
        self._prepare()

    @abstractmethod
    def _open_handle(self) -> Any:
        """Open what this thread needs to read; raises `Damaged`."""

    @staticmethod
    @abstractmethod
    def _close_handle(handle: Any) -> None:
        """Close what `_open_handle` gave; static, for it may be called when the slide is gone."""

    @abstractmethod
    def _read_inside(self, handle: Any, box: Box, level: int) -> Picture:
        """Return the pixels of a box that lies inside the level; raises `Damaged`."""

    def _prepare(self) -> None:
        """Make what does not travel through a pickle."""
        self._handles = ThreadHandles(self._open_handle, self._close_handle)

    def read(self, box: Box, level: int = 0) -> Picture:
        """Return the pixels of `box`, in pixels of that level; what lies outside the slide is white."""
        if self._closed:
            raise ValueError(f"{self.info.path.name} is closed")
        shape = self._level(level)
        left, top, right, bottom = (int(edge) for edge in box)
        if right <= left or bottom <= top:
            raise ValueError(f"the box {box} is empty")
        inside = (max(left, 0), max(top, 0), min(right, shape.width), min(bottom, shape.height))
        if inside == (left, top, right, bottom):
            return self._read_again(inside, level)
        picture = np.full((bottom - top, right - left, 3), 255, np.uint8)
        if inside[0] < inside[2] and inside[1] < inside[3]:
            target = picture[inside[1] - top : inside[3] - top, inside[0] - left : inside[2] - left]
            target[...] = self._read_again(inside, level)
        return picture

    def _read_again(self, box: Box, level: int) -> Picture:
        for attempt in range(1, TRIES + 1):
            try:
                return self._read_inside(self._handles.get(), box, level)
            except Damaged as damage:
                self._handles.drop()
                if attempt == TRIES:
                    raise UnreadableSlide(f"{self.info.path.name}: the box {box} of level {level} cannot be read: {damage}.") from damage
        raise AssertionError("unreachable")

    def pixels(self, level: int = 0) -> dask.array.Array:
        """Return the level as a lazy array (height, width, 3) of uint8, in chunks of whole tiles of the file."""
        from smearscan.slides.lazy import lazy_level

        return lazy_level(self, self._level(level))

    def _level(self, level: int) -> Level:
        if not 0 <= level < len(self.info.levels):
            raise ValueError(f"{self.info.path.name} has levels 0 to {len(self.info.levels) - 1}, not {level}")
        return self.info.levels[level]

    def close(self) -> None:
        """Close the handles of all threads; nothing can be read afterwards."""
        self._closed = True
        self._handles.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_handles"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()
