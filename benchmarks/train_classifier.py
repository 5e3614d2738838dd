"""Makes the classifier that comes with smearscan, from the data folder to the model folder.

    python benchmarks/train_classifier.py --data DIR [--out classifiers/bundled/blast-or-other] [--crops FOLDER]

DIR holds cnmc, bccd, txl_pbc and chula_rbc12. First the crops (FOLDER, half an hour of one core; taken as they are where
they are finished): C-NMC's cells and the white cells of the field sets are laid on smears of real red cells and cut out again
as `smearscan run` cuts them, and shown alone on black. Then the recipe `blast-or-other` is trained and tested on subjects
that it never saw, in nested cross-validation; then one network on all. The folds' networks are kept in `--keep`, for
`benchmarks/accuracy.py`, which measures them and writes the card's numbers. Everything is seeded: the same data give the same
model on the same kind of machine.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from fold_models import keep_folds

from classifiers import recipes
from classifiers.base import ClassifierError
from classifiers.datasets import Samples, checking, load
from classifiers.datasets.base import fit, middle
from classifiers.folder import CARD_FILE
from classifiers.training import Progress, Scale, cross_validate
from classifiers.training.folds import FOLDS
from smearscan import console
from smearscan.errors import SmearscanError
from smearscan.results import Picture
from smearscan.smears import CellChoice, SmearPlan, compose
from smearscan.smears.cell_folders import CellFile, read_cell_folder
from smearscan.smears.cutting import cut_white_cells
from smearscan.smears.field_pictures import list_fields
from smearscan.smears.training_cells import BLAST, OTHER, Line, Shape, cut_slide, read_table, write_alone, write_table

RECIPE = "blast-or-other"
SHAPE = Shape(crop_px=112, crop_um=28.0)
TABLE = "crops.csv"
FIELD_SETS = ("bccd", "txl_pbc")  # their white cells are normal ones of every kind
BACKGROUNDS = {"bccd/images": None, "chula_rbc12": 0.1905}  # micrometres per pixel; chula's scale bars of 20 um are 105 px long
TEST_FIELDS = "chula_rbc12"  # every third of its fields is kept for slides to test on
SIDE, MPP, CELLS = 4500, 0.25, 300  # of a slide of crops
FIELD_SHARE = 0.35  # of the others on a slide; C-NMC's normal cells are the harder ones
BLASTS = 0.5
KEEP = Path("benchmarks/folds/blast-or-other")
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
        "Of persons whom it never saw it knows little more than how large their cells are: the area alone tells blasts as well, and among "
        "cells of one size it guesses. It is a place to begin, not a second opinion.",
        "In real fields of two of the field sets one normal white cell in five is called a blast; on composed slides one in a hundred.",
        "Trained on cut-out lymphoid cells of one laboratory; on your stain it must be trained again or checked: smearscan evaluate.",
        "No open smear with boxed blasts exists: what it does on a slide was measured on slides composed of real cut-outs.",
        "C-NMC publishes no scale: 10/177 um/px is inferred from the usual size of its normal cells. Size tells it much, so a wrong scale "
        "of a slide makes it wrong.",
        "Twelve healthy persons gave all normal lymphoid cells; how often such a cell is called a blast differs from person to person far "
        "more than chance allows, and a new person may lie outside what was seen.",
        "The other white cells of the field sets are easy for it; a healthy slide has mostly those. Its errors there are of lymphocytes. "
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
EMPTY = 0.35  # crops without a cell for each that shows one


@dataclass(frozen=True)
class Source:
    """Where the pictures of one call lie."""

    data: Path
    crops: Path
    groups: dict[str, str]  # of each file of C-NMC


def make_crops(data: Path, out: Path, slides: int, workers: int) -> Path:
    """Return the table of all crops, made where it is not there yet."""
    table = out / TABLE
    if table.is_file():
        return table
    cnmc = load(data / "cnmc")
    cnmc = checking.joined(cnmc, checking.check(cnmc))
    for name in FIELD_SETS:
        if not (out / "cells" / name / "manifest.csv").is_file():
            console.say(f"{cut_white_cells(data / name, out / 'cells' / name)} white cells cut out of {name}.")
    source = Source(data, out, dict(zip(cnmc.files, cnmc.groups, strict=True)))
    lines = write_alone(out, alone_of_cnmc(cnmc))
    for name in FIELD_SETS:
        lines += write_alone(out, alone_of_fields(out / "cells" / name))
    # Spawned: a forked process would wait for threads that torch and OpenCV have in this one.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool, console.progress("laying cells on smears") as bar:
        for done, more in enumerate(pool.map(slide_of_crops, [source] * slides, range(slides)), start=1):
            lines += more
            bar.update(done, slides, {})
    write_table(table, lines)
    return table


def slide_of_crops(source: Source, seed: int) -> list[Line]:
    """Lay out one slide and cut it up, unless that was done; each has a staining of its own, and backgrounds take turns."""
    table = source.crops / "slides" / f"{seed:02}.csv"
    if table.is_file():
        return read_table(table)
    cv2.setNumThreads(1)
    name = list(BACKGROUNDS)[seed % len(BACKGROUNDS)]
    plan = SmearPlan(SIDE, SIDE, MPP, seed=1000 + seed, white_cells=CELLS, blast_fraction=BLASTS, smudge_fraction=0.0, debris_per_mm2=0.0)
    # A folder's share goes by class: C-NMC gives all blasts, and of the others what the field sets leave.
    sets = [CellChoice(source.crops / "cells" / each, FIELD_SHARE / len(FIELD_SETS)) for each in FIELD_SETS]
    cells = [CellChoice(source.data / "cnmc", 1 - FIELD_SHARE), *sets]
    kept = test_fields(source.data) if name == TEST_FIELDS else []
    composed = compose(plan, cells, source.data / name, field_mpp=BACKGROUNDS[name], exclude=kept)
    lines = cut_slide(composed, source.crops, f"slide-{seed:02}", SHAPE, groups=source.groups, empty=EMPTY, seed=seed)
    table.parent.mkdir(exist_ok=True)
    write_table(table, lines)
    return lines


def test_fields(data: Path) -> list[str]:
    """Return the names of the fields that no training crop shows."""
    return [path.name for path in list_fields(data / TEST_FIELDS, ())[::3]]


def alone_of_cnmc(samples: Samples) -> Iterator[tuple[Line, Picture]]:
    for row, file in enumerate(samples.files):
        label = BLAST if samples.classes[samples.labels[row]] == "blast" else OTHER
        line = Line(f"black/{Path(file).stem}.png", label, samples.subjects[row], samples.groups[row], "on black", file)
        yield line, samples.crop(row, SHAPE.crop_px, SHAPE.crop_um)


def alone_of_fields(folder: Path) -> Iterator[tuple[Line, Picture]]:
    for cell in read_cell_folder(folder).cells:
        line = Line(f"black/{folder.name}-{cell.path.stem}.png", OTHER, "", f"{folder.name}/{cell.group}", "on black", cell.file)
        yield line, on_black(cell)


def on_black(cell: CellFile) -> Picture:
    layers = cv2.imread(str(cell.path), cv2.IMREAD_UNCHANGED)
    if layers is None or cell.mpp is None:
        raise SmearscanError(f"{cell.path} is no cut-out with a scale. Remove the folder, so that it is cut out again.")
    rgb = cv2.cvtColor(np.ascontiguousarray(layers[..., :3]), cv2.COLOR_BGR2RGB)
    seen = np.where(layers[..., 3:] >= 128, rgb, 0).astype(np.uint8)
    return fit(middle(seen, round(SHAPE.crop_um / cell.mpp)), SHAPE.crop_px)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("classifiers/bundled") / NAME, metavar="MODEL")
    parser.add_argument("--keep", type=Path, default=KEEP, metavar="FOLDER", help="where the folds' networks are kept")
    parser.add_argument("--crops", type=Path, default=Path("training-crops"), metavar="FOLDER")
    parser.add_argument("--slides", type=int, default=44, help="smears that cells are laid on")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipe", default=RECIPE, help="another one, to try it")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    table = make_crops(given.data, given.crops, given.slides, given.workers)
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
            scale=Scale(crop_um=SHAPE.crop_um),
            precision=given.precision,
            cache=given.crops / "cache",
            show=show,
        )
    keep_folds(samples, given.out / FOLDS, given.keep, given.folds, given.seed)
    shutil.rmtree(given.out / FOLDS)  # what ships is the model of all subjects
    split = {**card.extra["split"], "leaky": False, "warning": "", "note": KEPT_APART}
    replace(card, name=NAME, summary=SUMMARY, licence=LICENCE, extra={**card.extra, **SAID, "split": split}).save(given.out / CARD_FILE)


if __name__ == "__main__":
    try:
        main()
    except (ClassifierError, SmearscanError) as error:
        sys.exit(f"train_classifier: {error}")
