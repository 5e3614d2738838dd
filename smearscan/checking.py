"""Before the night: open every slide, read pieces of it, and estimate what the run will take.

What is sampled is read by the same workers and judged by the same gate and detector as in a run, so that a slide that
passes here fails there only for what lies between the samples.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from classifiers import Classifier
from detectors import Detector
from smearscan import proposals
from smearscan.errors import UnreadableSlide
from smearscan.reading import SlideSpec, SurveyTask, opened, read_tile
from smearscan.red_cells import doubt_of, remark
from smearscan.results import Box, SlideInfo, Tile
from smearscan.workers import Failure, Workers

PROBE_PX = 1024  # side of what is read at corners, centre and random places
RANDOM_PROBES = 8
SAMPLED_TILES = 6  # in which cells are proposed, to estimate how many there are
SEED = 20_200_101
BYTES_A_CELL = 250.0  # in cells.csv, in the GeoJSON and on the slide's page
BYTES_A_SLIDE = 2_500_000.0  # its map, nearly all of it
BYTES_A_PICTURE = 200_000.0  # of a cell that is shown: its crop, its heat map and both with its surroundings
TIMED_CROPS = 512


@dataclass(frozen=True)
class SlideCheck:
    """What was seen of one slide, and what its scan will take."""

    key: str
    info: SlideInfo | None
    problems: tuple[str, ...]  # what needs a person, in sentences
    scanned_share: float | None = None  # of the slide's area, after the gate
    cells: float | None = None  # estimated
    seconds: float | None = None  # of one worker's time, estimated


@dataclass(frozen=True)
class Forecast:
    """What the whole run will take."""

    slides: tuple[SlideCheck, ...]
    cells: float
    seconds: float
    bytes_needed: float
    bytes_free: int | None
    seconds_per_crop: float

    @property
    def needs_person(self) -> bool:
        return any(slide.problems for slide in self.slides) or self.disk_is_short

    @property
    def disk_is_short(self) -> bool:
        return self.bytes_free is not None and self.bytes_free < 2 * self.bytes_needed


@dataclass(frozen=True)
class CheckTask:
    """Open a slide and look at samples of it, in a worker."""

    spec: SlideSpec
    detector: Callable[[float | None], Detector]
    gated: bool

    def __call__(self) -> SlideCheck:
        slide = opened(self.spec)
        info = slide.info
        problems = [note for note in info.notes if "mpp" in note or "microns" in note or "scale" in note]
        for box in _probes(info):
            try:
                slide.read(box)
            except UnreadableSlide as error:
                problems.append(str(error))
        survey = SurveyTask(self.spec, self.detector, None, self.gated, PROBE_PX)()
        info = survey.info
        if doubt_of(info):
            problems.append(remark(info))
        total = survey.area.total
        if not survey.tiles:
            problems.append("The gate leaves nothing of it to look at: is it a blood smear? --no-gate looks at everything.")
            return SlideCheck(self.spec.key, info, tuple(dict.fromkeys(problems)), 0.0, 0.0, survey.seconds)
        sampled = _spread(survey.tiles, SAMPLED_TILES)
        started = time.perf_counter()
        cells = 0
        for tile in sampled:
            picture, _, unreadable = read_tile(slide, tile)
            problems.extend(unreadable)
            found = proposals.propose_in_tile(survey.detector, picture, tile, info.mpp)
            cells += int(survey.gate.keeps(found.boxes).sum())
        scale_up = sum(map(_core_area, survey.tiles)) / sum(map(_core_area, sampled))
        seconds = survey.seconds + (time.perf_counter() - started) * scale_up
        share = survey.area.scanned / total if total else 0.0
        return SlideCheck(self.spec.key, info, tuple(dict.fromkeys(problems)), share, cells * scale_up, seconds)


@dataclass
class _Progress:
    waiting: deque[CheckTask]
    started: dict[str, float] = field(default_factory=dict)


def check_slides(
    specs: Sequence[SlideSpec],
    detector: Callable[[float | None], Detector],
    *,
    gated: bool,
    workers: int,
    slide_timeout_s: float | None = None,
    show: Callable[[int], None] = lambda done: None,
) -> tuple[SlideCheck, ...]:
    """Check every slide, in order; one that hangs or crashes its reader is a problem like any other."""
    checks: dict[str, SlideCheck] = {}
    work = _Progress(deque(CheckTask(spec, detector, gated) for spec in specs))
    with Workers(workers) as running:
        while work.waiting or running.busy:
            while work.waiting and running.free:
                task = work.waiting.popleft()
                work.started[task.spec.key] = time.monotonic()
                running.submit(task)
            for task, result in running.collect(0.5):
                del work.started[task.spec.key]
                checks[task.spec.key] = _problem(task, result) if isinstance(result, Failure) else result
            for check in _overdue(work, running, slide_timeout_s):
                checks[check.key] = check
            show(len(checks))
    return tuple(checks[spec.key] for spec in specs)


def forecast(checks: Sequence[SlideCheck], classifier: Classifier, workers: int, out: Path | None, overlays: int = 0) -> Forecast:
    """Add up what the slides will take; reading and scoring go on side by side, so the slower of the two counts.

    `overlays` is how many cells of a slide are shown at most.
    """
    cells = sum(check.cells or 0 for check in checks)
    reading = sum(check.seconds or 0 for check in checks) / max(workers, 1)
    per_crop = _seconds_per_crop(classifier)
    shown = sum(min(check.cells or 0, overlays) for check in checks)
    needed = cells * BYTES_A_CELL + shown * BYTES_A_PICTURE + len(checks) * BYTES_A_SLIDE
    free = None if out is None else shutil.disk_usage(_nearest_folder(out)).free
    return Forecast(tuple(checks), cells, max(reading, cells * per_crop), needed, free, per_crop)


def _seconds_per_crop(classifier: Classifier) -> float:
    """Time the classifier on noise, after one pass to warm up."""
    px = classifier.card.crop_px
    crops = np.random.default_rng(SEED).integers(0, 256, (TIMED_CROPS, px, px, 3), dtype=np.uint8)
    classifier.predict(crops[:64])
    started = time.perf_counter()
    classifier.predict(crops)
    return (time.perf_counter() - started) / TIMED_CROPS


def _problem(task: CheckTask, failure: Failure) -> SlideCheck:
    reason = failure.reason if failure.kind == "slide" else f"{task.spec.path.name} cannot be checked: {failure.reason}."
    return SlideCheck(task.spec.key, None, (reason,))


def _overdue(work: _Progress, running: Workers, limit: float | None) -> Iterator[SlideCheck]:
    """Give up slides whose samples take longer than a whole slide may."""
    now = time.monotonic()
    for key in [key for key, since in work.started.items() if limit is not None and now - since > limit]:
        running.end(partial(_is_of, key))
        del work.started[key]
        yield SlideCheck(key, None, (f"Opening it and reading samples took longer than --slide-timeout {limit:g} s.",))


def _is_of(key: str, task: CheckTask) -> bool:
    return task.spec.key == key


def _probes(info: SlideInfo) -> Iterator[Box]:
    """Yield corners, centre and seeded random places."""
    right, bottom = max(info.width - PROBE_PX, 0), max(info.height - PROBE_PX, 0)
    places = [(0, 0), (right, 0), (0, bottom), (right, bottom), (right // 2, bottom // 2)]
    rng = np.random.default_rng(SEED)
    places += [(int(rng.integers(right + 1)), int(rng.integers(bottom + 1))) for _ in range(RANDOM_PROBES)]
    for left, top in dict.fromkeys(places):
        yield (left, top, min(left + PROBE_PX, info.width), min(top + PROBE_PX, info.height))


def _spread(tiles: Sequence[Tile], count: int) -> list[Tile]:
    """Return at most `count` tiles, evenly spaced over all of them."""
    places = np.linspace(0, len(tiles) - 1, min(count, len(tiles))).round().astype(int)
    return [tiles[place] for place in dict.fromkeys(places.tolist())]


def _core_area(tile: Tile) -> int:
    left, top, right, bottom = tile.core
    return (right - left) * (bottom - top)


def _nearest_folder(out: Path) -> Path:
    """Return the folder itself, or the one it would be made in."""
    return next(folder for folder in [out.absolute(), *out.absolute().parents] if folder.is_dir())
