"""What a training leaves: the detector folder, and beside it how it went and what came of it."""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from detectors.training.labels import LabelledPicture
from detectors.training.loop import Training
from detectors.training.metrics import Seen, best_confidence, match, summarise
from detectors.training.mosaic import LARGEST_CELL_PX, SMALLEST_CELL_PX
from detectors.training.settings import TrainingSettings, Validation
from detectors.training.splitting import PARTS, FieldSplit
from detectors.yolo_folder import DetectorCard, save_folder

WHITE_CELL = "white cell"
SIZE_LIMITS = (15.0, 25.0, 50.0, 100.0, 200.0, 300.0)  # cell diameters in the network's pixels, for the figures by size
DECIMALS = 6
USUAL_CELL_UM = (10.0, 25.0)
NAMES = {
    "map50": "mAP50",
    "map50_95": "mAP50-95",
    "recall_at_precision_95": "recall at precision 0.95",
    "log_average_miss_rate": "log-average miss rate",
    "recall": "recall",
    "precision": "precision",
}
SHOWN_PX = "32"  # of the sizes, what the card's first numbers are about


@dataclass(frozen=True)
class CardFacts:
    """What no training knows of the detector it makes."""

    name: str = "white-cells"
    summary: str = "Boxes white cells of stained blood smears, blasts among them not told apart."
    licence: str = "AGPL-3.0-or-later"
    training_data: str = ""
    citation: str = ""
    # Most white cells are then 30 to 55 px wide, where the network is surest, and a 40x scan has less than half the pixels to look at.
    mpp: float = 0.33
    input_px: int = 1280
    margin_px: int = 136  # 45 um: 1.5 times the largest cells, and more
    iou: float = 0.45
    said: Mapping[str, Any] = field(default_factory=dict)  # purpose, not_for, limits and the like, in words


def write_model(training: Training, folder: Path, facts: CardFacts, split: FieldSplit, *, tested: bool) -> DetectorCard:
    """Write the best weights so far as a detector folder, its confidence chosen on validation; `tested`: with the test's figures."""
    network = training.best_network()
    validated = training.looks("validation")
    # Where the scale is known, white cells are shown so large; the other sizes are for slides without a scale.
    usual = [size for size in validated if USUAL_CELL_UM[0] <= size * facts.mpp <= USUAL_CELL_UM[1]] or list(validated)
    confidence = best_confidence(match([each for size in usual for each in validated[size]]))
    metrics: dict[str, Any] = {
        "matched_at_iou": 0.5,
        "confidence": confidence,
        "confidence_chosen_by": f"the highest F1 on validation pictures, cells shown {' and '.join(f'{size:g}' for size in usual)} px wide",
        "validation": figures(validated, split.validation, confidence),
    }
    if tested:
        metrics["test"] = figures(training.looks("test"), split.test, confidence)
    card = DetectorCard(
        name=facts.name,
        summary=facts.summary,
        classes=(WHITE_CELL,),
        roles={WHITE_CELL: "cell"},
        input_px=facts.input_px,
        margin_px=facts.margin_px,
        mpp=facts.mpp,
        cell_px=(SMALLEST_CELL_PX, LARGEST_CELL_PX),
        confidence=confidence,
        iou=facts.iou,
        licence=facts.licence,
        training_data=facts.training_data or _told(split),
        citation=facts.citation,
        extra={**facts.said, **_shown(metrics), "figures": metrics, "training": _how(training, split)},
    )
    card = save_folder(network, folder, card, half=True)
    _write_logs(folder / "training", training, split, metrics)
    return card


def _shown(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures as a model card shows them: a list of numbers, and tables."""
    part = "test" if "test" in figures else "validation"
    told = figures[part]
    row = told["shown_with_cells_px"].get(SHOWN_PX, told["all"])
    on = f"{part} pictures, shown with cells of {SHOWN_PX} px" if SHOWN_PX in told["shown_with_cells_px"] else f"{part} pictures"
    numbers = [{"name": name, "value": row[key], "on": on} for key, name in NAMES.items() if row[key] is not None]
    titles = {
        "shown_with_cells_px": "By how wide its cells were shown, px",
        "by_cell_px": "By the width of the cell, px",
        "by_source": "By source",
    }
    tables = [
        {"title": title, "note": f"On {part} pictures at every size, at an IoU of 0.5", "rows": _rows(told[key])}
        for key, title in titles.items()
    ]
    return {"metrics": numbers, "tables": tables}


def _rows(told: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"": label, "cells": row["cells"], **{name: row[key] for key, name in NAMES.items()}} for label, row in told.items()]


def figures(looks: Mapping[float, Sequence[Seen]], pictures: Sequence[LabelledPicture], confidence: float) -> dict[str, Any]:
    """Return figures for all looks together, by what was shown, by the width of the cells, and by source."""
    everything = [each for seen in looks.values() for each in seen]
    by_source: dict[str, list[Seen]] = {}
    for seen in looks.values():
        for picture, each in zip(pictures, seen, strict=True):
            by_source.setdefault(picture.source, []).append(each)
    return {
        "all": summarise(everything, confidence),
        "shown_with_cells_px": {f"{size:g}": summarise(seen, confidence) for size, seen in looks.items()},
        "by_cell_px": {f"{low:g}-{high:g}": summarise(everything, confidence, (low, high)) for low, high in pairwise(SIZE_LIMITS)},
        "by_source": {source: summarise(seen, confidence) for source, seen in sorted(by_source.items())},
    }


def _told(split: FieldSplit) -> str:
    sources = sorted({each.source for part in PARTS for each in split.part(part)})
    counts = ", ".join(f"{len(split.part(part))} for {part}" for part in PARTS)
    return f"Labelled fields of {', '.join(sources)}: {counts}."


def _how(training: Training, split: FieldSplit) -> dict[str, Any]:
    parts = {part: {"pictures": len(split.part(part)), "cells": sum(len(each.cells) for each in split.part(part))} for part in PARTS}
    best = training.standing.best
    return {
        "settings": json.loads(json.dumps(training.settings.as_json())),
        "split": parts,
        "step": training.standing.step,
        "best_step": best.step if best else None,
        "seconds": round(training.standing.seconds, 1),
        "machine": {"device": str(training.device), "python": platform.python_version()},
    }


def _write_logs(folder: Path, training: Training, split: FieldSplit, metrics: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    split.write(folder / "split.csv")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    _write_curves(folder / "curves.csv", training.standing.history, training.settings)


def _write_curves(path: Path, history: Sequence[Validation], settings: TrainingSettings) -> None:
    sizes = [f"{size:g}" for size in settings.judged_px]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("step", "learning_rate", "loss", "map50", "map50_95", *(f"map50_95_at_{size}_px" for size in sizes)))
        for each in history:
            values = (each.learning_rate, each.loss, each.map50, each.map50_95, *(each.by_size[size] for size in sizes))
            writer.writerow((each.step, *(round(float(value), DECIMALS) for value in values)))
