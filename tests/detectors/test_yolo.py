"""YoloDetector: what is found depends on the slide's pixels alone, not on tiling, chunks, threads or processes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import DetectorError, Proposals
from detectors.yolo import YoloDetector

Draw = Callable[..., NDArray[np.uint8]]
Boxes = NDArray[np.float32]
RADIUS = 16  # of a disc


def assert_found(found: Proposals, planted: list[tuple[int, int]], within: float = 5.0) -> None:
    """The network answers every 8 px: a box lies at most 4 px off in each direction, and a little more for noise and rounding."""
    middle = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    off = np.abs(middle[:, None] - np.array(planted, float)).max(axis=2)
    assert len(found) == len(planted), f"planted {sorted(planted)}, found {middle.tolist()}"
    assert sorted(off.argmin(axis=1)) == list(range(len(planted))), "each disc has one box"
    assert off.min(axis=1).max() <= within


def scatter(rng: np.random.Generator, width: int, height: int, count: int, apart: int = 60) -> list[tuple[int, int]]:
    placed: list[tuple[int, int]] = []
    while len(placed) < count:
        x, y = int(rng.integers(RADIUS, width - RADIUS)), int(rng.integers(RADIUS, height - RADIUS))
        if all(abs(x - a) >= apart or abs(y - b) >= apart for a, b in placed):
            placed.append((x, y))
    return placed


def as_pieces(detector: YoloDetector, slide: NDArray[np.uint8], mpp: float | None, tile: int) -> Iterator[tuple[Boxes, Boxes]]:
    """Show a slide as a scan does: tile by tile, each as one core with its margin; keep the boxes that a core owns."""
    core, reach = detector.field(mpp), detector.reach(mpp)
    assert core is not None
    height, width = slide.shape[:2]
    step = max(1, tile // core) * core
    for top in range(0, height, step):
        for left in range(0, width, step):
            pieces, origins, cores = [], [], []
            for y in range(top, min(top + step, height), core):
                for x in range(left, min(left + step, width), core):
                    origins.append((max(0, x - reach), max(0, y - reach)))
                    pieces.append(slide[origins[-1][1] : y + core + reach, origins[-1][0] : x + core + reach])
                    cores.append((x, y))
            for found, origin, (x, y) in zip(detector.propose_many(pieces, mpp, origins), origins, cores, strict=True):
                boxes = found.boxes + np.array([*origin, *origin], np.float32)
                middle = (boxes[:, :2] + boxes[:, 2:]) / 2
                kept = ((middle >= (x, y)) & (middle < (x + core, y + core))).all(axis=1)
                yield boxes[kept], found.scores[kept]


def whole(detector: YoloDetector, slide: NDArray[np.uint8], mpp: float | None, tile: int) -> Proposals:
    parts = list(as_pieces(detector, slide, mpp, tile))
    boxes, scores = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    order = np.lexsort(boxes.T)
    return Proposals(boxes[order], scores[order])


@pytest.fixture
def detector(disc_folder: Path) -> YoloDetector:
    return YoloDetector(disc_folder, device="cpu")


def test_finds_purple_discs_where_they_are_and_leaves_red_ones(detector: YoloDetector, draw_discs: Draw) -> None:
    purple, red = [(60, 50), (140, 100), (60, 160)], [(140, 40), (200, 170)]
    found = detector.propose(draw_discs(240, 220, purple, red))
    assert_found(found, purple)
    assert found.boxes.dtype == np.float32
    assert found.scores.dtype == np.float32
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    assert np.allclose(sides, 32, atol=0.1)
    assert ((found.scores > 0.9) & (found.scores < 1)).all()


def test_an_empty_field_has_no_proposals(detector: YoloDetector, draw_discs: Draw) -> None:
    found = detector.propose(draw_discs(300, 200, []))
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == (0,)
    assert detector.propose_many([], None, []) == []


def test_cells_at_the_slide_s_edges_are_found_and_cut_to_it(detector: YoloDetector, draw_discs: Draw) -> None:
    planted = [(RADIUS - 4, 100), (100, RADIUS - 4), (300 - RADIUS + 4, 100), (100, 220 - RADIUS + 4)]
    found = detector.propose(draw_discs(300, 220, planted))
    assert_found(found, planted, within=8)
    assert found.boxes.min() >= 0
    assert found.boxes[:, 2].max() <= 300 and found.boxes[:, 3].max() <= 220


def test_a_picture_of_many_fields_gives_each_cell_once(detector: YoloDetector, draw_discs: Draw) -> None:
    core = detector.field(None)
    assert core == 256 - 2 * 48
    seams = [(core, 60), (core + 1, 200), (2 * core - 1, 250), (60, core), (2 * core, 2 * core)]
    assert_found(detector.propose(draw_discs(500, 480, seams)), seams)


@pytest.mark.parametrize("tile", [160, 400, 4096])
def test_what_is_found_does_not_depend_on_the_tiles(detector: YoloDetector, draw_discs: Draw, tile: int) -> None:
    rng = np.random.default_rng(3)
    planted = scatter(rng, 701, 433, 24)
    slide = draw_discs(701, 433, planted)
    slide = np.clip(slide + rng.normal(0, 3, slide.shape), 0, 255).astype(np.uint8)
    found, reference = whole(detector, slide, None, tile), whole(detector, slide, None, 320)
    assert_found(found, planted)
    assert found.boxes.tobytes() == reference.boxes.tobytes()
    assert found.scores.tobytes() == reference.scores.tobytes()


def test_what_is_found_does_not_depend_on_chunks_threads_or_neighbours(disc_folder: Path, draw_discs: Draw) -> None:
    import torch

    slides = [draw_discs(300, 300, [(50 + 17 * k, 140)]) for k in range(5)]
    origins = [(0, 0)] * len(slides)
    alone = [YoloDetector(disc_folder, device="cpu").propose(slide) for slide in slides]
    threads = torch.get_num_threads()
    try:
        for chunk, count in ((1, 1), (3, 2), (64, 3)):
            torch.set_num_threads(count)
            together = YoloDetector(disc_folder, device="cpu", chunk=chunk).propose_many(slides, None, origins)
            assert torch.get_num_threads() == count, "the threads of the rest of the program are left as they were"
            for one, other in zip(alone, together, strict=True):
                assert one.boxes.tobytes() == other.boxes.tobytes()
                assert one.scores.tobytes() == other.scores.tobytes()
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("mpp", [0.125, 0.2, 0.25, 0.4])
def test_a_slide_is_seen_at_the_scale_of_the_training(disc_folder: Path, draw_discs: Draw, tmp_path: Path, mpp: float) -> None:
    from dataclasses import replace

    from detectors.yolo_folder import load_folder, save_folder

    card, network = load_folder(disc_folder)
    save_folder(network, tmp_path, replace(card, mpp=0.25))
    detector = YoloDetector(tmp_path, device="cpu")
    assert detector.needs_scale
    factor = 0.25 / mpp  # slide pixels for one of the network's
    planted = [(70, 60), (200, 90), (330, 210), (160, 220)]
    drawn = draw_discs(400, 300, planted)
    slide = cv2.resize(drawn, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    found = whole(detector, np.asarray(slide, np.uint8), mpp, 1000)
    assert_found(found, [(round(x * factor), round(y * factor)) for x, y in planted], within=5 * factor + 1)
    assert np.allclose(found.boxes[:, 2:] - found.boxes[:, :2], 32 * factor, rtol=0.02)
    core, reach = detector.field(mpp), detector.reach(mpp)
    assert core is not None
    assert core + 2 * reach == round(256 * factor)


def test_a_scale_that_is_missing_or_absurd_is_refused(disc_folder: Path, draw_discs: Draw, tmp_path: Path) -> None:
    from dataclasses import replace

    from detectors.yolo_folder import load_folder, save_folder

    card, network = load_folder(disc_folder)
    save_folder(network, tmp_path, replace(card, mpp=0.25))
    detector = YoloDetector(tmp_path, device="cpu")
    with pytest.raises(DetectorError, match=r"trained at 0\.25 um per pixel and needs the slide's scale"):
        detector.propose(draw_discs(100, 100, []))
    with pytest.raises(DetectorError, match=r"too far from the 0\.25"):
        detector.propose(draw_discs(100, 100, []), mpp=20.0)


@pytest.fixture
def of_many_sizes(disc_folder: Path, tmp_path: Path) -> YoloDetector:
    """The discs' detector with a card that says it finds cells of 15 to 100 px, and shows slides at 0.5 um per pixel."""
    from dataclasses import replace

    from detectors.yolo_folder import load_folder, save_folder

    card, network = load_folder(disc_folder)
    save_folder(network, tmp_path / "many", replace(card, mpp=0.5, cell_px=(15.0, 100.0)))
    return YoloDetector(tmp_path / "many", device="cpu")


