"""`smearscan train`: what it writes, what it says, what it refuses, and how it ends."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from classifiers.card import ModelCard
from classifiers.datasets import load
from smearscan.cli import smearscan
from smearscan.cli.train import limit

RECIPE = """
title = "A tiny network"
[data]
set = "csv"
shares = [0.5, 0.25, 0.25]
[input]
crop_px = 24
[network]
name = "small-cnn"
activation = "softmax"
options = { width = 4, depths = [1, 1] }
[[stages]]
optimiser = "adam"
learning_rate = 1e-2
batch_size = 8
epochs = 3
"""


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of drawn cells, five of each of sixteen subjects, and a recipe beside it."""
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(5)
    rows = []
    for subject in range(16):
        for number in range(5):
            texture = cv2.resize(random.integers(120, 256, (4, 4, 3), dtype=np.uint8), (24, 24))  # no two cells look alike
            centre = tuple(int(each) for each in random.integers(9, 15, 2))
            cv2.circle(texture, centre, 8 if subject % 2 else 4, (150, 60, 110), -1)
            cv2.imwrite(str(root / f"{subject}_{number}.png"), texture)
            rows.append((f"{subject}_{number}.png", "blast" if subject % 2 else "normal", f"S{subject}"))
    with (root / "cells.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label", "subject"), *rows])
    (root / "tiny.toml").write_text(RECIPE)
    return root / "cells.csv"


def run(cells: Path, out: Path, *arguments: str) -> Result:
    common = ["train", str(cells), "--recipe", str(cells.with_name("tiny.toml")), "--out", str(out), "--device", "cpu", "--threads", "1"]
    return CliRunner().invoke(smearscan, [*common, *arguments])


def test_it_trains_and_says_what_came_of_it(cells: Path, tmp_path: Path) -> None:
    done = run(cells, tmp_path / "model", "--mpp", "0.5", "--set", "stages.0.epochs=2", "--set", "title=Changed", "--json")
    assert done.exit_code == 0, done.output
    card = ModelCard.load(tmp_path / "model" / "card.json")
    assert json.loads(done.stdout)["sha256"] == card.sha256
    assert card.crop_um == 12
    assert card.summary.startswith("Changed. Trained on ")
    assert card.extra["training"]["stages"][0]["epochs"] == 2
    for words in ("waiting for data", "--classifier", "95 % interval, by subject", "For research use only."):
        assert words in done.stderr
    again = run(cells, tmp_path / "model")
    assert again.exit_code == 4
    assert "holds a finished model" in again.stderr
    assert run(cells, tmp_path / "model", "--overwrite").exit_code == 0
    assert "--weights" not in done.stderr


def test_a_recipe_that_begins_with_published_weights_says_that_it_has_none(cells: Path, tmp_path: Path) -> None:
    done = run(cells, tmp_path / "model", "--set", "stages.0.epochs=1", "--set", "network.weights=IMAGENET1K_V1")
    assert done.exit_code == 0, done.output
    assert "tiny: the paper began with the weights IMAGENET1K_V1; without --weights all begins with random numbers." in done.stderr


def test_a_random_split_is_called_leaky_and_folds_are_not(cells: Path, tmp_path: Path) -> None:
    leaky = run(cells, tmp_path / "leaky", "--split", "random", "--set", "stages.0.epochs=1")
    assert leaky.exit_code == 0, leaky.output
    assert "warning: leaky" in leaky.stderr
    assert "leaky: random split of cells" in ModelCard.load(tmp_path / "leaky" / "card.json").summary
    folds = run(cells, tmp_path / "folds", "--folds", "2", "--set", "stages.0.epochs=1", "--limit", "64")
    assert folds.exit_code == 0, folds.output
    assert len(ModelCard.load(tmp_path / "folds" / "card.json").subjects) == 16


def test_a_split_of_a_file_is_taken_and_one_that_leaks_is_refused(cells: Path, tmp_path: Path) -> None:
    samples = load(cells)
    named = [("train", "train", "validation", "test")[int(subject[1:]) // 2 % 4] for subject in samples.subjects]
    for name, parts in (("good", named), ("bad", ["test", *named[1:]])):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("file", "part"), *zip(samples.files, parts, strict=True)])
    assert run(cells, tmp_path / "good", "--split", str(tmp_path / "good.csv")).exit_code == 0
    bad = run(cells, tmp_path / "bad", "--split", str(tmp_path / "bad.csv"))
    assert bad.exit_code == 2
    assert "on several sides" in bad.stderr
    assert not (tmp_path / "bad" / "card.json").exists()
    allowed = run(cells, tmp_path / "bad", "--split", str(tmp_path / "bad.csv"), "--allow-leaks")
    assert allowed.exit_code == 0, allowed.output
    assert "leaky: subjects on both sides" in ModelCard.load(tmp_path / "bad" / "card.json").summary


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--recipe", "no-such"), 2, "no recipe named 'no-such'"),
        (("--set", "stages"), 2, "must be written as"),
        (("--set", "stages.0.speed=3"), 2, "no key 'speed'"),
        (("--split", "missing.csv"), 2, "missing.csv cannot be read"),
        (("--mpp", "0.5", "--crop-um", "20"), 4, "Give one of mpp"),
        (("--threshold-rule", "best"), 4, "threshold rule 'best'"),
        (("--weights", "missing.pth"), 4, "missing.pth cannot be read"),
        (("--limit", "3"), 2, ""),
    ],
)
def test_wrong_use_is_a_sentence(cells: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = run(cells, tmp_path / "model", *arguments)
    assert done.exit_code == code, done.output
    assert words in done.stderr
    assert done.stderr.count("smearscan: ") == 1


def test_a_limit_takes_from_every_subject_alike(cells: Path) -> None:
    few = limit(load(cells), 40)
    assert len(few) == 40
    assert {few.subjects.count(subject) for subject in set(few.subjects)} <= {2, 3}
    assert len(set(few.subjects)) == 16


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_a_checkpoint_and_the_same_command_goes_on(cells: Path, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "model"
    arguments = [str(cells), "--recipe", str(cells.with_name("tiny.toml")), "--out", str(out), "--device", "cpu", "--threads", "1"]
    command = [sys.executable, "-m", "smearscan", "train", *arguments, "--set", "stages.0.epochs=3000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (out / "training" / "checkpoint.pt").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.kill(process.pid, number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 4, said
    assert f"asked to stop ({number.name}). Stopped in epoch" in said
    assert "The same command goes on there." in said
    assert not (out / "card.json").exists()
    refused = run(cells, out, "--set", "stages.0.epochs=2")
    assert refused.exit_code == 4
    assert "recipe was not the same" in refused.stderr
