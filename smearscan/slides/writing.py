"""Writes a slide of any size in bounded memory: a tiled, JPEG-compressed, pyramidal BigTIFF.

Blocks come in row order; each is encoded as it arrives. What waits for its turn is encoded, not raw, and the lower
levels wait in a temporary file, so that memory grows with the slide's width and not with its area.
The layout is the one that OpenSlide reads as a generic tiled TIFF and tifffile as a pyramid: one page a level,
every page after the first marked as a reduced image.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import imagecodecs
import numpy as np
import tifffile

from smearscan.errors import OutputError
from smearscan.results import Picture

SMALLEST_SIDE = 512  # the pyramid ends with the first level that is no longer than this


def level_sizes(width: int, height: int) -> list[tuple[int, int]]:
    """Return width and height of every level: each is half of the one before it, rounded up."""
    sizes = [(width, height)]
    while max(sizes[-1]) > SMALLEST_SIDE:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


def write_pyramid(
    path: Path, blocks: Iterable[Picture], width: int, height: int, mpp: float, *, block: int = 1024, quality: int = 80
) -> None:
    """Write `blocks`, the slide's squares of side `block` in row order (cut off at the right and bottom edge).

    A tile of the file is half as long as a block, so that a row of blocks is a whole row of level 1's tiles.
    The file appears under its name only when it is whole. `quality` is JPEG's, 1 to 100.
    """
    if block % 32:
        raise ValueError(f"block {block} must be a multiple of 32: a tile is half of it, and TIFF wants tiles in multiples of 16")
    tile = block // 2
    with _whole_file(path) as partial, tempfile.TemporaryFile(dir=path.parent) as spool, tifffile.TiffWriter(partial, bigtiff=True) as file:
        levels = [_Level(*size, tile, quality, spool) for size in level_sizes(width, height)]
        _write_level(file, _encode(iter(blocks), levels, block), levels[0], mpp, reduced=False)
        for index, level in enumerate(levels[1:], 1):
            _write_level(file, level.tiles(), level, mpp * 2**index, reduced=True)


def write_picture(path: Path, picture: Picture, *, quality: int = 90) -> None:
    """Write a plain JPEG or PNG, as a camera on a microscope does: no levels, no scale."""
    if path.suffix.lower() == ".png":
        encoded = imagecodecs.png_encode(picture, level=9)
    else:
        encoded = imagecodecs.jpeg8_encode(
            picture, level=quality, colorspace="RGB", outcolorspace="YCBCR", subsampling="420", optimize=True
        )
    with _whole_file(path) as partial:
        partial.write_bytes(encoded)


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """Give the name to write under; the file gets its own when the block ends well, and is gone otherwise."""
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}. Choose another place, or make room.") from error
    finally:
        with suppress(OSError):  # of a folder that may not be looked into, nothing is to be taken away
            partial.unlink(missing_ok=True)


def _write_level(file: tifffile.TiffWriter, tiles: Iterator[bytes], level: _Level, mpp: float, *, reduced: bool) -> None:
    file.write(
        tiles,
        shape=(level.height, level.width, 3),
        dtype=np.uint8,
        tile=(level.tile, level.tile),
        photometric="ycbcr",
        subsampling=(2, 2),
        compression="jpeg",
        subfiletype=1 if reduced else 0,
        resolution=(1e4 / mpp, 1e4 / mpp),
        resolutionunit="CENTIMETER",
        software="smearscan",
        metadata=None,
    )


@dataclass
class _Level:
    """One level in the making: a row of tiles that fills up, and the encoded tiles that are ready."""

    width: int
    height: int
    tile: int
    quality: int
    spool: IO[bytes]

    def __post_init__(self) -> None:
        self.across = -(-self.width // self.tile)
        self._index: list[tuple[int, int]] = []  # place and length of the encoded tiles in the spool
        self._row = np.zeros((0, 0, 3), np.uint8)
        self.filled = 0

    def encode(self, picture: Picture) -> bytes:
        """Encode a tile; one that hangs over the slide's edge repeats its last pixels, which JPEG likes best."""
        down, right = self.tile - picture.shape[0], self.tile - picture.shape[1]
        if down or right:
            picture = np.pad(picture, ((0, down), (0, right), (0, 0)), "edge")
        encoded = imagecodecs.jpeg8_encode(
            np.ascontiguousarray(picture), level=self.quality, colorspace="RGB", outcolorspace="YCBCR", subsampling="420", optimize=True
        )
        return bytes(encoded)

    def put(self, picture: Picture, left: int, top: int) -> None:
        """Lay a picture into the row of tiles that is being filled."""
        if not self._row.size:
            self._row = np.zeros((self.tile, self.width, 3), np.uint8)
        self._row[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        self.filled = top + picture.shape[0]

    def take_row(self) -> Picture:
        """Encode the row of tiles and return it, for the next level."""
        row = self._row[: self.filled]
        for column in range(self.across):
            encoded = self.encode(row[:, column * self.tile : (column + 1) * self.tile])
            self._index.append((self.spool.seek(0, 2), len(encoded)))
            self.spool.write(encoded)
        self.filled = 0
        return row

    def tiles(self) -> Iterator[bytes]:
        """Return the encoded tiles in row order."""
        for place, length in self._index:
            self.spool.seek(place)
            yield self.spool.read(length)


def _encode(blocks: Iterator[Picture], levels: list[_Level], block: int) -> Iterator[bytes]:
    """Yield level 0's tiles in row order, and feed the lower levels while the blocks pass by."""
    base, lower = levels[0], levels[1:]
    columns, rows = -(-base.width // block), -(-base.height // block)
    for row in range(rows):
        lines: dict[int, list[bytes]] = {}
        for column in range(columns):
            picture = next(blocks, None)
            size = (min(block, base.height - row * block), min(block, base.width - column * block), 3)
            if picture is None or picture.shape != size:
                raise ValueError(f"block {column}, {row} must be {size}, not {'missing' if picture is None else picture.shape}")
            for top in range(0, size[0], base.tile):
                line = lines.setdefault(top, [])
                line += [base.encode(picture[top : top + base.tile, left : left + base.tile]) for left in range(0, size[1], base.tile)]
            if lower:
                lower[0].put(halved(picture), column * base.tile, 0)
        _pass_down(lower, last=row == rows - 1)
        for top in sorted(lines):
            yield from lines[top]


def _pass_down(levels: list[_Level], *, last: bool) -> None:
    """Hand every full row of tiles down to the level below it; at the slide's end also those that are not full."""
    for index, level in enumerate(levels):
        if level.filled == level.tile or (last and level.filled):
            row = level.take_row()
            if index + 1 < len(levels):
                below = levels[index + 1]
                below.put(halved(row), 0, below.filled)


def halved(picture: Picture) -> Picture:
    """Return a picture at half the scale, each pixel the mean of four; an odd last row or column stands for two."""
    odd_down, odd_right = picture.shape[0] % 2, picture.shape[1] % 2
    if odd_down or odd_right:
        picture = np.pad(picture, ((0, odd_down), (0, odd_right), (0, 0)), "edge")
    size = (picture.shape[1] // 2, picture.shape[0] // 2)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
