"""The pictures of a whole slide: the map, what the gate left out of it, and a thumbnail for the batch page."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from smearscan.reports.pages.files import AREAS, MAP, THUMBNAIL
from smearscan.reports.picture_notice import png_info
from smearscan.results import MAP_PX, NOTICE, UNREADABLE, SlideMap

THUMBNAIL_PX: Final = 192  # twice what is shown, for dense screens
PERIOD_PX: Final = 16  # of a hatch; the map is shown at half its size or less, and the hatch must survive that
LINE_PX: Final = 4
WASH: Final = (250, 250, 250, 120)
LINE: Final = (88, 88, 88, 190)
LOST_WASH: Final = (204, 121, 167, 70)  # what could not be read, in the colour of what was not scanned
LOST_LINE: Final = (204, 121, 167, 255)
HATCHES: Final = ("glass", "thick", "blurred", "no_nucleus")  # other reasons get the last pattern


def write_map(slide_map: SlideMap, folder: Path) -> None:
    """Write the pictures of a slide into its folder; without anything left out there is no picture of areas."""
    picture = Image.fromarray(slide_map.picture)
    # 256 colours are enough for a smear at this size, and a third of the bytes.
    picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(folder / MAP, optimize=True, pnginfo=png_info())
    small = picture.copy()
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    small.save(folder / THUMBNAIL, quality=85, comment=NOTICE.encode())
    if (areas := draw_areas(slide_map)) is not None:
        areas.save(folder / AREAS, optimize=True, pnginfo=png_info())


def draw_areas(slide_map: SlideMap) -> Image.Image | None:
    """Draw what was left out as a hatch on nothing; None where nothing was.

    0 is transparent, 1 the wash, 2 the line; 3 and 4 are the same of what could not be read.

    It is as large as a map may be, also where the map is smaller: a hatch must stay finer than what it covers.
    """
    scale = max(1, MAP_PX // max(slide_map.picture.shape[:2]))
    height, width = (scale * side for side in slide_map.picture.shape[:2])
    rows, columns = (_squares(side, slide_map.downsample / scale, slide_map, axis) for axis, side in enumerate((height, width)))
    reasons = slide_map.reasons[rows][:, columns]
    drawn = np.zeros((height, width), np.uint8)
    for code, name in enumerate(slide_map.names):
        if name:
            first = 3 if name == UNREADABLE else 1
            drawn = np.where(reasons == code, first + hatch(name, height, width).astype(np.uint8), drawn)
    if not drawn.any():
        return None
    picture = Image.fromarray(drawn)
    picture.putpalette(bytes([*(0, 0, 0, 0), *WASH, *LINE, *LOST_WASH, *LOST_LINE]), "RGBA")
    return picture


def hatch(reason: str, height: int, width: int) -> NDArray[np.bool_]:
    """Return the pattern that means a reason, so that it is told without colour; legends show the same."""
    y, x = np.ogrid[:height, :width]
    rising, falling = (x + y) % PERIOD_PX < LINE_PX, (x - y) % PERIOD_PX < LINE_PX
    patterns = {
        "glass": rising,
        UNREADABLE: falling,
        "thick": rising | falling,
        "blurred": np.broadcast_to(y % PERIOD_PX < LINE_PX, (height, width)),
        "no_nucleus": (x % PERIOD_PX < LINE_PX) & (y % PERIOD_PX < LINE_PX),
    }
    return np.asarray(patterns.get(reason, patterns["no_nucleus"]), np.bool_)


def _squares(pixels: int, downsample: float, slide_map: SlideMap, axis: int) -> NDArray[np.intp]:
    """Return the square in which the centre of each pixel lies."""
    places = np.floor((np.arange(pixels) + 0.5) * downsample / slide_map.square)
    squares: NDArray[np.intp] = np.clip(places, 0, slide_map.reasons.shape[axis] - 1).astype(np.intp)
    return squares
