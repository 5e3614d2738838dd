"""What a set of labelled cells is to training and evaluation: columns of files, labels and subjects, read on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from classifiers.base import ClassifierError
from classifiers.card import Role
from classifiers.preprocess.framing import BLACK

Picture = NDArray[np.uint8]  # (height, width, 3) RGB


class DatasetError(ClassifierError):
    """A folder of labelled cells is not what it should be."""


@dataclass(frozen=True)
class Frame:
    """Files are cells cut out of black pictures of `px` a side; `lefts` and `tops` say where they were."""

    px: int
    lefts: NDArray[np.int32]
    tops: NDArray[np.int32]


@dataclass(frozen=True)
class Samples:
    """Labelled cells, one row each. What belongs together is found in `groups`: a split never parts a group."""

    name: str  # of the data set, as the card names it
    root: Path
    classes: tuple[str, ...]
    roles: Mapping[str, Role]
    positive_class: str
    files: tuple[str, ...]  # from `root`
    labels: NDArray[np.int64]  # indexes in `classes`
    subjects: tuple[str, ...]  # as the set names them; "" where it does not
    groups: tuple[str, ...]  # subjects, those with identical pictures joined; a sample without a subject is a group of its own
    parts: tuple[str, ...]  # the set's own folds or splits; "" where it has none
    boxes: NDArray[np.int32] | None = None  # (n, 4) left, top, right, bottom: the sample is this part of its file
    frame: Frame | None = None
    cell_px: NDArray[np.float32] | None = None  # (n,) the cells' diameters in the picture, where known
    mpp: float | None = None
    licence: str = ""
    citation: str = ""
    groupings: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)  # {"neutrophil line": {"NEU": ("PMO", ...)}}

    def __post_init__(self) -> None:
        n = len(self.files)
        columns: dict[str, Sized | None] = {"labels": self.labels, "subjects": self.subjects, "groups": self.groups, "parts": self.parts}
        columns |= {"boxes": self.boxes, "cell_px": self.cell_px}
        wrong = [name for name, column in columns.items() if column is not None and len(column) != n]
        if wrong:
            raise DatasetError(f"{self.root}: {', '.join(wrong)} must have one row for each of {n} files.")

    def __len__(self) -> int:
        return len(self.files)

    def read(self, index: int) -> Picture:
        """Return one cell's picture as it was published: a cut-out back in its black frame, a box cut from its field."""
        path = self.root / self.files[index]
        if self.boxes is not None:
            return cut(_read_field(path), self.boxes[index]).copy()
        picture = read_picture(path)
        if self.frame is not None:
            return self._framed(picture, index, path)
        return picture

    def crop(self, index: int, crop_px: int, crop_um: float | None = None) -> NDArray[np.uint8]:
        """Return one cell as a classifier takes it: all of its picture, or the `crop_um` in the middle where the set has a scale."""
        picture = self.read(index)
        if crop_um is not None and self.mpp is not None:
            picture = middle(picture, round(crop_um / self.mpp))
        return fit(picture, crop_px)

    def crops(self, indexes: Sequence[int] | NDArray[np.intp], crop_px: int, crop_um: float | None = None) -> NDArray[np.uint8]:
        """Return cells as a classifier takes them, (n, crop_px, crop_px, 3)."""
        crops = np.empty((len(indexes), crop_px, crop_px, 3), np.uint8)
        for row, index in enumerate(indexes):
            crops[row] = self.crop(int(index), crop_px, crop_um)
        return crops

    def take(self, indexes: Sequence[int] | NDArray[np.intp]) -> Self:
        """Return these rows, in this order."""
        rows = np.asarray(indexes, np.intp)
        return replace(
            self,
            files=tuple(self.files[row] for row in rows),
            subjects=tuple(self.subjects[row] for row in rows),
            groups=tuple(self.groups[row] for row in rows),
            parts=tuple(self.parts[row] for row in rows),
            labels=self.labels[rows],
            boxes=None if self.boxes is None else self.boxes[rows],
            cell_px=None if self.cell_px is None else self.cell_px[rows],
            frame=None if self.frame is None else Frame(self.frame.px, self.frame.lefts[rows], self.frame.tops[rows]),
        )

    def digest(self) -> str:
        """Return a sha256 of every row and of every file's bytes: two sets of the same digest hold the same labelled pictures.

        Which subjects belong together is left out: that is what a split says.
        """
        whole = hashlib.sha256(repr((sorted(self.classes), None if self.frame is None else self.frame.px)).encode())
        of_file: dict[str, bytes] = {}
        for row, file in enumerate(self.files):
            if file not in of_file:
                of_file[file] = hashlib.sha256(read_bytes(self.root / file)).digest()
            place = () if self.frame is None else (int(self.frame.lefts[row]), int(self.frame.tops[row]))
            box = () if self.boxes is None else tuple(int(each) for each in self.boxes[row])
            whole.update(repr((file, self.classes[self.labels[row]], place, box)).encode() + of_file[file])
        return whole.hexdigest()

    def _framed(self, picture: Picture, index: int, path: Path) -> Picture:
        assert self.frame is not None
        left, top = int(self.frame.lefts[index]), int(self.frame.tops[index])
        height, width = picture.shape[:2]
        if left < 0 or top < 0 or left + width > self.frame.px or top + height > self.frame.px:
            raise DatasetError(f"{path}: {width} x {height} px at ({left}, {top}) does not lie in a frame of {self.frame.px} px.")
        whole = np.zeros((self.frame.px, self.frame.px, 3), np.uint8)
        whole[top : top + height, left : left + width] = picture
        return whole


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}. `smearscan data check` lists every such file.") from error


