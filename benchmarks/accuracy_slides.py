"""How true is the blast fraction of a slide? Measured on composed slides, of subjects that the network never saw.

    python benchmarks/accuracy_slides.py --data DIR --models FOLDER --cut-outs FOLDER --slides FOLDER [--modes window,nuclei,yolo]

DIR holds cnmc and chula_rbc12; `--cut-outs` the white cells of bccd and txl_pbc, each cut out. The models FOLDER holds the networks of a
cross-validation and whom each of them never saw, as `fold_models` keeps them. For each five slides are composed of the cells of those
persons and fields, on fields that no training crop shows: two without blasts, and three of 5 to 80 %, in turn over the folds. Blasts are
C-NMC's; of the other cells 30 % are normal lymphoid cells of C-NMC and 70 % the white cells of the field sets, as on a healthy adult's
smear, where 20 to 40 % are lymphocytes. Each slide is scanned as `smearscan run` does, in every mode, and held against its truth. Slides
and reports that are finished are taken as they are.

A fold's network is scanned with the counts by subject of the other folds' cards: its own card counts the subjects of these very
slides, and an interval that knows them covers too well. On a slide lie the cells of several subjects, of few groups a fold, and
slides of one fold share them: their errors are more alike than those of as many patients.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
from accuracy_tables import ScannedMode, blank_table, figures, parts_table, proposals_table, read_mode, slides_table, table, window_table
from fold_models import FoldModels, read_folds

from classifiers import ClassifierError
from classifiers.card import ModelCard, SubjectCounts
from classifiers.folder import CARD_FILE, WEIGHTS_FILE, read_card
from smearscan import __version__, console
from smearscan.building import DetectorChoice
from smearscan.compare import Report, read_report
from smearscan.config import ScanConfig
from smearscan.errors import ConfigError, ExitCode, OutputError, SmearscanError
from smearscan.labels import read_labels
from smearscan.ledger import input_digest, is_report
from smearscan.reports import DetectorFacts
from smearscan.results import SCANNED
from smearscan.smears import CellChoice, SmearPlan, compose, contents_path, origins_path, truth_path, write_smear
from smearscan.smears.cell_folders import read_cell_folder
from smearscan.smears.field_pictures import list_fields

OTHERS = ("bccd", "txl_pbc")  # folders of cut-outs
LYMPHOID = 0.3  # of the cells that are no blasts
UNSEEN, SEEN = "unseen", "seen"  # parts of the table that says whose cells a fold's slides may show
CELLS, FIELDS, FIELD_MPP = "cnmc", "chula_rbc12", 0.1905  # folders of DIR; scale bars of 20 um are 105 px long
FIRST_SEED, SEEDS_A_FOLD = 5000, 100  # far from those of training slides
MODES = ("window", "nuclei", "yolo")
WORKERS = 2
MODELS = "models"  # in the folder of reports: the folds' networks with the other folds' counts


@dataclass(frozen=True)
class FoldPlan:
    """What the slides of a fold are: as many as make 30 slides with blasts and 20 without over the ten folds."""

    side_px: int = 4000
    mpp: float = 0.25
    white_cells: int = 400  # so many that chance does not hide what the networks do; each share is a whole number
    fractions: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.8)
    positives: int = 3  # of a fold; the folds take the fractions in turn
    negatives: int = 2

    def slides(self, fold: int) -> dict[str, float]:
        """Return the names of the slides of a fold, counted from 1, and the share of blasts on each."""
        first = (fold - 1) * self.positives
        chosen = [self.fractions[(first + number) % len(self.fractions)] for number in range(self.positives)]
        named = {f"negative-{number}": 0.0 for number in range(1, self.negatives + 1)}
        return named | {f"blasts-{round(100 * fraction):02}": fraction for fraction in sorted(chosen)}


@dataclass(frozen=True)
class ComposedSlide:
    """One slide of the night."""

    path: Path
    fold: int
    blast_fraction: float
    seed: int


@dataclass(frozen=True)
class Sources:
    """What slides are made of, and whose cells no network may have seen."""

    data: Path
    cut_outs: Path
    models: FoldModels

    def choices(self) -> list[CellChoice]:
        """Return the folders of cells; a share goes by class: C-NMC gives all blasts, and of the others what the field sets leave."""
        rest = (1 - LYMPHOID) / len(OTHERS)
        return [CellChoice(self.data / CELLS, LYMPHOID), *(CellChoice(self.cut_outs / name, rest) for name in OTHERS)]


@dataclass(frozen=True)
class Order:
    """All that a process needs to know to compose a slide."""

    slide: ComposedSlide
    plan: SmearPlan
    cells: tuple[CellChoice, ...]
    fields: Path
    split: Path  # whose cells the slide may show; its name says what it holds
    not_used: tuple[str, ...]  # fields that networks were trained on

    @property
    def is_finished(self) -> bool:
        """Whether the slide is there, made of the same subjects by the same plan."""
        path = self.slide.path
        if not all(each.is_file() for each in (path, truth_path(path), origins_path(path), contents_path(path))):
            return False
        said, plan = json.loads(contents_path(path).read_text(encoding="utf-8")), self.plan
        blasts = round(self.slide.blast_fraction * (plan.white_cells or 0))
        return (
            [said["width"], said["height"], said["mpp"], said["seed"]] == [plan.width, plan.height, plan.mpp, plan.seed]
            and (sum(said["classes"].values()), said["classes"].get("blast", 0)) == (plan.white_cells, blasts)
            and {each["chosen"] for each in said["cells"]} == {f"part {UNSEEN} of {self.split.name}"}
            and {each["folder"] for each in said["cells"]} == {CELLS, *OTHERS}
            and not set(said["backgrounds"]["files"]) & set(self.not_used)
        )


def compose_night(sources: Sources, folder: Path, workers: int = WORKERS, plan: FoldPlan | None = None) -> list[ComposedSlide]:
    """Compose the slides of every fold, of cells that its network never saw, where they are not there yet."""
    orders = [order for fold in sources.models.numbers for order in orders_of(sources, folder, fold, plan or FoldPlan())]
    missing = [order for order in orders if not order.is_finished]
    if missing:
        # Spawned: a forked process would wait for threads that torch and OpenCV may have in this one.
        with (
            ProcessPoolExecutor(min(workers, len(missing)), mp_context=get_context("spawn")) as pool,
            console.progress("composing slides") as bar,
        ):
            for done, each in enumerate(as_completed([pool.submit(compose_slide, order) for order in missing]), start=1):
                each.result()
                bar.update(done, len(missing), {})
    return [order.slide for order in orders]


def orders_of(sources: Sources, folder: Path, fold: int, plan: FoldPlan) -> list[Order]:
    """Return what the slides of one fold are made of."""
    from training_crops import test_fields  # brings more than the processes that compose need

    split, fields = write_split(sources, folder, fold), sources.data / FIELDS
    kept = set(test_fields(sources.data))
    not_used = tuple(path.name for path in list_fields(fields) if path.name not in kept)
    orders = []
    for index, (name, fraction) in enumerate(plan.slides(fold).items()):
        seed = FIRST_SEED + SEEDS_A_FOLD * fold + index
        drawn = SmearPlan(
            *(plan.side_px, plan.side_px, plan.mpp, seed),
            white_cells=plan.white_cells,
            blast_fraction=fraction,
            smudge_fraction=0.0,
            debris_per_mm2=0.0,
        )
        slide = ComposedSlide(folder / f"fold-{fold}" / f"{name}.tif", fold, fraction, seed)
        orders.append(Order(slide, drawn, tuple(sources.choices()), fields, split, not_used))
    return orders


def write_split(sources: Sources, folder: Path, fold: int) -> Path:
    """Write which cells the network of a fold never saw, into a file whose name changes with what it holds."""
    persons, fold_of = set(sources.models.subjects[fold]), sources.models.fold_of
    known = {cell.file: cell.subject in persons for cell in read_cell_folder(sources.data / CELLS).cells}
    for name in OTHERS:
        known |= {cell.file: fold_of.get(f"{name}/{cell.group}") == fold for cell in read_cell_folder(sources.cut_outs / name).cells}
    lines = [(file, UNSEEN if unseen else SEEN) for file, unseen in known.items()]
    text = "file,part\n" + "".join(f"{file},{part}\n" for file, part in lines)
    path = folder / f"fold-{fold}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def compose_slide(order: Order) -> None:
    """Write one slide with its truth, and last, by renaming a finished file, what it is made of."""
    cv2.setNumThreads(1)  # the processes share the processors already
    path = order.slide.path
    path.parent.mkdir(parents=True, exist_ok=True)
    contents_path(path).unlink(missing_ok=True)
    composed = compose(order.plan, order.cells, order.fields, split=order.split, part=UNSEEN, field_mpp=FIELD_MPP, exclude=order.not_used)
    write_smear(composed.smear, path, workers=1)
    unfinished = path.with_name(f".{path.stem}.writing")
    composed.write_contents(unfinished)
    unfinished.replace(contents_path(path))


def scan_night(slides_folder: Path, models: Mapping[int, Path], out: Path, modes: Sequence[str] = MODES) -> list[ScannedMode]:
    """Scan each fold's slides with its network in every mode and hold the reports, OUT/MODE/fold-N, against the truth."""
    crossed = {fold: cross_model(models, fold, slides_folder / f"fold-{fold}", out / MODELS / str(fold)) for fold in sorted(models)}
    scanned = []
    for mode in modes:
        reports = []
        for fold, model in crossed.items():
            slides = slides_folder / f"fold-{fold}"
            reports.append((fold, scan_fold(slides, model, mode, out / mode / f"fold-{fold}"), read_labels(slides)))
        scanned.append(read_mode(mode, reports))
    return scanned


