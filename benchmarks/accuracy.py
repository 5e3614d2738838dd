"""Every number on the cards of the models that ship, measured again on real images.

    python benchmarks/accuracy.py --data DIR [--work FOLDER] [--only cells slides fields] [--write]

DIR holds cnmc, bccd, txl_pbc and chula_rbc12. The classifier's numbers are of the networks of its cross-validation (`--folds`), each on
subjects that it never saw: cells alone on black, as C-NMC shows them and `smearscan evaluate` reads them; the same subjects' cells
on composed slides; normal white cells in real fields; and tests of what it must not go by. Slides are composed of each fold's subjects
and scanned in every mode. The detector's are of its test fields. What takes long (cut-outs, slides, reports) is kept in `--work` and
taken from there again: an hour of two cores the first time, ten minutes after that.

`--write` puts the numbers on the cards, and with them what a run goes by: the counts by subject that the adjusted fraction rests on
(cells of composed slides, cut as a run cuts them), and the fractions of negative slides that give the limit of blank.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import accuracy_fields
import accuracy_slides
import numpy as np
from accuracy_cells import (
    Judgement,
    Said,
    ask,
    composed,
    flips,
    in_each_others_size,
    in_fields,
    judge,
    metric_record,
    of_cnmc,
    only,
    roc,
    share,
    sizes_of,
    stained,
)
from accuracy_fields import rate
from accuracy_tables import blank_table, figures, parts_table, proposals_table, slides_table, table, window_table
from fold_models import FoldModels, read_folds
from train_classifier import KEEP, NAME
from training_crops import FIELD_SETS

from classifiers import calibration
from classifiers.base import ClassifierError
from classifiers.card import Role, SubjectCounts
from classifiers.evaluation.records import Metric, SubjectRow
from classifiers.folder import CARD_FILE, WEIGHTS_FILE, read_card
from detectors.base import DetectorError
from detectors.yolo_folder import DetectorCard
from smearscan import console
from smearscan.errors import SmearscanError
from smearscan.smears.cutting import cut_white_cells

CLASSIFIER = Path("classifiers/bundled") / NAME
DETECTOR = Path("detectors/bundled/white-cells")
TRIALS = Path("benchmarks/classifier_trials.csv")  # that classifier_trials.py wrote
ABOUT_TRIALS = (
    "Each changes one thing of a short training on C-NMC's cells alone: rows are to be held against each other, not against the card."
)
PARTS = ("cells", "slides", "fields")
TESTED = {
    "auc": "auc",
    "sensitivity": "recall_blast",
    "specificity": "recall_other",
    "balanced_accuracy": "balanced_accuracy",
    "ece": "ece",
    "brier": "brier",
}
COSTS = ("crops per cell", "s per slide", "MB")
STAIN_CHANGES = (0.9, 1.1)
WORST_SHOWN = 8  # cells of each kind that the card names
Records = list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Place:
    """Where everything lies."""

    data: Path
    work: Path
    models: FoldModels

    @property
    def cut_outs(self) -> Path:
        """Return the white cells of the field sets, cut out once."""
        for name in FIELD_SETS:
            if not (self.work / "cells" / name / "manifest.csv").is_file():
                console.say(f"{cut_white_cells(self.data / name, self.work / 'cells' / name)} white cells cut out of {name}.")
        return self.work / "cells"

    @property
    def slides(self) -> list[accuracy_slides.ComposedSlide]:
        """Return the composed slides, made where they are not there yet."""
        return accuracy_slides.compose_night(accuracy_slides.Sources(self.data, self.cut_outs, self.models), self.work / "slides")


def measure_cells(place: Place) -> dict[str, Any]:
    """Return what the card says of cells: `extra`, and the counts by subject that a run adjusts with."""
    card = place.models.classifier(place.models.numbers[0]).card
    slides = [each.path for each in place.slides]
    cnmc, samples = of_cnmc(place.data, card)
    black = ask(cnmc, place.models)
    sizes, areas = sizes_of(black, samples)
    resized = ask(in_each_others_size(cnmc, areas), place.models)
    groups = dict(zip(samples.files, samples.groups, strict=True))
    laid, empty = (ask(each, place.models) for each in composed(slides, card, groups))
    from_cnmc = np.array(["/" not in group for group in laid.cells.groups])
    lymphoid = only(laid, from_cnmc, "C-NMC, on composed slides")
    others = only(laid, ~from_cnmc, "field cells, on composed slides")
    real, alone = (ask(each, place.models) for each in in_fields(place.data, place.cut_outs, card))
    on_black, on_slides = judge(black), judge(lymphoid)
    assert sizes is not None
    metrics = [
        *spread_of(on_black, cnmc.name),  # the rest of them stands in `test`
        metric_record("AUROC of the cell's area alone", sizes.area, on=cnmc.name),
        metric_record("AUROC among cells of one size", sizes.model_same_size, on=cnmc.name, note="only cells of the same tenth of sizes"),
        *numbers_of(on_slides, lymphoid.cells.name),
        metric_record("Specificity", share(~others.called_blast, others.cells.groups), on=others.cells.name, unit="%"),
        metric_record("Specificity", share(~real.called_blast, real.cells.groups), on=real.cells.name, unit="%"),
        metric_record("White cells called no white cell", share(laid.called_nothing, laid.cells.groups), on=laid.cells.name, unit="%"),
        metric_record("White cells called no white cell", share(real.called_nothing, real.cells.groups), on=real.cells.name, unit="%"),
        metric_record("Places without a cell called so", share(empty.called_nothing, empty.cells.groups), on=empty.cells.name, unit="%"),
        metric_record("Places without a cell called blast", share(empty.called_blast, empty.cells.groups), on=empty.cells.name, unit="%"),
    ]
    bins = [{key: round(value, 4) for key, value in dataclasses.asdict(each).items()} for each in on_black.bins]
    extra = {
        "metrics": metrics,
        "calibration_bins": bins,
        "roc": roc(black),
        "shortcut_tests": [*shortcut_tests(black, resized, lymphoid, real, alone), *stain_tests(black, place.models)],
        "tables": [worst_table(black), subject_table(on_black, on_slides)],
        "test": tested(on_black, len(cnmc.files), len(place.models.numbers)),
    }
    return {"extra": extra, "subjects": counts_of(laid)}


def numbers_of(judged: Judgement, on: str) -> Records:
    """Return the numbers of one view of the cells, as a card has them."""
    names = {"auc": "AUROC", "recall_blast": "Sensitivity", "recall_other": "Specificity", "ece": "ECE", "brier": "Brier score"}
    return [metric_record(name, judged.metrics[key], on=on) for key, name in names.items()] + spread_of(judged, on)


def spread_of(judged: Judgement, on: str) -> Records:
    """Return how far networks and subjects differ."""
    found: Records = []
    found.append({"name": "AUROC, mean of the networks", "value": round(float(np.mean(judged.fold_auc)), 4), "on": on})
    for kind in ("sensitivity", "specificity"):
        spread = judged.spread[kind]
        found.append({"name": f"Median subject's {kind}", "value": round(spread.median, 4), "on": on, "note": ""})
        found.append({"name": f"Worst subject's {kind}", "value": round(spread.worst, 4), "on": f"{on}: {spread.worst_group}"})
    return found


def shortcut_tests(black: Said, resized: Said, laid: Said, real: Said, alone: Said) -> Records:
    """Does the call flip where it must not, or where only size has changed?"""
    blast, groups = black.cells.blast, np.array(black.cells.groups)
    tests: list[tuple[str, str, Metric, str]] = [
        ("Blasts: black against smear", "Is a blast on black called otherwise than on a slide?", flips(black, laid, True), laid.cells.name),
        ("Normal cells: black against smear", "And a normal cell?", flips(black, laid, False), laid.cells.name),
        (
            "Field cells on black called blast",
            "Is a normal white cell called a blast for the black around it?",
            share(alone.called_blast, alone.cells.groups),
            alone.cells.name,
        ),
        ("The same cells in their field called blast", "", share(real.called_blast, real.cells.groups), real.cells.name),
    ]
    for kind, rows, how in (
        ("Blasts", blast, "shrunk to the size of normal cells"),
        ("Normal cells", ~blast, "enlarged to that of blasts"),
    ):
        own = groups[rows].tolist()
        tests.append((f"{kind} called blast as they are", "", share(black.called_blast[rows], own), black.cells.name))
        tests.append((f"{kind} called blast {how}", "How much is size?", share(resized.called_blast[rows], own), black.cells.name))
    return [metric_record(name, value, question=question, on=on, unit="%") for name, question, value, on in tests]


def stain_tests(black: Said, models: FoldModels) -> Records:
    """How much does a call hang on how strongly a slide is stained, where a run could not tell?"""
    tests = []
    known = models.classifier(models.numbers[0]).card.stain
    assert known is not None
    for times in STAIN_CHANGES:
        said = ask(stained(black.cells, times, known), models)
        blast, groups = said.cells.blast, np.array(said.cells.groups)
        tests.append(metric_record("AUROC", judge(said).metrics["auc"], question="What does it tell by then?", on=said.cells.name))
        for kind, rows in (("Blasts", blast), ("Normal cells", ~blast)):
            value = share(said.called_blast[rows], groups[rows].tolist())
            tests.append(metric_record(f"{kind} called blast", value, question="How much is the stain?", on=said.cells.name, unit="%"))
    return tests


def worst_table(said: Said) -> dict[str, Any]:
    """Name the cells that the networks are surest of and wrong: the pictures are not ours to ship."""
    rows = []
    for kind, blast, order in (("blast", True, 1), ("normal", False, -1)):
        mine = np.flatnonzero(said.cells.blast == blast)
        worst = mine[np.argsort(order * said.probability[mine], kind="stable")][:WORST_SHOWN]
        rows += [
            {
                "true": kind,
                "p_blast": round(float(said.probability[row]), 3),
                "file": said.cells.files[row],
                "subject": said.cells.groups[row],
            }
            for row in worst.tolist()
        ]
    return {
        "title": "What it gets most wrong",
        "note": "Files of C-NMC, whose pictures do not come along. `smearscan evaluate` shows them with heat maps to whoever has them.",
        "rows": rows,
    }


def subject_table(black: Judgement, slides: Judgement) -> dict[str, Any]:
    """Return how every subject's cells were called, on black and on slides."""
    on_slides = {row.group: row for row in slides.subjects}
    rows = [
        {
            "subject": row.group,
            "cells": row.cells,
            "are": "blasts" if row.blasts else "normal",
            "right_on_black": right_of(row),
            "right_on_slides": right_of(on_slides.get(row.group)),
        }
        for row in black.subjects
    ]
    return {
        "title": "Subject by subject",
        "note": "Share of a subject's cells that is called right, by a network that never saw it.",
        "rows": rows,
    }


