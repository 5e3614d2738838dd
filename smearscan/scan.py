"""The pipeline: slides in, outcomes out, whatever the night brings.

    identify ─▶ survey ─▶ tiles ─▶ proposals, crops ─▶ scores ─▶ cells ─▶ count ─▶ pictures ─▶ heat maps ─▶ publish
    └────────────── worker processes ─────────────┘  └────── this process ─────┘   (worker)   └── this process ──┘

Workers do what may hang or crash (`reading`). This process fills the classifier's batches across tiles and slides,
counts, and is the only one that writes. The next slide is begun when the last tile of one is handed out, so that
neither workers nor device wait at a slide's end.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from classifiers import Classifier, ClassifierError, Explainer, ModelCard
from detectors import Detector
from smearscan import crops, overlays
from smearscan.conclusion import Readings, Rules, conclude
from smearscan.counting import blast_probability, count_blasts
from smearscan.errors import PluginError, SmearscanError, UnreadableSlide
from smearscan.reading import Identify, PictureTask, SlideSpec, Survey, SurveyTask, TileResult, TileTask
from smearscan.results import CellPicture, NotScanned, Scanned, SlideInfo, SlideOutcome
from smearscan.scoring import Scorer
from smearscan.workers import Failure, Workers

POLL_S = 0.5  # how often deadlines and the wish to stop are looked at
QUICK_S = 0.02  # how often scores are fetched while crops are with the classifier
SLIDES_AT_ONCE = 3  # at least, and as many as there are workers: one being read, one whose last crops are scored, one being surveyed
ATTEMPTS = 2  # a tile whose reader crashed is tried once more, in a new process
STOP_GRACE_S = 60.0  # tiles in flight are waited for so long when the run shall stop: one of them may hang


@dataclass(frozen=True)
class ScanRequest:
    """What is the same for all slides of a run."""

    detector: Callable[[float | None], Detector]  # by the slide's scale: a window may be given in micrometres
    classifier: Classifier
    rules: Callable[[float | None], Rules]  # by the slide's scale as well
    windows: bool
    gated: bool
    tile_size: int
    workers: int
    slide_timeout_s: float | None
    overlays: int = 0  # cells that are shown of each slide
    explainer: Explainer | None = None


@dataclass
class Engines:
    """What the machine did during a scan."""

    seconds: float = 0.0
    crops: int = 0
    batches: int = 0
    scoring_seconds: float = 0.0  # the classifier was at work
    idle_seconds: float = 0.0  # the classifier had nothing to do: the readers did not keep up
    blocked_seconds: float = 0.0  # reading waited for the classifier
    workers: int = 0
    workers_died: int = 0


class Watch(Protocol):
    """Who follows a scan: decides what is left alone, takes the outcomes, shows progress, may ask to stop."""

    def wanted(self, spec: SlideSpec, digest: str) -> bool:
        """Whether the slide is to be scanned, its input having that digest."""
        ...

    def finished(self, spec: SlideSpec, outcome: SlideOutcome) -> None: ...

    def progress(self, jobs: Sequence[Job], engines: Engines) -> None: ...

    def stop_reason(self) -> str | None:
        """A sentence once the run shall stop, as "stopped at 06:30"."""
        ...


@dataclass
class Job:
    """One slide in work."""

    spec: SlideSpec
    seconds: float = 0.0  # in work; not those it waited behind another slide
    survey: Survey | None = None
    todo: deque[Any] = field(default_factory=deque)  # tasks not yet with a worker
    with_workers: int = 0
    tiles: dict[int, TileResult] = field(default_factory=dict)
    scores: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    lost: dict[int, str] = field(default_factory=dict)  # tiles whose reader crashed
    blasts: int = 0  # among what is scored so far
    outcome: Scanned | None = None  # while its pictures are fetched

    @property
    def planned(self) -> int:
        return len(self.survey.tiles) if self.survey else 0

    @property
    def is_read(self) -> bool:
        return self.survey is not None and not self.todo and not self.with_workers

    @property
    def is_whole(self) -> bool:
        return self.outcome is None and self.is_read and len(self.scores) + len(self.lost) == self.planned

    @property
    def how_far(self) -> str:
        """What was done of it, for the sentence that says why it was given up."""
        return f"{len(self.tiles)} of {self.planned} tiles were read" if self.survey else "it was not yet open"

    @property
    def scored(self) -> int:
        """Crops scored so far."""
        return sum(len(each) for each in self.scores.values())


def scan_slides(specs: Sequence[SlideSpec], request: ScanRequest, watch: Watch, engines: Engines) -> None:
    """Scan every slide that is wanted, in order; each ends in one call of `watch.finished`."""
    with Workers(request.workers) as workers, Scorer(request.classifier) as scorer:
        try:
            _Batch(request, watch, workers=workers, scorer=scorer, engines=engines).run(specs)
        except ClassifierError as error:
            raise PluginError(str(error)) from error


class _Batch:
    """The state of a scan: slides not yet begun, slides in work, and the two engines."""

    def __init__(self, request: ScanRequest, watch: Watch, *, workers: Workers, scorer: Scorer, engines: Engines) -> None:
        self.waiting: deque[SlideSpec] = deque()
        self.jobs: dict[str, Job] = {}
        self.request = request
        self.watch = watch
        self.workers = workers
        self.scorer = scorer
        self.engines = engines
        self.started = self.looked = time.monotonic()
        self.stopping: str | None = None
        self.stop_since = 0.0

    def run(self, specs: Sequence[SlideSpec]) -> None:
        self.waiting.extend(specs)
        while self.waiting or self.jobs:
            if not self.stopping and (reason := self.watch.stop_reason()):
                self.stopping, self.stop_since = reason, time.monotonic()
            if self.stopping:
                self.leave_out_the_rest(self.stopping)
            self.hand_out()
            at_work = {task.spec.key for task in self.workers.at_work}
            done = self.workers.collect(QUICK_S if self.scorer.waiting else POLL_S)
            self.count_seconds(at_work)
            self.take_in(done)
            self.collect_scores()
            self.conclude()
            self.enforce_deadlines()
            self.note_engines()
            self.watch.progress(list(self.jobs.values()), self.engines)

    def hand_out(self) -> None:
        """Give the workers what they have room for: tiles of the first slide that has any, else a new slide."""
        while self.workers.free and (task := self.next_task()) is not None:
            self.jobs[task.spec.key].with_workers += 1
            self.workers.submit(task)

    def next_task(self) -> Any | None:
        for job in self.jobs.values():
            if job.todo and (job.outcome or not self.stopping):
                return job.todo.popleft()
        if not self.waiting or len(self.jobs) >= max(SLIDES_AT_ONCE, self.request.workers):
            return None
        spec = self.waiting.popleft()
        self.jobs[spec.key] = Job(spec)
        return Identify(spec)

    def count_seconds(self, at_work: set[str]) -> None:
        """Count the time since the last look for the slides that were in work.

        A slide that only waits, as behind another that hangs, is not the one that is late.
        """
        now = time.monotonic()
        for key, job in self.jobs.items():
            if key in at_work or job.is_read:
                job.seconds += now - self.looked
        self.looked = now

    def take_in(self, done: list[tuple[Any, Any]]) -> None:
        for task, result in done:
            job = self.jobs.get(task.spec.key)
            if job is None:  # it was given up meanwhile
                continue
            job.with_workers -= 1
            if isinstance(result, Failure):
                self.take_failure(job, task, result)
            elif isinstance(task, Identify):
                self.take_digest(job, result)
            elif isinstance(task, SurveyTask):
                self.take_survey(job, result)
            elif isinstance(task, PictureTask):
                self.take_pictures(job, result)
            else:
                job.tiles[task.tile.index] = result
                self.scorer.submit((job.spec.key, task.tile.index), result.crops)
                job.tiles[task.tile.index] = result.without_crops()

    def take_digest(self, job: Job, digest: str) -> None:
        if self.watch.wanted(job.spec, digest):
            request = self.request
            job.todo.append(SurveyTask(job.spec, request.detector, request.classifier.card, request.gated, request.tile_size))
        else:
            del self.jobs[job.spec.key]

    def take_survey(self, job: Job, survey: Survey) -> None:
        job.survey = survey
        job.todo.extend(
            TileTask(
                spec=job.spec,
                tile=tile,
                slide_size=(survey.info.width, survey.info.height),
                mpp=survey.info.mpp,
                detector=survey.detector,
                gate=survey.gate.cut(tile.box),
                stain=survey.stain,
                staining=survey.info.staining,
                card=self.request.classifier.card,
                windows=self.request.windows,
            )
            for tile in survey.tiles
        )

    def take_failure(self, job: Job, task: Any, failure: Failure) -> None:
        """A tile whose reader crashed is tried again, then lost; any other failure ends the slide."""
        if job.outcome is not None:
            self.finish(job, _flagged(job.outcome, f"Its cells cannot be shown: {failure.reason.rstrip('.')}."))
            return
        if failure.kind == "died" and isinstance(task, TileTask):
            index = task.tile.index
            job.attempts[index] = job.attempts.get(index, 1) + 1
            if job.attempts[index] <= ATTEMPTS:
                job.todo.appendleft(task)
            else:
                job.lost[index] = f"The tile at {task.tile.left}, {task.tile.top} could not be read: {failure.reason}."
            return
        self.give_up(job, _not_scanned(job, failure))

    def collect_scores(self) -> None:
        """Take in what is scored; where the device would idle and a slide waits only for scores, score a part batch."""
        if self.scorer.waiting and not self.scorer.is_scoring and any(job.is_read for job in self.jobs.values()):
            self.scorer.flush()
        self.take_scores(self.scorer.collect())

    def take_scores(self, scored: list[tuple[Any, NDArray[np.float32]]]) -> None:
        for (key, index), scores in scored:
            job = self.jobs[key]
            job.scores[index] = scores
            job.blasts += count_blasts(scores, self.request.classifier.card)

    def conclude(self) -> None:
        """Count the slides whose last crop is scored; cells that are to be shown are read once more."""
        request = self.request
        for job in [job for job in self.jobs.values() if job.is_whole]:
            assert job.survey is not None, "a slide that is read was surveyed"
            readings = Readings(job.survey, job.tiles, job.scores, job.lost, job.seconds)
            try:
                outcome = conclude(readings, request.rules(job.survey.info.mpp))
                rows = rows_to_show(outcome, request.classifier.card, request.overlays) if isinstance(outcome, Scanned) else ()
            except (SmearscanError, ClassifierError):
                raise
            except Exception as error:  # noqa: BLE001 - a bug met on one slide must not end the night; its traceback is kept
                outcome, rows = failed_by_bug(job.spec.path, error, job.survey.info, job.seconds), ()
            if isinstance(outcome, Scanned) and rows:
                job.outcome = outcome
                boxes = outcome.cells.boxes[list(rows)]
                job.todo.append(PictureTask(job.spec, boxes, rows, outcome.info, request.classifier.card, request.windows))
            else:
                self.finish(job, outcome)

    def take_pictures(self, job: Job, pictures: list[CellPicture]) -> None:
        assert job.outcome is not None, "pictures are read of slides that are counted"
        started = time.perf_counter()
        outcome = replace(job.outcome, pictures=tuple(pictures))
        try:
            if self.request.explainer is not None:
                card = self.request.classifier.card
                as_scored = partial(crops.in_known_stain, card=card, staining=outcome.info.staining)
                shown = overlays.add_heat_maps(pictures, self.request.explainer, card.positive_class, as_scored)
                outcome = replace(outcome, pictures=shown)
                if in_doubt := overlays.doubt(shown, outcome.flagged):
                    outcome = _flagged(outcome, in_doubt)
        except (SmearscanError, ClassifierError):
            raise
        except Exception as error:  # noqa: BLE001 - what is counted holds without heat maps, and the next slide waits
            outcome = _flagged(outcome, f"Its heat maps cannot be made ({type(error).__name__}: {error}).")
        explaining = time.perf_counter() - started
        timings = {**outcome.timings, "explain": explaining, "total": job.seconds + explaining}
        self.finish(job, replace(outcome, timings=timings))

    def finish(self, job: Job, outcome: SlideOutcome) -> None:
        del self.jobs[job.spec.key]
        self.watch.finished(job.spec, outcome)

    def enforce_deadlines(self) -> None:
        limit = self.request.slide_timeout_s
        for job in list(self.jobs.values()):
            if limit is None or job.seconds <= limit:
                continue
            if job.outcome is not None:
                self.leave_out_pictures(job, f"it took longer than --slide-timeout {limit:g} s")
            else:
                reason = f"It took longer than --slide-timeout {limit:g} s ({job.how_far}). Give it more time, or look at the file."
                self.give_up(job, self.outcome(job, "timed_out", reason))

    def leave_out_the_rest(self, why: str) -> None:
        """Begin nothing more. What is wholly read is finished; of the rest, once its tiles in flight are in, it is said why."""
        waited = time.monotonic() - self.stop_since > STOP_GRACE_S
        for job in list(self.jobs.values()):
            if job.outcome is not None:
                if waited:
                    self.leave_out_pictures(job, f"they were not read when the run was to stop: {why}")
            elif job.with_workers if waited else job.todo and not job.with_workers:
                self.give_up(job, self.outcome(job, "stopped", f"{why} ({job.how_far}). The same command goes on with it."))
        for spec in self.waiting:
            reason = f"{why} before this slide was begun. The same command goes on with it."
            self.watch.finished(spec, NotScanned(spec.path, "stopped", reason))
        self.waiting.clear()

    def leave_out_pictures(self, job: Job, why: str) -> None:
        """Finish a slide that is counted, without the pictures that are still to be read."""
        assert job.outcome is not None, "only pictures of slides that are counted are left out"
        self.workers.end(lambda task: task.spec.key == job.spec.key)
        self.finish(job, _flagged(job.outcome, f"Its cells cannot be shown: {why}."))

    def note_engines(self) -> None:
        engines, scorer = self.engines, self.scorer
        engines.seconds = time.monotonic() - self.started
        engines.crops, engines.batches = scorer.crops, scorer.batches
        engines.scoring_seconds, engines.blocked_seconds = scorer.seconds, scorer.blocked_seconds
        engines.idle_seconds = max(engines.seconds - scorer.seconds, 0.0)
        engines.workers, engines.workers_died = self.request.workers, self.workers.died

    def give_up(self, job: Job, outcome: NotScanned) -> None:
        key = job.spec.key
        del self.jobs[key]
        self.workers.end(lambda task: task.spec.key == key)
        self.scorer.drop(lambda each: each[0] == key)  # type: ignore[index]
        self.watch.finished(job.spec, outcome)

    def outcome(self, job: Job, status: str, reason: str) -> NotScanned:
        info = job.survey.info if job.survey else None
        return NotScanned(job.spec.path, status, reason, info=info, timings={"total": job.seconds})


def failed_by_bug(path: Path, error: Exception, info: SlideInfo | None, seconds: float) -> NotScanned:
    """Return the outcome of a slide on which the program itself failed."""
    shown = "".join(traceback.format_exception(error))
    return NotScanned(path, "failed", bug_sentence(f"{type(error).__name__}: {error}"), shown, info, {"total": seconds})


def _flagged(outcome: Scanned, flag: str) -> Scanned:
    return replace(outcome, flags=(*outcome.flags, flag))


def bug_sentence(what: str) -> str:
    return f"A programming error ({what}). Please report it with the traceback in this slide's folder."


def rows_to_show(outcome: Scanned, card: ModelCard, wanted: int) -> tuple[int, ...]:
    """Choose the cells that a person will look at."""
    choice = overlays.choose(
        outcome.cells.boxes,
        blast_probability(outcome.cells, card),
        flagged=outcome.flagged,
        counted=np.array([not reason for reason in outcome.excluded], bool),
        quota=overlays.Quota.share_out(wanted),
    )
    return tuple(choice.rows.tolist())


def _not_scanned(job: Job, failure: Failure) -> NotScanned:
    info = job.survey.info if job.survey else None
    status = "unreadable" if isinstance(failure.error, UnreadableSlide) or failure.kind == "died" else "failed"
    reason = failure.reason
    if failure.kind == "died":
        reason = f"{job.spec.path.name} cannot be read: {failure.reason}."
    elif failure.kind == "bug":
        reason = bug_sentence(failure.reason)
    return NotScanned(job.spec.path, status, reason, failure.traceback, info, {"total": job.seconds})
