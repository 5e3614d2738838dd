"""White cells by an ultralytics YOLO, on fields of a fixed size, so that what is found does not depend on the tiling."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detectors import bundled
from detectors.base import Detector, DetectorError, Proposals
from detectors.boxes import clip, sizes, suppress
from detectors.fields import Field, FieldGrid
from detectors.yolo_decoding import BoxesAndScores, decode
from detectors.yolo_folder import DetectorCard, load_folder, read_pt, sha256

if TYPE_CHECKING:
    import torch

CPU_LOOKS = 8  # fields at once on a CPU: each holds some 100 MB while it is looked at
ZOOM = 8.0  # farther from the scale it was trained at, a network sees either nothing or mush
STRIDE = 32  # of the deepest layer: a network's input is a multiple of it
MARGIN_DIAMETERS = 1.5  # of the largest cell, around what a field owns


@dataclass(frozen=True)
class View:
    """How a slide of one scale is shown: fields of the slide, and the side that each has as the network sees it."""

    grid: FieldGrid
    input_px: int

    def part(self, field: Field, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return what of a field's input holds pixels of a picture of `size`, out to whole strides: left, top, right, bottom.

        The rest is white, and need not be looked at.
        """
        shrink = self.input_px / self.grid.side
        starts = [max(0, -begin) * shrink for begin in (field.left, field.top)]
        ends = [min(self.grid.side, whole - begin) * shrink for begin, whole in zip((field.left, field.top), size, strict=True)]
        left, top = (int(start / STRIDE) * STRIDE for start in starts)
        right, bottom = (min(self.input_px, ceil(round(end, 6) / STRIDE) * STRIDE) for end in ends)
        return left, top, max(right, left + STRIDE), max(bottom, top + STRIDE)


