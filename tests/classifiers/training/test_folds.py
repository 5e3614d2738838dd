"""Every subject is tested once, by a network that never saw it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classifiers import calibration
from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.datasets import Samples
from classifiers.recipes import Recipe
from classifiers.splits import cross_splits, read_split
from classifiers.training import TrainingStopped, cross_validate, folds, read_predictions
from classifiers.training.model import train
from classifiers.training.order import class_order

SMALL = {"device": "cpu", "threads": 1}


@pytest.fixture
def quick(recipe: Recipe) -> Recipe:
    return recipe.changed({"stages": [{"optimiser": "adam", "learning_rate": 1e-2, "batch_size": 16, "epochs": 2}]})


def test_folds_go_on_after_a_stop_and_the_card_rests_on_all_of_them(
    drawn_cells: Samples, quick: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def counted(*arguments: object, **options: object) -> ModelCard:
        done.append(Path(str(arguments[2])).name)
        return train(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(folds, "train", counted)
    labels: set[str] = set()
    with pytest.raises(TrainingStopped):
        cross_validate(
            drawn_cells,
            quick,
            out,
            2,
            show=lambda told: labels.add(told.label),
            stop=(out / "folds" / "1" / "card.json").exists,
            **SMALL,
        )
    assert labels == {"fold 1 of 2"}
    first = (out / "folds" / "1" / "card.json").stat().st_mtime_ns
    card = cross_validate(drawn_cells, quick, out, 2, **SMALL)
    assert done == ["1", "2", "2", "model"], "what is done is not done again"
    assert (out / "folds" / "1" / "card.json").stat().st_mtime_ns == first
    assert not (out / "folds" / "cache").exists()

    assert card == ModelCard.load(out / "card.json")
    assert {each.subject for each in card.subjects} == set(drawn_cells.groups)
    assert all(each.cells == 6 for each in card.subjects)
    assert card.extra["test"]["on"] == "cross-validation"
    assert (card.extra["test"]["cells"], card.extra["test"]["folds"], len(card.extra["folds"])) == (120, 2, 2)
    assert "120 cross-validation cells of 20 subjects" in card.summary
    final = read_split(out / "training" / "split.csv", drawn_cells)
    assert not len(final.rows("test")), "the model has seen them all but those that stop and calibrate it"

    with (out / "training" / "out_of_fold.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [int(line["row"]) for line in lines] == list(range(120))
    called = 0
    for number in (1, 2):
        place = out / "folds" / str(number)
        fold, split = ModelCard.load(place / "card.json"), read_split(place / "training" / "split.csv", drawn_cells)
        mine = [int(line["row"]) for line in lines if line["part"] == f"fold {number}"]
        assert mine == split.rows("test").tolist()
        called += sum(float(lines[row]["p_blast"]) >= fold.threshold for row in mine)
    assert sum(each.called_blast for each in card.subjects) == called


def test_folds_of_cells_without_a_subject_stay_leaky(drawn_cells: Samples) -> None:
    unnamed = replace(drawn_cells, subjects=("", *drawn_cells.subjects[1:]))
    final = folds.whole(cross_splits(unnamed, 2, seed=0)[0], 2)
    assert final.leaky
    assert "the subject of 1 of 120 cells is not known" in final.note
    assert not folds.whole(cross_splits(drawn_cells, 2, seed=0)[0], 2).leaky


def test_folds_of_another_training_are_refused(drawn_cells: Samples, quick: Recipe, out: Path) -> None:
    with pytest.raises(TrainingStopped):
        cross_validate(drawn_cells, quick, out, 2, stop=(out / "folds" / "1" / "card.json").exists, **SMALL)
    relabelled = replace(drawn_cells, labels=np.roll(drawn_cells.labels, 6))
    with pytest.raises(ClassifierError, match=r"holds a fold whose data.*--overwrite"):
        cross_validate(relabelled, quick, out, 2, **SMALL)


def test_a_finished_model_is_left_alone(drawn_cells: Samples, quick: Recipe, out: Path) -> None:
    out.mkdir()
    (out / "card.json").write_text("mine")
    with pytest.raises(ClassifierError, match="holds a finished model"):
        cross_validate(drawn_cells, quick, out, 2, **SMALL)


@pytest.fixture
def last_epoch(recipe: Recipe) -> Recipe:
    return recipe.changed({"stages": [{"optimiser": "adam", "learning_rate": 1e-2, "batch_size": 16, "epochs": 2, "monitor": "none"}]})


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_without_a_choice_no_subject_is_held_back_and_folds_calibrate_each_other(
    drawn_cells: Samples, last_epoch: Recipe, out: Path, activation: str
) -> None:
    taken = last_epoch.changed({"network.activation": activation})
    card = cross_validate(drawn_cells, taken, out, 3, **SMALL)
    splits = [read_split(out / "folds" / str(number) / "training" / "split.csv", drawn_cells) for number in (1, 2, 3)]
    assert all(not len(split.rows("validation")) and not len(split.rows("calibration")) for split in splits)
    said, parts = {}, {}
    for number, split in enumerate(splits, start=1):
        fold = ModelCard.load(out / "folds" / str(number) / "card.json")
        rows, probabilities = read_predictions(out / "folds" / str(number) / "training" / "predictions.csv", fold.classes)
        assert rows.tolist() == split.rows("test").tolist()
        said[number], parts[number] = fold, (rows, probabilities)
    _, labels = class_order(drawn_cells, card.activation)
    for number, fold in said.items():
        others = [parts[other] for other in parts if other != number]
        rows, logs = np.concatenate([each[0] for each in others]), np.log(np.concatenate([each[1] for each in others]))
        logits = logs[:, 1:] - logs[:, :1] if activation == "sigmoid" else logs
        assert fold.temperature == pytest.approx(calibration.temperature(logits, labels[rows]), rel=1e-4)
        assert {each.subject for each in fold.subjects} == {drawn_cells.groups[row] for row in parts[number][0]}
    assert card.extra["calibration"]["cells"] == 120
    assert card.extra["split"]["parts"]["train"]["cells"] == 120
    assert {each.subject for each in card.subjects} == set(drawn_cells.groups)
    assert [stage["best_epoch"] for stage in card.extra["training"]["stages"]] == [2], "the last epoch's weights are kept"
    assert "validation_loss" not in card.extra["training"]["stages"][0]
    assert (out / "training" / "curves.png").is_file()

    (out / "card.json").unlink()
    before = {number: (out / "folds" / str(number) / "card.json").read_bytes() for number in said}
    again = cross_validate(drawn_cells, taken, out, 3, **SMALL)
    assert again == card
    assert before == {number: (out / "folds" / str(number) / "card.json").read_bytes() for number in said}, "nor calibrated twice over"


def test_a_choice_needs_cells_to_choose_by(drawn_cells: Samples, quick: Recipe, last_epoch: Recipe, out: Path) -> None:
    split = cross_splits(drawn_cells, 2, seed=0, hold_back=False)[0]
    with pytest.raises(ClassifierError, match="The split has no validation cells"):
        train(drawn_cells, quick, out, split=split, **SMALL)
    with pytest.raises(ClassifierError, match="monitors none cannot wait 3 epochs"):
        last_epoch.changed({"stages.0.patience": 3})