def scan_fold(slides: Path, model: Path, mode: str, out: Path) -> Report:
    """Return the report of one fold's slides in one mode; one that is not whole or out of date is made anew, whole.

    So its run says what all of it took. It is a process of its own, as a user starts it: the most memory that a process
    ever held is never given back, and would be the next one's too.
    """
    paths = sorted(slides.glob("*.tif"))
    if not (is_report(out) and is_current(read_report(out), paths, made_with(model, mode))):
        console.say(f"{mode}: {console.counted(len(paths), 'slide')} of {slides.name}")
        settings = ["--proposals", mode, "--classifier", str(model.resolve()), "--workers", str(WORKERS), "--overlays", "0"]
        command = [sys.executable, "-m", "smearscan", "run", *map(str, paths), "--out", str(out), "--overwrite", *settings]
        ended = subprocess.run(command, check=False)
        if ended.returncode != ExitCode.DONE:
            raise OutputError(f"The report {out} could not be made (exit code {ended.returncode}): what is wrong stands above.")
    report = read_report(out, mode)
    return dataclasses.replace(report, slides={path.name: report.slides[path.name] for path in paths})


def is_current(report: Report, paths: Sequence[Path], models: Mapping[str, object]) -> bool:
    """Whether every slide, as it is now, was scanned with these models."""
    records = {key: slide.record for key, slide in report.slides.items()}
    return all(
        path.name in records
        and records[path.name]["status"] in SCANNED
        and records[path.name]["input_digest"] == input_digest(path)
        and all(records[path.name][name] == value for name, value in models.items())
        for path in paths
    )


