"""The benchmark of composed slides: figures that can be worked by hand, and slides of the right subjects."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from classifiers.card import ModelCard, SubjectCounts
from classifiers.folder import read_card
from smearscan.compare.cost import RunCost
from smearscan.compare.truth import Hits
from smearscan.results import Interval
from smearscan.smears import SmearPlan, contents_path, origins_path, plan_smear, read_truth, truth_path, write_smear
from smearscan.smears.cell_folders import read_cell_folder
from smearscan.smears.cutting import cut_white_cells

ROOT = Path(__file__).parents[2]
DRAWN = ROOT / "classifiers" / "bundled" / "drawn-cells"


@pytest.fixture(scope="module")
def night(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("accuracy_slides")


@pytest.fixture(scope="module")
def tables(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("accuracy_tables")


def scanned(tables: ModuleType, truth: int, **said: Any) -> Any:
    """A slide of 200 true cells, `truth` of them blasts, and 200 counted."""
    row = {"fold": 1, "key": "a.tif", "true_cells": 200, "true_blasts": truth, "hits": Hits(190, 10, 10), "cells": 200, "crops": 250}
    return tables.ScannedSlide(**row | {"apparent": 0.0} | said)


@pytest.fixture
def slides(tables: ModuleType) -> list[Any]:
    return [
        scanned(tables, 0, apparent=0.06, adjusted=0.0, interval=Interval(0.0, 0.10)),
        scanned(tables, 20, apparent=0.13, adjusted=0.09, interval=Interval(0.02, 0.16)),
        scanned(tables, 80, apparent=0.36, adjusted=0.44, interval=Interval(0.42, 0.55)),
        scanned(tables, 160, apparent=None, cells=40, crops=50),
    ]


def test_errors_are_points_from_the_true_fraction(tables: ModuleType, slides: list[Any]) -> None:
    found = tables.errors(slides, lambda each: each.apparent)  # +6, +3, -4, and one slide without a fraction
    assert (found.slides, found.worst) == (3, pytest.approx(6))
    assert found.mean_absolute == pytest.approx(13 / 3)
    assert found.bias == pytest.approx(5 / 3)
    assert tables.errors(slides[3:], lambda each: each.apparent) == tables.Errors(0, None, None, None)


def test_coverage_counts_the_slides_that_have_an_interval(tables: ModuleType, slides: list[Any]) -> None:
    found = tables.coverage(slides)  # 0 in 0-10 (its end), 10 in 2-16, 40 not in 42-55
    assert (found.held, found.slides) == (2, 3)
    assert found.mean_width == pytest.approx((10 + 14 + 13) / 3)
    assert 0.2 < found.limits.low < 2 / 3 < found.limits.high < 1
    assert tables.coverage(slides[3:]) == tables.Coverage(0, 0, None, None)


def test_the_limit_of_blank_asks_for_negative_slides_of_enough_cells(tables: ModuleType) -> None:
    negative = [scanned(tables, 0, apparent=number / 100) for number in range(20)]
    others = [scanned(tables, 0, apparent=0.9, cells=199), scanned(tables, 1, apparent=0.9), scanned(tables, 0, apparent=None, cells=10)]
    found = tables.blank([*negative, *others])
    assert found.fractions == tuple(number / 100 for number in range(20))
    assert found.limit == pytest.approx(np.quantile(np.arange(20) / 100, 0.95))
    assert (found.method, found.left_out) == ("95th percentile of 20 negative slides", 2)


def test_figures_of_a_mode(tables: ModuleType, slides: list[Any]) -> None:
    runs = ((3, RunCost(seconds=30.0, peak_memory_bytes=500)), (1, RunCost(seconds=2.0, peak_memory_bytes=900)), (1, RunCost()))
    found = tables.figures(tables.ScannedMode("yolo", tuple(slides), runs))
    assert (found.all.slides, found.positive.slides, found.negative.slides) == (4, 3, 1)
    assert found.all.recall.value == found.all.precision.value == pytest.approx(0.95)
    assert found.all.recall.method == "wilson", "four slides are too few to draw from"
    assert found.crops_per_cell == pytest.approx(800 / 640)
    assert (found.seconds_per_slide, found.peak_memory_bytes) == (8.0, 900), "a run that took nothing down counts for nothing"
    assert found.negative.apparent.bias == pytest.approx(6)
    assert found.blank.fractions == (0.06,)
    assert found.all.window_fraction.slides == 0


def test_a_detector_is_judged_by_all_that_it_proposes(tables: ModuleType) -> None:
    slide = scanned(tables, 20, hits=Hits(150, 50, 0), proposed=Hits(190, 10, 10))
    found = tables.figures(tables.ScannedMode("yolo", (slide, slide)))
    assert (found.all.recall.value, found.all.precision.value) == (0.75, 1.0), "the classifier left 40 cells out, and 10 that are none"
    (row,) = tables.proposals_table([found])
    assert row == {"mode": "yolo", "recall of proposals": "95.0 % (92.4-96.7)", "precision of proposals": "95.0 % (92.4-96.7)"}


def test_tables_say_it_in_words(tables: ModuleType, slides: list[Any]) -> None:
    windows = [replace(each, window_fraction=0.01, nucleus_window_fraction=each.truth + 0.1) for each in slides]
    yolo = tables.ScannedMode("yolo", tuple(slides), ((4, RunCost(seconds=10.0, peak_memory_bytes=1_234_000_000)),))
    found = [tables.figures(each) for each in (yolo, tables.ScannedMode("window", tuple(windows)))]
    first, second = tables.table(found)
    assert first == {
        "mode": "yolo",
        "slides": "4",
        "recall": "95.0 % (93.3-96.3)",
        "precision": "95.0 % (93.3-96.3)",
        "apparent error": "4.3 (bias +1.7)",
        "adjusted error": "1.7 (bias +1.0)",
        "interval holds the truth": "2 of 3, 12 points wide",
        "crops per cell": "1.25",
        "s per slide": "2.5",
        "MB": "1,234",
    }
    assert (second["s per slide"], second["MB"]) == ("-", "-")
    assert [row["mode"] for row in tables.parts_table(found)] == [
        "yolo, positive",
        "yolo, negative",
        "window, positive",
        "window, negative",
    ]
    (only,) = tables.window_table(found)
    assert only["window fraction error, windows with a nucleus"] == "10.0 (bias +10.0)"
    assert tables.proposals_table(found) == [], "windows are no cells"
    assert tables.blank_table(found)[0]["apparent fractions, %"] == "6.0"
    rows = tables.slides_table(yolo)
    assert rows[1] == {
        "slide": "fold 1, a",
        "cells": "200 of 200",
        "true": "10 %",
        "apparent": "13 %",
        "adjusted": "9.0 %",
        "interval": "2.0-16 %",
    }
    assert (rows[3]["apparent"], rows[3]["interval"]) == ("-", "-")
    assert tables.slides_table(tables.ScannedMode("window", tuple(windows)))[0]["windows"] == "1.0 %"


def with_counts(*subjects: str) -> ModelCard:
    return replace(read_card(DRAWN), subjects=tuple(SubjectCounts(name, "other", 30, 1) for name in subjects))


def test_a_fold_is_adjusted_by_what_other_folds_say_of_other_subjects(night: ModuleType) -> None:
    cards = {1: with_counts("A1", "H2"), 2: with_counts("A3", "H10+H3"), 3: with_counts("A3", "A4", "H2")}
    names = [each.subject for each in night.crossed_counts(cards, 1, {"H3", "H2"})]
    assert names == ["A3", "A4"], "H3 and H2 lie on the slides, and A3 counts once"
    assert [each.subject for each in night.crossed_counts(cards, 2, set())] == ["A1", "H2", "A3", "A4"]


@pytest.mark.slow
def test_drawn_slides_are_scanned_once_and_again_where_the_card_says_something_else(night: ModuleType, tmp_path: Path) -> None:
    for fold in (1, 2):
        folder = tmp_path / "slides" / f"fold-{fold}"
        folder.mkdir(parents=True)
        plan = SmearPlan(1200, 1200, seed=fold, stain=0, white_cells=60, blast_fraction=0.5, smudge_fraction=0.0, debris_per_mm2=0.0)
        smear = plan_smear(plan)
        write_smear(smear, folder / "blasts-50.tif")
        origins_path(folder / "blasts-50.tif").write_text(f"subject,group\nA{fold},A{fold}\n", encoding="utf-8")
    models = {1: DRAWN, 2: shutil.copytree(DRAWN, tmp_path / "other")}
    (mode,) = night.scan_night(tmp_path / "slides", models, tmp_path / "out", ["nuclei"])
    assert [(each.fold, each.key, each.true_cells, each.true_blasts) for each in mode.slides] == [
        (1, "blasts-50.tif", 60, 30),
        (2, "blasts-50.tif", 60, 30),
    ]
    assert all(each.hits.recall > 0.9 and each.interval is not None for each in mode.slides)
    assert all(abs(each.apparent - 0.5) < 0.1 for each in mode.slides)
    assert all(each.proposed.hit >= each.hits.hit for each in mode.slides)
    assert all(cost.peak_memory_bytes for _, cost in mode.runs)
    runs = {fold: tmp_path / "out" / "nuclei" / f"fold-{fold}" / "run.json" for fold in (1, 2)}
    before = {fold: path.read_bytes() for fold, path in runs.items()}
    again = night.scan_night(tmp_path / "slides", models, tmp_path / "out", ["nuclei"])
    assert again == [mode]
    assert {fold: path.read_bytes() for fold, path in runs.items()} == before, "finished reports are taken as they are"
    card = read_card(models[2])
    replace(card, subjects=card.subjects[:-1]).save(models[2] / "card.json")
    night.scan_night(tmp_path / "slides", models, tmp_path / "out", ["nuclei"])
    assert runs[2].read_bytes() == before[2], "a card's own counts are not what its fold is adjusted by"
    assert runs[1].read_bytes() != before[1]


def test_ten_folds_have_every_fraction_equally_often_and_enough_slides_without_blasts(night: ModuleType) -> None:
    made = [fraction for fold in range(1, 11) for fraction in night.FoldPlan().slides(fold).values()]
    assert len(made) == 50
    assert made.count(0.0) == 20
    assert {made.count(fraction) for fraction in night.FoldPlan().fractions} == {6}


@pytest.fixture(scope="module")
def cut_outs(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few white cells of both field sets, cut out."""
    folder = tmp_path_factory.mktemp("cells")
    for name in ("bccd", "txl_pbc"):
        cut_white_cells(data_folder / name, folder / name, mpp=0.08, limit=8)
    return folder


