"""A run: a row for every slide, nothing lost, and the same bytes however it was computed."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from classifiers import ClassifierError, Predictions
from smearscan import night
from smearscan.building import DetectorChoice, build_classifier
from smearscan.config import ScanConfig
from smearscan.errors import ExitCode, PluginError
from smearscan.results import NOTICE
from smearscan.slides import NotASlide, find_slides
from smearscan.testing.classifiers import FakeClassifier
from smearscan.testing.runs import lasting_results

Runner = Callable[..., object]


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_slide_has_a_row_and_equal_names_do_not_meet(drawn: Path, scan_folder: Runner, tmp_path: Path) -> None:
    ending = scan_folder(drawn)
    rows = read_table(tmp_path / "report" / "summary.csv")
    assert ending.exit_code is ExitCode.DONE  # type: ignore[attr-defined]
    assert [row["slide"] for row in rows] == ["alone.tif", "case1/blood.tif", "case2/blood.tif"]
    assert [row["specimen"] for row in rows] == ["alone.tif", "case1", "case2"]
    for row in rows:
        cells = read_table(tmp_path / "report" / row["folder"] / "cells.csv")
        counted = [cell for cell in cells if not cell["excluded"]]
        assert int(row["cells"]) == len(counted) > 0
        assert int(row["blasts"]) == sum(cell["flagged"] == "1" for cell in counted)
        assert row["notice"] == NOTICE
        assert float(row["seconds"]) > 0
        assert float(row["mpp"]) == pytest.approx(0.25)
    facts = json.loads((tmp_path / "report" / "run.json").read_text())
    assert facts["exit_code"] == 0
    assert set(facts["slides"]) == {row["slide"] for row in rows}
    assert facts["versions"]["torch"]
    assert {"read", "propose", "crop", "survey"} <= set(facts["stages_seconds"])


def test_a_slide_too_coarse_for_the_detector_is_one_sentence_and_no_bug(scan_folder: Runner, tmp_path: Path) -> None:
    (tmp_path / "coarse").mkdir()
    Image.new("RGB", (600, 400), (230, 225, 235)).save(tmp_path / "coarse" / "blood.png")
    ending = scan_folder(tmp_path / "coarse", mpp=2.0)
    (row,) = read_table(tmp_path / "report" / "summary.csv")
    assert ending.exit_code is ExitCode.NOTHING_DONE  # type: ignore[attr-defined]
    assert row["reason"].startswith("blood.png: The nuclei detector needs a pixel of at most 1.3 um to tell nuclei apart, not 2 um.")


@pytest.mark.parametrize("proposals", ["nuclei", "window"])
def test_results_do_not_depend_on_tiles_workers_or_batches(drawn: Path, scan_folder: Runner, tmp_path: Path, proposals: str) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    scan_folder(drawn / "case1", one, proposals=proposals, tile_size=512, workers=1, batch=7)
    scan_folder(drawn / "case1", other, proposals=proposals, tile_size=4096, workers=3, batch=64)
    assert lasting_results(one) == lasting_results(other)


def test_window_mode_names_its_size_and_step_and_keeps_windows_and_cells_apart(drawn: Path, scan_folder: Runner, tmp_path: Path) -> None:
    scan_folder(drawn / "case1", proposals="window", window_preset="112/50")
    (row,) = read_table(tmp_path / "report" / "summary.csv")
    assert (row["window_size"], row["window_step"], row["overlap_factor"]) == ("112", "50", "5.0176")
    assert int(row["windows"]) == ((2200 - 112) // 50 + 1) * ((1600 - 112) // 50 + 1)
    assert int(row["cells"]) + int(row["excluded"]) < int(row["nucleus_windows"]) < int(row["windows"])
    assert float(row["window_fraction"]) == pytest.approx(int(row["blast_windows"]) / int(row["windows"]), abs=1e-6)


@pytest.mark.parametrize(("preset", "said"), [("112/56", True), ("112/50", False)])
def test_windows_that_suppression_cannot_join_are_named(drawn: Path, scan_folder: Runner, tmp_path: Path, preset: str, said: bool) -> None:
    scan_folder(drawn / "case1", proposals="window", window_preset=preset)
    (row,) = read_table(tmp_path / "report" / "summary.csv")
    assert ("are not joined" in row["flags"]) is said


def test_a_window_in_micrometres_is_laid_at_the_slides_scale(drawn: Path, scan_folder: Runner, tmp_path: Path) -> None:
    scan_folder(drawn / "alone.tif", proposals="window", window_size="30um", window_step="15um")
    (row,) = read_table(tmp_path / "report" / "summary.csv")
    assert (row["window_size"], row["window_step"]) == ("120", "60")


def test_without_the_gate_nothing_is_left_out(drawn: Path, scan_folder: Runner, tmp_path: Path) -> None:
    scan_folder(drawn / "alone.tif", gate=False)
    (row,) = read_table(tmp_path / "report" / "summary.csv")
    assert float(row["area_mm2"]) == pytest.approx(2200 * 1600 * 0.25**2 / 1e6, abs=1e-4)
    assert row["scanned_fraction"] == "1.000000"


def test_the_same_command_leaves_alone_what_is_done(drawn: Path, scan_folder: Runner, tmp_path: Path) -> None:
    scan_folder(drawn)
    before = lasting_results(tmp_path / "report")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "report" / "slides").rglob("*")}
    ending = scan_folder(drawn, workers=1, tile_size=1024, batch=8)
    assert ending.kept == 3  # type: ignore[attr-defined]
    assert lasting_results(tmp_path / "report") == before
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "report" / "slides").rglob("*")} == times


def test_a_changed_setting_is_named_and_scanned_again(drawn: Path, scan_folder: Runner, tmp_path: Path) -> None:
    lines: list[str] = []
    scan_folder(drawn / "alone.tif")
    ending = scan_folder(drawn / "alone.tif", gate=False, tell=lines.append)
    assert ending.kept == 0  # type: ignore[attr-defined]
    assert any("scanned again, since gate changed from true to false" in line for line in lines)


def test_a_changed_slide_is_scanned_again(drawn: Path, scan_folder: Runner, tmp_path: Path) -> None:
    slide = tmp_path / "slides" / "blood.tif"
    slide.parent.mkdir()
    shutil.copy(drawn / "case1" / "blood.tif", slide)
    scan_folder(slide.parent)
    shutil.copy(drawn / "case2" / "blood.tif", slide)
    lines: list[str] = []
    scan_folder(slide.parent, tell=lines.append)
    assert any("input changed" in line for line in lines)


def test_overwrite_scans_everything_again(drawn: Path, scan_folder: Runner, tmp_path: Path) -> None:
    scan_folder(drawn / "alone.tif")
    assert scan_folder(drawn / "alone.tif", overwrite=True).kept == 0  # type: ignore[attr-defined]


class Failing(FakeClassifier):
    def predict(self, crops: NDArray[np.uint8]) -> Predictions:
        raise ClassifierError("The device is gone.")


def test_a_run_that_breaks_off_names_every_slide(drawn: Path, tmp_path: Path) -> None:
    config = ScanConfig(proposals="nuclei", workers=1)
    found = find_slides([drawn])
    order = night.Order(config, tmp_path / "report", found.slides, found.rejected, {}, Failing(), DetectorChoice(config))
    with pytest.raises(PluginError, match="The device is gone"):
        night.run(order, lambda sight: None, lambda line: None)
    rows = read_table(tmp_path / "report" / "summary.csv")
    assert [(row["slide"], row["status"]) for row in rows] == [(slide.key, "stopped") for slide in found.slides]
    assert all("broke off" in row["reason"] for row in rows)


@pytest.mark.parametrize(("threshold", "kept"), [(None, True), ("its own", True), (0.9, False)])
def test_at_another_threshold_the_cards_counts_do_not_hold(tmp_path: Path, threshold: object, kept: bool) -> None:
    card = build_classifier(ScanConfig(classifier="drawn-cells")).card
    config = ScanConfig(classifier="drawn-cells", threshold=card.threshold if threshold == "its own" else threshold, cam="none")  # type: ignore[arg-type]
    used = night.prepare(config, tmp_path, (), (), {}).classifier.card
    assert used.threshold == (card.threshold if kept else 0.9)
    assert bool(used.subjects) is bool(used.blank_fractions) is kept


def test_what_cannot_be_had_gets_one_row_though_it_was_named_twice(drawn: Path, tmp_path: Path) -> None:
    config = ScanConfig()
    locked = NotASlide(drawn / "locked", "the folder cannot be listed", may_be_slide=True)
    order = night.Order(config, tmp_path, (), (locked, locked), {}, FakeClassifier(), DetectorChoice(config))
    assert [(spec.key, reason) for spec, reason in night.missing_slides(order)] == [("locked", "The folder cannot be listed.")]
