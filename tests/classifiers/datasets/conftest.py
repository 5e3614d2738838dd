"""Drawn cells and small trees in the layouts that the published sets have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def draw_cell(seed: int, px: int = 96, frame_px: int | None = None) -> Picture:
    """Draw a round cell with a texture of its own: on a pale ground, or cut out in the middle of a black frame."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 60, (px, px)).astype(np.float32), (0, 0), px / 24)
    grain *= 18 / grain.std()
    rows, columns = np.mgrid[:px, :px] - (px - 1) / 2
    inside = np.hypot(rows, columns) < px * 0.46
    cell = np.clip(np.array([120, 60, 150]) + grain[..., None], 30, 255)
    if frame_px is None:
        return np.where(inside[..., None], cell, 235).astype(np.uint8)
    whole = np.zeros((frame_px, frame_px, 3), np.uint8)
    start = (frame_px - px) // 2
    whole[start : start + px, start : start + px] = np.where(inside[..., None], cell, 0)
    return whole


def save(path: Path, picture: Picture, quality: int = 95) -> Path:
    """Write an RGB picture; its ending says how."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix in {".jpg", ".jpeg"} else []
    assert cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    return path


@pytest.fixture
def draw() -> Callable[..., Picture]:
    """Draw a cell: draw(seed, px, frame_px)."""
    return draw_cell


@pytest.fixture
def put() -> Callable[..., Path]:
    """Write a picture: put(path, picture, quality)."""
    return save


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """A laboratory's own cells: eight subjects, four of them patients, five cells each, as a folder of class folders."""
    for subject in range(8):
        for number in range(5):
            name = "lymphoblast" if subject % 2 else "normal"
            save(tmp_path / "ward" / name / f"{subject}_{number}.png", draw_cell(100 * subject + number))
    return tmp_path / "ward"
