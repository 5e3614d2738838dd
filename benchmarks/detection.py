"""How many white cells of real fields does a detector find?

    python benchmarks/detection.py --data DIR [--detector nuclei] [--set bccd] [--set txl_pbc] [--out DIR]

A proposal hits a true cell when their boxes' IoU is at least 0.3 or the proposal's centre lies inside the true box;
each hits one at most. `--out` writes a picture of every field with a miss or a false alarm: truth blue, and
broad where it was missed, hits orange, false alarms white.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from detectors.base import Detector
from detectors.boxes import as_boxes, centres, iou, paired_iou
from smearscan.plugins import find

Boxes = NDArray[np.float64]
HIT_IOU = 0.3
BLUE, ORANGE, WHITE = (0, 114, 178), (213, 94, 0), (255, 255, 255)


@dataclass(frozen=True)
class Field:
    """One annotated picture."""

    name: str
    picture: NDArray[np.uint8]
    truth: Boxes


def bccd(folder: Path) -> Iterator[Field]:
    """Read the fields of BCCD with the boxes of their white cells (Pascal VOC)."""
    for annotation in sorted((folder / "annotations").glob("*.xml")):
        picture = read_picture(folder / "images" / f"{annotation.stem}.jpg")
        boxes = [
            [float(cell.findtext(f"bndbox/{side}", "nan")) for side in ("xmin", "ymin", "xmax", "ymax")]
            for cell in ElementTree.parse(annotation).getroot().iter("object")
            if cell.findtext("name") == "WBC"
        ]
        yield Field(annotation.stem, picture, as_boxes(boxes))


def txl_pbc(folder: Path) -> Iterator[Field]:
    """Read the fields of TXL-PBC with the boxes of their white cells (YOLO: class 0, then middle and size as shares)."""
    for label in sorted((folder / "labels").glob("*.txt")):
        picture = read_picture(folder / "images" / f"{label.stem}.jpg")
        rows = np.loadtxt(label, ndmin=2).reshape(-1, 5)
        middle, half = rows[rows[:, 0] == 0, 1:3], rows[rows[:, 0] == 0, 3:5] / 2
        height, width = picture.shape[:2]
        yield Field(label.stem, picture, as_boxes(np.hstack([middle - half, middle + half]) * [width, height, width, height]))


SETS = {"bccd": bccd, "txl_pbc": txl_pbc}


def read_picture(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise SystemExit(f"{path} cannot be read as a picture.")
    return picture.astype(np.uint8, copy=False)


def match(truth: Boxes, proposed: Boxes) -> NDArray[np.intp]:
    """Return, for each proposal, the true cell it hits, or -1; as many hits as can be, the best overlaps first."""
    hit = np.full(len(proposed), -1, np.intp)
    if not len(truth) or not len(proposed):
        return hit
    overlap = iou(proposed, truth)
    middle = centres(proposed)[:, None]
    inside = ((middle >= truth[None, :, :2]) & (middle < truth[None, :, 2:])).all(axis=2)
    allowed = inside | (overlap >= HIT_IOU)
    rows, columns = linear_sum_assignment(allowed + 0.1 * overlap * allowed, maximize=True)
    for row, column in zip(rows, columns, strict=True):
        if allowed[row, column]:
            hit[row] = column
    return hit


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds bccd/ and txl_pbc/")
    parser.add_argument("--detector", default="nuclei", help="a detector's name (default: nuclei)")
    parser.add_argument("--set", dest="sets", action="append", choices=sorted(SETS), help="only this set; may be given again")
    parser.add_argument("--out", type=Path, help="write pictures of fields with a miss or a false alarm here")
    options = parser.parse_args(arguments)
    detector: Detector = find("smearscan.detectors", options.detector)()
    for name in options.sets or sorted(SETS):
        if not (options.data / name).is_dir():
            parser.error(f"{options.data} holds no folder {name}.")
        figures = measure(detector, SETS[name](options.data / name), options.out and options.out / name)
        print(f"{name}: {figures}")
    return 0


@dataclass
class Figures:
    """What was found of one set."""

    fields: int = 0
    cells: int = 0
    found: int = 0
    proposals: int = 0
    cut_cells: int = 0  # by the field's border
    cut_found: int = 0
    pixels: int = 0
    seconds: float = 0.0
    overlaps: list[float] = dataclasses.field(default_factory=list)

    @property
    def recall(self) -> float:
        return self.found / max(self.cells, 1)

    @property
    def precision(self) -> float:
        return self.found / max(self.proposals, 1)

    def __str__(self) -> str:
        rate, each = self.pixels / 1e6 / max(self.seconds, 1e-9), 1000 * self.seconds / max(self.fields, 1)
        return "\n  ".join(
            [
                f"{self.fields} fields, {self.cells} white cells, {self.proposals} proposals",
                f"recall {self.recall:.4f} ({self.found} of {self.cells})",
                f"precision {self.precision:.4f} ({self.found} of {self.proposals})",
                f"cells cut by the border: {self.cut_found} of {self.cut_cells} found",
                f"median IoU of hits {np.median(self.overlaps or [0.0]):.2f}",
                f"{rate:.1f} Mpx/s, {each:.0f} ms a field, with tuning",
            ]
        )


def measure(detector: Detector, fields: Iterator[Field], out: Path | None = None) -> Figures:
    """Run a detector over fields, each tuned for itself, as a small slide of its own."""
    figures = Figures()
    for field in fields:
        started = time.perf_counter()
        proposed = as_boxes(detector.tuned(field.picture, None).propose(field.picture).boxes)
        figures.seconds += time.perf_counter() - started
        figures.pixels += field.picture.shape[0] * field.picture.shape[1]
        hit = match(field.truth, proposed)
        seen, cut = np.isin(np.arange(len(field.truth)), hit), touches_border(field)
        figures.fields += 1
        figures.cells += len(seen)
        figures.found += int(seen.sum())
        figures.proposals += len(proposed)
        figures.cut_cells += int(cut.sum())
        figures.cut_found += int((seen & cut).sum())
        figures.overlaps += paired_iou(proposed[hit >= 0], field.truth[hit[hit >= 0]]).tolist()
        if out is not None and (not seen.all() or (hit < 0).any()):
            draw(out / f"{field.name}.png", field, proposed, hit)
    return figures


def touches_border(field: Field) -> NDArray[np.bool_]:
    height, width = field.picture.shape[:2]
    near = np.hstack([field.truth[:, :2] <= 2, field.truth[:, 2:] >= np.array([width, height]) - 2])
    touching = np.asarray(near.any(axis=1), np.bool_)
    return touching


def draw(path: Path, field: Field, proposed: Boxes, hit: NDArray[np.intp]) -> None:
    shown = field.picture.copy()
    for index, box in enumerate(field.truth):
        frame(shown, box, BLUE, 2 if index in hit else 6)
    for index, box in enumerate(proposed):
        frame(shown, box, ORANGE if hit[index] >= 0 else WHITE, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(shown, cv2.COLOR_RGB2BGR))


def frame(picture: NDArray[np.uint8], box: NDArray[np.float64], colour: tuple[int, int, int], width: int) -> None:
    left, top, right, bottom = (round(float(side)) for side in box)
    cv2.rectangle(picture, (left, top), (right, bottom), colour, width)


if __name__ == "__main__":
    sys.exit(main())
