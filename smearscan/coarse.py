"""The whole slide at a glance: what the gate judges, what a detector is tuned on, and the map on the slide's page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from smearscan import gate, tiling
from smearscan.results import MAP_PX, Box, Level, Picture, Pixels, SlideInfo, SlideMap
from smearscan.salvage import read_or_white

BAND_PX = 64 * 2**20  # pixels that are read at once for the coarse picture
FINER_FOR_COLOUR = 4  # times that the level is finer, from which the coarse picture is averaged


@dataclass(frozen=True)
class Coarse:
    """All of a slide in large pixels."""

    picture: Picture
    downsample: float  # level-0 pixels in one of its pixels
    unseen: tuple[Box, ...]  # what could not be read, level-0 pixels; it is white in the picture


def read_coarse(slide: Pixels, mpp: float | None) -> Coarse:
    """Return the whole slide, of `mpp` microns per pixel, in pixels of about the gate's size.

    It is averaged from a level that is some times finer: JPEG halves the resolution of colour, and colour is what tells a
    nucleus of a few pixels.
    """
    info = slide.info
    wanted = gate.coarsest_downsample(info.width, info.height, mpp)
    level = [level for level in info.levels if level.downsample <= max(wanted / FINER_FOR_COLOUR, 1)][-1]
    return _read_reduced(slide, level, max(int(wanted / level.downsample), 1))


def judge(coarse: Coarse, info: SlideInfo) -> gate.Gate:
    """Return which parts of a slide are worth a closer look; a camera's field is left as it is."""
    size = (info.width, info.height)
    if gate.is_field(*size, info.mpp):
        return gate.open_gate(*size, info.mpp)
    mpp = None if info.mpp is None else info.mpp * coarse.downsample
    return gate.judge(coarse.picture, mpp, coarse.downsample, size).keeping(coarse.unseen)


def read_map(slide: Pixels, judged: gate.Gate) -> SlideMap:
    """Return the slide as a picture for its page, from the coarsest level that is large enough."""
    large = [level for level in slide.info.levels if max(level.width, level.height) >= MAP_PX]
    level = large[-1] if large else slide.info.levels[0]
    seen = _read_reduced(slide, level, -(-max(level.width, level.height) // MAP_PX))
    return SlideMap(seen.picture, seen.downsample, judged.reasons, gate.REASONS, judged.square)


def _read_reduced(slide: Pixels, level: Level, block: int) -> Coarse:
    """Read a level band by band and average blocks of its pixels."""
    bands, lost = [], []
    for box in _bands(level, block):
        picture, unreadable, _ = read_or_white(slide, box, level)
        bands.append(_reduce(picture, block))
        lost += unreadable
    unseen = tuple(_at_level_0(box, level, slide.info) for box in lost)
    return Coarse(np.concatenate(bands), level.downsample * block, unseen)


def _at_level_0(box: Box, level: Level, info: SlideInfo) -> Box:
    left, top = int(box[0] * level.downsample), int(box[1] * level.downsample)
    right, bottom = math.ceil(box[2] * level.downsample), math.ceil(box[3] * level.downsample)
    return (left, top, min(right, info.width), min(bottom, info.height))


def _bands(level: Level, block: int) -> Iterator[Box]:
    height = tiling.round_up(BAND_PX // level.width + 1, block)
    for top in range(0, level.height, height):
        yield (0, top, level.width, min(top + height, level.height))


def _reduce(picture: Picture, block: int) -> Picture:
    """Average blocks of pixels; a block that reaches beyond the picture is filled up with its last pixels."""
    if block == 1:
        return picture
    down, right = -picture.shape[0] % block, -picture.shape[1] % block
    if down or right:
        picture = cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)
    size = (picture.shape[1] // block, picture.shape[0] // block)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
