"""Crops to train a classifier with: of composed slides, cut as a run cuts them, and of the same cells alone on black.

Whoever trains on cut-outs alone trains on black: what says "cell" or "blast" must not be what lies around it. So the same
cells are laid on slides, blasts and others on the same ones and in the same way, and cut out again; and places without a cell
in their middle are cut as well, since a window shows those too. Each crop is a file and a line of a table that
`smearscan train` reads: file, label, role, subject, group, and `view`, how the crop came about.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray

from classifiers.card import ModelCard, StainReference
from smearscan import crops, staining
from smearscan.errors import OutputError
from smearscan.results import Picture, Staining
from smearscan.slides import open_slide
from smearscan.smears.composing import Composed
from smearscan.smears.output import write_smear
from smearscan.smears.painting import Smear

BLAST, OTHER, NOTHING = "blast", "other", "no white cell"
ROLES = {BLAST: "blast", OTHER: "other", NOTHING: "excluded"}
COLUMNS = ("file", "label", "role", "subject", "group", "view", "cell", "diameter_um")
SHIFTED = 0.1  # of its diameter that a detector's box lies beside its cell, as a standard deviation
BESIDE = (0.75, 1.2)  # diameters from a cell's centre, where a crop shows part of it and is of no cell
TRIES = 50


@dataclass(frozen=True)
class Shape:
    """What every crop covers."""

    crop_px: int
    crop_um: float
    stain: StainReference | None = None

    @property
    def card(self) -> ModelCard:
        """What `crops.cut` asks."""
        return ModelCard(
            name="training cells",
            summary="",
            classes=(OTHER, BLAST),
            roles={OTHER: "other", BLAST: "blast"},
            positive_class=BLAST,
            activation="softmax",
            network={},
            crop_px=self.crop_px,
            crop_um=self.crop_um,
            stain=self.stain,
        )


@dataclass(frozen=True)
class Line:
    """One crop in the table."""

    file: str
    label: str
    subject: str
    group: str
    view: str
    cell: str  # the file that its cell was cut out of; empty where it shows none
    diameter_um: float = 0.0

    def row(self) -> tuple[str, ...]:
        size = f"{self.diameter_um:.2f}" if self.diameter_um else ""
        return (self.file, self.label, ROLES[self.label], self.subject, self.group, self.view, self.cell, size)


@dataclass(frozen=True)
class CutSlide:
    """The crops of a slide, in its own colours, and how a run tells its stain."""

    lines: list[Line]
    crops: NDArray[np.uint8]
    staining: Staining | None


def cut_slide(composed: Composed, name: str, shape: Shape, *, groups: Mapping[str, str], empty: float, seed: int) -> CutSlide:
    """Cut a composed slide up, of a file, as a run would: JPEG blurs colours, and with them what tells a stain.

    `groups` says of a cell's file which group may not be parted, where that is more than its folder says; `empty` is how
    many crops without a cell are cut for each cell.
    """
    smear, rng = composed.smear, np.random.default_rng([seed, 0x7EAC])
    truth, origins = smear.truth, smear.origins
    picture, stained = _as_written(smear)
    places = np.array([(cell.x, cell.y) for cell in truth])
    diameters = np.array([cell.diameter for cell in truth])
    own = [groups.get(origin["file"], f"{origin['folder']}/{origin['group'] or origin['file']}") for origin in origins]
    beside = _beside(places, diameters, (picture.shape[1], picture.shape[0]), round(empty * len(truth)), rng)
    centres = np.concatenate([places + rng.normal(0, SHIFTED, places.shape) * diameters[:, None], beside])
    boxes = np.concatenate([centres - 8, centres + 8], axis=1)
    size = (picture.shape[1], picture.shape[0])
    cut = crops.cut(picture, (0, 0), boxes, shape.card, slide_size=size, mpp=smear.plan.mpp)
    lines = [
        Line(f"{name}/{row}.png", cell.kind, origin["subject"], group, "composed", origin["file"], cell.diameter * smear.plan.mpp)
        for row, (cell, origin, group) in enumerate(zip(truth, origins, own, strict=True))
    ]
    reach = shape.crop_um / smear.plan.mpp
    for row, place in enumerate(beside, len(truth)):
        away = np.hypot(*(places - place).T)
        nearest = int(away.argmin())
        lines.append(Line(f"{name}/{row}.png", NOTHING, "", own[nearest] if away[nearest] < reach else name, "composed", ""))
    return CutSlide(lines, cut, stained)


def _as_written(smear: Smear) -> tuple[Picture, Staining | None]:
    """Return a smear as it comes out of its file, and how it is stained."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        write_smear(smear, path, workers=1)
        with open_slide(path) as slide:
            return slide.read((0, 0, slide.info.width, slide.info.height)), staining.look(slide)


def write_crops(folder: Path, crops_: Iterable[tuple[Line, Picture]]) -> list[Line]:
    """Write crops below `folder`, each where its line says, and return the lines."""
    lines = []
    for line, picture in crops_:
        path = folder / line.file
        path.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1]):
            raise OutputError(f"{path} cannot be written. Make room there, or choose another folder.")
        lines.append(line)
    return lines


def write_table(path: Path, lines: Sequence[Line]) -> None:
    """Write the table, in whose folder the crops lie; it is there whole or not at all."""
    unfinished = path.with_name(f".{path.name}.writing")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(line.row() for line in lines)
    unfinished.replace(path)


def read_table(path: Path) -> list[Line]:
    """Return the lines of a table that `write_table` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        Line(row["file"], row["label"], row["subject"], row["group"], row["view"], row["cell"], float(row["diameter_um"] or 0))
        for row in rows
    ]


def _beside(
    places: NDArray[np.float64], diameters: NDArray[np.float64], size: tuple[int, int], count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return centres of crops that are of no cell: half of them at a cell's edge, half of them anywhere."""
    found: list[tuple[float, float]] = []
    for index in range(count):
        for _ in range(TRIES):
            if index % 2:
                cell, angle = int(rng.integers(len(places))), rng.uniform(0, 2 * np.pi)
                step = rng.uniform(*BESIDE) * diameters[cell]
                x, y = places[cell] + step * np.array([np.cos(angle), np.sin(angle)])
            else:
                x, y = rng.uniform(0, size[0]), rng.uniform(0, size[1])
            if (np.hypot(places[:, 0] - x, places[:, 1] - y) >= BESIDE[0] * diameters).all():
                found.append((float(x), float(y)))
                break
    return np.array(found).reshape(-1, 2)
