"""Makes the classifier that comes with smearscan, from the data folder to the model folder.

    python benchmarks/train_classifier.py --data DIR [--out classifiers/bundled/blast-or-other] [--crops FOLDER]

DIR holds cnmc, bccd, txl_pbc and chula_rbc12. First the crops (FOLDER, a quarter of an hour of one core; taken as they are where
they are finished): C-NMC's cells and the white cells of the field sets are laid on smears of real red cells and cut out again
as `smearscan run` cuts them, and shown alone on black; those of the field sets in their fields as well. All crops are brought to the
stain that C-NMC's cells have on black, as a run brings a slide's crops to it. Then the recipe `blast-or-other` is trained and tested on
subjects that it never saw, in nested cross-validation; then one network on all. The folds' networks are kept in `--keep`, for
`benchmarks/accuracy.py`, which measures them and writes the card's numbers. Everything is seeded: the same data give the same
model on the same kind of machine.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from fold_models import keep_folds
from training_crops import CROP_UM, make_crops, read_stain

from classifiers import recipes
from classifiers.base import ClassifierError
from classifiers.datasets import load
from classifiers.folder import CARD_FILE
from classifiers.training import Progress, Scale, cross_validate
from classifiers.training.folds import FOLDS
from classifiers.training.results import TRAINING
from smearscan import console
from smearscan.errors import SmearscanError

RECIPE = "blast-or-other"
LEFT_OUT = ("out_of_fold.csv", "predictions.csv", "split.csv")  # name every crop; what they tell stands on the card
KEEP = Path("benchmarks/folds/blast-or-other")
# The adjusted fraction divides by sensitivity + specificity - 1: where that is greatest, what persons differ in weighs least.
THRESHOLD = "youden"
NAME = "blast-or-other"
LICENCE = "AGPL-3.0-or-later; the pictures it was trained on: CC BY 3.0 as secondary sources state it (C-NMC), MIT, CC BY 4.0"
SUMMARY = (
    "Blast or other white cell, and a third answer for crops without one. Trained on cut-out lymphoid cells of one laboratory and normal "
    "white cells of three others, laid on real smears: on your stain it must be checked or trained again."
)
# A split is called leaky where a cell's subject is not known, as those of the field sets. No number on the card is of such a split.
KEPT_APART = "C-NMC's cells are kept apart by person, those of the field sets by field: whose they are is not known."
SAID: dict[str, object] = {
    "purpose": (
        "Marks the white cells of a stained blood smear that look like the lymphoblasts of acute lymphoblastic leukaemia, so that "
        "somebody who can read smears looks at those first, and gives the fraction a first estimate with an honest interval."
    ),
    "not_for": (
        "Diagnosis, and any decision about a patient.",
        "Myeloblasts, other leukaemias, lymphomas, bone marrow: it has seen none of them.",
        "Telling apart kinds of normal white cells.",
    ),
    "limits": (
        "Of persons whom it never saw it knows little more than how large their cells are: the area alone tells blasts nearly as "
        "well, and among cells of one size an AUROC of 0.69 is left. It is a place to begin, not a second opinion.",
        "On composed slides one blast in seven is not flagged, one in four lymphoid cells of healthy persons is called blast and one in "
        "fifteen of the other white cells: a slide without a blast reads 4 to 21 %. In real fields of two of the field sets it is one "
        "normal white cell in twenty-two.",
        "Which rule sets the threshold, and how a slide's stain is measured, was settled after composed slides had been looked at, so what "
        "is said of those is somewhat kind.",
        "A run brings a slide to the stain that C-NMC's cells have on black, as far as the nuclei of the slide's granulocytes tell it. A "
        "tenth more or less of the stain than that changes few calls; what another hue does was not measured.",
        "On composed slides those granulocytes are other persons' than the lymphoid cells, and each picture's were brought to the slide's "
        "stain by their own nuclei; on a real slide both were stained in one go.",
        "Trained on cut-out lymphoid cells of one laboratory; on your stain it must be trained again or checked: smearscan evaluate.",
        "No open smear with boxed blasts exists: what it does on a slide was measured on slides composed of real cut-outs.",
        "C-NMC publishes no scale: 10/177 um/px is inferred from the usual size of its normal cells. Size tells it much, so a wrong scale "
        "of a slide makes it wrong.",
        "Twelve healthy persons gave all normal lymphoid cells; how often such a cell is called a blast differs from person to person far "
        "more than chance allows, and a new person may lie outside what was seen.",
        "The other white cells of the field sets are easier for it; a healthy slide has mostly those. "
        "Where specificity is counted by person, seven of them stand beside three lymphoid cells of that person's own.",
    ),
    "data": (
        {
            "name": "C-NMC 2019, cells under 43 names of persons",
            "licence": "CC BY 3.0 as secondary sources state it",
            "citation": "Gupta & Gupta, ALL Challenge dataset of ISBI 2019, doi 10.7937/tcia.2019.dc64i46r",
            "used_for": "blasts, normal lymphoid cells",
        },
        {
            "name": "BCCD",
            "licence": "MIT",
            "citation": "github.com/Shenggan/BCCD_Dataset",
            "used_for": "other white cells, red cells around",
        },
        {
            "name": "TXL-PBC",
            "licence": "MIT as stated; the pictures CC BY 4.0 and free with citation",
            "citation": (
                "github.com/lugan113/TXL-PBC_Dataset, after Acevedo et al., Data in Brief 30 (2020) 105474 and "
                "Kouzehkanan et al., Scientific Reports 12 (2022) 1123"
            ),
            "used_for": "other white cells",
        },
        {"name": "Chula RBC-12", "licence": "MIT", "citation": "Naruenatthanaset et al., arXiv:2012.01321", "used_for": "red cells around"},
    ),
    "commands": (
        {"command": "python benchmarks/train_classifier.py --data DIR", "prints": "makes the model and the networks of its folds"},
        {"command": "python benchmarks/accuracy.py --data DIR", "prints": "every number on this card"},
        {"command": "python benchmarks/classifier_trials.py --data DIR --out FOLDER", "prints": "what was tried"},
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("classifiers/bundled") / NAME, metavar="MODEL")
    parser.add_argument("--keep", type=Path, default=KEEP, metavar="FOLDER", help="where the folds' networks are kept")
    parser.add_argument("--crops", type=Path, default=Path("training-crops"), metavar="FOLDER")
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipe", default=RECIPE, help="another one, to try it")
    parser.add_argument("--precision", default="fp32", help="of the same data fp32 makes the same model on more machines")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    table = make_crops(given.data, given.crops, given.workers)
    samples = load(table.parent, "csv")
    with console.progress("training") as bar:

        def show(told: Progress) -> None:
            bar.label = f"{told.label}: {told.activity}" if told.label else told.activity
            bar.update(told.done, told.total, told.details(), told.seconds_left)

        card = cross_validate(
            samples,
            recipes.load(given.recipe),
            given.out,
            given.folds,
            seed=given.seed,
            scale=Scale(crop_um=CROP_UM),
            precision=given.precision,
            threshold_rule=THRESHOLD,
            cache=given.crops / "cache",
            show=show,
        )
    stain = read_stain(given.crops)
    keep_folds(samples, given.out / FOLDS, given.keep, given.folds, seed=given.seed, stain=stain)
    shutil.rmtree(given.out / FOLDS)  # what ships is the model of all subjects
    for name in LEFT_OUT:
        (given.out / TRAINING / name).unlink()
    split = {**card.extra["split"], "leaky": False, "warning": "", "note": KEPT_APART}
    replace(card, name=NAME, stain=stain, summary=SUMMARY, licence=LICENCE, extra={**card.extra, **SAID, "split": split}).save(
        given.out / CARD_FILE
    )


if __name__ == "__main__":
    try:
        main()
    except (ClassifierError, SmearscanError) as error:
        sys.exit(f"train_classifier: {error}")
