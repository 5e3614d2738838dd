"""The eight orientations that TIFF and EXIF know: how stored pixels are turned to be looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from smearscan.results import Box


@dataclass(frozen=True)
class Orientation:
    """What is done to the stored picture: transpose first, then mirror."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    def shown_size(self, stored_width: int, stored_height: int) -> tuple[int, int]:
        """Return width and height as they are looked at."""
        return (stored_height, stored_width) if self.transpose else (stored_width, stored_height)

    def stored_box(self, box: Box, shown_width: int, shown_height: int) -> Box:
        """Return where the pixels of a box, as it is looked at, are stored."""
        left, top, right, bottom = box
        if self.mirror_x:
            left, right = shown_width - right, shown_width - left
        if self.mirror_y:
            top, bottom = shown_height - bottom, shown_height - top
        return (top, left, bottom, right) if self.transpose else (left, top, right, bottom)

    def turn(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return a stored picture (height, width, channels) as it is looked at."""
        shown = stored.swapaxes(0, 1) if self.transpose else stored
        return shown[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]


UPRIGHT = Orientation()
ORIENTATIONS = {
    1: UPRIGHT,
    2: Orientation(mirror_x=True),
    3: Orientation(mirror_x=True, mirror_y=True),
    4: Orientation(mirror_y=True),
    5: Orientation(transpose=True),
    6: Orientation(transpose=True, mirror_x=True),
    7: Orientation(transpose=True, mirror_x=True, mirror_y=True),
    8: Orientation(transpose=True, mirror_y=True),
}


def orientation_of(tag: object) -> Orientation:
    """Return the orientation of a TIFF or EXIF tag; a value that the standard does not know is upright."""
    return ORIENTATIONS.get(tag, UPRIGHT) if isinstance(tag, int) else UPRIGHT