class YoloDetector(Detector):
    """A detector folder (see `yolo_folder`) or, only with `trust_weights`, a `.pt` file of ultralytics.

    Fields of `card.input_px` are fed to the network itself: ultralytics' `predict` holds every result of a list and ignores
    `batch`, and its non-maximum suppression stops after a time, which would make results depend on the machine's load.
    """

    name = "yolo"

    def __init__(
        self,
        model: str | Path | None = None,  # a bundled name, a detector folder, or a trusted .pt file
        *,
        confidence: float | None = None,  # None: what the card says
        iou: float | None = None,
        max_detections: int | None = None,
        device: str = "auto",
        chunk: int = 8,  # fields that a GPU sees at once
        trust_weights: bool = False,
    ) -> None:
        self._arguments = {
            "model": model,
            "confidence": confidence,
            "iou": iou,
            "max_detections": max_detections,
            "device": device,
            "chunk": chunk,
            "trust_weights": trust_weights,
        }
        if chunk < 1:
            raise DetectorError(f"chunk {chunk} must be at least 1 field.")
        self.card, network, self.digest = _load(model, trust_weights)
        self.confidence = _setting("confidence", confidence, self.card.confidence)
        self.iou = _setting("iou", iou, self.card.iou)
        self.max_detections = self.card.max_detections if max_detections is None else max_detections
        if self.max_detections < 1:
            raise DetectorError(f"max_detections {self.max_detections} must be at least 1.")
        self.needs_scale = self.card.mpp is not None and self.card.cell_px is None
        self.chunk = chunk
        self.device = pick_device(device)
        self.events: list[str] = []  # what had to be done to get by on the device, for run.json
        self._network = _quickened(network, self.device)
        self._one_at_a_time = threading.Lock()

    def __reduce__(self) -> tuple[Callable[..., YoloDetector], tuple[Mapping[str, Any]]]:
        return _rebuild, (self._arguments,)  # another process reads, and checks, the folder itself

    def settings(self) -> Mapping[str, object]:
        card = self.card
        return {
            "detector": card.name,
            "cells": [name for name in card.classes if card.roles[name] == "cell"],
            "input_px": card.input_px,
            "margin_px": card.margin_px,
            "input_mpp": card.mpp,
            "cell_px": card.cell_px and list(card.cell_px),
            "confidence": self.confidence,
            "iou": self.iou,
            "max_detections": self.max_detections,
            "model_sha256": card.model_sha256,
        }

    def fields(self, mpp: float | None) -> FieldGrid:
        """Return how large a field is in slide pixels."""
        return self._view(mpp).grid

    def _view(self, mpp: float | None) -> View:
        """Return how slides of a scale are shown; the ratio of whole pixels is the zoom, so it follows from `mpp` alone."""
        card = self.card
        if card.cell_px is not None and (mpp is None or card.mpp is None):
            margin = ceil(MARGIN_DIAMETERS * card.cell_px[1])
            side = ceil((card.input_px + 2 * margin) / STRIDE) * STRIDE
            return View(FieldGrid(side, margin), side)
        if card.mpp is None:
            return View(FieldGrid(card.input_px, card.margin_px), card.input_px)
        if mpp is None:
            raise DetectorError(
                f"The detector {card.name!r} was trained at {card.mpp:g} um per pixel and needs the slide's scale: give mpp."
            )
        zoom = mpp / card.mpp
        if not 1 / ZOOM <= zoom <= ZOOM:
            raise DetectorError(
                f"At {mpp:g} um per pixel a slide is too far from the {card.mpp:g} that the detector {card.name!r} was trained at: "
                "check the scale, or choose another detector."
            )
        side = round(card.input_px / zoom)
        return View(FieldGrid(side, ceil(card.margin_px * side / card.input_px)), card.input_px)

    def reach(self, mpp: float | None) -> int:
        return self.fields(mpp).margin

    def field(self, mpp: float | None) -> int | None:
        return self.fields(mpp).core

    def propose(self, picture: NDArray[np.uint8], mpp: float | None = None, origin: tuple[int, int] = (0, 0)) -> Proposals:
        return self.propose_many([picture], mpp, [origin])[0]

    def propose_many(self, pictures: Sequence[NDArray[np.uint8]], mpp: float | None, origins: Sequence[tuple[int, int]]) -> list[Proposals]:
        view = self._view(mpp)
        jobs: list[tuple[int, Field]] = []
        for index, (picture, origin) in enumerate(zip(pictures, origins, strict=True)):
            if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
                raise DetectorError(f"A picture must be (height, width, 3) of uint8, not {picture.shape} of {picture.dtype}.")
            jobs += [(index, field) for field in view.grid.fields(origin, (picture.shape[1], picture.shape[0]))]
        parts = [view.part(field, (pictures[index].shape[1], pictures[index].shape[0])) for index, field in jobs]

        def read(number: int) -> NDArray[np.uint8]:
            index, field = jobs[number]
            left, top, right, bottom = parts[number]
            return _resized(view.grid.cut(pictures[index], field), view.input_px)[top:bottom, left:right]

        answers = self._run([(right - left, bottom - top) for left, top, right, bottom in parts], read)
        found: list[list[Proposals]] = [[] for _ in pictures]
        zoom = view.grid.side / view.input_px
        for (index, field), part, (boxes, scores) in zip(jobs, parts, answers, strict=True):
            height, width = pictures[index].shape[:2]
            inside = boxes + np.array([*part[:2], *part[:2]], np.float64)
            placed = inside * zoom + np.array([field.left, field.top, field.left, field.top], np.float64)
            placed = clip(placed, width, height)
            kept = field.owns(placed) & (sizes(placed).min(axis=1, initial=np.inf) > 0)
            found[index].append(Proposals(placed[kept].astype(np.float32), scores[kept].astype(np.float32)))
        return [_joined(each) for each in found]

    def _run(self, shapes: Sequence[tuple[int, int]], read: Callable[[int], NDArray[np.uint8]]) -> list[BoxesAndScores]:
        """Return the boxes and scores of each field, in its own pixels and in the fields' order.

        Fields of one shape at a time: ultralytics' head remembers the shape it saw last, which threads would change under each other.
        """
        found: dict[int, BoxesAndScores] = {}
        with self._one_at_a_time:
            for shape in sorted(set(shapes)):
                numbers = [number for number, each in enumerate(shapes) if each == shape]
                if self.device.type == "cpu":
                    answers = _run_on_cpu(lambda number: self._look([read(number)], 1)[0], numbers)
                else:
                    answers = []
                    while len(answers) < len(numbers):
                        answers += self._look_or_halve([read(each) for each in numbers[len(answers) : len(answers) + self.chunk]])
                found.update(zip(numbers, answers, strict=True))
        return [found[number] for number in range(len(shapes))]

    def _look_or_halve(self, fields: list[NDArray[np.uint8]]) -> list[BoxesAndScores]:
        import torch

        while True:
            try:
                return self._look(fields[: self.chunk], self.chunk)
            except torch.OutOfMemoryError:
                if self.chunk == 1:
                    raise
                self.events.append(f"out of memory at {self.chunk} fields: going on with {self.chunk // 2}")
                self.chunk //= 2

    def _look(self, fields: list[NDArray[np.uint8]], rows: int) -> list[BoxesAndScores]:
        """Run the network over `fields`, filled up with white ones to `rows`: the bits of a row depend on how many there are."""
        import torch

        batch = np.full((rows, *fields[0].shape), 255, np.uint8)
        batch[: len(fields)] = fields
        # Written as (rows, height, width, 3) and seen as (rows, 3, height, width): that is channels_last, which is quicker.
        pixels = torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2)
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            answers = self._network(pixels.float() / 255)[0].float().cpu()
        columns, most = self.card.cell_columns, self.max_detections
        return [decode(answer, columns, self.confidence, self.iou, most) for answer in answers[: len(fields)]]