def test_a_detector_of_many_sizes_sees_a_slide_without_scale_as_it_is(of_many_sizes: YoloDetector, draw_discs: Draw) -> None:
    assert not of_many_sizes.needs_scale
    assert of_many_sizes.reach(None) == 150, "1.5 diameters of the largest cell"
    side = 256 + 2 * 150
    assert of_many_sizes.field(None) == -(-side // 32) * 32 - 2 * 150, "the core is about as wide as a whole input"
    planted = scatter(np.random.default_rng(5), 640, 480, 20)
    slide = draw_discs(640, 480, planted)
    found = of_many_sizes.propose(slide)
    assert_found(found, planted)
    in_pieces, in_others = (whole(of_many_sizes, slide, None, tile) for tile in (1, 1000))
    assert in_pieces.boxes.tobytes() == in_others.boxes.tobytes()
    assert_found(in_pieces, planted)


def test_a_detector_of_many_sizes_sees_a_slide_with_scale_at_its_own(of_many_sizes: YoloDetector, draw_discs: Draw) -> None:
    planted = [(70, 60), (200, 90), (330, 210), (160, 220)]
    slide = np.asarray(cv2.resize(draw_discs(400, 300, planted), None, fx=2, fy=2), np.uint8)
    found = of_many_sizes.propose(slide, mpp=0.25)
    assert_found(found, [(2 * x, 2 * y) for x, y in planted], within=12)
    assert np.allclose(found.boxes[:, 2:] - found.boxes[:, :2], 64, rtol=0.02)
    assert of_many_sizes.reach(0.25) == 2 * 48


def test_white_beyond_the_slide_is_not_looked_at(of_many_sizes: YoloDetector, draw_discs: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[tuple[int, ...]] = []
    look = of_many_sizes._look

    def watched(fields: list[NDArray[np.uint8]], rows: int) -> object:
        looked.extend(field.shape for field in fields)
        return look(fields, rows)

    monkeypatch.setattr(of_many_sizes, "_look", watched)
    assert_found(of_many_sizes.propose(draw_discs(130, 90, [(60, 45)])), [(60, 45)])
    # The picture begins 150 px into the field: 4 whole strides of 32 px are left out before it, and 22 px of white stay.
    assert looked == [(128, 160, 3)]


def test_settings_name_what_changes_the_proposals(disc_folder: Path, draw_discs: Draw) -> None:
    detector = YoloDetector(disc_folder, confidence=0.999, iou=0.4, max_detections=2, device="cpu")
    assert detector.settings() == {
        "detector": "discs",
        "cells": ["disc"],
        "input_px": 256,
        "margin_px": 48,
        "input_mpp": None,
        "cell_px": None,
        "confidence": 0.999,
        "iou": 0.4,
        "max_detections": 2,
        "model_sha256": detector.card.model_sha256,
    }
    planted = [(60, 60), (120, 120), (60, 140)]
    assert len(detector.propose(draw_discs(200, 200, planted))) == 0, "no disc is that certain"
    assert len(YoloDetector(disc_folder, max_detections=2, device="cpu").propose(draw_discs(190, 190, planted))) == 2
    assert detector.digest == detector.card.sha256


def test_another_process_gets_the_same_detector(detector: YoloDetector, draw_discs: Draw) -> None:
    picture = draw_discs(260, 240, [(70, 80), (180, 150)])
    copied = pickle.loads(pickle.dumps(detector))  # noqa: S301  the test's own bytes
    assert copied.settings() == detector.settings()
    assert copied.propose(picture).boxes.tobytes() == detector.propose(picture).boxes.tobytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": None}, r"--proposals yolo needs --detector NAME\|FOLDER: bundled are white-cells"),
        ({"model": "nowhere"}, "neither a folder nor a bundled name"),
        ({"device": "cuda:99"}, "'cuda:99' is not there"),
        ({"device": "abacus"}, "'abacus' is unknown"),
        ({"confidence": 1.5}, "confidence 1.5"),
        ({"iou": 0.0}, "iou 0.0"),
        ({"chunk": 0}, "chunk 0"),
        ({"max_detections": 0}, "max_detections 0"),
    ],
)
def test_what_cannot_be_is_said(disc_folder: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        YoloDetector(**{"model": disc_folder, "device": "cpu", **arguments})  # type: ignore[arg-type]


@pytest.mark.parametrize("picture", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3), np.float32)])
def test_only_rgb_bytes_are_looked_at(detector: YoloDetector, picture: NDArray[np.uint8]) -> None:
    with pytest.raises(DetectorError, match="uint8"):
        detector.propose(picture)


