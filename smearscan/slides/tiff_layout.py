"""Where the pixels of a TIFF lie: which pages make the pyramid, in which colours, and what is refused.

tifffile reads the structure once; what is kept of it is plain data and its decode functions, so that reading needs no more
than an open file, and threads share nothing that moves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from typing import Any

from smearscan.slides.damage import Damaged, library_call
from smearscan.slides.orientation import Orientation, orientation_of
from smearscan.slides.tiff_colours import ColourPlan, plan_colours
from smearscan.slides.tiff_scale import claimed_mpp

SEGMENT_LIMIT_PX = 500_000_000  # one strip or tile is decoded at once: more than this fills a machine's memory
DAMAGED = "its TIFF structure is damaged"
SHAPE_TOLERANCE = 0.02  # how far a level's shape may be from the first one's, beside its rounding to whole pixels


# tifffile logs what it finds odd. Python shows unhandled log lines on stderr; whoever wants these sets up logging.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class TiffPlane:
    """One page of a TIFF, or one of its levels' three: a grid of strips or tiles."""

    offsets: Sequence[int]
    byte_counts: Sequence[int]
    decode: Callable[..., Any]
    decode_arguments: dict[str, Any]


@dataclass(frozen=True)
class TiffLevel:
    """One level as it is stored, before its orientation is obeyed."""

    width: int
    height: int
    segment_width: int
    segment_height: int
    is_tiled: bool
    is_raw: bool  # neither compressed nor predicted: rows can be read without decoding
    samples: int
    separate: bool  # samples of one page in planes of their own
    planes: tuple[TiffPlane, ...]  # one, or one a channel
    colours: ColourPlan

    @property
    def columns(self) -> int:
        return ceil(self.width / self.segment_width)

    @property
    def rows(self) -> int:
        return ceil(self.height / self.segment_height)


@dataclass(frozen=True)
class TiffLayout:
    """All that must be known of a TIFF to read it."""

    levels: tuple[TiffLevel, ...]
    orientation: Orientation
    claimed_mpp: tuple[float, float] | None
    notes: tuple[str, ...]
    kind: str  # tifffile's name of the dialect: generic, ome, svs, ...


def read_layout(path: Path) -> TiffLayout:
    """Read the structure of a TIFF; raises `Damaged` with the reason where it cannot become RGB."""
    import tifffile

    with library_call(DAMAGED):
        tiff = tifffile.TiffFile(path)
    with tiff:
        with library_call(DAMAGED):
            series = list(tiff.series)
        if not series or not series[0].levels:
            raise Damaged("it holds no picture")
        with library_call(DAMAGED):
            first, series_notes = _choose_series(series)
            pages, notes = _choose_pages(first.levels[0])
            notes = series_notes + notes
        levels = [_level(tiff, pages)]
        for smaller in first.levels[1:]:
            with library_call(DAMAGED):
                smaller_pages, _ = _choose_pages(smaller)
            level = _level(tiff, smaller_pages)
            if _belongs(level, levels):
                levels.append(level)
        keyframe = pages[0].keyframe
        with library_call(DAMAGED):
            orientation = orientation_of(_plain_int(keyframe.tags.valueof(274)))
            claimed = claimed_mpp(tiff, keyframe)
        notes += levels[0].colours.notes + _truncation(path, levels)
        return TiffLayout(tuple(levels), orientation, claimed, notes, str(first.kind))


def _plain_int(value: Any) -> int | None:
    return int(value) if isinstance(value, int) else None


def _choose_series(series: Sequence[Any]) -> tuple[Any, tuple[str, ...]]:
    """Return the first series, or in a file without such order the largest: some writers put a thumbnail before the slide."""
    first = series[0]
    if first.kind not in ("generic", "uniform"):
        return first, ()
    largest = max(series, key=lambda one: one.keyframe.imagewidth * one.keyframe.imagelength)  # the first of equals
    if largest is first:
        return first, ()
    return largest, (f"picture {series.index(largest) + 1} of {len(series)} in the file is the largest and is used",)