def right_of(row: SubjectRow | None) -> Any:
    """Return the share of a subject's cells that is called right, as a card has it; nothing where there are none."""
    metric = None if row is None else row.sensitivity if row.blasts else row.specificity
    if metric is None or metric.value is None:
        return ""
    return {"value": round(metric.value, 3), "low": round(metric.low or 0.0, 3), "high": round(metric.high or 0.0, 3), "unit": "%"}


def tested(judged: Judgement, cells: int, folds: int) -> dict[str, Any]:
    """Return the few numbers in the form that every trained card has them in."""
    found = {}
    for name, key in TESTED.items():
        metric = judged.metrics[key]
        ends = {end: None if value is None else round(value, 6) for end, value in (("low", metric.low), ("high", metric.high))}
        found[name] = {"value": None if metric.value is None else round(metric.value, 6), **ends}
    return {"on": "C-NMC, on black; cross-validation", "folds": folds, "cells": cells, "groups": len(judged.subjects), **found}


def counts_of(laid: Said) -> tuple[SubjectCounts, ...]:
    """Return how each subject's cells were called on composed slides; those called no white cell leave the count there as well.

    A healthy person's smear shows more than lymphoid cells, and specificity is of all that is no blast: beside each person's own
    cells stand as many of the field sets' cells, drawn from those that the same network never saw, as a slide shows beside them.
    """
    random = np.random.default_rng(0)
    counted = ~laid.called_nothing
    groups = np.array(laid.cells.groups)
    field = np.array(["/" in group for group in groups])
    rows = [np.flatnonzero(counted & ~field)]
    names = [groups[rows[0]].tolist()]
    for group in np.unique(groups[counted & ~field & ~laid.cells.blast]).tolist():
        own = np.flatnonzero(counted & (groups == group))
        beside = np.flatnonzero(counted & field & (laid.folds == laid.folds[own[0]]))
        wanted = round(len(own) * (1 - accuracy_slides.LYMPHOID) / accuracy_slides.LYMPHOID)
        rows.append(random.choice(beside, min(wanted, len(beside)), replace=False))
        names.append([group] * len(rows[-1]))
    chosen = np.concatenate(rows)
    roles: list[Role] = ["blast" if blast else "other" for blast in laid.cells.blast[chosen].tolist()]
    return calibration.subject_counts([name for each in names for name in each], roles, laid.called_blast[chosen])


