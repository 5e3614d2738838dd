"""`smearscan train --detector`: what it writes, what it says, what it refuses, and how it ends."""

from __future__ import annotations

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

from smearscan.cli import smearscan

QUICK = ("--set", "steps=2", "--set", "batch=2", "--set", "validate_every=2", "--set", "width=0.0625", "--set", "warm_up=0")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawn fields with one boxed cell each, as YOLO labels that do not name their classes."""
    folder = tmp_path_factory.mktemp("data") / "drawn"
    rng = np.random.default_rng(2)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(12):
        picture = cv2.resize(rng.integers(170, 250, (9, 9, 3), np.uint8), (128, 128))
        x, y = rng.integers(24, 104, 2).tolist()
        cv2.circle(picture, (x, y), 20, (150, 60, 110), -1)
        blotches = cv2.resize(rng.integers(0, 120, (7, 7, 3), np.uint8), (30, 30), interpolation=cv2.INTER_NEAREST)
        picture[y - 15 : y + 15, x - 15 : x + 15] = blotches  # no two cells look alike
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        (folder / "labels" / f"{number}.txt").write_text(f"0 {x / 128} {y / 128} 0.3125 0.3125\n")
    return folder


def call(*arguments: object) -> Result:
    return CliRunner().invoke(smearscan, ["train", *map(str, arguments)])


def test_a_detector_is_trained_and_told(labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "detector"
    options = ("--detector", "--data-option", "names=WBC", "--threads", 1, "--device", "cpu", "--seed", 3, "--json")
    result = call(labelled, *options, *QUICK, "--set", "name=mine", "--out", out)
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {"card.json", "model.yaml", "weights.safetensors", "training"}
    card = json.loads(result.stdout)
    assert card["name"] == "mine" and card["classes"] == ["white cell"]
    assert card["extra"]["training"]["settings"]["seed"] == 3
    assert "12 labelled pictures of 1" in result.stderr and "train 8 white cells" in result.stderr
    assert "mAP50-95" in result.stderr and f"--detector {out}" in result.stderr.replace("\n", " ")
    again = call(labelled, *options, *QUICK, "--out", out)
    assert again.exit_code == 2
    assert "finished detector" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipe", "small-cnn"), "--recipe: only for training a classifier"),
        (("--folds", "3", "--mpp", "0.25"), "--folds, --mpp: only for training a classifier. Leave them out"),
        (("--set", "stages.0.epochs=2"), "--set 'stages.0.epochs=2': with --detector it is one of"),
        (("--set", "steps=many"), "steps is a number"),
        (("--set", "steps=0"), "steps 0"),
        (("--data-option", "step_px=50"), "names=WBC,RBC,platelet"),
        (("--data-option", "diameter_px=wide"), "must name a number"),
        (("--kind", "cnmc"), "The kind 'cnmc' of labels is unknown"),
        (("--split", "nowhere.csv"), "nowhere.csv is no readable split"),
        ((), "names 0 of them"),
    ],
)
def test_what_does_not_go_together_is_refused(labelled: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    named = () if not arguments or arguments[0] == "--data-option" else ("--data-option", "names=WBC")
    result = call(labelled, "--detector", "--out", tmp_path / "detector", *named, *arguments)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "detector").exists()


def test_several_folders_are_for_detectors_alone(labelled: Path, tmp_path: Path) -> None:
    result = call(labelled, labelled, "--out", tmp_path / "model")
    assert result.exit_code == 2
    assert "several are for --detector" in result.stderr


@pytest.mark.slow
def test_a_stopped_training_says_how_to_go_on(labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "detector"
    arguments = [labelled, "--detector", "--data-option", "names=WBC", "--threads", "1", "--device", "cpu", *QUICK, "--set", "steps=4000"]
    command = [sys.executable, "-m", "smearscan", "train", *map(str, arguments), "--out", str(out), "--checkpoint-every", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}) as running:
        deadline = time.monotonic() + 120
        while not (out / "training" / "checkpoint.pt").is_file() and time.monotonic() < deadline:
            time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        _, told = running.communicate(timeout=60)
    assert running.returncode == 4, told
    assert "The same command goes on there." in " ".join(told.split())
    assert (out / "training" / "checkpoint.pt").is_file()
