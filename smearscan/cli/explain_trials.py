"""Can these explanations be believed? Agreement, sufficiency and sanity, as tables and plots beside the gallery."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers import Classifier, ClassifierError
from classifiers.explain import build_explainer, curves
from classifiers.explain.agreement import PUBLISHED, table_two
from classifiers.explain.rankings import RANDOM, rank_superpixels
from classifiers.explain.removal import measure_removal
from classifiers.explain.sanity import SanityReport, check
from classifiers.explain.sufficiency import EVERY_CLASS, called_names, measure_sufficiency
from classifiers.explain.views import Wish
from smearscan.errors import ConfigError

TABLE_TWO = ("gradcam", "scorecam")  # what the paper's table compares
CHECKED = 12  # cells of the sanity checks; each is explained some thirty times


@dataclass(frozen=True)
class Plot:
    """A figure that is written on light and on dark paper."""

    name: str
    draw: Any  # classifiers.evaluation.drawing.Draw
    text: str
    width: float = 9.0


@dataclass(frozen=True)
class Trial:
    """One table for page and terminal, with the files that hold the whole of it."""

    title: str
    paragraphs: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sentences: tuple[str, ...] = ()
    records: Mapping[str, Sequence[Any]] = field(default_factory=dict)  # name of a CSV -> its records
    plots: tuple[Plot, ...] = ()
    text_columns: int = 1  # from the left; the others are numbers

    def write(self, folder: Path) -> None:
        from classifiers.evaluation.drawing import THEMES, to_png

        for name, records in self.records.items():
            curves.write_csv(folder / name, records)
        for plot in self.plots:
            for theme in THEMES:
                (folder / f"{plot.name}{theme.suffix}.png").write_bytes(to_png(plot.draw, theme, width=plot.width))

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "paragraphs": list(self.paragraphs),
            "columns": list(self.columns),
            "numbers": list(self.columns[self.text_columns :]),
            "rows": [list(row) for row in self.rows],
            "sentences": list(self.sentences),
            "files": list(self.records),
            "plots": [{"light": f"{each.name}.png", "dark": f"{each.name}-dark.png", "text": each.text} for each in self.plots],
        }


def find_pair(methods: Sequence[str]) -> tuple[str, str]:
    """Return the two methods that are compared: the first two that were named, or those of the paper."""
    named = tuple(dict.fromkeys(methods))
    return (named[0], named[1]) if len(named) >= 2 else TABLE_TWO


def try_agreement(
    models: Sequence[tuple[str, Classifier, NDArray[np.uint8]]],
    labels: Sequence[str],
    methods: Sequence[str],
    options: Mapping[str, Mapping[str, Any]],
    *,
    known: bool,
) -> Trial:
    """Compare two methods' maps of each cell, by model and class: the form of the CAM paper's Table II.

    `known` says whether `labels` are what the cells are; else they are what the first model calls them.
    """
    pair = find_pair(methods)
    rows = table_two(models, labels, pair, options=options)
    shown = [
        (
            row.model,
            row.class_name,
            f"{row.cells:,}",
            _number(row.ssim),
            _number(row.other_cell_ssim),
            _number(row.rank),
            _number(row.top),
            str(row.empty),
        )
        for row in rows
    ]
    if pair == TABLE_TWO:
        shown += [(f"published: {model}", name, "", f"{value:.3f}", "", "", "", "") for (model, name), value in PUBLISHED.items()]
    return Trial(
        title=f"Agreement of {pair[0]} and {pair[1]}",
        paragraphs=(
            "MR-SSIM is the mean structural similarity of the two maps of a cell; beside it what a map reaches with another cell's map "
            "of the same class, rank correlation, and overlap of the top fifth (by chance 0.2). Of each cell "
            + ("its own class is explained" if known else "the class it was called is explained, for its own is not known")
            + ", by class activation maps at the layer that each model's card names.",
            *(
                ("Published: Di Giammarco and others, 2024, on a random split; hem is healthy, all leukaemic; no window or range given.",)
                if pair == TABLE_TWO
                else ()
            ),
        ),
        columns=("model", "class", "cells", "MR-SSIM", "another cell", "rank", "top 20 %", "empty maps"),
        rows=tuple(shown),
        records={"agreement.csv": rows},
        text_columns=2,
    )


def try_sufficiency(
    classifier: Classifier, crops: NDArray[np.uint8], labels: Sequence[str], methods: Sequence[str], options: Mapping[str, Any]
) -> Trial:
    """Keep a crop's first superpixels by each method and by chance, and classify it again."""
    called = called_names(classifier, crops)
    found, removals = [], []
    for method in (*methods, RANDOM):
        ranked = rank_superpixels(method, classifier, crops, called, **options)
        found.append(measure_sufficiency(method, classifier, crops, labels, ranked, hiding=options["hiding"]))
        removals.append(measure_removal(method, classifier, crops, called, ranked, hiding=options["hiding"]))
    rows = []
    for each, removal in zip(found, removals, strict=True):
        lines = [each.line(EVERY_CLASS, count) for count in (None, *each.counts)]
        needed = each.needed()
        ends = (str(needed.first or ""), str(needed.lasting or ""), f"{removal.deletion_area:.3f}", f"{removal.insertion_area:.3f}")
        rows.append((each.method, *(_number(line.precision, 2) for line in lines), *ends))
    return Trial(
        title="Is what they show enough?",
        paragraphs=(
            f"Precision with a cell's first n superpixels kept and the rest {options['hiding']}, all classes together; cells with "
            "fewer are left out. Needed: the least n with 2/3 of the whole crops' precision; lasting: from which on all have it. "
            "A good order has a small deletion and a large insertion area; random is the control. Class activation maps are those of the "
            "layer that the model's card names. sufficiency.csv has accuracy and every class as well.",
        ),
        columns=("method", "whole", *map(str, found[0].counts), "needed", "lasting", "deletion", "insertion"),
        rows=tuple(rows),
        records={"sufficiency.csv": [line for each in found for line in each.lines()]},
        plots=(
            Plot("sufficiency", curves.draw_methods(found), "Precision and accuracy over the superpixels kept, by method"),
            *(
                Plot(
                    f"sufficiency-{each.method}",
                    curves.draw_classes(each, classifier.card.roles),
                    f"Precision and accuracy over the superpixels kept by {each.method}, by class",
                )
                for each in found
                if each.method != RANDOM
            ),
            Plot("removal", curves.draw_removal(removals), "Deletion and insertion curves, by method"),
        ),
    )


