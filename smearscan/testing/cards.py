"""Models for tests of what shows, checks and exports them: one whose card says all that a card can say, and a small detector."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from classifiers import bundled
from smearscan.reports.overlay_pictures import write_png

FULL_EXTRA: dict[str, Any] = {
    "purpose": ["Sorting cells, so that a person looks at the flagged ones first.", "Comparing slides of one laboratory."],
    "not_for": "Any diagnostic decision.",
    "limits": ["Trained on drawn cells: on a stain of yours it must be checked with smearscan evaluate."],
    "data": [{"name": "Drawn smears", "licence": "AGPL-3.0-or-later", "citation": "smearscan.smears", "subjects": 34, "cells": 9310}],
    "metrics": [
        {"name": "AUROC", "value": 0.9, "low": 0.884, "high": 0.938, "on": "5,084 cells of 34 subjects"},
        {"name": "sensitivity", "value": 0.902, "low": 0.861, "high": 0.934, "on": "5,084 cells of 34 subjects"},
        {"name": "AUROC of the area alone", "value": None, "note": "the cells were not outlined", "on": "5,084 cells of 34 subjects"},
        {"name": "cells a second", "value": 3100, "unit": "", "on": "two cores"},
    ],
    "calibration_bins": [
        {"cells": 339, "mean_probability": round(0.1 * step, 3), "share_right": round(0.1 * step + 0.01, 3), "low": 0.0, "high": 1.0}
        for step in range(1, 10)
    ],
    "roc": [[0.0, 0.0], [0.1, 0.7], [0.4, 0.95], [1.0, 1.0]],
    "shortcut_tests": [
        {"name": "field cell on black", "question": "Does a black background flip the call?", "value": 0.032, "low": 0.02, "high": 0.05},
    ],
    "composed": {
        "note": "Slides of subjects outside the training fold.",
        "rows": [{"mode": "detector", "mean_absolute_error": {"value": 0.041, "low": 0.03, "high": 0.055}, "holds_truth": "28 of 30"}],
    },
    "tried": [{"network": "small-cnn", "auroc": 0.84, "kept": False}, {"network": "shufflenet", "auroc": 0.9, "kept": True}],
    "tables": [{"title": "By stain", "rows": [{"stain": "pale", "cells": 1200}]}],
    "failures": [{"file": "failures/0.png", "true": "blast", "called": "other", "score": 0.12, "subject": "drawn-4000"}],
    "pictures": [{"file": "modes.png", "dark": "modes-dark.png", "caption": "Two modes side by side."}],
    "commands": [{"command": "python benchmarks/accuracy.py", "prints": "All numbers of this card"}],
    "identity": {"seed": "0"},
}
PICTURES = ("failures/0.png", "modes.png", "modes-dark.png")


def write_full_model(folder: Path, **changes: Any) -> dict[str, Any]:
    """Copy the classifier for drawn cells to `folder` and give it the fullest card there is; `changes` are fields of the card."""
    shutil.copytree(bundled.folder("drawn-cells"), folder, dirs_exist_ok=True)
    path = folder / "card.json"
    card = {**json.loads(path.read_text(encoding="utf-8")), "name": "full card", "extra": FULL_EXTRA, **changes}
    path.write_text(json.dumps(card, indent=2), encoding="utf-8")
    for number, name in enumerate(PICTURES):
        (folder / name).parent.mkdir(exist_ok=True)
        write_png(folder / name, np.full((24, 32, 3), 60 * number, np.uint8))
    return card


def write_small_detector(folder: Path) -> Path:
    """Write a detector folder whose network has learnt nothing, and return it; its weights are the same each time."""
    from detectors.yolo_folder import DetectorCard, build, save_folder

    network = build(
        {
            "nc": 2,
            "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [8, 3, 2]]],
            "head": [[[1, 2], 1, "Detect", ["nc"]]],
        }
    )
    random = np.random.default_rng(0)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data.copy_(parameter.data.new_tensor(random.normal(0, 0.3, tuple(parameter.shape))))
    roles: dict[str, Any] = {"white": "cell", "red": "ignored"}
    card = DetectorCard("small", "Has learnt nothing.", ("white", "red"), roles, input_px=256, margin_px=32, licence="AGPL-3.0-or-later")
    save_folder(network, folder, card)
    return folder