@pytest.mark.data
@pytest.mark.slow
def test_slides_are_composed_of_the_cells_and_fields_that_no_network_knows(
    night: ModuleType, data_folder: Path, cut_outs: Path, tmp_path: Path
) -> None:
    plan = night.FoldPlan(side_px=1000, white_cells=30, fractions=(0.2,), positives=1, negatives=1)
    groups = [f"{name}/{cell.group}" for name in night.OTHERS for cell in read_cell_folder(cut_outs / name).cells]
    fold_of = {group: 3 if row % 2 else 1 for row, group in enumerate(groups)}

    def sources(*persons: str) -> Any:
        models = import_module("fold_models").FoldModels(tmp_path, fold_of, {3: persons})
        return night.Sources(data_folder, cut_outs, models)

    three = sources("A23", "H3", "H10")
    made = night.compose_night(three, tmp_path, 2, plan)
    assert [(each.path.relative_to(tmp_path).as_posix(), each.fold, each.seed) for each in made] == [
        ("fold-3/negative-1.tif", 3, 5300),
        ("fold-3/blasts-20.tif", 3, 5301),
    ]
    test_fields = set(import_module("training_crops").test_fields(data_folder))
    for slide, blasts in zip(made, (0, 6), strict=True):
        kinds = [cell.kind for cell in read_truth(truth_path(slide.path))]
        assert (len(kinds), kinds.count("blast")) == (30, blasts)
        said = json.loads(contents_path(slide.path).read_text(encoding="utf-8"))
        assert set(said["backgrounds"]["files"]) <= test_fields
    with origins_path(made[0].path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["subject"] for row in rows} == {"H3", "H10", ""}
    of_fields = [row for row in rows if row["folder"] != night.CELLS]
    assert 15 <= len(of_fields) <= 27, "seven in ten of the cells that are no blasts"
    assert all(fold_of[f"{row['folder']}/{row['group']}"] == 3 for row in of_fields)
    dates = [each.path.stat().st_mtime_ns for each in made]
    contents_path(made[1].path).unlink()
    pixels = made[1].path.read_bytes()
    assert night.compose_night(three, tmp_path, 2, plan) == made
    assert [each.path.stat().st_mtime_ns == date for each, date in zip(made, dates, strict=True)] == [True, False]
    assert made[1].path.read_bytes() == pixels
    night.compose_night(sources("A23", "H3"), tmp_path, 1, replace(plan, positives=0))
    with origins_path(made[0].path).open(newline="", encoding="utf-8") as file:
        assert {row["subject"] for row in csv.DictReader(file)} == {"H3", ""}, "other subjects are another slide"
