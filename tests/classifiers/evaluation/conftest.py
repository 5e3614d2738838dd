"""Cells as pictures on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from classifiers.datasets import Samples
from smearscan.testing.evaluations import make_samples


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[[Sequence[int], Sequence[int], Sequence[str]], Samples]:
    """Write cells as plain pictures of a red that is given, and return them with labels and groups."""

    def write(reds: Sequence[int], labels: Sequence[int], groups: Sequence[str]) -> Samples:
        for row, red in enumerate(reds):
            assert cv2.imwrite(str(tmp_path / f"{row}.png"), np.full((20, 20, 3), (40, 40, red), np.uint8))
        return make_samples(labels, groups, root=tmp_path)

    return write
