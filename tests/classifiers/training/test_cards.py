"""What a crop covers, and what a card says of cells that are judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, roc_auc_score

from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.datasets import Frame, Samples
from classifiers.training.cards import Judged, Scale, call_blasts, measure

CARD = ModelCard(
    name="card",
    summary="",
    classes=("lymphoblast", "lymphocyte", "smudge", "monoblast"),
    roles={"lymphoblast": "blast", "lymphocyte": "other", "smudge": "excluded", "monoblast": "blast"},
    positive_class="lymphoblast",
    activation="softmax",
    network={"name": "small-cnn"},
    crop_px=32,
    threshold=0.6,
)


def test_a_scale_is_what_was_said_then_what_the_set_says_then_the_cells_then_nothing(drawn_cells: Samples) -> None:
    framed = replace(drawn_cells, frame=Frame(400, np.zeros(120, np.int32), np.zeros(120, np.int32)))
    assert Scale().of(drawn_cells)[:2] == (None, None)
    assert "no scale" in Scale().of(drawn_cells)[2]
    assert Scale(mpp=0.5).of(drawn_cells)[:2] == (12, None), "24 px of 0.5 um"
    assert Scale(mpp=0.1).of(framed)[:2] == (40, None), "a cut-out covers its frame"
    assert Scale().of(replace(framed, mpp=0.2))[:2] == (80, None)
    assert Scale(mpp=0.1).of(replace(framed, mpp=0.2))[:2] == (40, None)
    sized = replace(framed, cell_px=np.full(120, 160, np.float32))
    assert Scale().of(sized)[:2] == (None, 2.5)
    assert Scale(crop_um=28).of(sized)[:2] == (28, None)
    assert Scale(crop_diameters=1.5).of(sized)[:2] == (None, 1.5)
    boxed = replace(drawn_cells, boxes=np.tile(np.array([0, 0, 20, 18], np.int32), (120, 1)))
    assert Scale(mpp=0.5).of(boxed)[:2] == (10, None)


@pytest.mark.parametrize("values", [{"mpp": 0.5, "crop_um": 3}, {"mpp": 0}, {"crop_diameters": -1}])
def test_a_scale_that_makes_no_sense_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ClassifierError, match="Give one of"):
        Scale(**values)


def test_measures_are_those_of_scikit_learn(drawn_cells: Samples) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 120)
    predicted = random.dirichlet(np.ones(4), 120) + 0.8 * np.eye(4)[labels]
    predicted /= predicted.sum(1, keepdims=True)
    called = call_blasts(CARD, predicted)
    found = measure(CARD, Judged(drawn_cells, labels, np.arange(120), predicted, called))
    assert (found["cells"], found["groups"]) == (120, 20)
    most = predicted.argmax(1)
    assert found["accuracy"]["value"] == pytest.approx(accuracy_score(labels, most), abs=1e-6)
    assert found["balanced_accuracy"]["value"] == pytest.approx(balanced_accuracy_score(labels, most), abs=1e-6)
    assert found["weighted_f1"]["value"] == pytest.approx(f1_score(labels, most, average="weighted"), abs=1e-6)
    counted, blast = labels != 2, np.isin(labels, (0, 3))
    scores = CARD.blast_probability(predicted)
    assert found["auc"]["value"] == pytest.approx(roc_auc_score(blast[counted], scores[counted]), abs=1e-6)
    assert found["sensitivity"]["value"] == pytest.approx(called[blast].mean(), abs=1e-6)
    assert found["specificity"]["value"] == pytest.approx((~called[counted & ~blast]).mean(), abs=1e-6)
    assert found["accuracy"]["low"] < found["accuracy"]["value"] < found["accuracy"]["high"]


def test_a_cell_that_is_probably_excluded_is_not_called_blast() -> None:
    predicted = np.array([[0.3, 0.05, 0.6, 0.05], [0.5, 0.1, 0.1, 0.3], [0.3, 0.4, 0.1, 0.2]])
    assert call_blasts(CARD, predicted).tolist() == [False, True, False]
