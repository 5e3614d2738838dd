"""Whole tunings of a small network: what they leave, that they go on after a kill, and that they keep off the test cells."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from classifiers import recipes
from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.datasets import Samples
from classifiers.recipes import Recipe, RecipeError
from classifiers.splits import Split, split_samples
from classifiers.training import TrainingStopped, train
from classifiers.tuning import TrialRow, Tuned, TuningProgress, tune
from classifiers.tuning.figure import write_trials_png
from classifiers.tuning.tuning import without_test

CPU: dict[str, Any] = {"device": "cpu", "precision": "fp32", "threads": 1}
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def split(labelled_cells: Samples) -> Split:
    return split_samples(labelled_cells, "subject", (0.5, 0.25, 0.25), 0)


@pytest.fixture(scope="module")
def tuned(labelled_cells: Samples, small_recipe: Recipe, split: Split, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tuned, Path]:
    out = tmp_path_factory.mktemp("tuned")
    return tune(labelled_cells, small_recipe, out, split=split, keep=2, **CPU), out


def table(out: Path) -> list[dict[str, str]]:
    """Return the trials without what they took of time, which differs from call to call."""
    with (out / "trials.csv").open(newline="", encoding="utf-8") as file:
        return [{key: value for key, value in line.items() if key != "seconds"} for line in csv.DictReader(file)]


def test_the_best_trial_is_the_best_of_the_table(tuned: tuple[Tuned, Path]) -> None:
    found, out = tuned
    lines = table(out)
    assert [line["trial"] for line in lines] == ["0", "1", "2", "3"]
    assert {line["state"] for line in lines} == {"finished"}
    values = [float(line["validation_accuracy"]) for line in lines]
    assert found.best.number == int(np.argmax(values))
    assert found.best.value == pytest.approx(max(values), abs=1e-6)
    assert lines[found.best.number]["network.options.width"] == str(found.best.changes["network.options.width"])


def test_the_best_recipe_is_read_back(tuned: tuple[Tuned, Path], small_recipe: Recipe) -> None:
    found, out = tuned
    read = recipes.load(out / "best.toml")
    assert read.values == found.recipe.values
    assert (read.tuning, read.published, read.row) == (None, None, "")
    expected = small_recipe.changed(found.best.changes)
    assert (read.network, read.stages, read.data, read.input) == (expected.network, expected.stages, expected.data, expected.input)


def test_the_models_of_the_best_trials_are_kept_and_no_others(tuned: tuple[Tuned, Path], split: Split, labelled_cells: Samples) -> None:
    found, out = tuned
    ranked = sorted(found.rows, key=lambda row: (-(row.value or 0), row.number))
    kept = {int(each.parent.name) for each in out.glob("trials/*/card.json")}
    assert kept == {row.number for row in ranked[:2]}
    assert {int(each.parent.name) for each in out.glob("trials/*/weights.safetensors")} == kept
    assert len(list(out.glob("trials/*/training/curves.csv"))) == 4
    assert not (out / "cache").exists()
    card = ModelCard.load(out / "trials" / f"{ranked[0].number:04d}" / "card.json")
    assert card.extra["test"]["on"] == "validation"
    assert card.extra["test"]["cells"] == len(split.rows("validation"))


def test_a_trials_value_is_that_of_its_validation_cells(tuned: tuple[Tuned, Path], labelled_cells: Samples) -> None:
    found, out = tuned
    with (out / "trials" / f"{found.best.number:04d}" / "training" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["part"] == "validation"]
    called = ["blast" if float(line["p_blast"]) > float(line["p_normal"]) else "normal" for line in lines]
    assert found.best.value == pytest.approx(accuracy_score([line["label"] for line in lines], called))


def test_test_cells_are_never_opened(labelled_cells: Samples, small_recipe: Recipe, split: Split, tmp_path: Path) -> None:
    """Their files are not even there."""
    tested = {labelled_cells.files[row] for row in split.rows("test")}
    for name in labelled_cells.files:
        if name not in tested:
            (tmp_path / name).write_bytes((labelled_cells.root / name).read_bytes())
    moved = replace(labelled_cells, root=tmp_path)
    assert len(tune(moved, small_recipe, tmp_path / "out", split=split, trials=1, **CPU).rows) == 1
    seen, parts = without_test(labelled_cells, split)
    assert not tested & set(seen.files)
    assert parts.sizes() == {**split.sizes(), "test": 0}


def test_a_refit_is_the_training_of_the_best_recipe(
    tuned: tuple[Tuned, Path], labelled_cells: Samples, small_recipe: Recipe, split: Split, tmp_path: Path
) -> None:
    found, out = tuned
    again = tune(labelled_cells, small_recipe, out, split=split, keep=2, refit=True, **CPU)
    assert again.rows == found.rows, "nothing was tried again"
    assert again.card is not None
    assert again.card.extra["test"]["on"] == "test"
    plain = train(labelled_cells, recipes.load(out / "best.toml"), tmp_path / "plain", split=split, **CPU)
    assert again.card.sha256 == plain.sha256
    at = (out / "model" / "card.json").stat().st_mtime_ns
    tune(labelled_cells, small_recipe, out, split=split, keep=2, refit=True, **CPU)
    assert (out / "model" / "card.json").stat().st_mtime_ns == at, "a refit that is there is left alone"


@pytest.mark.slow
def test_more_trials_go_on_where_fewer_ended(
    tuned: tuple[Tuned, Path], labelled_cells: Samples, small_recipe: Recipe, split: Split, tmp_path: Path
) -> None:
    _, whole = tuned
    tune(labelled_cells, small_recipe, tmp_path, split=split, trials=2, **CPU)
    assert len(table(tmp_path)) == 2
    tune(labelled_cells, small_recipe, tmp_path, split=split, trials=4, **CPU)
    assert table(tmp_path) == table(whole)


@pytest.mark.slow
def test_a_stopped_trial_goes_on_and_the_result_is_the_same(
    tuned: tuple[Tuned, Path], labelled_cells: Samples, small_recipe: Recipe, split: Split, tmp_path: Path
) -> None:
    _, whole = tuned
    told: list[TuningProgress] = []

    def stop() -> bool:
        return bool(told) and told[-1].number == 1 and told[-1].training is not None and told[-1].training.last is not None

    with pytest.raises(TrainingStopped):
        tune(labelled_cells, small_recipe, tmp_path, split=split, show=told.append, stop=stop, **CPU)
    assert (tmp_path / "trials" / "0001" / "training" / "checkpoint.pt").is_file()
    tune(labelled_cells, small_recipe, tmp_path, split=split, **CPU)
    assert table(tmp_path) == table(whole)


@pytest.mark.slow
def test_a_kill_at_any_time_loses_no_trial(tuned: tuple[Tuned, Path], tmp_path: Path) -> None:
    """The same command again and again, killed without warning each time, comes to the undisturbed table."""
    _, whole = tuned
    out = tmp_path / "out"
    (tmp_path / "cells").mkdir()
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('cells', {str(HERE.parent / 'conftest.py')!r})\n"
        "cells = importlib.util.module_from_spec(spec); spec.loader.exec_module(cells)\n"
        "from pathlib import Path\n"
        "from classifiers.recipes import Recipe\n"
        "from classifiers.splits import split_samples\n"
        "from classifiers.tuning import tune\n"
        f"samples = cells.write_labelled_cells(Path({str(tmp_path / 'cells')!r}))\n"
        "recipe = Recipe.from_mapping('small', cells.SMALL)\n"
        "split = split_samples(samples, 'subject', (0.5, 0.25, 0.25), 0)\n"
        f"tune(samples, recipe, Path({str(out)!r}), split=split, keep=2, device='cpu', precision='fp32', threads=1)\n"
    )
    kills, waits = 0, [0.2, 1.1, 2.3, 0.7, 1.7, 3.1]
    for wait in waits:
        started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 120
        while started.poll() is None and not (out / "trials.db").is_file() and time.monotonic() < deadline:
            time.sleep(0.05)
        try:
            started.wait(wait)
        except subprocess.TimeoutExpired:
            os.kill(started.pid, signal.SIGKILL)
            started.wait(60)
            kills += 1
        started.stderr.close() if started.stderr else None
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert not ended.stderr, "Optuna is quiet"
    assert kills >= 3
    assert table(out) == table(whole)


@pytest.mark.parametrize(
    ("changes", "options", "words"),
    [
        ({"tuning.space": {"stages.0.batch_size": [4, 8]}}, {}, "space of network.options.depths and .*space of stages.0.batch_size"),
        ({"stages.0.patience": 7}, {}, "whose recipe was not the same"),
        ({}, {"seed": 3}, "whose seed was not the same"),
        ({"tuning.metric": "auc"}, {}, "whose metric was not the same"),
        ({"tuning.sampler": "tpe"}, {}, "whose sampler was not the same"),
    ],
)
def test_what_changed_is_refused_by_name(
    changes: dict[str, Any],
    options: dict[str, Any],
    words: str,
    tuned: tuple[Tuned, Path],
    labelled_cells: Samples,
    small_recipe: Recipe,
    split: Split,
) -> None:
    _, out = tuned
    before = table(out)
    with pytest.raises(ClassifierError, match=words):
        tune(labelled_cells, small_recipe.changed(changes), out, split=split, **{**CPU, **options})
    assert table(out) == before


def test_another_split_and_a_second_process_are_refused(tuned: tuple[Tuned, Path], labelled_cells: Samples, small_recipe: Recipe) -> None:
    import filelock

    _, out = tuned
    other = split_samples(labelled_cells, "subject", (0.5, 0.25, 0.25), 9)
    with pytest.raises(ClassifierError, match="split"):
        tune(labelled_cells, small_recipe, out, split=other, **CPU)
    with filelock.FileLock(out / "tuning.lock"), pytest.raises(ClassifierError, match="another process"):
        tune(labelled_cells, small_recipe, out, split=other, **CPU)
    with pytest.raises(RecipeError, match="is of an ensemble"):
        tune(labelled_cells, recipes.load("ens-average"), out, split=other, **CPU)


@pytest.mark.slow
def test_trials_that_diverge_are_told_and_do_not_count(labelled_cells: Samples, small_recipe: Recipe, split: Split, tmp_path: Path) -> None:
    space = {"tuning.space": {"stages.0.learning_rate": [1e-3, 1e38]}, "tuning.metric": "nll", "stages.0.optimiser": "sgd"}
    recipe = small_recipe.changed(space)
    found = tune(labelled_cells, recipe, tmp_path, split=split, trials=9, **CPU)
    assert sorted(row.state for row in found.rows) == ["failed", "finished"], "two values, each tried once"
    failed = next(row for row in found.rows if row.state == "failed")
    assert failed.value is None
    assert "validation loss became" in failed.reason
    assert found.best.changes == {"stages.0.learning_rate": 1e-3}
    with pytest.raises(ClassifierError, match=r"None of 1 trials came to its end\. The validation loss became"):
        only = recipe.changed({"tuning.space": {"stages.0.learning_rate": [1e38]}})
        tune(labelled_cells, only, tmp_path / "none", split=split, **CPU)


@pytest.mark.slow
def test_trials_without_hope_are_cut_short(labelled_cells: Samples, small_recipe: Recipe, split: Split, tmp_path: Path) -> None:
    recipe = small_recipe.changed(
        {
            "tuning.sampler": "tpe",
            "tuning.metric": "nll",
            "tuning.space": {"stages.0.learning_rate": {"low": 1e-6, "high": 3e-2, "log": True}},
            "stages.0.epochs": 5,
        }
    )
    found = tune(labelled_cells, recipe, tmp_path, split=split, trials=11, **CPU)
    cut = [row for row in found.rows if row.state == "cut short"]
    assert cut
    assert all(row.number >= 5 and row.value is None and (row.epochs or 0) <= 5 for row in cut), "the first five set the median"
    assert not list((tmp_path / "trials" / f"{cut[0].number:04d}").glob("training/checkpoint.pt"))


@pytest.mark.parametrize("count", [1, 3, 25])
def test_the_picture_is_drawn_of_few_and_of_many_trials(count: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        TrialRow(
            number,
            ("finished", "cut short", "failed")[0 if number % 5 else number % 3],
            float(rng.random()) if number % 5 else None,
            {"stages.0.learning_rate": float(10 ** rng.uniform(-5, -2)), "stages.0.optimiser": "adam", "network.options.depths": [1, 2]},
        )
        for number in range(count)
    ]
    write_trials_png(tmp_path / "a.png", rows, metric="accuracy", importances={}, title="small")
    write_trials_png(tmp_path / "b.png", rows, metric="accuracy", importances={}, title="small")
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture is not None
    assert picture.shape[1] >= 900
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_overwrite_starts_anew(labelled_cells: Samples, small_recipe: Recipe, split: Split, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept", encoding="utf-8")
    tune(labelled_cells, small_recipe, tmp_path, split=split, trials=2, **CPU)
    found = tune(labelled_cells, small_recipe, tmp_path, split=split, trials=1, seed=2, overwrite=True, **CPU)
    assert len(found.rows) == len(table(tmp_path)) == 1
    assert json.loads((tmp_path / "tuning.json").read_text(encoding="utf-8"))["seed"] == "2"
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "kept"
