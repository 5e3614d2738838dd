"""Strips and tiles of a TIFF: which ones a box touches, and their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from smearscan.results import Box
from smearscan.slides.damage import Damaged, library_call
from smearscan.slides.tiff_layout import TiffLevel, TiffPlane

NARROW = 4  # an uncompressed row is read whole unless the box is narrower than this part of it


@dataclass(frozen=True)
class Segment:
    """One strip or tile of one plane, and the part of it that a box covers."""

    stored: TiffLevel
    channel: int  # which plane of samples, where they are stored apart
    index: int  # in the file's list of its page
    covered: Box  # in pixels of the level

    @property
    def plane(self) -> TiffPlane:
        return self.stored.planes[self.channel if len(self.stored.planes) > 1 else 0]

    @property
    def rows(self) -> slice:
        """The covered rows, counted from the segment's first."""
        top = self.covered[1] // self.stored.segment_height * self.stored.segment_height
        return slice(self.covered[1] - top, self.covered[3] - top)

    @property
    def columns(self) -> slice:
        left = self.covered[0] // self.stored.segment_width * self.stored.segment_width
        return slice(self.covered[0] - left, self.covered[2] - left)

    @property
    def is_missing(self) -> bool:
        """Whether the file holds nothing for it: writers leave empty glass out."""
        return self.plane.byte_counts[self.index] == 0 or self.plane.offsets[self.index] == 0


def segments_of(stored: TiffLevel, box: Box) -> list[Segment]:
    """Return the segments that a box touches, in the order of the file's grid."""
    left, top, right, bottom = box
    width, height = stored.segment_width, stored.segment_height
    per_plane = stored.rows * stored.columns
    return [
        Segment(
            stored,
            channel,
            row * stored.columns + column + (channel * per_plane if stored.separate else 0),
            (max(left, column * width), max(top, row * height), min(right, (column + 1) * width), min(bottom, (row + 1) * height)),
        )
        for channel in range(stored.samples if stored.separate else len(stored.planes))
        for row in range(top // height, (bottom - 1) // height + 1)
        for column in range(left // width, (right - 1) // width + 1)
    ]


def read_raw(file: BinaryIO, segment: Segment) -> NDArray[np.uint8]:
    """Return the covered part of an uncompressed segment: a whole slide may be one strip of many gigabytes."""
    stored, rows, columns = segment.stored, segment.rows, segment.columns
    samples = 1 if stored.separate else stored.samples
    row_bytes = stored.segment_width * samples
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if rows.stop * row_bytes > segment.plane.byte_counts[segment.index]:
        raise Damaged(f"tile {segment.index} holds fewer bytes than its size needs")
    start = segment.plane.offsets[segment.index] + rows.start * row_bytes
    if width * NARROW > stored.segment_width:
        data = _fetch(file, start, height * row_bytes, segment)
        return np.frombuffer(data, np.uint8).reshape(height, stored.segment_width, samples)[:, columns]
    pieces = (_fetch(file, start + row * row_bytes + columns.start * samples, width * samples, segment) for row in range(height))
    return np.frombuffer(b"".join(pieces), np.uint8).reshape(height, width, samples)


def decode(file: BinaryIO, segment: Segment) -> NDArray[np.uint8]:
    """Return all pixels of a compressed segment (height, width, samples)."""
    plane, index = segment.plane, segment.index
    data = _fetch(file, plane.offsets[index], plane.byte_counts[index], segment)
    with library_call(f"tile {index} is damaged"):
        decoded = plane.decode(data, index, **plane.decode_arguments)[0]
    if decoded is None or decoded.dtype != np.uint8 or decoded.ndim != 4:
        raise Damaged(f"tile {index} does not decode to 8-bit pixels")
    pixels = np.asarray(decoded[0])
    if pixels.shape[0] < segment.rows.stop or pixels.shape[1] < segment.columns.stop:
        raise Damaged(f"tile {index} decodes to {pixels.shape[1]} x {pixels.shape[0]} pixels, which is less than its place")
    return pixels


def _fetch(file: BinaryIO, offset: int, count: int, segment: Segment) -> bytes:
    with library_call(f"tile {segment.index} has no place in the file"):
        file.seek(offset)
        data = file.read(count)
    if len(data) < count:
        raise Damaged(f"tile {segment.index} ends beyond the end of the file")
    return data
