"""What every slide must do, as a test class: subclass it, give a slide and its true pixels.

class TestMine(SlideContract):
    @pytest.fixture
    def slide(self) -> Iterator[Slide]: ...
    @pytest.fixture
    def truth(self) -> Sequence[Picture]: ...   # one array (height, width, 3) a level
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from smearscan.errors import UnreadableSlide
from smearscan.results import Box, Picture
from smearscan.slides.base import Slide
from smearscan.slides.damage import Damaged

MARGIN = 9  # how far a box may reach over the edge


def crop_on_white(picture: Picture, box: Box) -> Picture:
    """Return the pixels of a box of a picture, white outside it: what `Slide.read` must give."""
    left, top, right, bottom = box
    height, width = picture.shape[:2]
    shown: NDArray[np.uint8] = np.full((bottom - top, right - left, 3), 255, np.uint8)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if x0 < x1 and y0 < y1:
        shown[y0 - top : y1 - top, x0 - left : x1 - left] = picture[y0:y1, x0:x1]
    return shown


def random_boxes(width: int, height: int, count: int, seed: int = 0) -> list[Box]:
    """Return boxes of all sizes, some of which reach over the edge."""
    rng = np.random.default_rng(seed)
    boxes = []
    for _ in range(count):
        left, right = sorted(int(x) for x in rng.integers(-MARGIN, width + MARGIN, 2))
        top, bottom = sorted(int(y) for y in rng.integers(-MARGIN, height + MARGIN, 2))
        boxes.append((left, top, right + 1, bottom + 1))
    return boxes


class SlideContract:
    """Tests of one slide against its true pixels."""

    boxes = 12  # random boxes a level

    @pytest.fixture
    def slide(self) -> Slide:
        raise NotImplementedError("give the slide to test")

    @pytest.fixture
    def truth(self) -> Sequence[Picture]:
        raise NotImplementedError("give the true pixels of every level")

    def test_info_is_sane(self, slide: Slide, truth: Sequence[Picture]) -> None:
        info = slide.info
        assert info.path.exists()
        assert info.reader
        assert [(level.height, level.width) for level in info.levels] == [picture.shape[:2] for picture in truth]
        assert [level.index for level in info.levels] == list(range(len(info.levels)))
        assert (info.width, info.height) == (info.levels[0].width, info.levels[0].height)
        assert info.levels[0].downsample == 1
        for finer, coarser in zip(info.levels, info.levels[1:], strict=False):
            assert coarser.downsample > finer.downsample
        for level in info.levels:
            assert level.downsample == pytest.approx(info.width / level.width, rel=0.1)
        assert info.bytes_on_disk > 0
        assert (info.mpp is None) == (info.mpp_source is None)

    def test_random_boxes_at_every_level(self, slide: Slide, truth: Sequence[Picture]) -> None:
        for level, picture in zip(slide.info.levels, truth, strict=True):
            for box in random_boxes(level.width, level.height, self.boxes, seed=level.index):
                read = slide.read(box, level.index)
                assert read.dtype == np.uint8
                assert read.flags.c_contiguous
                np.testing.assert_array_equal(read, crop_on_white(picture, box), err_msg=f"level {level.index}, box {box}")

    def test_outside_is_white(self, slide: Slide) -> None:
        for level in slide.info.levels:
            for box in ((-30, -20, -10, -5), (level.width, 0, level.width + 7, 3), (0, level.height + 50, 4, level.height + 51)):
                read = slide.read(box, level.index)
                assert read.shape == (box[3] - box[1], box[2] - box[0], 3)
                assert (read == 255).all()

    def test_what_was_read_may_be_written_to(self, slide: Slide) -> None:
        box = (0, 0, min(slide.info.width, 8), min(slide.info.height, 8))
        before = slide.read(box)
        slide.read(box)[...] = 7
        np.testing.assert_array_equal(slide.read(box), before)

    def test_lazy_pixels(self, slide: Slide, truth: Sequence[Picture]) -> None:
        for level, picture in zip(slide.info.levels, truth, strict=True):
            lazy = slide.pixels(level.index)
            assert lazy.shape == picture.shape
            assert lazy.dtype == np.uint8
            height, width = picture.shape[:2]
            part = (slice(height // 3, height // 3 + 40), slice(width // 4, None, 2))
            np.testing.assert_array_equal(np.asarray(lazy[part].compute(scheduler="threads")), picture[part])

    def test_senseless_questions(self, slide: Slide) -> None:
        with pytest.raises(ValueError, match="levels 0 to"):
            slide.read((0, 0, 1, 1), len(slide.info.levels))
        with pytest.raises(ValueError, match="empty"):
            slide.read((5, 5, 5, 9))

    def test_travels_in_a_pickle(self, slide: Slide, truth: Sequence[Picture]) -> None:
        slide.read((0, 0, 1, 1))
        with pickle.loads(pickle.dumps(slide)) as copy:  # noqa: S301 - our own bytes
            assert copy.info == slide.info
            np.testing.assert_array_equal(copy.read((0, 0, slide.info.width, slide.info.height)), truth[0])

    def test_threads_do_not_disturb_each_other(self, slide: Slide, truth: Sequence[Picture]) -> None:
        boxes = random_boxes(slide.info.width, slide.info.height, 4 * self.boxes, seed=99)
        with ThreadPoolExecutor(4) as pool:
            for box, read in zip(boxes, pool.map(slide.read, boxes), strict=True):
                np.testing.assert_array_equal(read, crop_on_white(truth[0], box))

    def test_reads_on_after_a_failure(self, slide: Slide, truth: Sequence[Picture], monkeypatch: pytest.MonkeyPatch) -> None:
        box = (0, 0, slide.info.width, slide.info.height)
        slide.read(box)
        used: list[Any] = []
        read_inside = slide._read_inside

        def fail(handle: Any, box: Box, level: int) -> Picture:
            used.append(handle)
            raise Damaged("a fault put in by the test")

        monkeypatch.setattr(slide, "_read_inside", fail)
        with pytest.raises(UnreadableSlide) as caught:
            slide.read(box)
        assert Path(slide.info.path).name in str(caught.value)
        assert str(box) in str(caught.value)
        assert "a fault put in by the test" in str(caught.value)
        assert len(used) > 1, "a failed read is tried again with a fresh handle"
        monkeypatch.setattr(slide, "_read_inside", read_inside)
        np.testing.assert_array_equal(slide.read(box), truth[0])

    def test_a_closed_slide_is_not_read(self, slide: Slide) -> None:
        slide.close()
        slide.close()
        with pytest.raises(ValueError, match="closed"):
            slide.read((0, 0, 1, 1))
