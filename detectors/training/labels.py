"""Labelled pictures of smears: where the cells are, and of which class, whatever format says so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.boxes import Boxes, diameters, sizes
from detectors.training.errors import NotTrainable
from detectors.yolo_folder import WHITE_CELL_NAMES

Picture = NDArray[np.uint8]
PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class LabelledPicture:
    """One picture and the boxes of its white cells, in its pixels."""

    name: str  # source folder and path below it: unique in a set, and the same on every machine
    path: Path
    source: str  # pictures of one source look alike: their folder's name and their size
    width: int
    height: int
    cells: Boxes  # (n, 4)

    def read(self) -> Picture:
        """Return the pixels, (height, width, 3) of RGB."""
        picture = read_picture(self.path)
        if picture.shape[:2] != (self.height, self.width):
            raise NotTrainable(f"{self.path} has changed: it was {self.width} x {self.height} px when its labels were read.")
        return picture


@dataclass(frozen=True)
class RawLabels:
    """What one file of labels says, before it is known which classes are white cells."""

    path: Path  # of the picture
    width: int
    height: int
    boxes: Boxes
    classes: tuple[str, ...]  # of each box


Reader = Callable[["LabelSettings"], list[RawLabels]]


@dataclass(frozen=True)
class LabelSettings:
    """Where labels lie, and what they do not say themselves."""

    folder: Path
    names: tuple[str, ...] = ()  # of YOLO's numbered classes, where no file gives them
    diameter_px: float | None = None  # of the cells whose centres alone are known


def read_labels(
    folder: Path,
    kind: str | None = None,
    *,
    names: Sequence[str] = (),
    cells: Sequence[str] = (),
    diameter_px: float | None = None,
) -> list[LabelledPicture]:
    """Return the labelled pictures below `folder`, sorted by name; NotTrainable where something is missing or makes no sense.

    `kind` is one of `KINDS`; None: found out from the files. `cells` names the classes that are white cells; without it those
    that are named like white cells are, or the only class there is.
    """
    from detectors.training.label_formats import KINDS, recognise

    if not folder.is_dir():
        raise NotTrainable(f"{folder} is no folder of labelled pictures.")
    found = recognise(folder) if kind is None else kind
    if found not in KINDS:
        raise NotTrainable(f"The kind {found!r} of labels is unknown: use {', '.join(KINDS)}.")
    raw = KINDS[found].read(LabelSettings(folder, tuple(names), diameter_px))
    if not raw:
        raise NotTrainable(f"{folder} holds no labelled picture of the kind {found}.")
    white = _white_cells(raw, cells, folder)
    prefix = folder.resolve().name
    pictures = [_labelled(each, white, folder, prefix) for each in raw]
    return sorted(pictures, key=lambda picture: picture.name)


def _white_cells(raw: Sequence[RawLabels], wanted: Sequence[str], folder: Path) -> set[str]:
    seen = {name for each in raw for name in each.classes}
    if wanted:
        if missing := set(wanted) - seen:
            raise NotTrainable(f"{folder} has no class {', '.join(sorted(missing))}; it has {', '.join(sorted(seen))}.")
        return set(wanted)
    white = {name for name in seen if "".join(filter(str.isalpha, name.lower())) in WHITE_CELL_NAMES}
    if not white and len(seen) == 1:
        return seen
    if not white:
        raise NotTrainable(f"{folder} has the classes {', '.join(sorted(seen))}: say which are white cells (cells=NAME).")
    return white


def _labelled(raw: RawLabels, white: set[str], folder: Path, prefix: str) -> LabelledPicture:
    name = f"{prefix}/{raw.path.relative_to(folder).as_posix()}"
    limits = np.array([raw.width, raw.height], np.float64)
    kept = np.array([each in white for each in raw.classes], np.bool_)
    boxes = np.clip(raw.boxes[kept].reshape(-1, 4), 0.0, np.concatenate([limits, limits]))
    if not np.isfinite(boxes).all():
        raise NotTrainable(f"{name}: the labels hold a box that is no number.")
    boxes = boxes[(sizes(boxes) >= 2.0).all(axis=1)]  # a slip of the mouse is no cell
    return LabelledPicture(name, raw.path, f"{prefix} {raw.width}x{raw.height}", raw.width, raw.height, boxes)


def read_picture(path: Path) -> Picture:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise NotTrainable(f"{path} cannot be read as a picture.")
    return np.asarray(picture, np.uint8)


def usual_diameters(pictures: Sequence[LabelledPicture]) -> dict[str, float]:
    """Return the median diameter of white cells of each source, in its pixels: what says how much to shrink or enlarge it.

    A source without any cell has that of all others together.
    """
    by_source: dict[str, list[float]] = {}
    for picture in pictures:
        by_source.setdefault(picture.source, []).extend(diameters(picture.cells).tolist())
    all_cells = [each for found in by_source.values() for each in found]
    if not all_cells:
        raise NotTrainable("None of the labelled pictures holds a white cell.")
    return {source: float(np.median(found or all_cells)) for source, found in by_source.items()}


class PictureStore:
    """Pictures as they are needed again and again: read once, and kept at full, half, quarter and eighth size."""

    def __init__(self, most_bytes: int = 2 << 30) -> None:
        self._most = most_bytes
        self._held = 0
        self._pyramids: dict[str, tuple[Picture, ...]] = {}
        self._lock = threading.Lock()

    def pyramid(self, picture: LabelledPicture) -> tuple[Picture, ...]:
        """Return the picture and its halves; level k is 2**k times smaller."""
        with self._lock:
            found = self._pyramids.get(picture.name)
        if found is None:
            found = _halves(picture.read())
            with self._lock:
                size = sum(level.nbytes for level in found)
                if self._held + size <= self._most and picture.name not in self._pyramids:
                    self._pyramids[picture.name] = found
                    self._held += size
        return found


def _halves(picture: Picture, count: int = 4) -> tuple[Picture, ...]:
    levels = [picture]
    for level in range(1, count):
        size = (max(1, round(picture.shape[1] / 2**level)), max(1, round(picture.shape[0] / 2**level)))
        levels.append(np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8))
    return tuple(levels)
