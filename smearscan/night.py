"""One run over many slides: what is left alone, what is written when, and how it ends."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from classifiers import Classifier, Explainer
from smearscan import __version__, machine, plugins, reports, tables
from smearscan.building import DetectorChoice, build_classifier, build_explainer
from smearscan.conclusion import Rules
from smearscan.config import ScanConfig
from smearscan.errors import ExitCode, SmearscanError
from smearscan.ledger import Keep, Ledger
from smearscan.models.card_files import CardFolder, of_run
from smearscan.percentages import percent
from smearscan.reading import SlideSpec, slide_spec
from smearscan.red_cells import remark
from smearscan.results import NOTICE, SCANNED, NotScanned, Scanned, SlideOutcome
from smearscan.scan import Engines, Job, ScanRequest, failed_by_bug, scan_slides
from smearscan.slides import FoundSlide, NotASlide, SlideRow, row_of
from smearscan.stopping import StopWish, stop_wish
from smearscan.workers import usable_cores

TYPICAL_MPP = 0.25  # where a detector is asked for its name and settings, and no slide is at hand
# Settings that stand in a slide's record as what they come to: a model as its digest, not as the path to it.
RESOLVED = {"detector", "classifier", "threshold", "confidence", "nms_iou", "window_size", "window_step", "window_preset"}


@dataclass(frozen=True)
class Order:
    """What a run is asked to do, checked, its models built."""

    config: ScanConfig
    out: Path
    slides: tuple[FoundSlide, ...]
    rejected: tuple[NotASlide, ...]
    table: Mapping[str, SlideRow]  # of --slides-csv
    classifier: Classifier
    detector: DetectorChoice
    explainer: Explainer | None = None
    cards: tuple[CardFolder, ...] = ()  # the pages of the models, for the report


@dataclass(frozen=True)
class Ending:
    """How a run ended."""

    records: Mapping[str, Mapping[str, Any]]  # slide.json of every slide, by key
    kept: int  # slides that an earlier run had done
    seconds: float
    exit_code: ExitCode


@dataclass(frozen=True)
class Sight:
    """What there is to see of a run while it goes on."""

    done: float  # tiles, those of slides not yet opened being guessed
    total: float
    device_busy: float  # share of the time so far
    slides: Mapping[str, str]  # key -> what is being done with it


def prepare(
    config: ScanConfig, out: Path, slides: Sequence[FoundSlide], rejected: Sequence[NotASlide], table: Mapping[str, SlideRow]
) -> Order:
    """Build the models before any slide is opened; whatever is wrong with them stops the run here."""
    classifier = build_classifier(config)
    cards = of_run(config, classifier.card)
    if config.threshold is not None and config.threshold != classifier.card.threshold:
        # What the card's subjects were called was called at its own threshold: at another one those counts say nothing.
        classifier.card = dataclasses.replace(classifier.card, threshold=config.threshold, subjects=(), blank_fractions=())
    choice = DetectorChoice(config)
    choice(TYPICAL_MPP)
    return Order(config, out, tuple(slides), tuple(rejected), table, classifier, choice, build_explainer(config, classifier), cards)


def run(order: Order, show: Callable[[Sight], None], tell: Callable[[str], None]) -> Ending:
    """Scan the slides of an order into its report folder."""
    keys = [slide.key for slide in order.slides] + [spec.key for spec, _ in missing_slides(order)]
    with Ledger(order.out, keys, overwrite=order.config.overwrite) as book, stop_wish(order.config.stop_at) as wish:
        return _Night(order, book, wish, show, tell).run()


def missing_slides(order: Order) -> list[tuple[SlideSpec, str]]:
    """Return what may be slides and cannot be had, as a folder without permission, each with a sentence.

    They get a row each, or nobody would miss them. Their keys go as far up as it takes to tell them from all others.
    """
    taken = {slide.key for slide in order.slides}
    missing = []
    for each in dict.fromkeys(order.rejected):
        if each.may_be_slide:
            parts = each.path.parts
            key = next(key for depth in range(1, len(parts) + 1) if (key := "/".join(parts[-depth:])) not in taken)
            taken.add(key)
            reason = f"{each.reason[:1].upper()}{each.reason[1:]}."
            missing.append((SlideSpec(key, each.path, None, None, scale_needed=False), reason))
    return missing


@dataclass
class _Night:
    """Follows the scan: decides what is wanted, publishes outcomes, keeps the tables current."""

    order: Order
    book: Ledger
    wish: StopWish
    show: Callable[[Sight], None]
    tell: Callable[[str], None]
    digests: dict[str, str] = field(default_factory=dict)
    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    times: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    rows: dict[str, Mapping[str, str]] = field(default_factory=dict)  # of summary.csv
    tiles: dict[str, int] = field(default_factory=dict)  # of slides that were opened in this run
    kept: int = 0
    bugs: int = 0
    started: datetime = field(default_factory=lambda: datetime.now().astimezone())
    clock: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.card = self.order.classifier.card
        # The page comes last: it links what the others wrote.
        names = sorted(plugins.names("smearscan.reports"), key=lambda name: (name == "page", name))
        self.writers = tuple(plugins.find("smearscan.reports", name)() for name in names)
        order = self.order
        self.specs = {slide.key: slide_spec(slide, order.config, order.table, self.card) for slide in order.slides}

    def run(self) -> Ending:
        engines = Engines()
        self._write_cards()
        for spec, reason in missing_slides(self.order):
            self.finished(spec, NotScanned(spec.path, "unreadable", reason))
        try:
            scan_slides(list(self.specs.values()), self._request(), self, engines)
        finally:
            self._name_the_rest()
            self._write_run(engines)
            self._write_tables()
            tables.write_specimens(self.book, self.records)
            tables.write_index(self.book, self.records, self.started.isoformat(timespec="seconds"))
        self._write_run(engines, ended=True)
        return Ending(dict(sorted(self.records.items())), self.kept, time.monotonic() - self.clock, self._exit_code())

    def wanted(self, spec: SlideSpec, digest: str) -> bool:
        self.digests[spec.key] = digest
        decision = self.book.decide(spec.key, digest, self._science(spec), self._report_names())
        if not isinstance(decision, Keep):
            if decision.reason:
                self.tell(f"{spec.key}: scanned again, since {decision.reason}.")
            return True
        self.kept += 1
        self._note(spec.key, self.book.amend(spec.key, {"specimen": self._specimen(spec.key)}), self.book.times(spec.key))
        return False

    def finished(self, spec: SlideSpec, outcome: SlideOutcome) -> None:
        if outcome.status == "stopped":
            record = self._record_of_unreached(spec, outcome)
        else:
            try:
                record = self._publish(spec, outcome)
            except SmearscanError:
                raise
            except Exception as error:  # noqa: BLE001 - a writer that fails on one slide must not end the night
                outcome = failed_by_bug(spec.path, error, outcome.info, outcome.timings.get("total", 0.0))
                record = self._publish(spec, outcome)
        self.bugs += isinstance(outcome, NotScanned) and outcome.traceback is not None
        self._note(spec.key, record, _rounded(outcome.timings))
        self.tell(f"{spec.key}: {in_short(record)}")
        if outcome.info and (said := remark(outcome.info)):
            self.tell(f"{spec.key}: {said}")
        self._write_tables()

    def _record_of_unreached(self, spec: SlideSpec, outcome: SlideOutcome) -> Mapping[str, Any]:
        """Return what an earlier run published with the same settings, for that stays; else that the run did not come to it."""
        record = reports.slide_record(self._report(spec, outcome))
        earlier = self.book.record(spec.key)
        if earlier is None or earlier["status"] not in SCANNED or earlier["science"] != record["science"]:
            return record
        return {**earlier, "reason": "Done by an earlier run; this one stopped before it looked whether the file has changed."}

    def _name_the_rest(self) -> None:
        """Give a row to the slides that a run which broke off did not come to."""
        reason = "The run broke off before this slide was done. The same command goes on with it."
        for spec in self.specs.values():
            if spec.key not in self.records:
                self._note(spec.key, self._record_of_unreached(spec, NotScanned(spec.path, "stopped", reason)), {})

    def _publish(self, spec: SlideSpec, outcome: SlideOutcome) -> Mapping[str, Any]:
        report = self._report(spec, outcome)
        record = reports.slide_record(report)
        return self.book.publish(spec.key, lambda folder: self._fill(report, folder), record, _rounded(outcome.timings))

    def progress(self, jobs: Sequence[Job], engines: Engines) -> None:
        self.tiles |= {job.spec.key: job.planned for job in jobs if job.survey}
        typical = sum(self.tiles.values()) / len(self.tiles) if self.tiles else 1.0
        unopened = len(self.specs) - self.kept - len(self.tiles)
        finished = sum(count for key, count in self.tiles.items() if key in self.records)
        done = finished + sum(len(job.tiles) for job in jobs)
        passed = max(time.monotonic() - self.clock, 1e-6)
        unit = "windows" if self.order.config.proposals == "window" else "cells"
        slides = {job.spec.key: _stage(job, unit) for job in jobs}
        self.show(Sight(done, sum(self.tiles.values()) + max(unopened, 0) * typical, engines.scoring_seconds / passed, slides))

    def stop_reason(self) -> str | None:
        return self.wish.reason

    def _note(self, key: str, record: Mapping[str, Any], times: Mapping[str, Any]) -> None:
        self.records[key], self.times[key] = record, times
        self.rows[key] = reports.summary_row(record, times.get("total"))

    def _request(self) -> ScanRequest:
        config = self.order.config
        windows = config.proposals == "window"
        return ScanRequest(
            detector=self.order.detector,
            classifier=self.order.classifier,
            rules=lambda mpp: Rules(self.card, config.verdicts, config.window_px(mpp) if windows else None),
            windows=windows,
            gated=config.gate,
            tile_size=config.tile_size,
            workers=config.workers or usable_cores(),
            slide_timeout_s=config.slide_timeout_seconds,
            overlays=config.overlays,
            explainer=self.order.explainer,
        )

    def _science(self, spec: SlideSpec) -> dict[str, object]:
        """Return everything beside the input that changes the result of a slide."""
        config, detector = self.order.config, self.order.detector(TYPICAL_MPP)
        window = [config.window_size, config.window_step, config.window_preset] if config.proposals == "window" else None
        return {
            **{name: value for name, value in config.science().items() if name not in RESOLVED},
            "smearscan": __version__,
            "detector": dict(detector.settings()),
            "detector_sha256": detector.digest,
            "window": window,
            "classifier": self.card.name,
            "classifier_sha256": self.card.sha256,
            "threshold": self.card.threshold,
            "temperature": self.card.temperature,
            "precision": self.order.classifier.compute.precision,
            "csv_mpp": spec.csv_mpp,
        }

    def _report_names(self) -> tuple[str, ...]:
        return tuple(sorted(writer.name for writer in self.writers))

    def _report(self, spec: SlideSpec, outcome: SlideOutcome) -> reports.SlideReport:
        mpp = outcome.info.mpp if outcome.info else None
        detector = self.order.detector(mpp if mpp is not None else TYPICAL_MPP)
        report = reports.SlideReport(
            key=spec.key,
            specimen=self._specimen(spec.key),
            outcome=outcome,
            card=self.card,
            detector=reports.DetectorFacts(detector.name, detector.digest, detector.settings()),
            science=self._science(spec),
            input_digest=self.digests.get(spec.key, ""),
            reports=self._report_names(),
            card_pages={card.kind: card.page for card in self.order.cards},
        )
        return dataclasses.replace(report, overlays={each: reports.overlay_file(each) for each in _shown(report)})

    def _fill(self, report: reports.SlideReport, folder: Path) -> None:
        for writer in self.writers:
            writer.write(report, folder)

    def _specimen(self, key: str) -> str:
        """Return what --slides-csv says, else the slide's folder; a slide that lies in none is a specimen of its own."""
        row = row_of(self.order.table, key)
        if row and row.specimen:
            return row.specimen
        folder, _, name = key.rpartition("/")
        return folder or name

    def _write_cards(self) -> None:
        for card in self.order.cards:
            for name, content in card.files.items():
                self.book.write(f"{card.place}/{name}", content)

    def _write_tables(self) -> None:
        tables.write_slides(self.book, self.records, self.rows.values())

    def _write_run(self, engines: Engines, ended: bool = False) -> None:
        config, compute = self.order.config, self.order.classifier.compute
        self.book.write_run(
            {
                "notice": NOTICE,
                "arguments": sys.argv[1:],
                "settings": config.settings(),
                "started": self.started.isoformat(timespec="seconds"),
                "ended": datetime.now().astimezone().isoformat(timespec="seconds") if ended else None,
                "versions": machine.versions(),
                "machine": {**machine.machine(), "peak_memory_bytes": machine.peak_memory_bytes()},
                "classifier": {"name": self.card.name, "sha256": self.card.sha256, **dataclasses.asdict(compute)},
                "detector": {"name": config.proposals, "sha256": self.order.detector(TYPICAL_MPP).digest},
                "engines": dataclasses.asdict(engines),
                "stages_seconds": self._stage_seconds(),
                "slides": {
                    key: {
                        "status": each["status"],
                        "reason": each["reason"],
                        "times": self.times[key],
                        **({"record": each} if each["status"] == "stopped" else {}),  # of such a slide nothing is published
                    }
                    for key, each in sorted(self.records.items())
                },
                "kept_from_earlier_runs": self.kept,
                "not_slides": [{"path": str(each.path), "reason": each.reason} for each in self.order.rejected],
                "exit_code": int(self._exit_code()) if ended else None,
            }
        )

    def _stage_seconds(self) -> dict[str, float]:
        totals: dict[str, float] = {}
        for times in self.times.values():
            for stage, seconds in times.items():
                totals[stage] = round(totals.get(stage, 0.0) + seconds, 3)
        return totals

    def _exit_code(self) -> ExitCode:
        done = sum(record["status"] in SCANNED for record in self.records.values())
        if self.bugs:
            return ExitCode.BUG
        if done and done == len(self.records):
            return ExitCode.DONE
        return ExitCode.SOME_NOT_DONE if done else ExitCode.NOTHING_DONE


def in_short(record: Mapping[str, Any]) -> str:
    """Return a slide's outcome as one sentence."""
    count = record["count"]
    if count is None:
        return f"{record['status'].replace('_', ' ')}: {record['reason']}"
    if not count["cells"]:
        return str(record["reason"])
    share = ""
    if count["fraction"] is not None:
        low, high = count["wilson"]["low"], count["wilson"]["high"]
        share = f" ({percent(count['fraction'])} %, {percent(low)}-{percent(high)} %)"
    return f"{count['blasts']} of {count['cells']} cells flagged as blasts{share}. {record['reason']}".rstrip()


def _shown(report: reports.SlideReport) -> list[str]:
    """Return the ids of the cells that there are pictures of."""
    outcome = report.outcome
    return [report.cell_ids[picture.row] for picture in outcome.pictures] if isinstance(outcome, Scanned) else []


def _rounded(timings: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(seconds, 3) for stage, seconds in timings.items()}


def _stage(job: Job, unit: str) -> str:
    if job.survey is None:
        return "opening"
    stage = "pictures" if job.outcome else "scoring" if job.is_read else "reading"
    return f"{stage}, {len(job.tiles)} of {job.planned} tiles, {job.scored} {unit}, {job.blasts} blasts"
