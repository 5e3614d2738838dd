"""One model on one set of cells: every number, with intervals, from its probabilities."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from classifiers.base import Predictions
from classifiers.card import ModelCard
from classifiers.datasets.base import Samples
from classifiers.evaluation.intervals import DRAWS, FEWEST_GROUPS, with_intervals
from classifiers.evaluation.matching import Matching, match_classes
from classifiers.evaluation.metrics import judged
from classifiers.evaluation.questions import Grouping, ask_blast, ask_classes, check_grouping, put_together
from classifiers.evaluation.records import Answer, Evaluation, EvaluationError, Floats, Question
from classifiers.evaluation.reliability import reliability_bins
from classifiers.evaluation.sizes import compare_sizes
from classifiers.evaluation.subjects import spread_over, subject_rows


def evaluate(
    card: ModelCard,
    predictions: Predictions,
    samples: Samples,
    *,
    class_map: Mapping[str, str] | None = None,
    groupings: Mapping[str, Grouping] | None = None,
    areas: Floats | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Evaluation:
    """Evaluate a model by what it said of `samples`, one row of predictions a cell.

    `class_map` names the model's class for classes of the data; `groupings` are classes to put together, by a name for each
    way of doing so. `areas` of the cells (see `sizes`) say how much size alone tells. `draws` of the bootstrap may be 0: no
    intervals.
    """
    if not len(samples):
        raise EvaluationError(f"{samples.name} has no cells to evaluate on.")
    if predictions.classes != card.classes or len(predictions) != len(samples):
        raise EvaluationError(
            f"{len(predictions)} predictions for {list(predictions.classes)} do not go with {len(samples)} cells "
            f"and the classes {list(card.classes)} of {card.name!r}."
        )
    for grouping in (groupings or {}).values():
        check_grouping(grouping, card)
    matching = match_classes(samples, card, class_map)
    blast, called_excluded = ask_blast(card, predictions.probabilities, matching, samples.groups)
    classes = ask_classes(card, predictions.probabilities, matching, samples.groups)
    rows = subject_rows(blast, samples.groups, samples.subjects)
    known = any(samples.subjects)
    answered = answer(blast, draws, seed, called_excluded)
    return Evaluation(
        blast=answered,
        classes=None if classes is None else answer(classes, draws, seed),
        grouped={} if classes is None else _grouped(classes, groupings or {}, draws, seed),
        matches=matching.matches,
        subjects=rows if known else (),
        spread=spread_over(rows) if known else {},
        subjects_known=known,
        notes=_notes(matching, known, answered, classes, groupings),
        sizes=None if areas is None else compare_sizes(blast, areas, draws, seed),
    )


def answer(question: Question, draws: int = DRAWS, seed: int = 0, called_excluded: int = 0) -> Answer:
    """Measure one question."""
    metrics, drawn = with_intervals(question, draws, seed)
    return Answer(question, metrics, reliability_bins(*judged(question)), called_excluded, drawn)


def _grouped(classes: Question, groupings: Mapping[str, Grouping], draws: int, seed: int) -> dict[str, Answer]:
    return {name: answer(put_together(classes, grouping), draws, seed) for name, grouping in groupings.items()}


def _notes(
    matching: Matching, known: bool, blast: Answer, classes: Question | None, groupings: Mapping[str, Grouping] | None
) -> tuple[str, ...]:
    notes = []
    for each in matching.matches:
        if each.model_class is None and each.cells:
            notes.append(f"The model does not know the class {each.data_class!r} ({each.cells:,} cells, {each.role}): {each.note}.")
        elif each.how == "role" and each.cells:
            notes.append(
                f"The class {each.data_class!r} ({each.cells:,} cells) was taken for {each.model_class!r}, the model's {each.role} class."
            )
        elif each.note and each.cells:
            notes.append(f"The class {each.data_class!r}: {each.note}.")
    left_out = sum(role == "excluded" for role in matching.roles)
    if left_out:
        notes.append(f"{left_out:,} of {len(matching.roles):,} cells are of classes that no count takes in: not in the question of blasts.")
    if blast.called_excluded:
        notes.append(f"{blast.called_excluded:,} cells were called a class that counts for nothing: here they were not called blast.")
    notes += _few_groups(blast.question)
    if not known:
        notes.append("The data names no subjects: every cell is drawn by itself, so intervals are too narrow, and no subject is compared.")
    if groupings and classes is None:
        notes.append("The model has two classes: there is nothing to put together.")
    return tuple(notes)


def _few_groups(blast: Question) -> list[str]:
    """Say where too few subjects bear on a number for it to have an interval."""
    found = []
    for column, name in enumerate(blast.classes):
        groups = len(set(blast.groups[blast.truth == column].tolist()))
        if groups < FEWEST_GROUPS:
            found.append(
                f"Only {groups} of the groups have {name} cells; {FEWEST_GROUPS} are the least for an interval of what rests on them."
            )
    return found


def accuracy_of_the_commonest(question: Question) -> float:
    """Return the accuracy of calling every cell the class that most cells are: what a number has to be read beside."""
    return float(np.bincount(question.truth).max() / len(question))