@dataclass(frozen=True)
class _SanityLine:
    """One line of sanity.csv."""

    method: str
    class_name: str
    cells: int
    randomised_down_to: str
    layers: int
    rank: float
    ssim: float
    repeated: float
    shift_px: int
    moved: float
    stayed: float
    passed: bool


def try_sanity(
    classifier: Classifier, crops: NDArray[np.uint8], class_name: str, wishes: Sequence[Wish], options: Mapping[str, Mapping[str, Any]]
) -> Trial:
    """Check that maps follow weights and cell: the first crops are taken."""
    found: list[SanityReport] = []
    unchecked = []
    for wish in wishes:
        try:
            found.append(check(_builder(wish, options), classifier, crops[:CHECKED], class_name))
        except ClassifierError as error:  # as where no map shows anything; the maps themselves are there and are kept
            unchecked.append(f"{wish.key} could not be checked: {error}")
    rows = [
        (
            each.method,
            *("passed" if ok else "FAILED" for ok in (each.changes, each.repeats, each.moves)),
            f"{each.depths[-1].rank:.2f}",
            f"{each.repeated:.1g}",
            f"{each.moved:.2f}",
            f"{each.stayed:.2f}",
        )
        for each in found
    ]
    return Trial(
        title="Do the maps depend on the model and on the cell?",
        paragraphs=(
            f"Checked on {min(len(crops), CHECKED)} cells, for {class_name}, those with an empty map left out. Maps must change when the "
            "weights are randomised, be the same when made twice, and move with a cell that is shifted. What fails must not be believed.",
        ),
        columns=("method", "randomised", "twice", "shifted", "rank, all random", "difference", "rank, moved", "rank, stayed"),
        rows=tuple(rows),
        sentences=(
            *(f"{each.method} {text}" for each in found if not each.passed for text in each.sentences() if "FAILED" in text),
            *unchecked,
        ),
        records={"sanity.csv": [line for each in found for line in _sanity_lines(each)]},
        plots=(Plot("sanity", curves.draw_cascade(found), "How alike maps stay as weights are randomised", 6.5),) if found else (),
        text_columns=4,
    )


def _builder(wish: Wish, options: Mapping[str, Mapping[str, Any]]) -> Callable[[Classifier], Any]:
    def build(made: Classifier) -> Any:
        return build_explainer(wish.method, made, wish.layer, **options.get(wish.method, {}))

    build.__name__ = wish.key
    return build


def _sanity_lines(found: SanityReport) -> list[_SanityLine]:
    ends = (found.repeated, found.shift_px, found.moved, found.stayed, found.passed)
    return [
        _SanityLine(found.method, found.class_name, found.cells, depth.layer, depth.layers, depth.rank, depth.ssim, *ends)
        for depth in found.depths
    ]


def require_labels(option: str, labels: Sequence[str], classifier: Classifier) -> None:
    """Refuse a trial that needs to know what the cells are."""
    unknown = sum(label not in classifier.card.classes for label in labels)
    if unknown:
        raise ConfigError(
            f"{option} needs each cell's true class, one of {', '.join(classifier.card.classes)}; of {unknown} of {len(labels)} it is not "
            "known. Give labelled cells with --data, or a table with --truth."
        )


def _number(value: float, digits: int = 3) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"
