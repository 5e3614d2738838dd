"""`smearscan report` makes from a report folder alone the very bytes that the run made, and says what it cannot make."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from smearscan import night, rebuilding
from smearscan.building import DetectorChoice
from smearscan.cli import smearscan
from smearscan.config import ScanConfig
from smearscan.errors import ConfigError, OutputError
from smearscan.ledger import Ledger
from smearscan.slides import find_slides
from smearscan.testing.classifiers import FakeClassifier

REBUILT = ("summary.csv", "classes.csv", "specimens.csv", "cells.geojson.gz", "index.html")


def scan(slides: Path, out: Path, **settings: object) -> night.Ending:
    found = find_slides([slides])
    config = ScanConfig(**{"workers": 2, "proposals": "nuclei", **settings})  # type: ignore[arg-type]
    classifier = FakeClassifier()
    order = night.Order(config, out, found.slides, found.rejected, {}, classifier, DetectorChoice(config))
    return night.run(order, lambda sight: None, lambda line: None)


@pytest.fixture(scope="module")
def folder(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn smears, and a file that is no slide."""
    copy = tmp_path_factory.mktemp("rebuilding") / "slides"
    shutil.copytree(drawn, copy)
    (copy / "case1" / "broken.svs").write_bytes(b"no slide at all")
    return copy


