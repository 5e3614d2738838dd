"""What every detector must do, as tests to inherit, and a detector that needs no weights.

class TestMine(DetectorContract):
    @pytest.fixture
    def detector(self):
        return MyDetector()
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from detectors.base import Detector, DetectorError, Proposals
from smearscan.results import Box, Picture


class FakeDetector(Detector):
    """Proposes every patch darker than `level` in green and no wider than `largest` pixels: for drawn squares and discs."""

    name = "fake"

    def __init__(self, level: int = 100, largest: int = 64) -> None:
        self.level = level
        self.largest = largest

    def propose(self, picture: NDArray[np.uint8], mpp: float | None = None, origin: tuple[int, int] = (0, 0)) -> Proposals:
        if picture.ndim != 3 or picture.dtype != np.uint8:
            raise DetectorError(f"{self.name!r} takes RGB pictures of uint8, not {picture.shape} of {picture.dtype}.")
        if picture.size == 0:
            return Proposals.none()
        patches, _ = ndimage.label(picture[..., 1] < self.level)
        found = [(across.start, down.start, across.stop, down.stop) for down, across in ndimage.find_objects(patches)]
        boxes = np.array([box for box in found if max(box[2] - box[0], box[3] - box[1]) <= self.largest], np.float32).reshape(-1, 4)
        return Proposals(boxes, np.full(len(boxes), 0.5, np.float32))

    def reach(self, mpp: float | None) -> int:
        return 2 * self.largest  # from a patch's middle past its edge, and past what is too large to be one

    def settings(self) -> Mapping[str, object]:
        return {"level": self.level, "largest": self.largest}


class DetectorContract:
    """Tests that every detector passes; a subclass gives the fixture `detector`, set to the pictures it will see.

    It may also give `picture`, in which the detector finds something, and `mpp`; otherwise it is `drawn_field`.
    """

    @pytest.fixture
    def detector(self) -> Detector:
        raise NotImplementedError("A subclass of DetectorContract gives the fixture `detector`.")

    @pytest.fixture
    def mpp(self) -> float | None:
        return 0.25

    @pytest.fixture
    def picture(self) -> Picture:
        return drawn_field()

    def test_boxes_and_scores_are_columns(self, detector: Detector, picture: Picture, mpp: float | None) -> None:
        found = detector.propose(picture, mpp)
        assert len(found) > 0
        assert found.boxes.shape == (len(found), 4)
        assert found.scores.shape == (len(found),)
        assert found.boxes.dtype == found.scores.dtype == np.float32
        assert ((found.scores >= 0) & (found.scores <= 1)).all()
        assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()

    def test_nothing_is_found_where_nothing_is(self, detector: Detector, mpp: float | None) -> None:
        assert len(detector.propose(np.zeros((0, 0, 3), np.uint8), mpp)) == 0

    def test_the_same_picture_gives_the_same_bits(self, detector: Detector, picture: Picture, mpp: float | None) -> None:
        first, second = detector.propose(picture, mpp), detector.propose(picture, mpp)
        np.testing.assert_array_equal(first.boxes, second.boxes)
        np.testing.assert_array_equal(first.scores, second.scores)

    def test_a_read_only_picture_is_taken_and_left_as_it_is(self, detector: Detector, picture: Picture, mpp: float | None) -> None:
        before = picture.copy()
        picture.flags.writeable = False
        detector.propose(picture, mpp)
        np.testing.assert_array_equal(picture, before)

    def test_a_copy_from_another_process_finds_the_same(self, detector: Detector, picture: Picture, mpp: float | None) -> None:
        copy: Detector = pickle.loads(pickle.dumps(detector))  # noqa: S301 - our own bytes, as a worker receives them
        np.testing.assert_array_equal(copy.propose(picture, mpp).boxes, detector.propose(picture, mpp).boxes)

    def test_settings_are_json_and_do_not_change_by_use(self, detector: Detector, picture: Picture, mpp: float | None) -> None:
        before = json.dumps(detector.settings(), sort_keys=True)
        detector.propose(picture, mpp)
        assert json.dumps(detector.settings(), sort_keys=True) == before

    def test_reach_and_grid_are_pixels(self, detector: Detector, mpp: float | None) -> None:
        assert detector.reach(mpp) >= 0
        assert detector.grid(mpp) >= 1
        field = detector.field(mpp)
        assert field is None or (field > 0 and field % detector.grid(mpp) == 0)

    def test_many_pictures_are_each_as_alone(self, detector: Detector, picture: Picture, mpp: float | None) -> None:
        cores = list(pieces(picture, detector, mpp, seed=1, count=4))
        cut = [around(core, picture, detector, mpp) for core in cores]
        pictures = [np.ascontiguousarray(picture[box[1] : box[3], box[0] : box[2]]) for box in cut]
        together = detector.propose_many(pictures, mpp, [(box[0], box[1]) for box in cut])
        assert len(together) == len(pictures)
        for one, box, found in zip(pictures, cut, together, strict=True):
            np.testing.assert_array_equal(detector.propose(one, mpp, (box[0], box[1])).boxes, found.boxes)

    @pytest.mark.parametrize("seed", range(4))
    def test_a_cell_comes_out_the_same_of_every_piece(self, detector: Detector, picture: Picture, mpp: float | None, seed: int) -> None:
        """What is proposed at a place depends on the pixels within `reach` of it only, to the last bit."""
        for core in pieces(picture, detector, mpp, seed=seed, count=6):
            of_piece = owned(detector, picture, mpp, core, around(core, picture, detector, mpp))
            for other in pieces(picture, detector, mpp, seed=seed + 100, count=2, within=core):
                of_other = owned(detector, picture, mpp, other, around(other, picture, detector, mpp))
                assert of_other == {row for row in of_piece if in_core(row, other)}


def drawn_field(width: int = 1501, height: int = 1203, seed: int = 11) -> Picture:
    """Return white cells (nucleus and cytoplasm, some of them touching) among red cells on glass, as at 0.25 um a pixel.

    The sides are no multiple of anything, so that blocks and windows do not fit in.
    """
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), (238, 235, 234), np.uint8)
    y, x = np.mgrid[:height, :width]
    discs = [((206, 169, 172), 14)] * 400 + [((150, 160, 210), 24)] * 60
    for colour, radius in discs:
        middle = rng.integers((0, 0), (width, height))
        top, left = max(middle[1] - radius, 0), max(middle[0] - radius, 0)
        part = np.s_[top : middle[1] + radius + 1, left : middle[0] + radius + 1]
        distance = np.hypot(x[part] - middle[0], y[part] - middle[1])
        picture[part][distance <= radius] = colour
        if radius > 20:
            picture[part][distance <= radius - 6] = (92, 50, 142)
    grain = rng.integers(-6, 7, picture.shape)
    return np.asarray(np.clip(picture + grain, 0, 255), np.uint8)


def pieces(picture: Picture, detector: Detector, mpp: float | None, *, seed: int, count: int, within: Box | None = None) -> list[Box]:
    """Return random cores of a picture that begin where the detector wants pieces to begin."""
    step = detector.field(mpp) or detector.grid(mpp)
    left, top, right, bottom = within or (0, 0, picture.shape[1], picture.shape[0])
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        x, y = (int(rng.integers(low // step, max(low // step + 1, high // step))) * step for low, high in ((left, right), (top, bottom)))
        width, height = (int(rng.integers(1, max(2, (high - low) // step))) * step for low, high in ((x, right), (y, bottom)))
        found.append((x, y, min(x + width, right), min(y + height, bottom)))
    return found


def around(core: Box, picture: Picture, detector: Detector, mpp: float | None) -> Box:
    """Return a core with the detector's reach around it, as far as the picture goes."""
    reach, grid = detector.reach(mpp), detector.grid(mpp)
    left, top = (max(side - reach, 0) // grid * grid for side in core[:2])
    return (left, top, min(core[2] + reach, picture.shape[1]), min(core[3] + reach, picture.shape[0]))


def owned(detector: Detector, picture: Picture, mpp: float | None, core: Box, box: Box) -> set[tuple[float, ...]]:
    """Return what is proposed in a core by showing `box`: left, top, right, bottom in the whole picture, and score."""
    found = detector.propose(np.ascontiguousarray(picture[box[1] : box[3], box[0] : box[2]]), mpp, (box[0], box[1]))
    placed = found.boxes.astype(np.float64) + np.array([box[0], box[1], box[0], box[1]], np.float64)
    rows = {(*row, score) for row, score in zip(map(tuple, placed.tolist()), found.scores.tolist(), strict=True)}
    return {row for row in rows if in_core(row, core)}


def in_core(row: tuple[float, ...], core: Box) -> bool:
    """Whether a proposal's centre lies in a core."""
    x, y = (row[0] + row[2]) / 2, (row[1] + row[3]) / 2
    return core[0] <= x < core[2] and core[1] <= y < core[3]
