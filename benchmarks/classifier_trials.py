"""What was tried for the bundled classifier, and what each gave on subjects that its networks never saw.

    python benchmarks/classifier_trials.py --data DIR --out FOLDER [--trials as-it-is mixup ...] [--table trials.csv]

Every trial trains the recipe in `classifier_trials.toml`, changed in one thing, on C-NMC's cells as they are published, alone on black, in
the same five folds by subject, with temperature and threshold from the other folds. It sees a quarter of the pixels for fewer epochs
than the bundled model's networks, and no composed crop, so that a trial takes minutes of one core: rows are to be held against
each other, not against the card. A finished trial is not trained again.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from classifiers import recipes
from classifiers.base import ClassifierError
from classifiers.datasets import Samples, checking, load
from classifiers.evaluation.reliability import expected_error
from classifiers.splits import cross_splits
from classifiers.training import Progress
from classifiers.training.folds import Tested, test_folds
from smearscan import console

FOLDS, SEED = 5, 0
RECIPE = Path(__file__).with_suffix(".toml")
SMALL = {"input.crop_px": 64, "stages.0.epochs": 12}  # of every trial
STAIN = "augmentation.3"  # the stain's place among the recipe's steps
COLOURS_KEPT = [step for step in recipes.load(RECIPE).augmentation if step["step"] not in ("stain", "brightness")]
TRIALS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "as-it-is": ("64 px, 12 epochs", {}),
    "mixup": ("mixup, 0.2", {"stages.0.mixup": 0.2}),
    "hard-labels": ("no label smoothing", {"stages.0.label_smoothing": 0.0}),
    "stain-doubled": ("twice the variation of the stain", {f"{STAIN}.share": 0.3, f"{STAIN}.offset": 0.08}),
    "grey": ("no colour at all", {"input.preparation": [{"step": "grey"}]}),
    "sharp": ("no blur, no JPEG", {"augmentation": list(recipes.load(RECIPE).augmentation[:5])}),
    "sixty-of-a-subject": ("60 cells of a subject an epoch, 30 epochs", {"sampling": {"most_of_a_subject": 60}, "stages.0.epochs": 30}),
    "colours-kept": ("stain and brightness not varied", {"augmentation": COLOURS_KEPT}),
    "look-free": ("half of the channels of three layers normalised crop by crop", {"network.options.look_free": 3}),
    "narrower": ("half of the channels", {"network.options.width": 12}),
}
Flags = NDArray[np.bool_]


def run_trial(samples: Samples, name: str, out: Path) -> Tested:
    """Train what is not trained yet of a trial, and return what its folds say of subjects that they never saw."""
    recipe = recipes.load(RECIPE).changed({**SMALL, **TRIALS[name][1]})
    with console.progress(name) as bar:

        def show(told: Progress) -> None:
            bar.label = f"{name}, {told.label}"
            bar.update(told.done, told.total, told.details(), told.seconds_left)

        cache = out / "cache" / str(recipe.input.crop_px if recipe.input else 0)
        splits = cross_splits(samples, FOLDS, SEED, hold_back=recipe.chooses)
        return test_folds(samples, recipe, out / name, splits, seed=SEED, show=show, cache=cache)


def judge(samples: Samples, tested: Tested) -> dict[str, float]:
    """Return the numbers of one row."""
    card, judged = tested.cards[0], tested.judged
    blast: Flags = np.array([samples.roles[samples.classes[label]] == "blast" for label in samples.labels])
    scores, groups = card.blast_probability(judged.predicted), np.array(samples.groups)
    right = [1 - judged.called[(groups == group) & ~blast].mean() for group in np.unique(groups[~blast])]
    each = [roc_auc_score(blast[tested.fold == fold], scores[tested.fold == fold]) for fold in np.unique(tested.fold)]
    return {
        "AUROC": float(roc_auc_score(blast, scores)),
        "mean of the folds": float(np.mean(each)),
        "ECE": expected_error(scores, blast),
        "sensitivity": float(judged.called[blast].mean()),
        "median subject's specificity": float(np.median(right)),
        "worst subject's": float(min(right)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the folder that holds cnmc/")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the trials' networks go")
    parser.add_argument("--trials", nargs="+", choices=list(TRIALS), default=list(TRIALS), metavar="NAME", help=", ".join(TRIALS))
    parser.add_argument("--table", type=Path, metavar="CSV", help="write what is printed there as well")
    given = parser.parse_args()
    cells = load(given.data / "cnmc")
    cells = checking.joined(cells, checking.check(cells))
    found = []
    for name in given.trials:
        numbers = {key: f"{value:.3f}" for key, value in judge(cells, run_trial(cells, name, given.out)).items()}
        found.append({"trial": name, "change": TRIALS[name][0], **numbers})
        console.say(", ".join(f"{key} {value}" for key, value in found[-1].items()))
    console.table(tuple(found[0]), [tuple(row.values()) for row in found])
    if given.table:
        with given.table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(found)


if __name__ == "__main__":
    try:
        main()
    except ClassifierError as error:
        sys.exit(f"classifier_trials: {error}")
