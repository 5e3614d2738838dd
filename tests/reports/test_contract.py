"""The writers that ship keep the contract, and the contract notices one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from smearscan.reports import CellsCsv, CellsGeojson, ReportWriter, ScoreMap, SlideReport, TracebackText
from smearscan.results import NOTICE
from smearscan.testing.reports import ReportContract, fake_scanned


class TestCellsCsv(ReportContract):
    @pytest.fixture
    def writer(self) -> ReportWriter:
        return CellsCsv()


class TestCellsGeojson(ReportContract):
    @pytest.fixture
    def writer(self) -> ReportWriter:
        return CellsGeojson()


class TestScoreMap(ReportContract):
    @pytest.fixture
    def writer(self) -> ReportWriter:
        return ScoreMap()


class TestTracebackText(ReportContract):
    @pytest.fixture
    def writer(self) -> ReportWriter:
        return TracebackText()


class Careless(ReportWriter):
    """Breaks one rule, the one that `fault` names."""

    name = "careless"

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.calls = 0

    def write(self, slide: SlideReport, folder: Path) -> None:
        self.calls += 1
        (folder / "a.csv").write_text(f"{NOTICE if self.fault != 'notice' else ''}\n{self.calls if self.fault == 'bytes' else ''}")
        if self.fault == "path":
            (folder / "b.txt").write_text(str(slide.outcome.info))
        if self.fault == "outside":
            (folder.parent / "index.html").write_text(NOTICE)
        if self.fault == "ledger":
            (folder / "slide.json").write_text("{}")


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("notice", "test_tables_pages_and_pictures_carry_the_notice"),
        ("bytes", "test_it_writes_the_same_bytes_every_time"),
        ("path", "test_it_names_no_folder_of_this_machine"),
        ("outside", "test_it_stays_in_the_slide_s_folder"),
        ("ledger", "test_it_leaves_the_ledger_s_files_to_the_ledger"),
    ],
)
def test_the_contract_notices_a_careless_writer(fault: str, test: str, tmp_path: Path) -> None:
    check = getattr(ReportContract(), test)
    with pytest.raises(AssertionError):
        check(Careless(fault), fake_scanned(), tmp_path / "careless")
    check(Careless("none"), fake_scanned(), tmp_path / "careful")
