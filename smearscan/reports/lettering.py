"""Text in pictures, in the font that OpenCV brings along: the same on every machine, and with letters of most scripts."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import cv2

from smearscan.results import Picture

Colour = tuple[int, int, int]
INK: Colour = (34, 34, 34)
GREY: Colour = (89, 89, 89)  # contrast 7 on white
REGULAR, BOLD = 400, 600


def write(
    picture: Picture,
    text: str,
    place: tuple[int, int],
    *,
    size: int = 12,
    weight: int = REGULAR,
    colour: Colour = INK,
    align: Literal["left", "right", "centre"] = "left",
    room: int | None = None,
) -> int:
    """Write one line with its baseline at `place`, x being its left end, right end or middle; return its width in pixels.

    Text wider than `room` pixels is shortened in its middle.
    """
    text = printable(text) if room is None else shortened(text, room, size, weight)
    wide = width(text, size, weight)
    x = place[0] - {"left": 0, "centre": wide // 2, "right": wide}[align]
    cv2.putText(picture, text, (x, place[1]), colour, _font(), size, weight)
    return wide


def width(text: str, size: int, weight: int = REGULAR) -> int:
    """Return how many pixels a line of text takes."""
    left, _, across, _ = cv2.getTextSize((0, 0), text, (0, 0), _font(), size, weight)
    return int(left + across)


def shortened(text: str, room: int, size: int, weight: int = REGULAR) -> str:
    """Leave out the middle of a text that is too long: names differ at their ends, folders at the start and runs at the end."""
    text = printable(text)
    if width(text, size, weight) <= room:
        return text
    fits, too_many = 0, len(text)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if width(_without_middle(text, middle), size, weight) <= room:
            fits = middle
        else:
            too_many = middle
    return _without_middle(text, fits)


def printable(text: str) -> str:
    """Replace what cannot be drawn on a line: line breaks, control characters, halves of characters from undecodable names."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _without_middle(text: str, kept: int) -> str:
    end = kept * 2 // 3
    return text[: kept - end] + "…" + text[len(text) - end :]


@cache
def _font() -> Any:
    return cv2.FontFace("sans")
