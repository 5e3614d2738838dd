"""Cuts white cells out of annotated smear fields: a folder of cut-outs with an alpha channel, once made and used for many slides.

The box says where a cell is, its nucleus that it is one; GrabCut finds the edge between them from the colours inside and
outside. Cells that are cut by the picture, that touch another white cell or whose outline is no cell's are left out.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors import stain as stains
from smearscan.errors import ConfigError, OutputError
from smearscan.results import Picture
from smearscan.smears.cell_folders import licence_of
from smearscan.smears.field_pictures import flatten, read_picture
from smearscan.smears.real_backgrounds import estimate_field_mpp

COLUMNS = (
    "file",
    "label",
    "subject",
    "split_group",
    "source_file",
    "staining",
    "mpp",
    "glass",
    "left",
    "top",
    "width",
    "height",
    "licence",
)
_GLASS = 235.0
Size = tuple[int, int]  # width, height of a picture
_BORDER_PX = 3  # a box so near to the picture's edge belongs to a cell that goes on beyond it
_AROUND = 0.25  # of a box's longer side that is looked at around it
_WORK_PX = 140  # the box's longer side while its cell is looked for; larger ones are slow and no better
_FILL = (0.55, 1.15)  # of the box's ellipse that a cell fills
_SOLIDITY = 0.92
_NUCLEUS_SHARE = 0.12  # of the cell at least
_SCALE_FIELDS = 16  # of one size, from whose red cells their scale is taken


@dataclass(frozen=True)
class Annotated:
    """A field and the boxes of its white cells (left, top, right, bottom)."""

    path: Path
    boxes: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class CutCell:
    """A white cell, as the even light of a neutral lamp shows it, and how much of each pixel it is."""

    rgb: Picture
    alpha: NDArray[np.uint8]
    left: int
    top: int


def read_annotations(root: Path) -> list[Annotated]:
    """Return the fields of a folder with `images/` and Pascal VOC `annotations/` (WBC) or YOLO `labels/` (class 0)."""
    found = []
    for path in sorted((root / "images").glob("*.*")):
        voc, yolo = root / "annotations" / f"{path.stem}.xml", root / "labels" / f"{path.stem}.txt"
        try:
            if voc.is_file():
                found.append(Annotated(path, tuple(_voc(voc))))
            elif yolo.is_file():
                found.append(Annotated(path, tuple(_yolo(yolo, path))))
        except (ElementTree.ParseError, ValueError, OSError) as error:
            raise ConfigError(f"The boxes of {path} cannot be read: {error}.") from error
    if not found:
        raise ConfigError(f"{root} holds no annotated fields: it needs images/ and annotations/*.xml or labels/*.txt.")
    return found


def cut_white_cells(root: Path, out: Path, *, mpp: float | None = None, label: str = "other", limit: int | None = None) -> int:
    """Cut the white cells of a set's fields into `out`, with a manifest.csv; return how many.

    Pictures of one size are taken to have one scale, which without `mpp` is taken from their red cells. Nobody says which pictures
    are of one smear, and sets hold those of many: what says how cells were stained is the picture that they are cut out of.
    """
    cells: list[tuple[Annotated, Size, CutCell]] = []
    for field in read_annotations(root):
        if limit is not None and len(cells) >= limit:
            break
        picture = read_picture(field.path)
        cells += [(field, (picture.shape[1], picture.shape[0]), cell) for cell in cut_field(picture, field.boxes)]
    if not cells:
        raise ConfigError(f"No white cell of {root} could be cut out whole.")
    scales = _scales(cells) if mpp is None else {}
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for number, (field, size, cell) in enumerate(cells):
                name = f"{label}/{field.path.stem}_{number}.png"
                (out / name).parent.mkdir(exist_ok=True)
                _write(out / name, cell)
                height, width = cell.alpha.shape
                scale = f"{scales[size] if mpp is None else mpp:.5f}"
                place = (cell.left, cell.top, width, height)
                writer.writerow(
                    [
                        name,
                        label,
                        "",
                        field.path.stem,
                        field.path.name,
                        field.path.stem,
                        scale,
                        f"{_GLASS:g}",
                        *place,
                        licence_of(root),
                    ]
                )
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or error}.") from error
    return len(cells)


def cut_field(picture: Picture, boxes: tuple[tuple[float, float, float, float], ...]) -> Iterator[CutCell]:
    """Yield the white cells of one field that can be cut out whole."""
    flat = flatten(picture, _GLASS)
    stain = stains.learn(flat)
    height, width = flat.shape[:2]
    for index, box in enumerate(boxes):
        left, top, right, bottom = box
        at_edge = left < _BORDER_PX or top < _BORDER_PX or right > width - _BORDER_PX or bottom > height - _BORDER_PX
        if not at_edge and not any(_meet(box, other) for number, other in enumerate(boxes) if number != index):
            cell = _cut(flat, box, stain)
            if cell is not None:
                yield cell


def _meet(one: tuple[float, ...], two: tuple[float, ...]) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


def _cut(flat: Picture, box: tuple[float, float, float, float], stain: stains.Stain) -> CutCell | None:
    """Find one cell in its box; None where what is found is no whole cell."""
    around = _AROUND * max(box[2] - box[0], box[3] - box[1])
    left, top = max(int(box[0] - around), 0), max(int(box[1] - around), 0)
    part = flat[top : int(box[3] + around), left : int(box[2] + around)]
    scale = min(1.0, _WORK_PX / max(box[2] - box[0], box[3] - box[1]))
    small = np.asarray(cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    x, y = ((box[0] + box[2]) / 2 - left) * scale, ((box[1] + box[3]) / 2 - top) * scale
    a, b = (box[2] - box[0]) / 2 * scale, (box[3] - box[1]) / 2 * scale
    u, v = np.meshgrid(np.arange(small.shape[1]) - x, np.arange(small.shape[0]) - y)
    far = np.hypot(u / a, v / b)
    nucleus = (stains.nucleus_density(np.asarray(cv2.blur(small, (3, 3)), np.uint8), stain.white) >= stain.nucleus) & (far < 1.05)
    if nucleus.sum() < _NUCLEUS_SHARE * np.pi * a * b:
        return None
    mask = _grab(small, far, nucleus)
    fill = mask.sum() / (np.pi * a * b)
    if not _FILL[0] <= fill <= _FILL[1] or (mask & nucleus).sum() < 0.9 * nucleus.sum():
        return None
    outline = max(cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=cv2.contourArea)
    if cv2.contourArea(outline) < _SOLIDITY * cv2.contourArea(cv2.convexHull(outline)):
        return None
    soft = cv2.resize(
        cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.2), (part.shape[1], part.shape[0]), interpolation=cv2.INTER_LINEAR
    )
    alpha = np.clip(np.rint((soft - 0.15) / 0.7 * 255), 0, 255).astype(np.uint8)
    return CutCell(part, alpha, left, top)


def _grab(small: Picture, far: NDArray[np.float64], nucleus: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the cell's pixels: `far` is 1 on the ellipse in its box."""
    labels = np.where(far < 0.98, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    labels[(far >= 0.98) & (far < 1.06)] = cv2.GC_PR_BGD
    sure = cv2.erode(nucleus.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    labels[sure | (far < 0.35)] = cv2.GC_FGD
    cv2.setRNGSeed(0)  # GrabCut draws its first colours
    cv2.grabCut(small, labels, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    cell = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    side = max(3, 2 * round(0.06 * np.sqrt(cell.sum())) + 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    cell = cv2.morphologyEx(cv2.morphologyEx(cell, cv2.MORPH_CLOSE, kernel), cv2.MORPH_OPEN, kernel)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(cell)
    if count < 2:
        return np.zeros(cell.shape, bool)
    outlines, _ = cv2.findContours(
        (parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    filled = np.zeros(cell.shape, np.uint8)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    return filled > 0


def _scales(cells: list[tuple[Annotated, Size, CutCell]]) -> dict[Size, float]:
    """Return microns per pixel for each size of picture."""
    fields: dict[Size, dict[Path, None]] = {}
    for field, size, _ in cells:
        fields.setdefault(size, {})[field.path] = None
    return {size: estimate_field_mpp(list(paths)[:_SCALE_FIELDS]) for size, paths in fields.items()}


def _write(path: Path, cell: CutCell) -> None:
    data = cv2.imencode(".png", np.dstack([cv2.cvtColor(cell.rgb, cv2.COLOR_RGB2BGR), cell.alpha]))[1]
    path.write_bytes(data.tobytes())


def _voc(path: Path) -> Iterator[tuple[float, float, float, float]]:
    for cell in ElementTree.parse(path).getroot().iter("object"):
        if cell.findtext("name") == "WBC":
            left, top, right, bottom = (float(cell.findtext(f"bndbox/{side}", "nan")) for side in ("xmin", "ymin", "xmax", "ymax"))
            yield left, top, right, bottom


def _yolo(path: Path, picture: Path) -> Iterator[tuple[float, float, float, float]]:
    height, width = read_picture(picture).shape[:2]
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, x, y, across, down = (float(value) for value in line.split())
        if kind == 0:
            yield (x - across / 2) * width, (y - down / 2) * height, (x + across / 2) * width, (y + down / 2) * height
