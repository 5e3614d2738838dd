"""How many white cells does each detector find, on real fields and on composed slides?

    python benchmarks/detection.py --data DIR [--detector nuclei] [--set bccd] [--at 0.25] [--split split.csv] [--out DIR]
    python benchmarks/detection.py --data DIR --composed 3 --detector nuclei --detector yolo:white-cells --detector window

`--detector` may be given again, to set several side by side: nuclei, window, or yolo:NAME|FOLDER. Fields are shown as they are and
without their scale, or, with `--at`, brought to that many microns per pixel, which the detector is then told. `--split` takes the
test pictures of a trained detector alone (`training/split.csv` in its folder). `--composed N` looks at N slides of 2,000 px at 0.25
um/px, made of cells of cnmc/ on fields of chula_rbc12/, instead.

A proposal hits a true cell when their boxes' IoU is at least 0.3 or the proposal's centre lies inside the true box; each hits one at
most. The figures of average precision ask for an IoU of 0.5 and more, as is usual. `--out` writes a picture of every field with a
miss or a false alarm: truth blue, and broad where it was missed, hits orange, false alarms white.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from detectors.base import Detector, DetectorError, Proposals
from detectors.boxes import as_boxes, centres, iou, paired_iou
from detectors.training import LabelledPicture, read_labels
from detectors.training.metrics import Seen, summarise
from smearscan.plugins import find

Boxes = NDArray[np.float64]
HIT_IOU = 0.3
BLUE, ORANGE, WHITE = (0, 114, 178), (213, 94, 0), (255, 255, 255)
NAMES = {"bccd": (), "txl_pbc": ("WBC", "RBC", "platelet")}  # what YOLO's labels do not say themselves
# Microns per pixel, by the size of red cells: the sets do not say it.
SCALES = {"bccd 640x480": 0.072, "txl_pbc 360x363": 0.103, "txl_pbc 575x575": 0.058}
COMPOSED_PX, COMPOSED_MPP, FIELD_MPP = 2000, 0.25, 0.1905


@dataclass(frozen=True)
class Field:
    """One annotated picture."""

    name: str
    picture: NDArray[np.uint8]
    truth: Boxes
    mpp: float | None = None  # what the detector is told


def fields_of(folder: Path, at_mpp: float | None = None, only: set[str] | None = None) -> Iterator[Field]:
    """Read the labelled fields of a set; `only` names those to take."""
    for labelled in read_labels(folder, names=NAMES.get(folder.name, ())):
        if only is None or labelled.name in only:
            yield as_field(labelled, at_mpp)


def as_field(labelled: LabelledPicture, at_mpp: float | None) -> Field:
    picture, truth = labelled.read(), labelled.cells
    if at_mpp is not None:
        zoom = SCALES[labelled.source] / at_mpp
        size = (round(labelled.width * zoom), round(labelled.height * zoom))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR), np.uint8)
        truth = truth * (np.array(size * 2) / np.array([labelled.width, labelled.height] * 2))
    return Field(Path(labelled.name).stem, picture, truth, at_mpp)


def composed_slides(data: Path, count: int) -> Iterator[Field]:
    """Compose slides of real cells on real fields, each with 60 white cells, a third of them blasts."""
    from smearscan.smears import CellChoice, SmearPlan, compose

    for seed in range(count):
        side = COMPOSED_PX
        plan = SmearPlan(side, side, COMPOSED_MPP, seed=seed, white_cells=60, blast_fraction=0.3, smudge_fraction=0, debris_per_mm2=0)
        smear = compose(plan, [CellChoice(data / "cnmc")], data / "chula_rbc12", field_mpp=FIELD_MPP).smear
        truth = as_boxes([cell.box for cell in smear.truth if cell.is_white_cell])
        yield Field(f"composed-{seed}", smear.picture(), truth, COMPOSED_MPP)


def build(named: str) -> Detector:
    """Return the detector that NAME or yolo:MODEL names."""
    name, _, model = named.partition(":")
    factory = find("smearscan.detectors", name)
    detector: Detector = factory(model=model, device="cpu") if model else factory()
    return detector


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
    parser.add_argument("--detector", dest="detectors", action="append", help="nuclei, window or yolo:NAME|FOLDER (default: nuclei)")
    parser.add_argument("--set", dest="sets", action="append", choices=sorted(NAMES), help="only this set; may be given again")
    parser.add_argument("--at", type=float, metavar="MPP", help="bring every field to this scale, and tell it")
    parser.add_argument("--split", type=Path, help="look only at the test pictures of this split.csv")
    parser.add_argument("--composed", type=int, metavar="N", help="look at N composed slides")
    parser.add_argument("--out", type=Path, help="write pictures of fields with a miss or a false alarm here")
    options = parser.parse_args(arguments)
    only = None if options.split is None else tested(options.split)
    sets: dict[str, list[Field] | None] = dict.fromkeys(options.sets or sorted(NAMES))
    if options.composed:
        sets = {"composed": list(composed_slides(options.data, options.composed))}
    for name, composed in sets.items():
        if composed is None and not (options.data / name).is_dir():
            parser.error(f"{options.data} holds no folder {name}.")
        for named in options.detectors or ["nuclei"]:
            fields: Iterable[Field] = composed if composed is not None else fields_of(options.data / name, options.at, only)
            out = options.out and options.out / name / named.replace("/", "-").replace(":", "-")
            print(f"{name}, {named}: {measure(build(named), fields, out)}", flush=True)
    return 0


def tested(split: Path) -> set[str]:
    with split.open(newline="", encoding="utf-8") as stream:
        return {row["picture"] for row in csv.DictReader(stream) if row["part"] == "test"}


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
    refused: int = 0  # fields that the detector would not look at
    overlaps: list[float] = dataclasses.field(default_factory=list)
    seen: list[Seen] = dataclasses.field(default_factory=list)

    @property
    def recall(self) -> float:
        return self.found / max(self.cells, 1)

    @property
    def precision(self) -> float:
        return self.found / max(self.proposals, 1)

    def __str__(self) -> str:
        rate, each = self.pixels / 1e6 / max(self.seconds, 1e-9), 1000 * self.seconds / max(self.fields, 1)
        usual = summarise(self.seen, 0.0)
        return "\n  ".join(
            [
                f"{self.fields} fields, {self.cells} white cells, {self.proposals} proposals"
                + (f"; {self.refused} fields have no scale that it could find" if self.refused else ""),
                f"recall {self.recall:.4f} ({self.found} of {self.cells})",
                f"precision {self.precision:.4f} ({self.found} of {self.proposals})",
                f"cells cut by the border: {self.cut_found} of {self.cut_cells} found",
                f"median IoU of hits {np.median(self.overlaps or [0.0]):.2f}",
                f"at IoU 0.5: recall {usual['recall']}, precision {usual['precision']}; mAP50 {usual['map50']}, "
                f"mAP50-95 {usual['map50_95']} of what it proposes",
                f"{rate:.1f} Mpx/s, {each:.0f} ms a field, with tuning",
            ]
        )


def measure(detector: Detector, fields: Iterable[Field], out: Path | None = None) -> Figures:
    """Run a detector over fields, each tuned for itself, as a small slide of its own."""
    figures = Figures()
    for field in fields:
        started = time.perf_counter()
        try:
            found = detector.tuned(field.picture, field.mpp).propose(field.picture, field.mpp)
        except DetectorError:  # no red cells to take the scale from: nothing is found here
            found = Proposals.none()
            figures.refused += 1
        figures.seconds += time.perf_counter() - started
        proposed = as_boxes(found.boxes)
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
        figures.seen.append(Seen(field.truth, proposed, found.scores.astype(np.float64)))
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
