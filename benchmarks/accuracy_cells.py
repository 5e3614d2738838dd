"""What the bundled classifier says of cells that its networks never saw: alone on black, on composed slides, in real fields.

A part of `benchmarks/accuracy.py`. Every crop is scored by that network of the cross-validation which saw neither its subject nor its
field in training, in choosing when to stop, nor in calibration. Intervals draw subjects, or fields where those are all that is known.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fold_models import FoldModels
from numpy.typing import NDArray
from training_crops import BLACK, FIELD_SETS, in_their_fields, on_black

from classifiers.card import ModelCard, StainReference
from classifiers.datasets import Samples, checking, load
from classifiers.evaluation.intervals import DRAWS, draw_groups, interval_of, with_intervals
from classifiers.evaluation.records import Bin, Metric, Question, Sizes, Spread, SubjectRow
from classifiers.evaluation.reliability import reliability_bins
from classifiers.evaluation.sizes import cell_areas, compare_sizes
from classifiers.evaluation.subjects import proportion, spread_over, subject_rows
from smearscan import crops, staining
from smearscan.results import Picture, Staining
from smearscan.slides import open_slide
from smearscan.smears import origins_path

COMPOSED = "composed slides"
EMPTY_A_SLIDE = 100  # places without a cell that are cut from each composed slide
CLEAR = 0.75  # diameters from every cell's centre that such a place lies away
SHIFTED = 0.1  # of its diameter that a proposal lies beside its cell


@dataclass(frozen=True)
class Cells:
    """Crops, and what is known of each."""

    name: str  # where they were seen
    crops: NDArray[np.uint8]
    blast: NDArray[np.bool_]
    groups: tuple[str, ...]
    files: tuple[str, ...]  # the picture that the cell was cut out of


@dataclass(frozen=True)
class Said:
    """What the networks that never saw these cells say of them."""

    cells: Cells
    folds: NDArray[np.intp]
    probability: NDArray[np.float64]  # P(blast) among the classes that count
    called_blast: NDArray[np.bool_]
    called_nothing: NDArray[np.bool_]  # a class that counts for nothing: "no white cell"

    def question(self) -> Question:
        """Return these answers as those to the question that a fraction rests on: blast or not?"""
        return Question(
            name="blast",
            classes=("other", "blast"),
            roles=("other", "blast"),
            rule="each network's threshold",
            rows=np.arange(len(self.folds)),
            truth=self.cells.blast.astype(np.int64),
            called=self.called_blast.astype(np.int64),
            scores=np.stack([1 - self.probability, self.probability], axis=1),
            groups=np.unique(self.cells.groups, return_inverse=True)[1].astype(np.int64),
        )


@dataclass(frozen=True)
class Judgement:
    """How well the question was answered, cell by cell and subject by subject."""

    metrics: dict[str, Metric]
    fold_auc: tuple[float, ...]  # of each network alone
    subjects: tuple[SubjectRow, ...]
    spread: dict[str, Spread]
    bins: tuple[Bin, ...]


def ask(cells: Cells, models: FoldModels) -> Said:
    """Score every crop by the network that never saw its group."""
    folds = models.folds(cells.groups)
    probability = np.zeros(len(folds))
    called = np.zeros((2, len(folds)), np.bool_)
    for number in np.unique(folds).tolist():
        rows = np.flatnonzero(folds == number)
        classifier = models.classifier(number)
        card, size = classifier.card, classifier.compute.batch_size
        parts = [classifier.predict(cells.crops[rows[start : start + size]]).probabilities for start in range(0, len(rows), size)]
        probabilities = np.concatenate(parts)
        probability[rows] = card.blast_probability(probabilities)
        columns = card.called(probabilities)
        called[:, rows] = np.isin(columns, card.columns("blast")), np.isin(columns, card.columns("excluded"))
    return Said(cells, folds, probability, called[0], called[1])


def only(said: Said, chosen: NDArray[np.bool_], name: str) -> Said:
    """Return what is said of some of the cells, under a name of their own."""
    rows = np.flatnonzero(chosen)
    cells = Cells(
        name,
        said.cells.crops[rows],
        said.cells.blast[rows],
        tuple(said.cells.groups[row] for row in rows.tolist()),
        tuple(said.cells.files[row] for row in rows.tolist()),
    )
    return Said(cells, said.folds[rows], said.probability[rows], said.called_blast[rows], said.called_nothing[rows])


def judge(said: Said) -> Judgement:
    question = said.question()
    metrics, _ = with_intervals(question)
    areas = []
    for number in np.unique(said.folds).tolist():
        mine = said.folds == number
        if 0 < said.cells.blast[mine].sum() < mine.sum():
            areas.append(_auc(said.cells.blast[mine], said.probability[mine]))
    rows = subject_rows(question, said.cells.groups, said.cells.groups)
    bins = reliability_bins(said.probability, said.cells.blast)
    return Judgement(metrics, tuple(areas), rows, spread_over(rows), bins)


def roc(said: Said, points: int = 60) -> list[list[float]]:
    """Return the ROC curve, (1 - specificity, sensitivity), at so many places that a reader sees no corners."""
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(said.cells.blast, said.probability)
    at = np.linspace(0, 1, points)
    return [
        [0.0, 0.0],
        *([round(float(x), 4), round(float(y), 4)] for x, y in zip(at, np.interp(at, false, true), strict=True)),
        [1.0, 1.0],
    ]


def share(true: NDArray[np.bool_], groups: Sequence[str]) -> Metric:
    """Return a share of cells with its interval by drawing their groups; by Wilson's where there are too few groups to draw."""
    names, of_cell = np.unique(groups, return_inverse=True)
    if not len(true):
        return Metric(None, note="there is no such cell")
    if len(names) < 5:
        return proportion(int(true.sum()), len(true), "")
    hits, cells = np.bincount(of_cell, true), np.bincount(of_cell)
    drawn = np.concatenate([counts @ hits / (counts @ cells) for counts in draw_groups(len(names), DRAWS, 0, len(names))])
    ends = interval_of(drawn)
    return Metric(float(true.mean()), *ends) if ends and ends[0] < ends[1] else proportion(int(true.sum()), len(true), "")


