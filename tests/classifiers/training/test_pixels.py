"""Prepared pictures are the same wherever they are kept, and are made once."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classifiers.datasets import DatasetError, Samples
from classifiers.preprocess import Preparation
from classifiers.training import pixels as room
from classifiers.training.pixels import mean_and_std, prepare_pixels

STEPS = ({"step": "resize", "px": 16},)


def test_memory_and_file_hold_what_the_preparation_leaves(drawn_cells: Samples, tmp_path: Path) -> None:
    expected = Preparation(STEPS)(drawn_cells.crops(range(len(drawn_cells)), 24))
    seen: list[tuple[int, int]] = []
    memory = prepare_pixels(drawn_cells, 24, STEPS, threads=3, show=lambda done, total: seen.append((done, total)))
    np.testing.assert_array_equal(memory, expected)
    assert seen[-1] == (len(drawn_cells), len(drawn_cells))
    file = prepare_pixels(drawn_cells, 24, STEPS, threads=1, cache=tmp_path, digest="d")
    assert isinstance(file, np.memmap)
    np.testing.assert_array_equal(file, expected)


def test_a_file_that_is_there_is_taken_and_another_preparation_is_not(drawn_cells: Samples, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(drawn_cells.root, root)
    copy = replace(drawn_cells, root=root)
    first = prepare_pixels(copy, 24, STEPS, threads=1, cache=tmp_path / "cache", digest="d")
    shutil.rmtree(root)
    again = prepare_pixels(copy, 24, STEPS, threads=1, cache=tmp_path / "cache", digest="d")
    np.testing.assert_array_equal(first, again)
    for changed in ({"crop_px": 20}, {"digest": "e"}, {"steps": ()}):
        options = {"crop_px": 24, "steps": STEPS, "digest": "d", **changed}
        with pytest.raises(DatasetError, match="cannot be read"):
            prepare_pixels(copy, options.pop("crop_px"), options.pop("steps"), threads=1, cache=tmp_path / "cache", **options)  # type: ignore[arg-type]
    assert len(list((tmp_path / "cache").iterdir())) == 1, "nothing half written is left"


def test_what_is_too_large_for_memory_goes_to_a_file(drawn_cells: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SHARE_OF_MEMORY", 1e-9)
    assert isinstance(prepare_pixels(drawn_cells, 24, (), threads=1, fill_cache=tmp_path), np.memmap)


def test_mean_and_deviation_are_exact(drawn_cells: Samples) -> None:
    pixels = prepare_pixels(drawn_cells, 24, (), threads=1)
    rows = np.arange(3, 100, 2)
    mean, std = mean_and_std(pixels, rows)
    values = pixels[rows].reshape(-1, 3) / 255
    np.testing.assert_allclose(mean, values.mean(0), atol=1e-6)
    np.testing.assert_allclose(std, values.std(0), atol=1e-6)
    flat = mean_and_std(np.full((2, 8, 8, 3), 51, np.uint8), np.arange(2))
    assert flat == ((0.2, 0.2, 0.2), (round(1 / 255, 6),) * 3), "a picture of one colour can be divided by its deviation"