def _rebuild(arguments: Mapping[str, Any]) -> YoloDetector:
    return YoloDetector(**arguments)


def _setting(name: str, given: float | None, default: float) -> float:
    value = default if given is None else given
    if not 0 < value < 1:
        raise DetectorError(f"{name} {value} must lie between 0 and 1.")
    return value


def _load(model: str | Path | None, trust_weights: bool) -> tuple[DetectorCard, Any, str]:
    """Return card, network and the digest of the weights."""
    shipped = bundled.names()
    if model is None:
        known = f"bundled are {', '.join(shipped)}" if shipped else "none is bundled yet"
        raise DetectorError(f"--proposals yolo needs --detector NAME|FOLDER: {known}.")
    path = bundled.folder(str(model)) if model in shipped else Path(model)
    if path.suffix == ".pt" and path.is_file():
        if not trust_weights:
            raise DetectorError(
                f"{path} is a pickle, which can run any code that its maker put in while it is read. If you trust where it comes from, "
                "allow it with --trust-weights, or convert it once with detectors.yolo_folder.convert."
            )
        return *read_pt(path), sha256(path)
    if not path.is_dir():
        known = f"Bundled: {', '.join(shipped)}." if shipped else "None is bundled yet."
        raise DetectorError(f"There is no detector {str(model)!r}: it is neither a folder nor a bundled name. {known}")
    card, network = load_folder(path)
    return card, network, card.sha256


def pick_device(wanted: str) -> torch.device:
    """Return the device for `auto`, `cpu`, `cuda`, `cuda:N` or `mps`; of `cuda:N,M` the first."""
    import torch

    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted == "auto":
        return torch.device("cuda" if has_cuda else "mps" if has_mps else "cpu")
    try:
        device = torch.device(wanted.partition(",")[0])
    except RuntimeError as error:
        raise DetectorError(f"device {wanted!r} is unknown: use auto, cpu, cuda, cuda:N or mps.") from error
    usable = {"cpu": 1, "cuda": torch.cuda.device_count() if has_cuda else 0, "mps": int(has_mps)}.get(device.type, 0)
    if (device.index or 0) >= usable:
        raise DetectorError(f"device {wanted!r} is not there: torch finds {usable} of this kind. Use --device auto or cpu.")
    return device


def _quickened(network: Any, device: torch.device) -> Any:
    """Fold batch norms into the convolutions and lay the weights out as the pixels are."""
    import torch

    network.end2end = False  # the head whose answers are suppressed here, for every family alike
    network = network.fuse(verbose=False) if not network.is_fused() else network
    return network.eval().requires_grad_(False).to(device=device, memory_format=torch.channels_last)


def _run_on_cpu(look: Callable[[Any], Any], jobs: Sequence[Any]) -> list[Any]:
    """Run each job on one thread, several jobs at once.

    oneDNN splits a sum over its threads, so a network's last bits depend on their number. A field that is seen by one
    thread has the same bits on every machine and for every number of workers, and takes no longer in total.
    """
    import torch

    threads = torch.get_num_threads()
    if threads == 1 or not jobs:
        return [look(job) for job in jobs]
    try:
        with ThreadPoolExecutor(min(threads, len(jobs), CPU_LOOKS), "yolo", initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(look, jobs))
    finally:
        torch.set_num_threads(threads)  # what new threads start with; the pool's own have ended


def _resized(field: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    import cv2

    if len(field) == side:
        return field
    shrinks = len(field) > side
    return np.asarray(cv2.resize(field, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8)


def _joined(parts: list[Proposals]) -> Proposals:
    """Put a picture's fields together; a cell on the seam of two, found by both, is kept once."""
    if len(parts) == 1:
        return parts[0]
    boxes = np.concatenate([part.boxes for part in parts])
    scores = np.concatenate([part.scores for part in parts])
    kept = suppress(boxes, scores)
    return Proposals(boxes[kept], scores[kept])
