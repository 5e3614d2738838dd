"""Reports written by hand: slides with any cells, as a run leaves them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from smearscan.counting import call_cells, count_cells, count_windows, explain
from smearscan.ledger import Ledger
from smearscan.reports import CellsCsv, DetectorFacts, SlideReport, slide_record
from smearscan.results import Area, Cells, NotScanned, Scanned
from smearscan.testing.classifiers import fake_card
from smearscan.testing.reports import fake_info

MakeSlide = Callable[..., SlideReport]


def make_slide(
    key: str = "blood.tif",
    *,
    places: Sequence[Sequence[float]] = (),
    diameters: Sequence[float] | float = 50.0,
    blasts: Sequence[bool] | None = None,
    excluded: Sequence[int] = (),
    mpp: float | None = 0.25,
    digest: str = "ab",
    window: tuple[int, int] | None = None,
    specimen: str = "",
) -> SlideReport:
    """Return the report on a slide whose cells have their centres at `places`; `excluded` are rows called artefact."""
    card, info, n = fake_card(), fake_info(key, mpp), len(places)
    middle = np.asarray(places, np.float64).reshape(n, 2)
    half = np.broadcast_to(np.asarray(diameters, np.float64), (n,))[:, None] / 2
    is_blast = np.zeros(n, np.bool_) if blasts is None else np.asarray(blasts, np.bool_)
    probabilities = np.zeros((n, len(card.classes)), np.float32)
    blast, other, out = (card.classes.index(next(name for name in card.classes if card.roles[name] == role)) for role in ROLES)
    probabilities[:, blast], probabilities[:, other] = np.where(is_blast, 0.9, 0.1), np.where(is_blast, 0.1, 0.9)
    probabilities[list(excluded)] = np.eye(len(card.classes), dtype=np.float32)[out]
    columns = Cells(np.hstack([middle - half, middle + half]).astype(np.float32), np.ones(n, np.float32), probabilities, card.classes)
    called = call_cells(columns, card)
    windows = count_windows(columns, called, np.ones(n, np.bool_), *window) if window else None
    count = count_cells(columns, called, card, proposals=n, duplicates=0, counting_tile_px=500, windows=windows)
    outcome = Scanned(
        info=info,
        status={"no_cells": "no_cells", "insufficient": "insufficient"}.get(count.band, "ok"),
        reason="",
        cells=columns,
        called=called.classes,
        excluded=called.excluded,
        flagged=called.blast,
        count=count,
        area=Area("px" if mpp is None else "mm2", 1.0, 0.625, {}, 8, {}),
        flags=explain(count),
        windows=columns if windows else None,
    )
    detector = DetectorFacts("window", settings={"size": window[0], "step": window[1]}) if window else DetectorFacts("fake")
    science = {"threshold": card.threshold, "proposals": detector.name}
    return SlideReport(key, specimen or key, outcome, card, detector, science, f"sha256:{digest * 32}", reports=("cells",))


ROLES = ("blast", "other", "excluded")


def not_scanned(key: str) -> SlideReport:
    """Return the report on a slide that could not be read."""
    scanned = make_slide(key)
    return dataclasses.replace(scanned, outcome=NotScanned(fake_info(key).path, "unreadable", "It is truncated: copy it again."))


def write_report(folder: Path, *slides: SlideReport) -> Path:
    """Write slides as a run would, tables and pictures left out."""
    keys = [slide.key for slide in slides]
    with Ledger(folder, keys) as book:
        for slide in slides:
            book.publish(slide.key, lambda staged, slide=slide: CellsCsv().write(slide, staged), slide_record(slide), {"total": 2.5})
        book.write_run({"engines": {"seconds": 12.0, "crops": 7}, "kept_from_earlier_runs": 0, "machine": {}, "classifier": {}})
    return folder


@pytest.fixture
def slide() -> MakeSlide:
    return make_slide


@pytest.fixture
def failed() -> Callable[[str], SlideReport]:
    return not_scanned


@pytest.fixture
def write() -> Callable[..., Path]:
    return write_report
