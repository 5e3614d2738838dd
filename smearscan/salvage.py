"""Reading what can be read of a damaged slide."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from smearscan.errors import UnreadableSlide
from smearscan.results import Box, Level, Picture, Pixels

SALVAGE_PX = 512  # blocks in which a tile is read again after a failure, where the file has no tiles of its own


def read_or_white(slide: Pixels, box: Box, level: Level) -> tuple[Picture, list[Box], tuple[str, ...]]:
    """Read a box of a level; where that fails, read it again in blocks and leave white only what cannot be read.

    The blocks are the file's own tiles, counted from the level's corner, so that what is lost does not depend on the
    boxes we read in.
    """
    try:
        return slide.read(box, level.index), [], ()
    except UnreadableSlide:
        picture = np.full((box[3] - box[1], box[2] - box[0], 3), 255, np.uint8)
    lost: list[Box] = []
    problems = []
    for block in _blocks(box, level):
        left, top, right, bottom = block
        try:
            picture[top - box[1] : bottom - box[1], left - box[0] : right - box[0]] = slide.read(block, level.index)
        except UnreadableSlide as error:
            lost.append(block)
            problems.append(str(error))
    return picture, lost, tuple(problems)


def _blocks(box: Box, level: Level) -> Iterator[Box]:
    width, height = level.tile_width or SALVAGE_PX, level.tile_height or SALVAGE_PX
    left, top, right, bottom = box
    for y in range(top // height * height, bottom, height):
        for x in range(left // width * width, right, width):
            yield (max(x, left), max(y, top), min(x + width, right), min(y + height, bottom))