def made_with(model: Path, mode: str) -> dict[str, object]:
    """Return what a slide's record says of its models: also a card's counts by subject change its numbers."""
    found = DetectorChoice(ScanConfig(proposals=mode))(FoldPlan.mpp)
    detector = DetectorFacts(found.name, found.digest, found.settings())
    models = {"classifier": {**dataclasses.asdict(read_card(model)), "extra": {}}, "detector": dataclasses.asdict(detector)}
    said: dict[str, object] = json.loads(json.dumps({**models, "smearscan": __version__}))
    return said


def cross_model(models: Mapping[int, Path], fold: int, slides: Path, out: Path) -> Path:
    """Copy a fold's network with the other folds' counts by subject in place of its own."""
    cards = {each: read_card(model) for each, model in models.items()}
    card = dataclasses.replace(cards[fold], subjects=crossed_counts(cards, fold, subjects_on(slides)), blank_fractions=())
    if not (out / WEIGHTS_FILE).is_file() or read_card(out) != card:
        out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(models[fold] / WEIGHTS_FILE, out / WEIGHTS_FILE)
        card.save(out / CARD_FILE)
    return out


def crossed_counts(cards: Mapping[int, ModelCard], fold: int, on_slides: set[str]) -> tuple[SubjectCounts, ...]:
    """Return the counts of the other folds' cards, each subject once, without those whose cells lie on the slides.

    A card calls subjects that show the same cells by one name, as H10+H3.
    """
    counts: dict[tuple[str, str], SubjectCounts] = {}
    for number, card in sorted(cards.items()):
        for each in card.subjects if number != fold else ():
            if not on_slides & {each.subject, *each.subject.split("+")}:
                counts.setdefault((each.subject, each.role), each)
    return tuple(counts.values())


def subjects_on(slides: Path) -> set[str]:
    """Return the subjects, and their groups, whose cells lie on a folder's slides."""
    found: set[str] = set()
    for path in sorted(slides.glob("*.origins.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            found |= {row[name] for row in csv.DictReader(file) for name in ("subject", "group")}
    if not found:
        raise ConfigError(f"{slides} holds no composed slides. Compose them first.")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--models", type=Path, required=True, metavar="FOLDER", help="the networks of the folds")
    parser.add_argument("--cut-outs", type=Path, required=True, metavar="FOLDER", help="cut-out white cells, bccd and txl_pbc")
    parser.add_argument("--slides", type=Path, required=True, metavar="FOLDER", help="where the composed slides lie, or go")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the reports go (default: reports, in the slides' folder)")
    parser.add_argument("--modes", default=",".join(MODES), metavar="LIST")
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes that compose")
    given = parser.parse_args()
    folds = read_folds(given.models)
    compose_night(Sources(given.data, given.cut_outs, folds), given.slides, given.workers)
    modes = [mode.strip() for mode in given.modes.split(",") if mode.strip()]
    models = {number: folds.folder_of(number) for number in folds.numbers}
    scanned = scan_night(given.slides, models, given.out or given.slides / "reports", modes)
    found = [figures(each) for each in scanned]
    show("Composed slides of subjects not seen", table(found))
    show("What the detectors propose, before the classifier leaves anything out", proposals_table(found))
    show("With and without blasts", parts_table(found))
    show("Negative slides", blank_table(found))
    show("Windows, which are no cells", window_table(found))
    for each in scanned:
        if each.mode == "yolo" or len(scanned) == 1:
            show(f"Slide by slide, {each.mode}", slides_table(each))
    return 0


def show(title: str, rows: Sequence[Mapping[str, str]]) -> None:
    if rows:
        names = tuple(rows[0])
        console.table(names, [tuple(row.values()) for row in rows], title=title, right=names[1:])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ClassifierError, SmearscanError) as error:
        sys.exit(f"accuracy_slides: {error}")
