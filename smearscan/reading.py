"""The half of the pipeline that runs in worker processes: everything that touches a slide's file.

    identify   digest of the input, which says whether an earlier run's result still holds
    survey     open, look at a coarse level, gate, tune the detector, plan the tiles
    scan       read a tile, propose, cut the crops

Each is a task: a small record that is pickled to a worker, and called there.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.card import ModelCard
from detectors import Detector, DetectorError
from detectors.stain import Stain, learn, nucleus_share
from smearscan import crops, gate, ledger, overlays, proposals, red_cells, staining, tiling
from smearscan.coarse import Coarse, judge, read_coarse, read_map
from smearscan.config import ScanConfig
from smearscan.errors import SlideError
from smearscan.results import Area, Box, CellPicture, Picture, Pixels, SlideInfo, SlideMap, Staining, Tile
from smearscan.salvage import read_or_white
from smearscan.slides import FoundSlide, Slide, SlideRow, files_of, open_slide, row_of

LARGEST_CELL_UM = 25.0  # a tile's margin is at least 1.5 of these, so that a cell at a seam is seen whole by its owner
LARGEST_CELL_PX = 160.0  # the same where there is no scale
COUNTED_TILE_PX = 1024  # the tiles that area is counted in
OPEN_SLIDES = 1  # an open slide keeps a cache of decoded tiles; opening one again takes some milliseconds


@dataclass(frozen=True)
class SlideSpec:
    """A slide of this run: what a worker needs to open it."""

    key: str
    path: Path
    mpp: float | None  # from --mpp
    csv_mpp: float | None  # from --slides-csv
    scale_needed: bool
    red_cells: bool = False  # whether they are asked for the scale


def slide_spec(slide: FoundSlide, config: ScanConfig, table: Mapping[str, SlideRow], card: ModelCard) -> SlideSpec:
    """Say how a slide is to be opened: with which scale, and whether it needs one."""
    row = row_of(table, slide.key)
    needed = config.needs_scale() or card.crop_um is not None
    return SlideSpec(slide.key, slide.path, config.mpp, row.mpp if row else None, needed, config.scale_from_red_cells)


@dataclass(frozen=True)
class Survey:
    """What is known of a slide before its tiles are read."""

    info: SlideInfo
    detector: Detector  # tuned to this slide
    gate: gate.Gate
    stain: Stain
    slide_map: SlideMap
    tiles: tuple[Tile, ...]  # worth a look
    area: Area
    seconds: float


@dataclass(frozen=True)
class TileResult:
    """What one tile gave: its own proposals in slide pixels, and their crops."""

    boxes: NDArray[np.float32]
    objectness: NDArray[np.float32]
    nucleus: NDArray[np.float32]  # (n,) share of nucleus-coloured pixels, of windows only
    crops: NDArray[np.uint8]
    lost: tuple[Box, ...]  # parts of the core that could not be read
    problems: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    def without_crops(self) -> TileResult:
        """Return the same without its pixels, which are with the classifier by now."""
        return replace(self, crops=self.crops[:0].copy())


@dataclass(frozen=True)
class Identify:
    """Digest the input."""

    spec: SlideSpec

    def __call__(self) -> str:
        return ledger.input_digest(self.spec.path, files_of)


@dataclass(frozen=True)
class SurveyTask:
    """Look at the whole slide, coarsely."""

    spec: SlideSpec
    detector: Callable[[float | None], Detector]  # by the slide's scale
    card: ModelCard | None  # None: no crops will be cut
    gated: bool
    tile_size: int

    def __call__(self) -> Survey:
        started = time.perf_counter()
        slide = opened(self.spec)
        info, coarse, judged = self.look(slide)
        stain = learn(coarse.picture)
        if self.card is not None and self.card.stain is not None:
            info = replace(info, staining=staining.measure(slide, info, coarse, judged, stain))
        tuned = _tuned(self.detector(info.mpp), coarse, info)
        largest = largest_cell(info.mpp)
        crop_reach = 0 if self.card is None else crops.margin(self.card, info.mpp, largest)
        reach, grid, field_ = _demands(tuned, info)
        plan = tiling.plan_tiles(info.levels[0], self.tile_size, max(reach, round(1.5 * largest), crop_reach), grid=grid, field=field_)
        return Survey(
            info=info,
            detector=tuned,
            gate=judged,
            stain=stain,
            slide_map=read_map(slide, judged),
            tiles=tuple(tile for tile in plan if judged.tile_reason(tile.core) is None),
            area=judged.area(**_count_tiles(judged, info)),
            seconds=time.perf_counter() - started,
        )

    def look(self, slide: Slide) -> tuple[SlideInfo, Coarse, gate.Gate]:
        """Return the slide's facts, its scale settled, with the coarse picture and the gate that belong to this scale."""
        info = slide.info
        coarse = read_coarse(slide, info.mpp)
        judged = self.judge(coarse, info)
        if not self.spec.red_cells:
            return info, coarse, judged
        told, finding = red_cells.settle(slide, info, coarse, judged)
        if told.mpp is None and self.needs_scale():
            raise red_cells.refuse(info.path.name, slide.claimed_mpp, finding)
        if told.mpp != info.mpp:
            coarse = read_coarse(slide, told.mpp)
            judged = self.judge(coarse, told)
        return told, coarse, judged

    def needs_scale(self) -> bool:
        """Whether the slide cannot be scanned without a scale, or only with one that the detector makes up by itself."""
        if self.spec.scale_needed:
            return True
        detector = self.detector(None)
        return detector.needs_scale or detector.guesses_scale

    def judge(self, coarse: Coarse, info: SlideInfo) -> gate.Gate:
        return judge(coarse, info) if self.gated else gate.open_gate(info.width, info.height, info.mpp)


