"""`smearscan tune` and `smearscan ensemble`: from labelled cells to the best recipe, and from two models to one."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from classifiers.card import ModelCard
from classifiers.recipes import load
from smearscan.cli import smearscan

RECIPE = """
title = "A tiny network"
[data]
set = "csv"
shares = [0.5, 0.25, 0.25]
[input]
crop_px = 24
[network]
name = "small-cnn"
activation = "sigmoid"
options = { width = 4, depths = [1, 1] }
[[stages]]
optimiser = "adam"
learning_rate = 1e-2
batch_size = 8
epochs = 1
[tuning]
trials = 2
metric = "balanced_accuracy"
[tuning.space]
"stages.0.learning_rate" = [1e-2, 1e-3, 1e-4]
"""


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of drawn cells, three of each of sixteen subjects, and a recipe with a space beside it."""
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(8)
    rows = []
    for subject in range(16):
        for number in range(3):
            texture = cv2.resize(random.integers(120, 256, (4, 4, 3), dtype=np.uint8), (24, 24))
            cv2.circle(texture, (12, 12), 8 if subject % 2 else 4, (150, 60, 110), -1)
            cv2.imwrite(str(root / f"{subject}_{number}.png"), texture)
            rows.append((f"{subject}_{number}.png", "blast" if subject % 2 else "normal", f"S{subject}"))
    with (root / "cells.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label", "subject"), *rows])
    (root / "tiny.toml").write_text(RECIPE)
    return root / "cells.csv"


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(smearscan, [str(each) for each in arguments])


def tune(cells: Path, out: Path, *more: str) -> Result:
    return call("tune", cells, "--recipe", cells.with_name("tiny.toml"), "--out", out, "--device", "cpu", "--threads", "1", *more)


def test_trials_are_told_and_more_of_them_go_on(cells: Path, tmp_path: Path) -> None:
    done = tune(cells, tmp_path / "tuning", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert [trial["number"] for trial in said["trials"]] == [0, 1]
    assert "--recipe" in done.stderr
    assert "best.toml" in done.stderr
    more = tune(cells, tmp_path / "tuning", "--trials", "3", "--json")
    assert more.exit_code == 0, more.output
    again = json.loads(more.stdout)
    assert again["trials"][:2] == said["trials"], "what is done is not done again"
    rates = {trial["changes"]["stages.0.learning_rate"] for trial in again["trials"]}
    assert rates == {1e-2, 1e-3, 1e-4}
    best = again["trials"][again["best"]]["changes"]["stages.0.learning_rate"]
    assert load(tmp_path / "tuning" / "best.toml").stages[0].learning_rate == best
    other = tune(cells, tmp_path / "tuning", "--seed", "1")
    assert other.exit_code == 4
    assert "seed" in other.stderr


def test_a_recipe_without_a_space_is_refused(cells: Path, tmp_path: Path) -> None:
    done = call("tune", cells, "--recipe", "small-cnn", "--out", tmp_path / "tuning", "--device", "cpu")
    assert done.exit_code == 2
    assert "has no [tuning]" in done.stderr


def test_two_models_become_one_and_each_is_told_by_its_folder(cells: Path, tmp_path: Path) -> None:
    common = ("--recipe", cells.with_name("tiny.toml"), "--device", "cpu", "--threads", "1")
    first = call("train", cells, *common, "--out", tmp_path / "one")
    assert first.exit_code == 0, first.output
    second = ("--split", tmp_path / "one" / "training" / "split.csv", "--seed", "1")
    assert call("train", cells, *common, "--out", tmp_path / "two", *second).exit_code == 0
    models, together = (tmp_path / "one", tmp_path / "two"), tmp_path / "together"
    done = call("ensemble", *models, "--out", together, "--method", "genetic", "--option", "population=10", "--json")
    assert done.exit_code == 0, done.output
    card = ModelCard.load(together / "card.json")
    assert json.loads(done.stdout)["sha256"] == card.sha256
    assert card.extra["test"]["on"] == "test"
    rows = [line for line in done.stderr.splitlines() if "tiny on cells" in line and "0." in line]
    assert len(rows) >= 2
    wrong = call("ensemble", *models, "--out", tmp_path / "x", "--option", "population")
    assert wrong.exit_code == 2
    assert "--option population=100" in wrong.stderr
    assert call("ensemble", models[0], "--out", tmp_path / "x").exit_code == 4