@pytest.fixture(scope="module")
def scanned(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scanned") / "report"
    scan(folder, out)
    return out


@pytest.fixture
def report(scanned: Path, tmp_path: Path) -> Path:
    """A copy of a report, to do harm to."""
    shutil.copytree(scanned, tmp_path / "report")
    return tmp_path / "report"


def tree(out: Path) -> dict[str, bytes]:
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    return {name: content for name, content in found.items() if not name.startswith(".smearscan/")}


def remove(out: Path, names: tuple[str, ...]) -> int:
    doomed = [path for path in out.rglob("*") if path.name in names]
    for path in doomed:
        path.unlink()
    return len(doomed)


def test_what_was_removed_comes_back_to_the_byte(report: Path, scanned: Path) -> None:
    assert remove(report, REBUILT) == 3 + 3 + 1 + 4
    rebuilt = rebuilding.rebuild(report)
    assert tree(report) == tree(scanned)
    assert len(rebuilt.replaced) == 3 + 4
    assert rebuilt.missing == []
    assert list(rebuilt.records) == ["alone.tif", "case1/blood.tif", "case1/broken.svs", "case2/blood.tif"]


def test_window_mode_comes_back_too(folder: Path, tmp_path: Path) -> None:
    scan(folder / "case1", tmp_path / "report", proposals="window")
    before = tree(tmp_path / "report")
    assert any("scores.zarr" in name for name in before)
    remove(tmp_path / "report", REBUILT)
    assert rebuilding.rebuild(tmp_path / "report").missing == []
    assert tree(tmp_path / "report") == before


def test_what_is_right_is_not_touched(report: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (report / "slides").rglob("*") if path.is_file()}
    assert rebuilding.rebuild(report).replaced == []
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_run_afterwards_has_nothing_to_do(report: Path, folder: Path) -> None:
    remove(report, REBUILT)
    rebuilding.rebuild(report)
    ending = scan(folder, report)
    assert ending.kept == 3, "only the broken file is tried again"


def test_altered_files_are_mended_and_their_sizes_noted(report: Path, scanned: Path) -> None:
    export = report / "slides" / "alone.tif" / "cells.geojson.gz"
    export.write_bytes(b"tampered with")
    assert rebuilding.rebuild(report).replaced == ["slides/alone.tif/cells.geojson.gz"]
    assert tree(report) == tree(scanned)


def test_an_export_that_the_run_did_not_know_is_added(report: Path, scanned: Path) -> None:
    path = report / "slides" / "alone.tif" / "slide.json"
    record = json.loads(path.read_text())
    record["reports"].remove("geojson")
    del record["files"]["cells.geojson.gz"]
    path.write_text(json.dumps(record))
    path.with_name("cells.geojson.gz").unlink()
    rebuilding.rebuild(report)
    assert json.loads(path.read_text()) == json.loads((scanned / "slides" / "alone.tif" / "slide.json").read_text())


def test_pictures_that_are_gone_are_named_by_kind(report: Path) -> None:
    overlays = sorted((report / "slides").rglob("overlays"))
    assert len(overlays) >= 2
    for each in overlays[:2]:
        shutil.rmtree(each)
    (report / "slides" / "alone.tif" / "map.png").unlink()
    rebuilt = rebuilding.rebuild(report)
    assert rebuilt.missing == [
        "Maps of 1 of 3 slides are missing: run again with the slides.",
        "Overlays of 2 of 3 slides are missing: run again with the slides.",
    ]


def test_a_damaged_table_of_cells_is_named_and_the_rest_is_done(report: Path, scanned: Path) -> None:
    cells = report / "slides" / "case1" / "blood.tif" / "cells.csv"
    cells.write_text("id,left\n")
    remove(report, ("summary.csv",))
    (problem,) = rebuilding.rebuild(report).missing
    assert problem.startswith("case1/blood.tif: ")
    assert "cannot be read as a table of cells" in problem
    assert (report / "summary.csv").read_bytes() == (scanned / "summary.csv").read_bytes(), "the record has its numbers"


def test_a_slide_that_is_gone_is_named(report: Path) -> None:
    shutil.rmtree(report / "slides" / "case2" / "blood.tif")
    rebuilt = rebuilding.rebuild(report)
    assert rebuilt.missing == ["The results of case2/blood.tif are gone: run again with the slide."]
    assert "case2/blood.tif" not in (report / "summary.csv").read_text()


def test_a_slide_that_the_run_did_not_reach_keeps_its_row(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "report"
    scan(folder / "case2", out)  # an earlier run has done one of them
    monkeypatch.setattr(night._Night, "stop_reason", lambda self: "Asked to stop" if self.records else None)
    scan(folder, out, workers=1, overlays=0)
    before = tree(out)
    assert ",stopped," in before["summary.csv"].decode()
    remove(out, ("summary.csv", "classes.csv", "specimens.csv", "index.html"))
    rebuilt = rebuilding.rebuild(out)
    assert {record["status"] for record in rebuilt.records.values()} >= {"stopped"}
    for name in ("summary.csv", "classes.csv", "specimens.csv", "index.html"):
        assert tree(out)[name] == before[name], name


def test_a_run_that_was_killed_has_all_it_did_in_its_tables(report: Path, scanned: Path) -> None:
    (report / "run.json").unlink()
    remove(report, REBUILT)
    rebuilding.rebuild(report)
    for name in ("summary.csv", "classes.csv", "specimens.csv"):
        assert tree(report)[name] == tree(scanned)[name], name


def test_a_slide_that_a_later_run_did_is_not_called_stopped_by_an_older_run_json(report: Path, scanned: Path) -> None:
    facts = json.loads((report / "run.json").read_text())
    facts["slides"]["alone.tif"] |= {"status": "stopped", "record": {"key": "alone.tif"}}
    (report / "run.json").write_text(json.dumps(facts))
    rebuilding.rebuild(report)
    assert (report / "summary.csv").read_bytes() == (scanned / "summary.csv").read_bytes()


def test_what_lies_there_of_an_earlier_input_is_in_no_table(report: Path, folder: Path) -> None:
    scan(folder / "alone.tif", report)
    summary = (report / "summary.csv").read_bytes()
    assert b"case1" not in summary
    rebuilding.rebuild(report)
    assert (report / "summary.csv").read_bytes() == summary


def test_two_do_not_write_at_once(report: Path) -> None:
    with Ledger(report), pytest.raises(OutputError, match="Another run is writing"):
        rebuilding.rebuild(report)


@pytest.mark.parametrize("make", [lambda out: None, lambda out: out.mkdir(), lambda out: out.write_text("a file")])
def test_what_is_no_report_is_refused_and_left_alone(make: Callable[[Path], object], tmp_path: Path) -> None:
    out = tmp_path / "nothing"
    make(out)
    with pytest.raises(ConfigError, match=r"nothing is no smearscan report: name the folder that was given to `smearscan run --out`"):
        rebuilding.rebuild(out)
    assert not (out / ".smearscan").exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user whom the system can refuse something")
def test_a_folder_that_may_not_be_written_is_a_sentence(report: Path) -> None:
    report.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="may not be written"):
            rebuilding.rebuild(report)
    finally:
        report.chmod(0o700)


def test_the_command_says_what_it_did_and_ends_with_its_code(report: Path, tmp_path: Path) -> None:
    remove(report, ("cells.geojson.gz",))
    whole = CliRunner().invoke(smearscan, ["report", str(report), "--json"])
    assert whole.exit_code == 0, whole.output
    said = json.loads(whole.stdout)
    assert (len(said["slides"]), len(said["renewed"]), said["missing"]) == (4, 3, [])
    assert "4 slides, 3 of their files renewed" in whole.stderr
    (report / "slides" / "alone.tif" / "map.png").unlink()
    lost = CliRunner().invoke(smearscan, ["report", str(report)])
    assert lost.exit_code == 3
    assert "Maps of 1 of 3 slides are missing" in lost.stderr
    strange = CliRunner().invoke(smearscan, ["report", str(tmp_path / "nowhere")])
    assert strange.exit_code == 2
    assert "no smearscan report" in strange.stderr
