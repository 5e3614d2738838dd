"""A whole report folder of made-up slides, as the ledger publishes it, with pictures of cells."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from smearscan.ledger import Ledger
from smearscan.reports import CellsCsv, SlideReport, TracebackText, slide_record
from smearscan.reports.pages import SlidePage, batch_page
from smearscan.results import Scanned, SlideMap
from smearscan.testing.reports import SIDE, fake_failure, fake_scanned

HOSTILE = """tuesday/<script>alert(1)</script> "q" 'a' & 50% #7 ?x 😀.tif"""
REASONS = ("", "glass", "thick", "blurred", "no_nucleus")


def fake_map(seed: int = 1) -> SlideMap:
    """Return a picture of a slide of `SIDE` pixels, with one corner left out for each reason."""
    rng = np.random.default_rng(seed)
    reasons = np.zeros((50, 50), np.uint8)
    reasons[:15, :15], reasons[:15, -15:], reasons[-15:, :15], reasons[-15:, -15:] = 1, 2, 3, 4
    return SlideMap(rng.integers(190, 240, (400, 400, 3), dtype=np.uint8), SIDE / 400, reasons, REASONS, SIDE / 50)


def with_map(slide: SlideReport) -> SlideReport:
    """Return the same slide with a map; one that was not scanned stays without."""
    if not isinstance(slide.outcome, Scanned):
        return slide
    return dataclasses.replace(slide, outcome=dataclasses.replace(slide.outcome, slide_map=fake_map()))


def write_pictures(slide: SlideReport, folder: Path) -> None:
    """Write what stands for the crops and heat maps of the cells that the slide's overlays name."""
    for number, cell in enumerate(slide.overlays):
        (folder / "overlays").mkdir(exist_ok=True)
        for kind, size in (("crop", (32, 32)), ("heat", (32, 32)), ("cell", (320, 160))):
            Image.new("RGB", size, (20 * number, 90, 160)).save(folder / "overlays" / f"{kind}-{cell}.png")


@pytest.fixture(scope="session")
def slides() -> Mapping[str, SlideReport]:
    """Slides of every kind, by key."""
    card = dataclasses.replace(fake_scanned().card, name="<b>model</b>", threshold=0.97)
    made = [
        fake_scanned("monday/a.tif"),
        fake_scanned("monday/b.tif", cells=900, seed=3, windows=True),
        fake_scanned("monday/few.tif", cells=30, seed=2),
        fake_scanned("monday/none.tif", cells=0),
        fake_scanned("no scale.tif", mpp=None, seed=7),
        dataclasses.replace(fake_scanned(HOSTILE, seed=4), card=card, specimen="</script><script>alert(2)</script>"),
        fake_failure("tuesday/broken.tif"),
        fake_failure("tuesday/crash.tif", status="failed", traceback="ZeroDivisionError: division by zero\n"),
    ]
    return {slide.key: with_map(slide) for slide in made}


@pytest.fixture(scope="session")
def write_report() -> Callable[[Path, Iterable[SlideReport]], list[Mapping[str, Any]]]:
    """Write slides as a run does, and return their records."""

    def write(out: Path, given: Iterable[SlideReport]) -> list[Mapping[str, Any]]:
        given = list(given)
        with Ledger(out, [slide.key for slide in given]) as book:
            records = [book.publish(slide.key, lambda folder, slide=slide: fill(slide, folder), slide_record(slide)) for slide in given]
            for name in ("summary.csv", "specimens.csv", "classes.csv"):
                book.write(name, "slide\n")
            book.write_run({})
            book.write("index.html", batch_page(records, date="2026-11-20T02:14"))
        return records

    def fill(slide: SlideReport, folder: Path) -> None:
        for writer in (CellsCsv(), TracebackText()):
            writer.write(slide, folder)
        write_pictures(slide, folder)
        SlidePage().write(slide, folder)

    return write


@pytest.fixture(scope="session")
def report(
    slides: Mapping[str, SlideReport],
    write_report: Callable[[Path, Iterable[SlideReport]], list[Mapping[str, Any]]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A report folder that holds all of `slides`; nobody changes it."""
    out = tmp_path_factory.mktemp("report of slides #1")
    write_report(out, slides.values())
    return out


@pytest.fixture(scope="session")
def folder_of(report: Path) -> Callable[[str], Path]:
    """Return the folder of a slide in `report`."""
    found = {json.loads(path.read_text("utf-8"))["key"]: path.parent for path in report.rglob("slide.json")}
    return lambda key: found[key]