def flips(first: Said, second: Said, blast: bool) -> Metric:
    """Return how many calls of the same cells, of one truth, are not the same in two views; matched by the cell's file."""
    known = dict(zip(first.cells.files, first.called_blast.tolist(), strict=True))
    rows = [row for row, file in enumerate(second.cells.files) if file in known and second.cells.blast[row] == blast]
    changed = np.array([known[second.cells.files[row]] != second.called_blast[row] for row in rows], np.bool_)
    return share(changed, [second.cells.groups[row] for row in rows])


def of_cnmc(data: Path, card: ModelCard) -> tuple[Cells, Samples]:
    """Return C-NMC's cells as they are published, brought to the model's scale as `smearscan evaluate` does it."""
    samples = load(data / "cnmc")
    samples = checking.joined(samples, checking.check(samples))
    crops_ = samples.crops(np.arange(len(samples)), card.crop_px, card.crop_um)
    blast = np.array([samples.roles[samples.classes[label]] == "blast" for label in samples.labels])
    return Cells("C-NMC, on black", crops_, blast, samples.groups, samples.files), samples


def resized(cells: Cells, factor: NDArray[np.float64], name: str) -> Cells:
    """Return cells on black, each larger or smaller by its factor; the crop stays what it covers."""
    side = cells.crops.shape[1]
    changed = np.empty_like(cells.crops)
    for row, (crop, zoom) in enumerate(zip(cells.crops, factor.tolist(), strict=True)):
        matrix = np.array([[zoom, 0, (1 - zoom) * (side - 1) / 2], [0, zoom, (1 - zoom) * (side - 1) / 2]])
        changed[row] = cv2.warpAffine(crop, matrix, (side, side), flags=cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_LINEAR)
    return replace(cells, name=name, crops=changed)


def in_each_others_size(cells: Cells, areas: NDArray[np.float64]) -> Cells:
    """Return every cell at the median size of the other kind: blasts shrunk, normal cells enlarged."""
    diameters = np.sqrt(areas)
    of_blasts, of_others = (float(np.nanmedian(diameters[each])) for each in (cells.blast, ~cells.blast))
    return resized(cells, np.where(cells.blast, of_others / of_blasts, of_blasts / of_others), "C-NMC, in the other kind's size")


def stained(cells: Cells, times: float, known: StainReference) -> Cells:
    """Return cells on black, which are stained as a card knows it, with so many times the stain, in every colour."""
    red, green, blue = (round(level) for level in known.glass)
    once = Staining((red, green, blue), (1.0, 1.0, 1.0), len(cells.crops))
    table = crops.colour_table(once, replace(known, nucleus=(times, times, times)))
    beside = cells.crops.max(axis=3, keepdims=True) < BLACK
    changed = np.stack([cv2.LUT(crop, table) for crop in cells.crops])
    return replace(cells, name=f"C-NMC, {times:g} times the stain", crops=np.where(beside, cells.crops, changed))