def with_counts(place: Place, counts: Sequence[SubjectCounts]) -> dict[int, Path]:
    """Return the folds' networks with the counts of the subjects that each never saw, as `accuracy_slides` wants them."""
    folders = {}
    for number in place.models.numbers:
        source, target = place.models.folder_of(number), place.work / "models" / str(number)
        own = tuple(each for each in counts if place.models.fold_of[each.subject] == number)
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / WEIGHTS_FILE, target / WEIGHTS_FILE)
        dataclasses.replace(read_card(source), subjects=own).save(target / CARD_FILE)
        folders[number] = target
    return folders


def measure_slides(place: Place, counts: Sequence[SubjectCounts]) -> dict[str, Any]:
    """Return what the cards say of the composed slides, on which `counts` were made."""
    scanned = accuracy_slides.scan_night(place.work / "slides", with_counts(place, counts), place.work / "reports")
    found = [figures(each) for each in scanned]
    by_mode = {each.mode: each for each in scanned}
    return {
        "composed": table(found),
        "proposals": proposals_table(found),
        "tables": [
            {"title": "What the detectors propose on composed slides", "rows": proposals_table(found)},
            {"title": "Composed slides with and without blasts", "rows": parts_table(found)},
            {"title": "Negative composed slides", "rows": blank_table(found)},
            {"title": "Windows, which are no cells", "rows": window_table(found)},
            {"title": "Composed slides one by one, yolo", "rows": slides_table(by_mode["yolo"])},
        ],
        # Of what a run does by default: windows miss other cells than a detector does, and read less on a negative slide.
        "blank_fractions": next(each for each in found if each.mode == "yolo").blank.fractions,
    }


