"""The detector that ships: what its card promises comes out again on its own test pictures, and on composed slides."""

from __future__ import annotations

import csv
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from detectors import bundled
from detectors.training import read_labels
from detectors.training.judging import look_at
from detectors.training.labels import LabelledPicture, PictureStore, usual_diameters
from detectors.training.metrics import summarise
from detectors.yolo import YoloDetector
from detectors.yolo_folder import DetectorCard, load_folder

NAME = "white-cells"


@pytest.fixture(scope="module")
def folder() -> Path:
    return bundled.folder(NAME)


def test_it_is_small_and_says_what_it_is(folder: Path) -> None:
    card = DetectorCard.load(folder / "card.json")
    assert card.classes == ("white cell",)
    assert card.mpp is not None and card.cell_px is not None
    # The largest white cells are some 25 um wide: 1.5 of them around what a field owns.
    assert card.margin_px * card.mpp >= 1.5 * 25
    assert card.citation and card.licence and card.training_data
    assert {"figures", "metrics", "tables", "training", "purpose", "not_for", "limits"} <= set(card.extra)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 4_000_000
    assert not (folder / "training" / "checkpoint.pt").exists()


def test_it_is_opened_by_name_and_needs_no_scale() -> None:
    detector = YoloDetector(NAME, device="cpu")
    assert not detector.needs_scale
    assert detector.confidence == detector.card.confidence
    blank = np.full((300, 400, 3), 240, np.uint8)
    assert len(detector.propose(blank)) == 0
    assert len(detector.propose(blank, mpp=0.25)) == 0


def pictures_of(data: Path, split: Path) -> dict[str, list[LabelledPicture]]:
    labelled = read_labels(data / "bccd") + read_labels(data / "txl_pbc", names=("WBC", "RBC", "platelet"))
    with split.open(newline="", encoding="utf-8") as stream:
        part = {row["picture"]: row["part"] for row in csv.DictReader(stream)}
    assert {each.name for each in labelled} == set(part), "the split names every picture of the sets"
    return {name: [each for each in labelled if part[each.name] == name] for name in ("train", "test")}


@pytest.mark.data
@pytest.mark.slow
def test_the_card_s_figures_come_out_again(folder: Path, data_folder: Path) -> None:
    card, network = load_folder(folder)
    parts = pictures_of(data_folder, folder / "training" / "split.csv")
    usual = usual_diameters(parts["train"])
    seen = look_at(network, parts["test"], usual, 32.0, PictureStore())
    found, told = summarise(seen, card.confidence), card.extra["figures"]["test"]["shown_with_cells_px"]["32"]
    assert found["cells"] == told["cells"] > 190
    for name in ("map50", "map50_95", "recall", "precision"):
        assert found[name] == pytest.approx(told[name], abs=0.01)  # other processors round otherwise


@pytest.mark.data
@pytest.mark.slow
def test_it_finds_white_cells_of_unseen_fields_at_the_scale_of_a_scan(folder: Path, data_folder: Path, detection: ModuleType) -> None:
    detector = YoloDetector(NAME, device="cpu")
    only = detection.tested(folder / "training" / "split.csv")
    fields = [field for name in ("bccd", "txl_pbc") for field in detection.fields_of(data_folder / name, 0.25, only)]
    figures = detection.measure(detector, fields)
    assert figures.cells > 190
    assert figures.recall >= 0.97
    assert figures.precision >= 0.95


@pytest.mark.data
@pytest.mark.slow
def test_it_finds_the_blasts_of_a_composed_slide(data_folder: Path, detection: ModuleType) -> None:
    figures = detection.measure(YoloDetector(NAME, device="cpu"), detection.composed_slides(data_folder, 1))
    assert figures.cells == 60
    assert figures.recall >= 0.97  # what it proposes beside them the classifier leaves out: tests/run/test_bundled_models.py
