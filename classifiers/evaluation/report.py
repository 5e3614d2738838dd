"""Several models on one set of cells: scored, measured, compared, and the cells to look at chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifiers.base import Classifier, Explainer, Predictions
from classifiers.card import ModelCard
from classifiers.datasets.base import DatasetError, Samples
from classifiers.evaluation.errors import ErrorAnalysis, analyse_errors
from classifiers.evaluation.evaluating import evaluate
from classifiers.evaluation.galleries import BY_CHANCE, SUREST, Choice, Picture, choose_cells, chosen_rows, cut_pictures
from classifiers.evaluation.intervals import DRAWS
from classifiers.evaluation.leaks import Leak, TrainingSplit, find_leak, read_split, rows_of_part
from classifiers.evaluation.predicting import Scored, score_samples
from classifiers.evaluation.questions import Grouping
from classifiers.evaluation.records import Answer, Evaluation, EvaluationError, Floats
from classifiers.evaluation.sizes import cell_areas

MISSED_SHOWN: Final = 24  # cells that every model misses

Show = Callable[[str, int, int], None]  # what is being done, how many cells are done, of how many


@dataclass(frozen=True)
class Candidate:
    """A model that is to be evaluated."""

    key: str  # names it in tables and files
    classifier: Classifier
    folder: Path | None = None  # where its training split is looked for
    explainer: Explainer | None = None  # makes heat maps for the galleries


@dataclass(frozen=True)
class Options:
    """What may be asked of an evaluation."""

    part: str | None = None  # only the cells in this part of the models' own splits
    class_map: Mapping[str, str] = field(default_factory=dict)
    grouping: Grouping = field(default_factory=dict)  # beside those that the data brings along
    skip_unreadable: bool = False
    draws: int = DRAWS
    seed: int = 0
    surest: int = SUREST  # cells shown of each outcome
    by_chance: int = BY_CHANCE


@dataclass(frozen=True)
class Judged:
    """One model, and all that was found out about it."""

    key: str
    card: ModelCard
    predictions: Predictions
    evaluation: Evaluation
    leak: Leak
    choices: Mapping[str, Choice]
    pictures: Mapping[int, Picture]  # by row of the samples
    heat_maps: bool


@dataclass(frozen=True)
class Report:
    """Everything that the folder of an evaluation is written from."""

    samples: Samples  # the cells that were evaluated, and no others
    digest: str  # of the whole set that they are from, "" where a file of it cannot be read
    given: int  # cells of that set
    unreadable: tuple[str, ...]
    options: Options
    models: tuple[Judged, ...]
    errors: ErrorAnalysis | None  # of two models or more
    missed: tuple[Picture, ...]  # cells that every model misses


def compare_models(candidates: Sequence[Candidate], samples: Samples, options: Options | None = None, show: Show | None = None) -> Report:
    """Evaluate every candidate on the same cells."""
    options = options or Options()
    if not candidates:
        raise EvaluationError("There is no model to evaluate.")
    if not len(samples):
        raise EvaluationError(f"{samples.name} has no cells to evaluate on.")
    whole = samples
    splits = {each.key: None if each.folder is None else read_split(each.folder) for each in candidates}
    if options.part:
        samples = _only_part(samples, splits, options.part)
    scored, samples, unreadable = _score(candidates, samples, options, show)
    digest = _digest(whole)
    areas = cell_areas(samples, None if show is None else lambda done: show("cells measured", done, len(samples)))
    models = tuple(
        _judge(each, predictions, samples, find_leak(splits[each.key], each.classifier.card, samples, digest), areas=areas, options=options)
        for each, predictions in zip(candidates, scored, strict=True)
    )
    errors = analyse_errors(_comparable(models)) if len(models) > 1 else None
    missed = _missed(errors, candidates[0].classifier, samples, options.seed) if errors else ()
    return Report(samples, digest, len(whole), unreadable, options, models, errors, missed)


def _digest(samples: Samples) -> str:
    try:
        return samples.digest()
    except DatasetError:  # a file of the set is missing: then it is not the set that anything was trained on
        return ""


def _only_part(samples: Samples, splits: Mapping[str, TrainingSplit | None], part: str) -> Samples:
    common: set[int] = set(range(len(samples)))
    for key, split in splits.items():
        common &= set(rows_of_part(split, samples, part, key))
    if not common:
        raise EvaluationError(
            f"No cell is in the {part} part of every one of these models: they were split differently. Evaluate each alone."
        )
    return samples.take(sorted(common))


def _score(
    candidates: Sequence[Candidate], samples: Samples, options: Options, show: Show | None
) -> tuple[list[Predictions], Samples, tuple[str, ...]]:
    """Return each model's predictions, and the cells that they are of: those that can be read."""
    found: list[Predictions] = []
    unreadable: tuple[str, ...] = ()
    for each in candidates:
        scored = _score_one(each, samples, options, show)
        if scored.unreadable:
            unreadable, samples = scored.unreadable, samples.take(scored.rows)
        if not len(samples):
            raise EvaluationError(f"Not one of the {len(unreadable):,} cells can be read. {unreadable[0] if unreadable else ''}")
        found.append(scored.predictions)
    return found, samples, unreadable


