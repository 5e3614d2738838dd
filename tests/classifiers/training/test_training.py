"""From drawn cells to a model folder: what is in it, that it is repeated bit for bit, and that nothing stops it for good."""

from __future__ import annotations

import csv
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.datasets import Samples
from classifiers.recipes import Recipe
from classifiers.splits import Split, read_split, split_samples
from classifiers.torch_classifier import TorchClassifier
from classifiers.training import Progress, Scale, TrainingDiverged, TrainingStopped, read_predictions, train
from classifiers.training import pixels as pixels_room

SMALL = {"device": "cpu", "threads": 1}


@pytest.fixture
def split(drawn_cells: Samples, recipe: Recipe) -> Split:
    return split_samples(drawn_cells, "subject", recipe.data.shares, 0)


def weights_of(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def test_a_model_folder_says_how_it_came_about_and_works(drawn_cells: Samples, recipe: Recipe, split: Split, out: Path) -> None:
    seen: list[Progress] = []
    recipe = recipe.changed({"stages.0.epochs": 6, "stages.1.epochs": 8})
    card = train(drawn_cells, recipe, out, split=split, show=seen.append, scale=Scale(mpp=0.5), **SMALL)
    assert card == ModelCard.load(out / "card.json")
    assert sorted(path.name for path in (out / "training").iterdir()) == [
        "curves.csv", "curves.png", "predictions.csv", "recipe.toml", "split.csv", "times.json",
    ]  # fmt: skip
    assert card.extra["test"]["auc"]["value"] > 0.85, "drawn cells are easy"
    assert card.crop_um == 12
    assert card.classes == ("blast", "normal")
    assert card.extra["split"]["leaky"] is False
    assert (card.licence, card.extra["citation"]) == ("CC0", "drawn by the test")
    np.testing.assert_array_equal(read_split(out / "training" / "split.csv", drawn_cells).parts, split.parts)
    tested = split.rows("test")
    assert sum(each.cells for each in card.subjects) == len(tested)
    assert {each.subject for each in card.subjects} == {drawn_cells.groups[row] for row in tested}
    classifier = TorchClassifier.load(out, device="cpu", precision="fp32")
    rows, written = read_predictions(out / "training" / "predictions.csv", card.classes)
    assert set(rows) == set(range(len(drawn_cells))) - set(split.rows("train"))
    again = classifier.predict(drawn_cells.crops(rows, card.crop_px)).probabilities
    np.testing.assert_allclose(again, written, atol=2e-6)
    called = card.blast_probability(again[np.isin(rows, tested)]) >= card.threshold
    assert sum(each.called_blast for each in card.subjects) == called.sum()
    assert {each.activity for each in seen} == {"reading cells", "training", "validating"}
    assert seen[-1].best is not None
    times = json.loads((out / "training" / "times.json").read_text())
    assert 0 <= times["waiting_share"] <= 1


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    drawn_cells: Samples, recipe: Recipe, split: Split, tmp_path: Path
) -> None:
    for name, seed, threads in (("a", 0, 1), ("b", 0, 1), ("c", 1, 1)):
        train(drawn_cells, recipe, tmp_path / name, split=split, seed=seed, device="cpu", threads=threads)
    assert weights_of(tmp_path / "a") == weights_of(tmp_path / "b")
    assert (tmp_path / "a" / "card.json").read_bytes() == (tmp_path / "b" / "card.json").read_bytes()
    for name in ("curves.csv", "curves.png", "predictions.csv"):
        assert (tmp_path / "a" / "training" / name).read_bytes() == (tmp_path / "b" / "training" / name).read_bytes()
    assert weights_of(tmp_path / "a") != weights_of(tmp_path / "c")