def composed(slides: Sequence[Path], card: ModelCard, groups: Mapping[str, str]) -> tuple[Cells, Cells]:
    """Return the cells of composed slides, cut as a run cuts them, and places on them without a cell in the middle.

    `groups` says of C-NMC's files whose cells they are.
    """

    def group_of(row: Mapping[str, str]) -> str:
        return groups[row["file"]] if row["file"] in groups else f"{row['folder']}/{row['group']}"

    found: list[tuple[Picture, bool, str, str]] = []
    empty: list[tuple[Picture, bool, str, str]] = []
    for number, path in enumerate(slides):
        rng = np.random.default_rng([number, 0xACC])
        picture, mpp, stained = whole_picture(path)
        with origins_path(path).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        places = np.array([(float(row["x"]), float(row["y"])) for row in rows])
        diameters = np.array([float(row["diameter"]) for row in rows])
        pushed = places + rng.normal(0, SHIFTED, places.shape) * diameters[:, None]
        for row, crop in zip(rows, _cut(picture, mpp, stained, pushed, card), strict=True):
            found.append((crop, row["class"] == "blast", group_of(row), row["file"]))
        spots = rng.uniform(0, 1, (EMPTY_A_SLIDE * 3, 2)) * (picture.shape[1], picture.shape[0])
        away = np.hypot(spots[:, None, 0] - places[:, 0], spots[:, None, 1] - places[:, 1]) / diameters
        spots = spots[away.min(axis=1) >= CLEAR][:EMPTY_A_SLIDE]
        # Of no cell, so of no group; any cell of the slide names the network that saw none of its subjects.
        empty += [(crop, False, group_of(rows[0]), f"{path.stem}") for crop in _cut(picture, mpp, stained, spots, card)]
    return _gathered(COMPOSED, found), _gathered("places without a cell on composed slides", empty)


def in_fields(data: Path, cut_outs: Path, card: ModelCard) -> tuple[Cells, Cells]:
    """Return the white cells of real fields, in their field and cut out on black."""
    real: list[tuple[Picture, bool, str, str]] = []
    black: list[tuple[Picture, bool, str, str]] = []
    for name in FIELD_SETS:
        for found, cells in ((real, in_their_fields(data / name, cut_outs / name, card)), (black, on_black(cut_outs / name, card))):
            found += [(crop, False, f"{name}/{cell.group}", f"{name}/{cell.file}") for cell, crop in cells]
    return _gathered("white cells of real fields", real), _gathered("the same, cut out on black", black)


def whole_picture(path: Path) -> tuple[Picture, float, Staining | None]:
    """Return all of a slide that is small enough for it, its scale and its stain as a run tells it."""
    with open_slide(path) as slide:
        assert slide.info.mpp is not None
        return slide.read((0, 0, slide.info.width, slide.info.height)), slide.info.mpp, staining.look(slide)


def sizes_of(said: Said, samples: Samples) -> tuple[Sizes | None, NDArray[np.float64]]:
    """Return what the cells' area alone tells beside the model, and the areas."""
    areas = cell_areas(samples)
    return compare_sizes(said.question(), areas, DRAWS, 0), areas


def metric_record(name: str, metric: Metric, **more: Any) -> dict[str, Any]:
    """Return a number as a card has it."""
    rounded = {
        key: None if value is None else round(value, 4)
        for key, value in (("value", metric.value), ("low", metric.low), ("high", metric.high))
    }
    return {"name": name, **rounded, **({"note": metric.note} if metric.note else {}), **more}


def _cut(picture: Picture, mpp: float, stained: Staining | None, centres: NDArray[np.float64], card: ModelCard) -> NDArray[np.uint8]:
    boxes = np.concatenate([centres - 8, centres + 8], axis=1)
    size = (picture.shape[1], picture.shape[0])
    cut = crops.cut(picture, (0, 0), boxes, card, slide_size=size, mpp=mpp)
    return crops.in_known_stain(cut, card, stained)


def _gathered(name: str, found: Sequence[tuple[Picture, bool, str, str]]) -> Cells:
    crops_, blast, groups, files = zip(*found, strict=True)
    return Cells(name, np.stack(crops_), np.array(blast, np.bool_), tuple(groups), tuple(files))


def _auc(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, scores))