def measure_fields(place: Place) -> dict[str, Any]:
    """Return what the detector's card says of fields."""
    split = accuracy_fields.split_of(place.data, DETECTOR)
    run = accuracy_fields.through_run(accuracy_fields.run_fields(split), str(CLASSIFIER), place.work / "fields-report")
    return {
        "figures": accuracy_fields.card_figures(DETECTOR, split),
        "side_by_side": accuracy_fields.table(accuracy_fields.side_by_side(place.data, DETECTOR)),
        "through_run": [
            {
                "fields": run.fields,
                "with_a_count": run.finished,
                "recall": rate(run.found, run.cells),
                "precision": rate(run.found, run.counted),
            }
        ],
    }


def write_classifier(found: Mapping[str, Any]) -> None:
    card = read_card(CLASSIFIER)
    extra: dict[str, Any] = dict(card.extra)
    more: dict[str, Any] = {}
    if "cells" in found:
        extra |= found["cells"]["extra"]
        more["subjects"] = found["cells"]["subjects"]
    if "slides" in found:
        extra["composed"] = {"title": "Slides composed of cells of unseen subjects", "rows": found["slides"]["composed"]}
        extra["tables"] = [*extra.get("tables", []), *found["slides"]["tables"]]
        more["blank_fractions"] = tuple(found["slides"]["blank_fractions"])
    if TRIALS.is_file():
        with TRIALS.open(newline="", encoding="utf-8") as file:
            extra["tried"] = {"title": "What was tried", "note": ABOUT_TRIALS, "rows": list(csv.DictReader(file))}
    dataclasses.replace(card, extra=extra, **more).save(CLASSIFIER / CARD_FILE)


