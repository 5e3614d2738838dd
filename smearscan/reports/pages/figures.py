"""The arithmetic of the drawings on a page: scale bar, histogram, places on the square-root scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

BINS: Final = 20
TICKS: Final = (0.05, 0.10, 0.20)
BAR_SHARE: Final = 0.22  # of a map's width that a scale bar may take


@dataclass(frozen=True)
class ScaleBar:
    """A round length and the share of the map's width that it takes."""

    share: float
    text: str


@dataclass(frozen=True)
class Bin:
    """One column of the histogram of scores."""

    low: float
    high: float
    flagged: int
    other: int


@dataclass(frozen=True)
class Dot:
    """One slide in the strip of all fractions."""

    index: int  # of the record
    x: float  # 0 to 100, on the square-root scale
    y: float  # steps away from the middle line


def root_percent(fraction: float) -> str:
    """Return where a fraction lies on a scale of 0 to 100 % drawn by square root, so that 1 to 20 % can be read."""
    return f"{100 * math.sqrt(min(max(fraction, 0.0), 1.0)):.2f}"


def scale_bar(width: int, mpp: float | None) -> ScaleBar:
    """Return the longest of 1, 2, 5 times a power of ten that fits."""
    length = width * (mpp or 1.0)
    most = BAR_SHARE * length
    power = 10.0 ** math.floor(math.log10(most))
    bar = power * max((step for step in (1, 2, 5) if step * power <= most), default=1)
    if mpp is None:
        return ScaleBar(bar / length, f"{bar:,.0f} px")
    return ScaleBar(bar / length, f"{bar / 1000:g} mm" if bar >= 1000 else f"{bar:g} µm")


def histogram(scores: NDArray[np.float64], flagged: NDArray[np.bool_]) -> list[Bin]:
    """Count scores in equal bins of 0 to 1."""
    edges = np.linspace(0, 1, BINS + 1)
    counts = [np.histogram(scores[rows], edges)[0].tolist() for rows in (flagged, ~flagged)]
    return [Bin(float(low), float(high), *both) for low, high, *both in zip(edges[:-1], edges[1:], *counts, strict=True)]


def strip(records: Sequence[Mapping[str, Any]], slot: float = 0.9) -> list[Dot]:
    """Place the slides that have a fraction side by side, those that would cover each other above and below."""
    placed: dict[int, list[int]] = {}
    dots = []
    for index, record in enumerate(records):
        fraction = (record["count"] or {}).get("fraction")
        if fraction is not None:
            x = float(root_percent(fraction))
            column = placed.setdefault(round(x / slot), [])
            step = (len(column) + 1) // 2 * (1 if len(column) % 2 else -1)
            column.append(index)
            dots.append(Dot(index, x, float(step)))
    return dots
