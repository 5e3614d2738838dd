"""The course of a training on paper."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from classifiers.training.curves import best_epochs, write_curves_csv, write_curves_png
from classifiers.training.progress import Epoch

HISTORY = [
    Epoch(1, 1, 0.1, 0.9, 0.5, 0.8, 0.60),
    Epoch(1, 2, 0.1, 0.7, 0.6, 0.6, 0.65),
    Epoch(1, 3, 0.1, 0.6, 0.7, 0.7, 0.70),
    Epoch(2, 1, 0.01, 0.5, 0.8, 0.5, 0.80),
    Epoch(2, 2, 0.01, 0.4, 0.9, 0.4, 0.80),
]


def test_the_best_epoch_of_each_stage_goes_by_what_it_monitors() -> None:
    assert best_epochs(HISTORY, ["loss", "loss"]) == [1, 4]
    assert best_epochs(HISTORY, ["accuracy", "accuracy"]) == [2, 3], "the first of equals"


def test_the_table_has_a_line_an_epoch(tmp_path: Path) -> None:
    write_curves_csv(tmp_path / "curves.csv", HISTORY)
    with (tmp_path / "curves.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["validation_loss"] for line in lines] == ["0.8", "0.6", "0.7", "0.5", "0.4"]


@pytest.mark.parametrize("history", [HISTORY, HISTORY[:1]])
def test_the_picture_shows_both_curves_in_their_colours_and_is_the_same_again(history: list[Epoch], tmp_path: Path) -> None:
    monitors = ["loss", "loss"] if len(history) > 1 else ["loss"]
    for name in ("a.png", "b.png"):
        write_curves_png(tmp_path / name, history, monitors, "A network", "leaky: random split of cells")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    picture = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert (np.abs(picture.astype(int) - colour).max(axis=2) < 12).sum() > 50