class StopAfter:
    """Ask to stop after so many batches."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_a_stop_at_any_batch_costs_nothing(
    drawn_cells: Samples, recipe: Recipe, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(drawn_cells, recipe, tmp_path / "whole", split=split, **SMALL)
    monkeypatch.setattr(pixels_room, "ROWS_AT_ONCE", 1000)  # reading asks to stop once
    stops = 0
    for batches in (2, 7, 3, 100):
        try:
            card = train(drawn_cells, recipe, tmp_path / "parts", split=split, stop=StopAfter(batches + 1), **SMALL)
        except TrainingStopped as stopped:
            stops += 1
            assert "Stopped in epoch" in str(stopped)
            assert not (tmp_path / "parts" / "card.json").exists()
    assert stops == 3
    assert weights_of(tmp_path / "whole") == weights_of(tmp_path / "parts")
    assert card == whole


KILLED = """
import pickle, sys
from pathlib import Path
from classifiers.training import train
samples, recipe, split = pickle.loads(Path(sys.argv[1]).read_bytes())
train(samples, recipe, Path(sys.argv[2]), split=split, device="cpu", threads=1, checkpoint_every_s=0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("batches", [1, 9])
def test_a_killed_training_comes_to_the_same_weights(
    drawn_cells: Samples, recipe: Recipe, split: Split, tmp_path: Path, batches: int
) -> None:
    recipe = recipe.changed({"stages.0.epochs": 40})
    train(drawn_cells, recipe, tmp_path / "whole", split=split, **SMALL)
    (tmp_path / "order").write_bytes(pickle.dumps((drawn_cells, recipe, split)))
    out, checkpoint = tmp_path / "killed", tmp_path / "killed" / "training" / "checkpoint.pt"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "order"), str(out)])
    written: set[int] = set()
    while len(written) < batches:
        assert process.poll() is None, "it was to be killed before its end"
        if checkpoint.exists():
            written.add(checkpoint.stat().st_mtime_ns)
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "card.json").exists()
    train(drawn_cells, recipe, out, split=split, **SMALL)
    assert weights_of(out) == weights_of(tmp_path / "whole")
    assert (out / "card.json").read_bytes() == (tmp_path / "whole" / "card.json").read_bytes()


def test_what_is_finished_or_another_training_is_not_touched(drawn_cells: Samples, recipe: Recipe, split: Split, out: Path) -> None:
    with pytest.raises(TrainingStopped):
        train(drawn_cells, recipe, out, split=split, stop=StopAfter(10), **SMALL)
    other = recipe.changed({"stages.0.learning_rate": 0.5})
    with pytest.raises(ClassifierError, match="recipe and seed was not the same"):
        train(drawn_cells, other, out, split=split, seed=4, **SMALL)
    train(drawn_cells, recipe, out, split=split, **SMALL)
    before = weights_of(out)
    with pytest.raises(ClassifierError, match=r"holds a finished model.*--overwrite"):
        train(drawn_cells, recipe, out, split=split, **SMALL)
    train(drawn_cells, recipe.changed({"stages.1.epochs": 1}), out, split=split, overwrite=True, **SMALL)
    assert weights_of(out) != before


def test_the_best_weights_of_each_stage_are_kept_and_patience_ends_it(
    drawn_cells: Samples, recipe: Recipe, split: Split, tmp_path: Path
) -> None:
    one = recipe.changed({"stages": [{"optimiser": "adam", "learning_rate": 0.05, "batch_size": 8, "epochs": 60, "patience": 3}]})
    train(drawn_cells, one, tmp_path / "patient", split=split, **SMALL)
    with (tmp_path / "patient" / "training" / "curves.csv").open() as file:
        losses = [float(line["validation_loss"]) for line in csv.DictReader(file)]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 3 < 60
    train(drawn_cells, one.changed({"stages.0.epochs": best + 1, "stages.0.patience": 60}), tmp_path / "short", split=split, **SMALL)
    assert weights_of(tmp_path / "patient") == weights_of(tmp_path / "short")


def test_a_random_split_is_marked_leaky_and_counts_no_subjects(drawn_cells: Samples, recipe: Recipe, out: Path) -> None:
    leaky = split_samples(drawn_cells, "random", (0.7, 0.3), 0)
    card = train(drawn_cells, recipe.changed({"data.shares": [0.7, 0.3]}), out, split=leaky, **SMALL)
    assert "leaky: random split of cells" in card.summary
    assert card.extra["split"]["warning"] == "leaky: random split of cells"
    assert card.extra["test"]["on"] == card.extra["calibration"]["on"] == "validation", "and says on what it rests"
    assert card.subjects == ()