def _choose_pages(series: Any) -> tuple[list[Any], tuple[str, ...]]:
    """Return the page, or the three pages of one colour each, that are shown of a series."""
    keyframe = series.keyframe
    inner = len(keyframe.axes)
    shape, axes = tuple(series.shape), str(series.axes)
    outer = [(axis, size) for axis, size in zip(axes[: len(axes) - inner], shape, strict=False)]
    if keyframe.imagedepth > 1 or keyframe.axes not in ("YX", "YXS", "SYX") or shape[len(outer) :] != tuple(keyframe.shape):
        raise Damaged(f"its pixels are laid out as {axes} {shape}, which is no flat picture")
    notes: tuple[str, ...] = ()
    chosen = []
    for axis, size in outer:
        if size == 1:
            chosen.append([0])
        elif axis == "Z":
            chosen.append([size // 2])
            notes += (f"z-stack of {size} planes: plane {size // 2 + 1} is used",)
        elif axis == "C" and size == 3 and keyframe.samplesperpixel == 1:
            chosen.append([0, 1, 2])
        else:
            raise Damaged(_refuse_axis(axis, size))
    sizes = [size for _, size in outer]
    indices = [0]
    for position, picks in enumerate(chosen):
        stride = prod(sizes[position + 1 :])
        indices = [index + pick * stride for index in indices for pick in picks]
    pages = [series.pages[index] for index in indices]
    if any(page is None or page.keyframe.parent is not series.keyframe.parent for page in pages):
        raise Damaged("it is one of several files of an OME-TIFF set, or lacks planes: save the picture as one file")
    return pages, notes


def _refuse_axis(axis: str, size: int) -> str:
    if axis == "C":
        return f"it holds {size} channels that are no red, green and blue: save it as RGB"
    if axis == "T":
        return f"it holds a time series of {size} pictures: save the one to scan"
    return f"it holds {size} pictures of the same size: save each as a file of its own"


def _level(tiff: Any, pages: list[Any]) -> TiffLevel:
    keyframe = pages[0].keyframe
    with library_call(DAMAGED):
        colours = plan_colours(tiff, keyframe, channel_pages=len(pages))
        width, height = int(keyframe.imagewidth), int(keyframe.imagelength)
        if keyframe.is_tiled:
            segment_width, segment_height = int(keyframe.tilewidth), int(keyframe.tilelength)
        else:
            segment_width, segment_height = width, min(int(keyframe.rowsperstrip), height)
        if min(width, height, segment_width, segment_height) < 1:
            raise Damaged(f"its size of {width} x {height} pixels, in pieces of {segment_width} x {segment_height}, cannot be")
        level = TiffLevel(
            width=width,
            height=height,
            segment_width=segment_width,
            segment_height=segment_height,
            is_tiled=bool(keyframe.is_tiled),
            is_raw=keyframe.compression == 1 and keyframe.predictor == 1 and keyframe.fillorder == 1 and keyframe.bitspersample == 8,
            samples=int(keyframe.samplesperpixel),
            separate=keyframe.planarconfig == 2 and keyframe.samplesperpixel > 1,
            planes=tuple(_plane(page) for page in pages),
            colours=colours,
        )
    _check_segments(level)
    return level


def _plane(page: Any) -> TiffPlane:
    keyframe = page.keyframe
    arguments = {"jpegtables": page.jpegtables, "jpegheader": keyframe.jpegheader} if keyframe.compression in (6, 7, 34892, 33007) else {}
    return TiffPlane(tuple(page.dataoffsets), tuple(page.databytecounts), keyframe.decode, arguments)


def _check_segments(level: TiffLevel) -> None:
    kind = "tile" if level.is_tiled else "strip"
    if not level.is_raw and level.segment_width * level.segment_height > SEGMENT_LIMIT_PX:
        millions = level.segment_width * level.segment_height / 1e6
        raise Damaged(f"one {kind} of it holds {millions:,.0f} megapixels, too many to decode at once: save it as a tiled TIFF")
    needed = level.columns * level.rows * (level.samples if level.separate else 1)
    for plane in level.planes:
        if len(plane.offsets) < needed or len(plane.byte_counts) < needed:
            raise Damaged(f"it lists {min(len(plane.offsets), len(plane.byte_counts))} {kind}s where its size needs {needed}")


def _belongs(level: TiffLevel, larger: Sequence[TiffLevel]) -> bool:
    """Whether a reduced page is a smaller copy of the first one; a label or a thumbnail of other shape is not."""
    first, last = larger[0], larger[-1]
    expected_height = first.height * level.width / first.width
    slack = SHAPE_TOLERANCE * expected_height + 1 + first.height / first.width
    return level.width < last.width and level.height <= last.height and abs(level.height - expected_height) <= slack


def _truncation(path: Path, levels: Sequence[TiffLevel]) -> tuple[str, ...]:
    end = path.stat().st_size
    spans = [
        (offset, count)
        for level in levels
        for plane in level.planes
        for offset, count in zip(plane.offsets, plane.byte_counts, strict=False)
    ]
    stored = [span for span in spans if span[1] > 0]
    lost = sum(offset + count > end for offset, count in stored)
    if stored and lost == len(stored):
        raise Damaged("all of its pixels lie beyond the end of the file: the file is cut off")
    return (f"{lost} of {len(stored)} tiles or strips lie beyond the end of the file: the file is cut off",) if lost else ()
