"""From probabilities to calls: the question of blasts, the question of classes, and the same with classes put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from classifiers.card import ModelCard, Role
from classifiers.evaluation.matching import Matching
from classifiers.evaluation.records import DIGITS, EvaluationError, Floats, Integers, Question

Grouping = Mapping[str, Sequence[str]]  # {"NEU": ("PMO", "MYB", "MMZ", "NGB", "NGS")}


def ask_blast(card: ModelCard, probabilities: NDArray[np.floating], matching: Matching, groups: Sequence[str]) -> tuple[Question, int]:
    """Return the question whether each cell is a blast, and how many cells were called a class that counts for nothing.

    A cell is called blast where P(blast) among the classes that count reaches the card's threshold, unless its most probable
    class is an excluded one: as in a run, where such a cell is left out of the count. Here it was then not called blast.
    """
    roles = np.asarray(matching.roles)
    rows = np.flatnonzero(roles != "excluded")
    truth = (roles[rows] == "blast").astype(np.int64)
    if not truth.any() or truth.all():
        _refuse(matching, lacking="other" if truth.any() else "blast")
    rounded = _rounded(probabilities)[rows]
    blast = card.blast_probability(rounded).round(DIGITS)
    excluded = np.isin(rounded.argmax(axis=1), card.columns("excluded"))
    called = ((blast >= card.threshold) & ~excluded).astype(np.int64)
    names = card.classes if len(card.classes) == 2 else ("other", "blast")
    if len(card.classes) == 2 and card.roles[card.classes[0]] == "blast":
        names = card.classes[::-1]
    question = Question(
        name="blast",
        classes=tuple(names),
        roles=("other", "blast"),
        rule=f"P(blast) >= {card.threshold:g}, the card's threshold",
        rows=rows,
        truth=truth,
        called=called,
        scores=np.stack([1 - blast, blast], axis=1),
        groups=_numbered(groups, rows),
    )
    return question, int(excluded.sum())


def ask_classes(card: ModelCard, probabilities: NDArray[np.floating], matching: Matching, groups: Sequence[str]) -> Question | None:
    """Return the question which class each cell is, of the cells whose class the model knows; None of two classes or no cells."""
    rows = np.flatnonzero(matching.columns >= 0)
    if len(card.classes) == 2 or not len(rows):
        return None
    scores = _rounded(probabilities)[rows]
    return Question(
        name="classes",
        classes=card.classes,
        roles=tuple(card.roles[name] for name in card.classes),
        rule="the most probable class",
        rows=rows,
        truth=matching.columns[rows],
        called=scores.argmax(axis=1).astype(np.int64),
        scores=scores,
        groups=_numbered(groups, rows),
    )


def put_together(question: Question, grouping: Grouping) -> Question:
    """Return the question with some classes as one: a call of any of them is a call of their group.

    So the cells are called as before, and only what counts as wrong changes; the group's probability is the sum of its classes'.
    """
    group_of = {member: name for name, members in grouping.items() for member in members}
    names = tuple(dict.fromkeys(group_of.get(each, each) for each in question.classes))
    column = np.array([names.index(group_of.get(each, each)) for each in question.classes], np.int64)
    scores = np.zeros((len(question), len(names)))
    np.add.at(scores.T, column, question.scores.T)
    roles = {group_of.get(each, each): role for each, role in zip(question.classes, question.roles, strict=True)}
    together = "; ".join(f"{name} = {', '.join(members)}" for name, members in grouping.items())
    return Question(
        name="grouped",
        classes=names,
        roles=tuple(roles[each] for each in names),
        rule=f"the most probable class, then {together}",
        rows=question.rows,
        truth=column[question.truth],
        called=column[question.called],
        scores=scores.round(DIGITS),
        groups=question.groups,
    )


def read_groups(given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return what --group NEU=PMO,MYB says."""
    found: dict[str, tuple[str, ...]] = {}
    for each in given:
        name, _, members = each.partition("=")
        classes = tuple(part.strip() for part in members.split(",") if part.strip())
        if not name.strip() or len(classes) < 2:
            raise EvaluationError(f"--group {each!r} is not understood. Write a name, =, and two classes or more: --group NEU=PMO,MYB.")
        found[name.strip()] = classes
    return found


def check_grouping(grouping: Grouping, card: ModelCard) -> None:
    """Refuse a grouping that the card's classes do not allow."""
    members = [member for each in grouping.values() for member in each]
    if unknown := [member for member in members if member not in card.classes]:
        raise EvaluationError(f"{card.name!r} has no class {unknown[0]!r} to put into a group. Its classes are {', '.join(card.classes)}.")
    if twice := [member for member in members if members.count(member) > 1]:
        raise EvaluationError(f"The class {twice[0]!r} is put into two groups.")
    for name, classes in grouping.items():
        kinds: set[Role] = {card.roles[each] for each in classes}
        if len(kinds) > 1:
            raise EvaluationError(f"The group {name!r} puts together {' and '.join(sorted(kinds))} classes, which no count allows.")
        if name in card.classes and name not in classes:
            raise EvaluationError(f"The group {name!r} has the name of a class that is not in it.")


def _rounded(probabilities: NDArray[np.floating]) -> Floats:
    given = np.asarray(probabilities, np.float64)
    if broken := int((~np.isfinite(given)).any(axis=1).sum()):
        raise EvaluationError(f"The model gave {broken} of {len(given)} cells a probability that is no number: its weights are broken.")
    return given.round(DIGITS)


def _numbered(groups: Sequence[str], rows: NDArray[np.intp]) -> Integers:
    """Number the groups of these rows by their names in order, so that the order of the cells does not change the draws."""
    _, numbers = np.unique(np.asarray([groups[row] for row in rows.tolist()], dtype=object).astype(str), return_inverse=True)
    return numbers.astype(np.int64)


def _refuse(matching: Matching, lacking: str) -> None:
    classes = ", ".join(f"{each.data_class} ({each.role}, {each.cells} cells)" for each in matching.matches)
    raise EvaluationError(
        f"The data has no cell of role {lacking!r}, so there is neither sensitivity with specificity nor an area under a curve: "
        f"its classes are {classes}. Say with --map DATA=MODEL which class of the model a class of the data is."
    )
