"""What every report writer must do, as tests to inherit, and slides to report on.

class TestMine(ReportContract):
    @pytest.fixture
    def writer(self):
        return MyWriter()
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from smearscan.counting import call_cells, count_cells, count_windows, explain
from smearscan.reports import DetectorFacts, ReportWriter, SlideReport, cell_ids
from smearscan.results import NOTICE, Area, Cells, Level, NotScanned, Scanned, SlideInfo, WindowCount
from smearscan.testing.classifiers import fake_card

LEDGERS = {"slide.json", "times.json"}  # written by the ledger, not by writers
SIDE = 4000  # of the slides made here
SECRET = "Jane Doe's slides"  # the folder the slides made here come from; no report may name it


def fake_info(key: str = "monday/blood.tif", mpp: float | None = 0.25) -> SlideInfo:
    """Return the facts of a slide that does not exist."""
    return SlideInfo(
        path=Path("/home", SECRET, key).absolute(),
        reader="fake",
        width=SIDE,
        height=SIDE,
        mpp=mpp,
        mpp_source=None if mpp is None else "file",
        levels=(Level(0, SIDE, SIDE, 1.0, 256, 256), Level(1, SIDE // 4, SIDE // 4, 4.0)),
        notes=("A z-stack of 5 planes: the middle one was taken.",),
        bytes_on_disk=123_456,
    )


def fake_scanned(
    key: str = "monday/blood.tif", *, cells: int = 240, seed: int = 1, mpp: float | None = 0.25, windows: bool = False
) -> SlideReport:
    """Return a report on a scanned slide: its cells are drawn by `seed`, its numbers really counted from them."""
    card, info, rng = fake_card(), fake_info(key, mpp), np.random.default_rng(seed)
    columns = _fake_cells(cells, card.classes, windows, rng)
    called = call_cells(columns, card)
    window_count = count_windows(columns, called, rng.random(cells) < 0.5, 112, 56) if windows else None
    count = count_cells(columns, called, card, proposals=cells + 3, duplicates=3, counting_tile_px=500, windows=window_count)
    outcome = Scanned(
        info=info,
        status={"no_cells": "no_cells", "insufficient": "insufficient"}.get(count.band, "ok"),
        reason="",
        cells=columns,
        called=called.classes,
        excluded=called.excluded,
        flagged=called.blast,
        count=count,
        area=Area("px" if mpp is None else "mm2", 1.0, 0.625, {"glass": 0.25, "thick": 0.125}, 8, {"glass": 2}, 0.001),
        flags=explain(count),
        windows=columns if windows else None,
        timings={"reading": 1.5},
    )
    ids = [each for each, flagged in zip(cell_ids(columns.boxes), called.blast, strict=True) if flagged][:3]
    return SlideReport(
        key=key,
        specimen="monday",
        outcome=outcome,
        card=card,
        detector=_detector(window_count),
        science={"threshold": None, "verdicts": [0.01, 0.05, 0.1, 0.2], "gate": True},
        input_digest="sha256:" + "ab" * 32,
        overlays={each: f"cell-{each}.png" for each in ids},
        reports=("cells",),
    )


def fake_failure(key: str = "monday/broken.tif", *, status: str = "unreadable", traceback: str | None = None) -> SlideReport:
    """Return a report on a slide that was not scanned."""
    path = fake_info(key).path
    return SlideReport(
        key=key,
        specimen="monday",
        outcome=NotScanned(path, status, f"{path} is truncated: copy it again.", traceback),
        card=fake_card(),
        detector=_detector(None),
        science={"threshold": None, "verdicts": [0.01, 0.05, 0.1, 0.2], "gate": True},
        input_digest="sha256:" + "cd" * 32,
        reports=("cells",),
    )


def _fake_cells(cells: int, classes: tuple[str, ...], windows: bool, rng: np.random.Generator) -> Cells:
    if windows:
        corner = np.stack(np.divmod(np.arange(cells), 60), axis=1)[:, ::-1] * 56.0
        size = np.full((cells, 1), 112.0)
    else:
        corner, size = rng.integers(0, SIDE - 100, (cells, 2)).astype(np.float64), rng.integers(40, 90, (cells, 1)) / 1.0
        corner = corner[np.lexsort((corner[:, 0], corner[:, 1]))]
    probabilities = rng.dirichlet([1.0, 3.0, 0.3], cells)
    return Cells(
        boxes=np.hstack([corner, corner + size]).astype(np.float32).reshape(-1, 4),
        objectness=rng.random(cells).astype(np.float32),
        probabilities=probabilities.astype(np.float32).reshape(-1, len(classes)),
        classes=classes,
    )


def _detector(windows: WindowCount | None) -> DetectorFacts:
    return DetectorFacts("window", settings={"size": windows.size, "step": windows.step}) if windows else DetectorFacts("fake")


SLIDES: Mapping[str, SlideReport] = {
    "cells": fake_scanned(),
    "no scale": fake_scanned(mpp=None),
    "windows": fake_scanned(windows=True),
    "no cells": fake_scanned(cells=0),
    "unreadable": fake_failure(),
    "bug": fake_failure(status="failed", traceback="Traceback (most recent call last):\nZeroDivisionError: division by zero\n"),
}


class ReportContract:
    """What the ledger and the reader of a report rely on."""

    @pytest.fixture
    def writer(self) -> ReportWriter:
        """Return the writer to test."""
        raise NotImplementedError("override the fixture `writer`")

    @pytest.fixture(params=list(SLIDES))
    def slide(self, request: pytest.FixtureRequest) -> SlideReport:
        """Every kind of slide that a writer meets."""
        return SLIDES[request.param]

    def test_it_has_a_name_for_the_command_line(self, writer: ReportWriter) -> None:
        assert writer.name == writer.name.strip().lower() != ""

    def test_it_stays_in_the_slide_s_folder(self, writer: ReportWriter, slide: SlideReport, tmp_path: Path) -> None:
        _written(writer, slide, tmp_path / "slides" / "one")
        assert list(tmp_path.iterdir()) == [tmp_path / "slides"]
        assert list((tmp_path / "slides").iterdir()) == [tmp_path / "slides" / "one"]

    def test_it_leaves_the_ledger_s_files_to_the_ledger(self, writer: ReportWriter, slide: SlideReport, tmp_path: Path) -> None:
        assert LEDGERS.isdisjoint(_written(writer, slide, tmp_path / "one"))

    def test_it_writes_the_same_bytes_every_time(self, writer: ReportWriter, slide: SlideReport, tmp_path: Path) -> None:
        first = _written(writer, slide, tmp_path / "one")
        assert _written(writer, slide, tmp_path / "another folder") == first

    def test_it_names_no_folder_of_this_machine(self, writer: ReportWriter, slide: SlideReport, tmp_path: Path) -> None:
        for name, content in _written(writer, slide, tmp_path / "one").items():
            assert SECRET.encode() not in content, f"{name} says where the slides lie"
            assert str(tmp_path).encode() not in content, f"{name} says where the report lies"

    def test_tables_pages_and_pictures_carry_the_notice(self, writer: ReportWriter, slide: SlideReport, tmp_path: Path) -> None:
        for name, content in _written(writer, slide, tmp_path / "one").items():
            if name.endswith((".csv", ".html", ".png", ".jpg")):
                assert NOTICE.encode() in content, f"{name} lacks the research-use notice"

    def test_it_does_not_change_what_it_reports(self, writer: ReportWriter, tmp_path: Path) -> None:
        before, after = fake_scanned(seed=5), fake_scanned(seed=5)
        _written(writer, after, tmp_path / "one")
        assert isinstance(before.outcome, Scanned)
        assert isinstance(after.outcome, Scanned)
        for name in ("boxes", "objectness", "probabilities"):
            assert np.array_equal(getattr(before.outcome.cells, name), getattr(after.outcome.cells, name))


def _written(writer: ReportWriter, slide: SlideReport, folder: Path) -> dict[str, bytes]:
    folder.mkdir(parents=True)
    writer.write(slide, folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
