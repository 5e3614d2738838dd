"""The sliding window: the same grid whatever piece is shown, whole windows only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import DetectorError
from detectors.window import WindowDetector, count_windows
from smearscan.testing.detectors import DetectorContract


class TestWindows(DetectorContract):
    @pytest.fixture
    def detector(self) -> WindowDetector:
        return WindowDetector()


class TestWindowsWithTheStepOfThePapersTable(DetectorContract):
    @pytest.fixture
    def detector(self) -> WindowDetector:
        return WindowDetector(size=111, step=50)


def blank(width: int, height: int) -> np.ndarray:
    return np.broadcast_to(np.uint8(255), (height, width, 3))


@settings(deadline=None)
@given(st.integers(0, 700), st.integers(0, 700), st.integers(1, 150), st.integers(1, 150))
def test_count_is_what_is_proposed(width: int, height: int, size: int, step: int) -> None:
    found = WindowDetector(size, step).propose(blank(width, height))
    assert len(found) == count_windows(width, height, size, step)
    assert (found.scores == 1).all()
    assert len(found) == 0 or (found.boxes.min() >= 0 and found.boxes[:, 2].max() <= width and found.boxes[:, 3].max() <= height)


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(0, 500), st.integers(150, 400))
def test_windows_stand_on_the_slides_grid(left: int, top: int, side: int) -> None:
    found = WindowDetector(112, 50).propose(blank(side, side), origin=(left, top))
    on_slide = found.boxes + np.array([left, top, left, top])
    assert (on_slide[:, :2] % 50 == 0).all()
    expected = {
        (x, y)
        for x in range(0, left + side, 50)
        for y in range(0, top + side, 50)
        if x >= left and y >= top and x + 112 <= left + side and y + 112 <= top + side
    }
    assert {(int(x), int(y)) for x, y in on_slide[:, :2]} == expected


def test_a_window_without_extent_is_refused() -> None:
    with pytest.raises(DetectorError, match="step 0"):
        WindowDetector(112, 0)