def test_running_out_of_memory_halves_the_chunk_and_says_so(
    detector: YoloDetector, draw_discs: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop that GPUs run through, shown on a device that holds two fields."""
    import torch

    look = detector._look
    fields = [draw_discs(256, 256, [(128, 100 + 8 * k)]) for k in range(5)]

    def small_device(chunk: list[NDArray[np.uint8]], rows: int) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        if rows > 2:
            raise torch.OutOfMemoryError
        return look(chunk, rows)

    expected = look(fields, 5)
    monkeypatch.setattr(detector, "_look", small_device)
    found = [each for start in range(0, 5, 2) for each in detector._look_or_halve(fields[start : start + 2])]
    assert detector.events == ["out of memory at 8 fields: going on with 4", "out of memory at 4 fields: going on with 2"]
    for (boxes, scores), (wanted_boxes, wanted_scores) in zip(found, expected, strict=True):
        assert np.allclose(boxes, wanted_boxes) and np.allclose(scores, wanted_scores)


SCRIPT = """
import os, sys
import cv2, numpy, torch  # cv2 changes LD_LIBRARY_PATH by itself
before = dict(os.environ)
threads = torch.get_num_threads()
options = numpy.get_printoptions()
from detectors.yolo import YoloDetector
YoloDetector(sys.argv[1], device="cpu").propose(numpy.full((300, 300, 3), 235, numpy.uint8))
assert "ultralytics" in sys.modules
assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())
assert torch.get_num_threads() == threads
assert numpy.get_printoptions() == options
"""


@pytest.mark.slow
def test_ultralytics_leaves_the_process_and_the_home_folder_alone(disc_folder: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("YOLO_", "XDG_", "OMP_"))}
    environment |= {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "TMPDIR": str(tmp_path)}
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(tmp_path.with_name("compiled"))  # which torch makes, whoever imports torchvision
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(disc_folder)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr == ""
    assert list(tmp_path.iterdir()) == []
