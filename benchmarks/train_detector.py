"""Make the detector that ships, from the public sets it rests on.

    python benchmarks/train_detector.py --data DIR [--out detectors/bundled/white-cells] [--steps N] [--threads 1] [--overwrite]

DIR holds bccd/ (Pascal VOC) and txl_pbc/ (YOLO). The split, the first weights and all that is drawn follow from the seed, 0. The
same command goes on where it was stopped, even by a kill; until it is done the folder holds the best weights so far. The same as
`smearscan train DIR/bccd DIR/txl_pbc --detector`, but that each set is told what its labels do not say, and the card its sources.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from detectors.training import CardFacts, DetectorProgress, TrainingSettings, read_labels, train_detector

FACTS = CardFacts(
    name="white-cells",
    summary="Boxes white cells of stained blood smears, from 15 to 300 px across; trained on normal cells of three laboratories.",
    training_data=(
        "BCCD (292 fields of 640 x 480 px) and TXL-PBC (486 fields of 360 x 363 px after the Barcelona PBC set, 500 of 575 x 575 px "
        "after Raabin-WBC): normal white cells among red cells, each field seen through an oil objective at about 0.06 to 0.1 um/px "
        "and shown smaller. Fields that look alike are on one side of the split; 70 % for training, 15 % to choose, 15 % only tested."
    ),
    licence="AGPL-3.0-or-later; the pictures it was trained on: MIT (BCCD), MIT as stated by TXL-PBC (CC BY 4.0 and free with citation)",
    citation=(
        "BCCD Dataset, github.com/Shenggan/BCCD_Dataset. TXL-PBC, github.com/lugan113/TXL-PBC_Dataset. "
        "Acevedo et al., Data in Brief 30 (2020) 105474. Kouzehkanan et al., Scientific Reports 12 (2022) 1123. "
        "Network and loss: Ultralytics YOLOv8, github.com/ultralytics/ultralytics."
    ),
    said={
        "purpose": "Finds the white cells of a stained blood smear, so that a classifier can look at each; it does not tell them apart.",
        "not_for": "Diagnosis; bone marrow; counting platelets or red cells.",
        "limits": (
            "Trained on normal white cells of three laboratories, one or two a field. Blasts among them were not labelled as such: how "
            "many of them it finds was measured on composed slides alone.",
            "Its confidence and scale were settled after test pictures and composed slides had been looked at; its weights never saw them.",
            "It is set to miss little. Between dense red cells up to a quarter of what it proposes is no white cell, which a classifier "
            "must leave out; the bundled one does.",
            "Its test pictures come from the same laboratories as those it was trained on. On your stain, look at a few pages first.",
            "Without a scale it takes large platelets of a field at high magnification for small white cells: give --mpp, or let the red "
            "cells tell it.",
            "A sliver of a cell at the very edge of a slide is often missed.",
        ),
        "commands": (
            "python benchmarks/train_detector.py --data DIR",
            "python benchmarks/detection.py --data DIR --split detectors/bundled/white-cells/training/split.csv --at 0.25 "
            "--detector yolo:white-cells --detector nuclei --detector window",
            "python benchmarks/detection.py --data DIR --composed 3 --detector yolo:white-cells --detector nuclei --detector window",
        ),
    },
)
TXL_NAMES = ("WBC", "RBC", "platelet")
SAY_EVERY_S = 30.0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds bccd/ and txl_pbc/")
    parser.add_argument("--out", type=Path, default=Path("detectors/bundled/white-cells"))
    parser.add_argument("--steps", type=int, default=TrainingSettings.steps)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--overwrite", action="store_true", help="start anew if --out holds a detector")
    options = parser.parse_args(arguments)
    pictures = read_labels(options.data / "bccd") + read_labels(options.data / "txl_pbc", names=TXL_NAMES)
    said = [0.0]

    def show(progress: DetectorProgress) -> None:
        if time.monotonic() - said[0] < SAY_EVERY_S and progress.activity == "training":
            return
        said[0] = time.monotonic()
        left = "" if progress.seconds_left is None else f", {progress.seconds_left / 60:.0f} min left"
        print(f"{progress.activity}: " + "; ".join(f"{name} {text}" for name, text in progress.details().items()) + left, flush=True)

    card = train_detector(
        pictures,
        options.out,
        TrainingSettings(steps=options.steps),
        facts=FACTS,
        device=options.device,
        threads=options.threads,
        overwrite=options.overwrite,
        show=show,
    )
    metrics = card.extra["figures"]
    for part in ("validation", "test"):
        print(part, metrics[part]["all"])
    for size, figures in metrics["test"]["by_cell_px"].items():
        print(f"test, cells of {size} px", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