def write_detector(found: Mapping[str, Any]) -> None:
    card = DetectorCard.load(DETECTOR / CARD_FILE)
    extra = dict(card.extra)
    if "slides" in found:
        costs = {row["mode"]: {name: row[name] for name in COSTS} for row in found["slides"]["composed"]}
        extra["composed"] = {
            "title": "Slides composed of real cut-outs: blasts and normal lymphoid cells of C-NMC",
            "rows": [{**row, **costs[row["mode"]]} for row in found["slides"]["proposals"]],
        }
    if "fields" in found:
        kept = [each for each in extra["tables"] if not each["title"].startswith("The same fields")]
        side = {
            "title": "The same fields, each way to propose cells",
            "note": "Test fields at 0.25 um/px.",
            "rows": found["fields"]["side_by_side"],
        }
        run = {
            "title": "The same fields through `smearscan run`, without a scale",
            "note": "Test fields of BCCD as they are. A cell that the classifier takes for no white cell is not found.",
            "rows": found["fields"]["through_run"],
        }
        extra["tables"] = [*kept, side, run]
    dataclasses.replace(card, extra=extra).save(DETECTOR / CARD_FILE)


def say(found: Mapping[str, Any]) -> None:
    """Print every number."""
    if "cells" in found:
        extra = found["cells"]["extra"]
        numbers("Cells of subjects not seen", [*(extra["test"][name] | {"name": name} for name in TESTED), *extra["metrics"]])
        numbers("Shortcuts", extra["shortcut_tests"])
        for each in extra["tables"]:
            rows(each["title"], each["rows"])
    if "slides" in found:
        rows("Composed slides of subjects not seen", found["slides"]["composed"])
        for each in found["slides"]["tables"]:
            rows(each["title"], each["rows"])
    if "fields" in found:
        told = found["fields"]["figures"]
        rows("Detector, by how wide cells were shown", [{"px": size, **row} for size, row in told["shown_with_cells_px"].items()])
        rows("The same fields, each way to propose cells, 0.25 um/px", found["fields"]["side_by_side"])
        rows("Through smearscan run, without a scale", found["fields"]["through_run"])


def numbers(title: str, records: Records) -> None:
    rows(title, [{"what": each["name"], "value": each, "on": each.get("on", "")} for each in records])


def rows(title: str, records: Sequence[Mapping[str, Any]]) -> None:
    if records:
        names = tuple(records[0])
        console.table(names, [tuple(text(row[name]) for name in names) for row in records], title=title)


def text(value: Any) -> str:
    if isinstance(value, Mapping):
        ends = f" ({value['low']:.3f}-{value['high']:.3f})" if value.get("low") is not None else ""
        return f"{value['value']:.3f}{ends}" if value.get("value") is not None else str(value.get("note", ""))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--folds", type=Path, default=KEEP, metavar="FOLDER", help="the networks of the cross-validation")
    parser.add_argument("--work", type=Path, default=Path("accuracy-work"), metavar="FOLDER", help="where what takes long is kept")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--write", action="store_true", help="put the numbers on the cards")
    given = parser.parse_args()
    place = Place(given.data, given.work, read_folds(given.folds))
    found: dict[str, Any] = {}
    if {"cells", "slides"} & set(given.only):
        found["cells"] = measure_cells(place)
    if "slides" in given.only:
        found["slides"] = measure_slides(place, found["cells"]["subjects"])
    if "fields" in given.only:
        found["fields"] = measure_fields(place)
    say(found)
    if given.write:
        write_classifier(found)
        write_detector(found)
        console.say(f"Written to {CLASSIFIER / CARD_FILE} and {DETECTOR / CARD_FILE}.")
    (given.work / "accuracy.json").write_text(json.dumps(found, indent=1, default=dataclasses.asdict) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except (ClassifierError, DetectorError, SmearscanError) as error:
        sys.exit(f"accuracy: {error}")