def test_a_sigmoid_has_its_positive_class_second(drawn_cells: Samples, recipe: Recipe, split: Split, out: Path) -> None:
    stages = [
        {"optimiser": "rmsprop", "learning_rate": 3e-3, "batch_size": 8, "epochs": 10, "class_weights": "balanced", "schedule": "cosine"}
    ]
    card = train(drawn_cells, recipe.changed({"network.activation": "sigmoid", "stages": stages}), out, split=split, **SMALL)
    assert card.classes == ("normal", "blast")
    assert card.extra["test"]["auc"]["value"] > 0.8, "and its probability is that of blasts"
    with pytest.raises(ClassifierError, match="tells two classes apart"):
        three = replace(drawn_cells, classes=("blast", "normal", "smudge"), roles={**drawn_cells.roles, "smudge": "excluded"})
        train(three, recipe.changed({"network.activation": "sigmoid"}), out / "three", split=split, **SMALL)


def test_an_excluded_class_is_learnt_and_left_out_of_the_counts(drawn_cells: Samples, recipe: Recipe, split: Split, out: Path) -> None:
    labels = drawn_cells.labels.copy()
    labels[2::6] = 2
    three = replace(
        drawn_cells, labels=labels, classes=("blast", "normal", "smudge"), roles={"blast": "blast", "normal": "other", "smudge": "excluded"}
    )
    card = train(three, recipe, out, split=split, **SMALL)
    assert card.classes == three.classes
    assert sum(each.cells for each in card.subjects) == (labels[split.rows("test")] != 2).sum()


def test_a_loss_that_is_no_number_ends_with_a_sentence(drawn_cells: Samples, recipe: Recipe, split: Split, out: Path) -> None:
    wild = recipe.changed({"stages": [{"optimiser": "sgd", "learning_rate": 1e30, "batch_size": 8, "epochs": 3}]})
    with pytest.raises(TrainingDiverged, match="learning rate below 1e"):
        train(drawn_cells, wild, out, split=split, **SMALL)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augmentation": [{"step": "melt"}]}, "no augmentation step named 'melt'"),
        ({"sampling": {"copies": "many"}}, "copies must be one of"),
        ({"network.name": "cnn55"}, "no network named 'cnn55'"),
        ({"stages.0.frozen": True, "stages.0.unfreeze_from": "block9"}, "no block 'block9'"),
        ({"input.preparation": [{"step": "melt"}]}, "no preparation step named 'melt'"),
    ],
)
def test_a_recipe_that_cannot_be_done_is_refused_and_nothing_is_lost(
    drawn_cells: Samples, recipe: Recipe, split: Split, out: Path, changes: dict[str, object], message: str
) -> None:
    (out / "training").mkdir(parents=True)
    (out / "card.json").write_text("mine")
    with pytest.raises(ClassifierError, match=message):
        train(drawn_cells, recipe.changed(changes), out, split=split, overwrite=True, **SMALL)
    assert (out / "card.json").read_text() == "mine"


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_split_without_cells_to_learn_from_is_refused(drawn_cells: Samples, recipe: Recipe, split: Split, out: Path, part: str) -> None:
    parts = split.parts.copy()
    parts[split.rows(part)] = 3
    with pytest.raises(ClassifierError, match=f"no {part} cells"):
        train(drawn_cells, recipe, out, split=replace(split, parts=parts), **SMALL)


def test_reading_can_be_stopped_too(drawn_cells: Samples, recipe: Recipe, split: Split, out: Path) -> None:
    with pytest.raises(TrainingStopped, match="while the cells were read"):
        train(drawn_cells, recipe, out, split=split, stop=lambda: True, **SMALL)


def test_inputs_are_normalised_as_the_recipe_says(drawn_cells: Samples, recipe: Recipe, split: Split, tmp_path: Path) -> None:
    unit = train(drawn_cells, recipe.changed({"input.normalise": "unit"}), tmp_path / "unit", split=split, **SMALL)
    assert (unit.mean, unit.std) == ((0, 0, 0), (1, 1, 1))
    own = train(drawn_cells, recipe, tmp_path / "own", split=split, **SMALL)
    values = drawn_cells.crops(split.rows("train"), 24).reshape(-1, 3) / 255
    np.testing.assert_allclose(own.mean, values.mean(0), atol=1e-6)
    np.testing.assert_allclose(own.std, values.std(0), atol=1e-6)
