"""The records that steps hand to each other: columns inside, records at the edges.

A box is left, top, right, bottom in level-0 pixels, right and bottom exclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

NOTICE = "For research use only. Not for use in diagnostic procedures."
MAP_PX = 1600
SCANNED = ("ok", "partial", "insufficient", "no_cells")  # statuses of a slide whose results hold; any other is tried again
UNREADABLE = "unreadable"  # on a map, beside the gate's reasons
CONTEXT_SIDES = 3  # the surroundings of a crop, which lies in their middle, are so many crops wide
HEAT_MAP_NOTICE = "shows what moved the model's score, not pathology"

Box: TypeAlias = tuple[int, int, int, int]
Picture: TypeAlias = NDArray[np.uint8]  # (height, width, 3), RGB


@dataclass(frozen=True)
class Level:
    """One layer of a slide's pyramid; level 0 is the finest."""

    index: int
    width: int
    height: int
    downsample: float
    tile_width: int | None = None  # the file's own tiles, None where it has none
    tile_height: int | None = None


@dataclass(frozen=True)
class Staining:
    """How strongly a slide is stained."""

    glass: tuple[int, int, int]  # RGB
    nucleus: tuple[float, float, float]  # optical density of a typical granulocyte's nucleus against that glass, RGB
    nuclei: int  # that told it
    lobed: bool = False  # whether they are lobed ones, as granulocytes have them; else there were too few, and all kinds told


@dataclass(frozen=True)
class SlideInfo:
    """What is known of a slide before its pixels are looked at."""

    path: Path
    reader: str
    width: int
    height: int
    mpp: float | None  # microns per level-0 pixel
    mpp_source: str | None  # "slides-csv", "file", "--mpp" or "red cells"
    levels: tuple[Level, ...]
    bounds_left: int = 0  # what QuPath subtracts: openslide.bounds-x and -y
    bounds_top: int = 0
    notes: tuple[str, ...] = ()  # what the reader had to decide, in sentences for the report
    bytes_on_disk: int = 0
    red_cell_mpp: float | None = None  # what the size of its red cells says, None where it was not asked or they cannot tell
    red_cell_spread: float | None = None  # interquartile range of what parts of the slide say, of their median
    staining: Staining | None = None  # None where no model asked for it, or no nucleus was found


class Pixels(Protocol):
    """What a step may ask of an open slide."""

    @property
    def info(self) -> SlideInfo: ...

    def read(self, box: Box, level: int = 0) -> Picture:
        """Return the pixels of `box`, which is in pixels of that level; outside the slide is white."""
        ...


@dataclass(frozen=True)
class Tile:
    """What is read at once (left .. bottom, with its margin) and what it owns (its core)."""

    index: int
    left: int
    top: int
    right: int
    bottom: int
    core: Box

    @property
    def box(self) -> Box:
        return (self.left, self.top, self.right, self.bottom)


@dataclass(frozen=True)
class Cells:
    """What was scored on one slide, as columns, sorted by top then left: cells, or in window mode windows."""

    boxes: NDArray[np.float32]  # (n, 4)
    objectness: NDArray[np.float32]  # (n,) the detector's score
    probabilities: NDArray[np.float32]  # (n, k) the classifier's, one column a class
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True)
class Interval:
    """Two ends of a confidence interval, as fractions in [0, 1]."""

    low: float
    high: float


@dataclass(frozen=True)
class ClassCount:
    """One class of a card on one slide; excluded classes have no fraction."""

    name: str
    role: str
    cells: int
    fraction: float | None
    wilson: Interval | None


@dataclass(frozen=True)
class Adjusted:
    """The blast fraction corrected for the classifier's sensitivity and specificity (STATISTICS D4 to D6)."""

    fraction: float | None  # None where the correction was refused
    interval: Interval | None
    method: str  # "subjects" (D6), "pooled_validation_optimistic" (D5), or "none: REASON"
    unclipped: float | None = None
    clipped: bool = False


@dataclass(frozen=True)
class Verdict:
    """Where a slide stands against a threshold."""

    threshold: float
    verdict: str  # above | below | indeterminate | insufficient
    probability: float | None  # Pr(true fraction >= threshold), where D6's draws give it


@dataclass(frozen=True)
class WindowCount:
    """Window mode's own numbers: windows are not cells, and their share is no blast percentage (D13)."""

    size: int  # px
    step: int
    windows: int
    blast_windows: int
    nucleus_windows: int
    blast_nucleus_windows: int
    window_fraction: float | None
    nucleus_window_fraction: float | None
    overlap_factor: float


