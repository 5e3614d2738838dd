"""The bundled detector on labelled fields that it was not trained on: its card's figures again, beside the others, and through a run.

A part of `benchmarks/accuracy.py`. Real fields without a blast: what a night of slides looks like is in `accuracy_slides.py`.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from detection import NAMES, Figures, build, fields_of, match, measure, tested

from detectors.boxes import as_boxes
from detectors.training import FieldSplit, LabelledPicture, TrainingSettings, read_labels, read_split
from detectors.training.judging import look_at
from detectors.training.labels import PictureStore, usual_diameters
from detectors.training.results import figures
from detectors.yolo_folder import load_folder
from smearscan import night
from smearscan.config import ScanConfig
from smearscan.intervals import wilson
from smearscan.slides import find_slides

AT_MPP = 0.25
DETECTORS = {"yolo": "yolo:white-cells", "nuclei": "nuclei", "window": "window"}
RUN_SET = "bccd"  # whole fields of a microscope's camera, whose scale nothing says but their red cells


@dataclass(frozen=True)
class ThroughRun:
    """Fields handed to `smearscan run` as they are, without a scale."""

    fields: int
    finished: int  # that came out with a count, of any number of cells
    cells: int
    found: int  # of them, by a cell that counts: what the classifier takes for no white cell is not found
    counted: int


def split_of(data: Path, model: Path) -> FieldSplit:
    pictures = list(chain.from_iterable(read_labels(data / name, names=names) for name, names in sorted(NAMES.items())))
    return read_split(model / "training" / "split.csv", pictures)


def card_figures(model: Path, split: FieldSplit) -> dict[str, Any]:
    """Return the figures of the detector's card, measured again: test fields shown with cells of many widths."""
    card, network = load_folder(model)
    usual, store = usual_diameters(split.train), PictureStore()
    looks = {size: look_at(network, split.test, usual, size, store) for size in TrainingSettings().judged_px}
    return figures(looks, split.test, card.confidence)


def side_by_side(data: Path, model: Path) -> dict[str, Figures]:
    """Return what each way to propose cells finds in the test fields, brought to the scale of a slide."""
    only = tested(model / "training" / "split.csv")
    found = {}
    for name, named in DETECTORS.items():
        fields = chain.from_iterable(fields_of(data / each, AT_MPP, only) for each in sorted(NAMES))
        found[name] = measure(build(named), fields)
    return found


def through_run(pictures: Sequence[LabelledPicture], classifier: str, out: Path) -> ThroughRun:
    """Scan fields as a user does who has nothing but pictures: no scale, every default but the classifier."""
    shutil.rmtree(out, ignore_errors=True)
    config = ScanConfig(proposals="yolo", classifier=classifier, overlays=0)
    found = find_slides([each.path for each in pictures])
    night.run(night.prepare(config, out, found.slides, found.rejected, {}), show=lambda sight: None, tell=lambda line: None)
    counts = {"finished": 0, "cells": 0, "found": 0, "counted": 0}
    for picture in pictures:
        table = out / "slides" / picture.path.name / "cells.csv"
        boxes = _boxes(table) if table.is_file() else np.zeros((0, 4))
        hit = match(as_boxes(picture.cells), boxes)
        counts["finished"] += table.is_file()
        counts["cells"] += len(picture.cells)
        counts["found"] += int((hit >= 0).sum())
        counts["counted"] += len(boxes)
    return ThroughRun(len(pictures), **counts)


def run_fields(split: FieldSplit) -> list[LabelledPicture]:
    return [each for each in split.test if each.name.startswith(f"{RUN_SET}/")]


def table(found: Mapping[str, Figures]) -> list[dict[str, Any]]:
    """Return a row for each way to propose cells, as a card has it."""
    return [
        {
            "mode": name,
            "fields": each.fields,
            "recall": rate(each.found, each.cells),
            "precision": rate(each.found, each.proposals),
            "proposals_per_cell": round(each.proposals / max(each.cells, 1), 2),
            "ms_per_field": round(1000 * each.seconds / max(each.fields, 1)),
        }
        for name, each in found.items()
    ]


def rate(part: int, whole: int) -> dict[str, Any]:
    """Return a share with its Wilson interval, as a card has it."""
    ends = wilson(part, whole)
    return {"value": round(part / whole, 4), "low": round(ends.low, 4), "high": round(ends.high, 4), "unit": "%"}


def _boxes(path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not row["excluded"]]
    return as_boxes([[float(row[side]) for side in ("left", "top", "right", "bottom")] for row in rows])