@dataclass(frozen=True)
class TileTask:
    """Read one tile and find the cells that it owns."""

    spec: SlideSpec
    tile: Tile
    slide_size: tuple[int, int]
    mpp: float | None
    detector: Detector
    gate: gate.Gate  # cut to the tile
    stain: Stain
    staining: Staining | None
    card: ModelCard
    windows: bool

    def __call__(self) -> TileResult:
        clock = _Clock()
        picture, lost, problems = read_tile(opened(self.spec), self.tile)
        clock.mark("read")
        try:
            found = proposals.propose_in_tile(self.detector, picture, self.tile, self.mpp)
        except DetectorError as error:
            raise SlideError(f"{self.spec.key}: {error}") from error
        kept = self.gate.keeps(found.boxes)
        boxes, scores = found.boxes[kept], found.scores[kept]
        clock.mark("propose")
        origin = (self.tile.left, self.tile.top)
        cut = crops.cut(picture, origin, boxes, self.card, slide_size=self.slide_size, mpp=self.mpp, whole_box=self.windows)
        cut = crops.in_known_stain(cut, self.card, self.staining)
        share = np.zeros(len(boxes), np.float32)
        if self.windows:
            share = nucleus_share(picture, boxes - np.array([*origin, *origin], np.float32), self.stain).astype(np.float32)
        clock.mark("crop")
        return TileResult(boxes, scores, share, cut, tuple(lost), problems, clock.seconds)


@dataclass(frozen=True)
class PictureTask:
    """Read again the cells that a person will look at, with their surroundings."""

    spec: SlideSpec
    boxes: NDArray[np.float32]
    rows: tuple[int, ...]  # of the boxes, in the slide's cells
    info: SlideInfo
    card: ModelCard
    windows: bool

    def __call__(self) -> list[CellPicture]:
        slide = opened(self.spec)
        level = slide.info.levels[0]
        pictures = overlays.cut_pictures(
            lambda box: read_or_white(slide, box, level)[0],
            self.boxes,
            range(len(self.boxes)),
            self.card,
            slide_size=(self.info.width, self.info.height),
            mpp=self.info.mpp,
            squares=crops.squares,
            cut=crops.cut,
            whole_box=self.windows,
        )
        return [replace(picture, row=self.rows[picture.row]) for picture in pictures]


def largest_cell(mpp: float | None) -> float:
    """Return the diameter of the largest white cell, in pixels."""
    return LARGEST_CELL_PX if mpp is None else LARGEST_CELL_UM / mpp


def _count_tiles(judged: gate.Gate, info: SlideInfo) -> dict[str, Any]:
    """Count squares of a fixed size, looked at and left out by reason: the tiles that are read differ from run to run."""
    plan = tiling.plan_tiles(replace(info.levels[0], tile_width=None, tile_height=None), COUNTED_TILE_PX, 0)
    reasons = [judged.tile_reason(tile.core) for tile in plan]
    left_out = sorted({reason for reason in reasons if reason})
    return {"tiles": reasons.count(None), "tiles_by_reason": {reason: reasons.count(reason) for reason in left_out}}


def read_tile(slide: Pixels, tile: Tile) -> tuple[Picture, list[Box], tuple[str, ...]]:
    """Read a tile; returns the pixels, the parts of its core that are lost, and a sentence for each block that is."""
    picture, unreadable, problems = read_or_white(slide, tile.box, slide.info.levels[0])
    lost = [part for block in unreadable for part in _overlap(block, tile.core)]
    return picture, lost, problems


def _overlap(first: Box, second: Box) -> list[Box]:
    """Return what two boxes share, in a list that is empty where they share nothing."""
    left, top = max(first[0], second[0]), max(first[1], second[1])
    right, bottom = min(first[2], second[2]), min(first[3], second[3])
    return [(left, top, right, bottom)] if left < right and top < bottom else []


_slides: OrderedDict[SlideSpec, Slide] = OrderedDict()


def opened(spec: SlideSpec) -> Slide:
    """Return the slide, opened once in this process; the one used longest ago is closed when there are too many."""
    if spec not in _slides:
        _slides[spec] = open_slide(
            spec.path,
            mpp=spec.mpp,
            csv_mpp=spec.csv_mpp,
            scale_needed=spec.scale_needed and not spec.red_cells,  # the survey asks the red cells, and refuses where they cannot tell
        )
    _slides.move_to_end(spec)
    while len(_slides) > OPEN_SLIDES:
        _slides.popitem(last=False)[1].close()
    return _slides[spec]


def _tuned(detector: Detector, coarse: Coarse, info: SlideInfo) -> Detector:
    try:
        if detector.needs_scale and info.mpp is None:
            raise SlideError(f"{info.path.name}: the detector {detector.name!r} needs a scale. Give it with --mpp.")
        return detector.tuned(coarse.picture, None if info.mpp is None else info.mpp * coarse.downsample, coarse.downsample)
    except DetectorError as error:
        raise SlideError(f"{info.path.name}: {error}") from error


def _demands(detector: Detector, info: SlideInfo) -> tuple[int, int, int | None]:
    """Return the margin, the grid and the field that a detector wants for tiles of a slide."""
    try:
        return detector.reach(info.mpp), detector.grid(info.mpp), detector.field(info.mpp)
    except DetectorError as error:
        raise SlideError(f"{info.path.name}: {error}") from error


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def mark(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now
