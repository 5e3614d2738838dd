"""The fake detector keeps the contract that it is used to test others with."""

from __future__ import annotations

import numpy as np
import pytest

from detectors import DetectorError
from smearscan.testing.detectors import DetectorContract, FakeDetector


class TestFake(DetectorContract):
    @pytest.fixture
    def detector(self) -> FakeDetector:
        return FakeDetector()


def test_finds_dark_squares() -> None:
    picture = np.full((100, 120, 3), 240, np.uint8)
    picture[10:30, 40:70] = 20
    assert FakeDetector().propose(picture).boxes.tolist() == [[40, 10, 70, 30]]


def test_grey_pictures_are_refused() -> None:
    with pytest.raises(DetectorError, match=r"\(9, 9\)"):
        FakeDetector().propose(np.zeros((9, 9), np.uint8))
