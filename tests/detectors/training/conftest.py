"""Drawn fields with boxed cells, as a folder of YOLO labels: enough for a network to learn in seconds that purple is a cell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

SIDE = 160
CELL_PX = 40


def draw_fields(folder: Path, count: int, seed: int = 0) -> Path:
    """Write `count` fields, each with red cells and one white cell, all different."""
    rng = np.random.default_rng(seed)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        picture = np.full((SIDE, SIDE, 3), (228, 235, 238), np.uint8)
        for _ in range(14):
            x, y = rng.integers(0, SIDE, 2).tolist()
            cv2.circle(picture, (x, y), 12, (150, 160, 205), -1)
        x, y = rng.integers(CELL_PX // 2 + 2, SIDE - CELL_PX // 2 - 2, 2).tolist()
        cv2.circle(picture, (x, y), CELL_PX // 2, (170, 120, 160), -1)
        for _ in range(5):  # a nucleus of lobes, so that no two cells are alike
            dx, dy = rng.integers(-8, 9, 2).tolist()
            cv2.circle(picture, (x + dx, y + dy), int(rng.integers(4, 8)), (130, 40, 90), -1)
        grain = rng.integers(-6, 7, picture.shape)
        cv2.imwrite(str(folder / "images" / f"{number:03}.png"), np.clip(picture + grain, 0, 255).astype(np.uint8))
        size = CELL_PX / SIDE
        (folder / "labels" / f"{number:03}.txt").write_text(f"0 {x / SIDE} {y / SIDE} {size} {size}\n")
    (folder / "classes.txt").write_text("WBC\n")
    return folder


@pytest.fixture(scope="session")
def make_fields() -> Callable[..., Path]:
    """Return `draw_fields`, for tests that want their own."""
    return draw_fields


@pytest.fixture(scope="session")
def drawn_fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_fields(tmp_path_factory.mktemp("labelled") / "drawn", 12)