@dataclass(frozen=True)
class TileSums:
    """How cells and blasts spread over the counting tiles of a slide.

    Sums, not a list: they are all that the design effect needs, and those of several slides can be added.
    """

    tiles: int  # that hold at least one cell
    cells: int
    blasts: int
    cells_squared: int  # sum over the tiles
    blasts_squared: int
    cells_times_blasts: int
    fullest_cells: int  # of the tile with the most blasts
    fullest_blasts: int


@dataclass(frozen=True)
class SlideCount:
    """Every number that a report states of one slide; None is "cannot be said", never 0."""

    proposals: int  # before suppression and exclusion
    duplicates: int  # proposals that were another proposal's cell
    cells: int  # unique, not excluded: the denominator
    excluded: Mapping[str, int]  # by reason
    blasts: int
    classes: tuple[ClassCount, ...]
    band: str  # no_cells | insufficient | limited | standard | decision, see the README
    fraction: float | None
    wilson: Interval | None
    exact: Interval | None
    deff: float | None
    deff_note: str  # "" or "deff_unavailable"
    clustered: Interval | None  # D3: Wilson on the effective counts
    adjusted: Adjusted
    limit_of_blank: float | None
    limit_of_blank_note: str
    below_limit_of_blank: bool | None
    verdicts: tuple[Verdict, ...]
    verdict_basis: str  # which interval the verdicts compare: adjusted | clustered | wilson | insufficient
    no_blast_upper: float | None  # D10, where no blast was seen
    mean_probability: float | None  # D11, beside `fraction`
    heterogeneity: float | None  # D16: observed over binomial SD of random halves
    tiles: TileSums
    windows: WindowCount | None = None


@dataclass(frozen=True)
class Area:
    """How much of a slide was looked at, in mm2 (in level-0 pixels where there is no scale)."""

    unit: str  # "mm2" | "px"
    total: float
    scanned: float
    by_reason: Mapping[str, float]  # left out by the gate: glass, thick, blurred, no_nucleus
    tiles: int = 0
    tiles_by_reason: Mapping[str, int] = field(default_factory=dict)
    unreadable_fraction: float = 0.0  # of the area that was to be scanned


@dataclass(frozen=True)
class SlideMap:
    """The whole slide as a small picture, and what the gate made of it; what the page of a slide shows first."""

    picture: Picture  # at most MAP_PX a side
    downsample: float  # level-0 pixels in one of its pixels
    reasons: NDArray[np.uint8]  # (rows, columns) of squares, indices of `names`
    names: tuple[str, ...]  # "" is what was looked at
    square: float  # level-0 pixels a side


@dataclass(frozen=True)
class CellPicture:
    """What there is to see of one cell."""

    row: int  # in Cells
    crop: Picture  # as the classifier saw it
    context: Picture  # the surroundings, at the same scale
    context_box: Box  # where they lie, level-0 pixels
    heat_map: NDArray[np.float32] | None = None  # (crop's height, width) in [0, 1]
    cell_box: tuple[float, float, float, float] | None = None  # in the crop's pixels; None in window mode: a window is no cell
    cam_in_cell: float | None = None  # share of the heat map's mass that lies in the cell; None without a map, or where it is empty


@dataclass(frozen=True)
class Scanned:
    """A slide that was scanned; `partial` where more than 1 % could not be read."""

    info: SlideInfo
    status: str  # ok | partial | insufficient | no_cells
    reason: str  # "" or a sentence
    cells: Cells
    called: tuple[str, ...]  # (n,) the class each cell was called
    excluded: tuple[str, ...]  # (n,) "" or why the cell is not in the denominator
    flagged: NDArray[np.bool_]  # (n,) called blast
    count: SlideCount
    area: Area
    flags: tuple[str, ...]  # reasons to look, in sentences
    windows: Cells | None = None  # in window mode every window that was scored; `cells` are those left after suppression
    slide_map: SlideMap | None = None
    pictures: tuple[CellPicture, ...] = ()  # of flagged cells and of a sample of the others
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class NotScanned:
    """A slide that could not be scanned: data, not a log line."""

    path: Path
    status: str  # unreadable | failed | timed_out | stopped
    reason: str  # one sentence for the report
    traceback: str | None = None  # only of a programming error
    info: SlideInfo | None = None
    timings: Mapping[str, float] = field(default_factory=dict)


SlideOutcome: TypeAlias = Scanned | NotScanned
