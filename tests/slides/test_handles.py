"""Handles: one a thread, none left open, none shared with a forked child."""

from __future__ import annotations

import gc
import multiprocessing
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile

from smearscan.results import Picture
from smearscan.slides import Slide, open_slide
from smearscan.slides.handles import ThreadHandles
from smearscan.slides.tile_cache import TileCache


class Ledger:
    """Counts what is opened and closed."""

    def __init__(self) -> None:
        self.opened: list[int] = []
        self.closed: list[int] = []
        self.handles = ThreadHandles(self.open, self.closed.append)

    def open(self) -> int:
        self.opened.append(len(self.opened) + 1)
        return self.opened[-1]


def in_thread(ledger: Ledger) -> None:
    thread = threading.Thread(target=ledger.handles.get)
    thread.start()
    thread.join()


def test_one_handle_a_thread() -> None:
    ledger = Ledger()
    assert ledger.handles.get() == ledger.handles.get() == 1
    in_thread(ledger)
    assert ledger.opened == [1, 2]


def test_handles_of_threads_that_ended_are_closed() -> None:
    ledger = Ledger()
    for _ in range(5):
        in_thread(ledger)
    assert len(ledger.opened) - len(ledger.closed) == 1
    ledger.handles.close()
    assert sorted(ledger.closed) == ledger.opened


def test_a_dropped_handle_is_opened_anew() -> None:
    ledger = Ledger()
    ledger.handles.get()
    ledger.handles.drop()
    ledger.handles.drop()
    assert ledger.closed == [1]
    assert ledger.handles.get() == 2


def slide_file(folder: Path, drawn: Picture) -> Path:
    tifffile.imwrite(folder / "a.tif", drawn, photometric="rgb", tile=(64, 64), compression="zlib", metadata=None)
    return folder / "a.tif"


def test_a_slide_that_nobody_closed_leaves_no_open_file(tmp_path: Path, drawn: Picture) -> None:
    slide = open_slide(slide_file(tmp_path, drawn), mpp=0.25)
    slide.read((0, 0, 9, 9))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        del slide
        gc.collect()
    assert [str(warning.message) for warning in said if warning.category is ResourceWarning] == []


def _read(slide: Slide, box: tuple[int, int, int, int]) -> Picture:
    return slide.read(box)


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")  # that is what is tested
def test_a_slide_is_read_in_another_process(tmp_path: Path, drawn: Picture, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"{method} is not to be had on this system")
    with open_slide(slide_file(tmp_path, drawn), mpp=0.25) as slide:
        slide.read((0, 0, 200, 100))
        with multiprocessing.get_context(method).Pool(2) as pool:
            boxes = [(x, x, x + 90, x + 80) for x in range(0, 100, 7)]
            for (left, top, right, bottom), read in zip(boxes, pool.starmap(_read, [(slide, box) for box in boxes]), strict=True):
                np.testing.assert_array_equal(read, drawn[top:bottom, left:right])
        np.testing.assert_array_equal(slide.read((0, 0, 307, 201)), drawn)


def test_the_tile_cache_keeps_the_tiles_used_last() -> None:
    cache = TileCache(250)
    made: list[str] = []

    def tile(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        made.append(name)
        return np.zeros(100, np.uint8)

    for name in "abacb":
        cache.get_or_make(name, 10, lambda name=name: tile(name))
    assert made == ["a", "b", "c", "b"]


def test_a_tile_larger_than_the_cache_is_kept_until_the_next() -> None:
    cache = TileCache(10)
    made: list[str] = []

    def tile(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        made.append(name)
        return np.zeros(100, np.uint8)

    for name in "aaba":
        cache.get_or_make(name, 10, lambda name=name: tile(name))
    assert made == ["a", "b", "a"]
