"""Labelled cells and a recipe, small enough that a dozen trainings take seconds."""

from __future__ import annotations

import ctypes
import gc
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from classifiers.datasets import Samples
from classifiers.recipes import Recipe

SUBJECTS, CELLS = 16, 6

# A network of a few hundred weights, for two epochs; its [tuning] tries learning rates, widths, depths and optimisers.
SMALL: dict[str, Any] = {
    "title": "A small network",
    "row": "Table 1",
    "published": {"metric": "accuracy", "value": 0.9, "split": "random", "on": "cells"},
    "data": {"set": "folders", "shares": [0.5, 0.25, 0.25]},
    "input": {"crop_px": 24},
    "network": {"name": "small-cnn", "activation": "softmax", "options": {"width": 4, "depths": [1, 1]}},
    "stages": [{"optimiser": "adam", "learning_rate": 1e-2, "batch_size": 8, "epochs": 2}],
    "tuning": {
        "trials": 4,
        "sampler": "random",
        "metric": "accuracy",
        "space": {
            "stages.0.learning_rate": {"low": 1e-4, "high": 3e-2, "log": True},
            "network.options.width": {"low": 2, "high": 8, "step": 2},
            "network.options.depths": [[1], [1, 1]],
            "stages.0.optimiser": ["adam", "sgd"],
        },
    },
}


def write_labelled_cells(root: Path) -> Samples:
    """Draw cells whose nuclei fill them or not, subjects with blasts in turn with those without."""
    random = np.random.default_rng(3)
    names = []
    for subject in range(SUBJECTS):
        for number in range(CELLS):
            picture = np.full((24, 24, 3), 230, np.uint8)
            radius = int(random.integers(6, 10) if subject % 2 else random.integers(3, 8))
            cv2.circle(picture, (12, 12), radius, (90, 60, 150), -1)
            names.append(f"{subject:02d}-{number}.png")
            cv2.imwrite(str(root / names[-1]), np.clip(picture + random.normal(0, 15, picture.shape), 0, 255).astype(np.uint8))
    subjects = tuple(name.partition("-")[0] for name in names)
    return Samples(
        name="labelled cells",
        root=root,
        classes=("normal", "blast"),
        roles={"normal": "other", "blast": "blast"},
        positive_class="blast",
        files=tuple(names),
        labels=np.array([int(subject) % 2 for subject in subjects], np.int64),
        subjects=subjects,
        groups=subjects,
        parts=("",) * len(names),
        mpp=0.5,
    )


@pytest.fixture(scope="session")
def labelled_cells(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return write_labelled_cells(tmp_path_factory.mktemp("labelled"))


@pytest.fixture(scope="session")
def small_recipe() -> Recipe:
    return Recipe.from_mapping("small", SMALL)


@pytest.fixture(autouse=True)
def returned_memory(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hand the memory of a long test back: `keep_freed_memory` keeps it for good, and hundreds of networks would add up to gigabytes."""
    yield
    if request.node.get_closest_marker("slow") and platform.libc_ver()[0] == "glibc":
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
