"""A small set of drawn cells that can be told apart, and a recipe that learns it in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from classifiers.datasets import Samples
from classifiers.recipes import Recipe

SUBJECTS = 20  # half of them with blasts only, as in real sets
CELLS = 6  # of a subject


def draw_cell(random: np.random.Generator, blast: bool) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Draw a dark nucleus on a pale cell: a blast's fills the cell."""
    picture = np.full((24, 24, 3), 235, np.uint8)
    centre = tuple(int(each) for each in random.integers(10, 14, 2))
    radius = int(random.integers(7, 10) if blast else random.integers(3, 7))
    cv2.circle(picture, centre, 10, (200, 190, 220), -1)
    cv2.circle(picture, centre, radius, (110, 60, 150), -1)
    return np.asarray(np.clip(picture + random.normal(0, 12, picture.shape), 0, 255), np.uint8)


@pytest.fixture(scope="session")
def drawn_cells(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    root = tmp_path_factory.mktemp("cells")
    random = np.random.default_rng(7)
    files, labels, subjects = [], [], []
    for subject in range(SUBJECTS):
        for number in range(CELLS):
            name = f"s{subject:02d}_{number}.png"
            cv2.imwrite(str(root / name), draw_cell(random, subject % 2 == 0))
            files.append(name)
            labels.append(0 if subject % 2 == 0 else 1)
            subjects.append(f"S{subject:02d}")
    return Samples(
        name="drawn",
        root=root,
        classes=("blast", "normal"),
        roles={"blast": "blast", "normal": "other"},
        positive_class="blast",
        files=tuple(files),
        labels=np.array(labels, np.int64),
        subjects=tuple(subjects),
        groups=tuple(subjects),
        parts=("",) * len(files),
        licence="CC0",
        citation="drawn by the test",
    )


@pytest.fixture
def recipe() -> Recipe:
    """Dropout, batch normalisation, augmentation and two stages: whatever could differ after a stop."""
    return Recipe.from_mapping(
        "tiny",
        {
            "title": "A tiny network",
            "data": {"set": "folders", "shares": [0.5, 0.25, 0.25]},
            "input": {"crop_px": 24},
            "network": {"name": "small-cnn", "activation": "softmax", "options": {"width": 4, "depths": [1, 1]}},
            "augmentation": [{"step": "flip"}, {"step": "shift", "share": 0.05}],
            "stages": [
                {"optimiser": "adam", "learning_rate": 1e-2, "batch_size": 8, "epochs": 2},
                {"optimiser": "sgd", "momentum": 0.9, "learning_rate": 1e-2, "batch_size": 8, "epochs": 2, "mixup": 0.2},
            ],
        },
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "model"