def _score_one(candidate: Candidate, samples: Samples, options: Options, show: Show | None) -> Scored:
    def tell(done: int) -> None:
        if show:
            show(f"cells scored by {candidate.key}", done, len(samples))

    return score_samples(candidate.classifier, samples, skip_unreadable=options.skip_unreadable, show=tell)


def _judge(candidate: Candidate, predictions: Predictions, samples: Samples, leak: Leak, *, areas: Floats, options: Options) -> Judged:
    card = candidate.classifier.card
    groupings = _groupings(samples, card, options.grouping)
    evaluation = evaluate(
        card,
        predictions,
        samples,
        class_map=_known_to(card, options.class_map),
        groupings=groupings,
        areas=areas,
        draws=options.draws,
        seed=options.seed,
    )
    question = evaluation.blast.question
    choices = choose_cells(question, options.surest, options.by_chance, options.seed)
    pictures = cut_pictures(candidate.classifier, samples, chosen_rows(choices, question), candidate.explainer)
    return Judged(candidate.key, card, predictions, evaluation, leak, choices, pictures, candidate.explainer is not None)


def _groupings(samples: Samples, card: ModelCard, asked: Grouping) -> dict[str, Grouping]:
    """Return the ways of putting classes together: as asked, and the data set's own where the card has these classes."""
    own = {
        name: grouping
        for name, grouping in samples.groupings.items()
        if {member for members in grouping.values() for member in members} <= set(card.classes)
    }
    return {**own, **({"as asked": asked} if asked else {})}


def _known_to(card: ModelCard, class_map: Mapping[str, str]) -> dict[str, str]:
    """Leave out what names another model's class; with one that no model has, matching stops."""
    known = {name: target for name, target in class_map.items() if target in card.classes}
    return known or dict(class_map)


def _comparable(models: Sequence[Judged]) -> dict[str, Answer]:
    """Return the question that all models were asked alike: that of classes where they have the same ones, else that of blasts."""
    classes = [each.evaluation.classes for each in models]
    if len({each.card.classes for each in models}) == 1 and all(classes):
        return {each.key: answer for each, answer in zip(models, classes, strict=True) if answer is not None}
    return {each.key: each.evaluation.blast for each in models}


def _missed(errors: ErrorAnalysis, classifier: Classifier, samples: Samples, seed: int) -> tuple[Picture, ...]:
    """Return pictures of cells that every model misses: all, or as many by chance, in the order of the samples."""
    places = errors.missed_by_all
    if len(places) > MISSED_SHOWN:
        places = np.sort(np.random.default_rng(seed).choice(places, MISSED_SHOWN, replace=False))
    rows: NDArray[np.intp] = errors.rows[places]
    return tuple(cut_pictures(classifier, samples, rows, None).values())
