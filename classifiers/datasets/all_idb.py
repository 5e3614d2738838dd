"""ALL-IDB: smear fields with the places of probable lymphoblasts (ALL-IDB1), and single cells cut from them (ALL-IDB2).

ALL-IDB1 has pictures `im/ImNNN_1.jpg` (a patient) and `ImNNN_0.jpg` (healthy), and for each a text file `xyc/ImNNN_1.xyc`
with one line for each lymphoblast: x and y of its centre in pixels, separated by a tab. What a healthy picture's file holds is
not used: its name says that it has no blast. Neither the other white cells' places nor the people are named, so a picture is
a subject here; two pictures of one person cannot be told apart.

The published systems that use it cut windows of 112 px: a window is a blast's if it holds a centre, else normal, although most
of those hold no white cell at all. Its authors write a step of 56 px, but their table of 57,914 windows needs 50; both can be had
(`step_px`). With `take="cells"` only the blasts are given, each in a box of the window's size round its centre.

ALL-IDB2 has 260 single cells `img/ImNNN_1.tif` (a lymphoblast) and `ImNNN_0.tif` (another cell). They were cut from ALL-IDB1,
which cell from which picture is not said: they have no subjects, and a test on one set after training on the other is none.

Donida Labati, R., Piuri, V., & Scotti, F. (2011). ALL-IDB: the acute lymphoblastic leukemia image database for image
processing. IEEE International Conference on Image Processing, 2045-2048. https://doi.org/10.1109/ICIP.2011.6115881
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifiers.card import Role
from classifiers.datasets.base import DatasetError, Samples
from classifiers.datasets.pictures import find_pictures, size_of

LICENCE = "research use on application to the University of Milan; not to be passed on"
CITATION = "Donida Labati, Piuri & Scotti, ALL-IDB, ICIP 2011, doi 10.1109/ICIP.2011.6115881"
LOOKED_FOR_FIELDS = "pictures ImNNN_0|1.jpg and files ImNNN_1.xyc"
LOOKED_FOR_CELLS = "pictures ImNNN_0|1.tif"
PICTURE = re.compile(r"Im\d{3}_(?P<label>[01])", re.IGNORECASE)
CLASSES = ("normal", "blast")
ROLES: dict[str, Role] = {"normal": "other", "blast": "blast"}
TAKES = ("windows", "cells")


def recognise_fields(root: Path) -> bool:
    """Whether `root` holds ALL-IDB1."""
    return root.is_dir() and any(PICTURE.fullmatch(path.stem) for path in root.rglob("*.xyc"))


def recognise_cells(root: Path) -> bool:
    """Whether `root` holds ALL-IDB2."""
    return root.is_dir() and any(PICTURE.fullmatch(path.stem) for path in root.rglob("*.tif"))


def read_fields(root: Path, *, take: str = "windows", window_px: int = 112, step_px: int = 56) -> Samples:
    """Return ALL-IDB1 as windows, labelled by whether they hold a blast's centre, or (`take="cells"`) as its blasts alone."""
    if take not in TAKES or window_px < 8 or step_px < 1:
        raise DatasetError(
            f"ALL-IDB1: take {take!r} must be one of {', '.join(TAKES)}, window_px {window_px} >= 8, step_px {step_px} >= 1."
        )
    places = {path.stem.lower(): path for path in sorted(root.rglob("*.xyc"))}
    fields = [path for path in find_pictures(root) if path.suffix.lower() == ".jpg" and PICTURE.fullmatch(path.stem)]
    files: list[str] = []
    boxes: list[NDArray[np.int32]] = []
    labels: list[NDArray[np.int64]] = []
    for field in fields:
        centres = _centres(field, places)
        found = _windows(size_of(field), window_px, step_px) if take == "windows" else _round_centres(centres, window_px)
        boxes.append(found)
        labels.append(_holding(found, centres))
        files += [field.relative_to(root).as_posix()] * len(found)
    if not files:
        raise DatasetError(f"{root} holds nothing of ALL-IDB1 to take {take} of {window_px} px from. Looked for {LOOKED_FOR_FIELDS}.")
    subjects = tuple(Path(file).stem for file in files)
    step = f", step {step_px} px" if take == "windows" else ""
    return Samples(
        name=f"ALL-IDB1, {take} of {window_px} px{step}",
        root=root,
        classes=CLASSES,
        roles=ROLES,
        positive_class="blast",
        files=tuple(files),
        labels=np.concatenate(labels),
        subjects=subjects,
        groups=subjects,
        parts=("",) * len(files),
        boxes=np.concatenate(boxes),
        licence=LICENCE,
        citation=CITATION,
    )


def read_cells(root: Path) -> Samples:
    """Return the single cells of ALL-IDB2."""
    found = [path for path in find_pictures(root) if path.suffix.lower() != ".jpg" and PICTURE.fullmatch(path.stem)]
    if not found:
        raise DatasetError(f"{root} holds no cell of ALL-IDB2. Looked for {LOOKED_FOR_CELLS}.")
    files = tuple(path.relative_to(root).as_posix() for path in found)
    return Samples(
        name="ALL-IDB2",
        root=root,
        classes=CLASSES,
        roles=ROLES,
        positive_class="blast",
        files=files,
        labels=np.array([_is_blast(path) for path in found], np.int64),
        subjects=("",) * len(files),
        groups=files,
        parts=("",) * len(files),
        licence=LICENCE,
        citation=CITATION,
    )


def _is_blast(path: Path) -> int:
    return int(path.stem.endswith("_1"))


def _centres(field: Path, places: dict[str, Path]) -> NDArray[np.float64]:
    """Return the centres of a field's blasts, (n, 2)."""
    if not _is_blast(field):
        return np.empty((0, 2))
    path = places.get(field.stem.lower())
    if path is None:
        raise DatasetError(f"{field} has no {field.stem}.xyc, which says where its blasts are.")
    try:
        lines = [line.split() for line in path.read_text(encoding="ascii").splitlines() if line.strip()]
        return np.array([[float(x), float(y)] for x, y in lines]).reshape(-1, 2)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} is no list of centres, one x and y a line: {error}.") from error


def _windows(size: tuple[int, int], window_px: int, step_px: int) -> NDArray[np.int32]:
    """Return all windows that lie wholly in a picture, row by row."""
    width, height = size
    tops, lefts = np.meshgrid(np.arange(0, height - window_px + 1, step_px), np.arange(0, width - window_px + 1, step_px), indexing="ij")
    corners = np.stack([lefts.ravel(), tops.ravel()], axis=1)
    return np.concatenate([corners, corners + window_px], axis=1).astype(np.int32)


def _round_centres(centres: NDArray[np.float64], window_px: int) -> NDArray[np.int32]:
    corners = np.rint(centres - window_px / 2)
    return np.concatenate([corners, corners + window_px], axis=1).astype(np.int32)


def _holding(boxes: NDArray[np.int32], centres: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return 1 for each box in which a centre lies."""
    x, y = centres[:, 0], centres[:, 1]
    left, top, right, bottom = boxes.T[:, :, None]
    held: NDArray[np.bool_] = ((left <= x) & (x < right) & (top <= y) & (y < bottom)).any(axis=1)
    return held.astype(np.int64)