def read_picture(path: Path) -> Picture:
    """Return a picture file as RGB; raises DatasetError where there is none or it is damaged."""
    content = np.frombuffer(read_bytes(path), np.uint8)
    picture = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB) if content.size else None
    if picture is None:
        raise DatasetError(f"{path} is no picture that can be read. Repair or remove it; `smearscan data check` lists every such file.")
    return np.asarray(picture, np.uint8)


def _read_field(path: Path) -> Picture:
    """Return a picture that many boxes are cut from, one after the other: the last ones are kept."""
    try:
        state = path.stat()
    except OSError:
        return read_picture(path)  # which says what is wrong
    return _kept_field(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4)
def _kept_field(path: Path, mtime_ns: int, size: int) -> Picture:
    picture = read_picture(path)
    picture.flags.writeable = False
    return picture


def cut(picture: Picture, box: NDArray[np.int32]) -> Picture:
    """Return what lies in a box; what lies beyond the picture's edge mirrors it."""
    left, top, right, bottom = (int(each) for each in box)
    height, width = picture.shape[:2]
    inside = picture[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if not inside.size:
        raise DatasetError(f"The box {left, top, right, bottom} lies outside its picture of {width} x {height} px.")
    beyond = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    if not any(beyond):
        return inside
    return np.asarray(cv2.copyMakeBorder(inside, *beyond, cv2.BORDER_REFLECT), np.uint8)


def middle(picture: Picture, side: int) -> Picture:
    """Return the square of `side` pixels in the middle of a picture; what the picture does not have goes on as in `fit`."""
    height, width = picture.shape[:2]
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    return _filled_up(picture[top : top + side, left : left + side], side)


def fit(picture: Picture, px: int) -> Picture:
    """Bring a picture to a square of `px`: made square with what its edge shows (black round a cut-out), then resized."""
    picture = _filled_up(picture, max(picture.shape[:2]))
    side = picture.shape[0]
    if side == px:
        return picture
    method = cv2.INTER_AREA if px < side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (px, px), interpolation=method), np.uint8)


def _filled_up(picture: Picture, side: int) -> Picture:
    """Return a picture in the middle of a square of `side`: on black where it lies on black, else mirrored."""
    height, width = picture.shape[:2]
    if height == width == side:
        return picture
    above, before = (side - height) // 2, (side - width) // 2
    edges = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    kind = cv2.BORDER_CONSTANT if np.median(edges) < BLACK else cv2.BORDER_REFLECT
    return np.asarray(cv2.copyMakeBorder(picture, above, side - height - above, before, side - width - before, kind), np.uint8)
