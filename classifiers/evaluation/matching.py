"""The data's classes and the model's: matched by what the user says, by name, by role; what stays unknown is reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from classifiers.card import ModelCard, Role
from classifiers.datasets.base import Samples
from classifiers.evaluation.records import ClassMatch, EvaluationError, Integers


@dataclass(frozen=True)
class Matching:
    """What each cell is, in the model's terms."""

    matches: tuple[ClassMatch, ...]  # one a class of the data
    columns: Integers  # (n,) the model's class of each cell, -1 where the model does not know it
    roles: tuple[Role, ...]  # (n,) whether the cell is a blast: the data's word, or the class's that --map names


def match_classes(samples: Samples, card: ModelCard, given: Mapping[str, str] | None = None) -> Matching:
    """Return what each cell is to the model.

    A class of the data is the class of the model that `given` names for it; else the one of the same name, capitals or not;
    else the only one of its role, where its role has just one on the model's side. Of any other the model knows the role alone.
    """
    given = dict(given or {})
    _check(given, samples, card)
    counts = np.bincount(samples.labels, minlength=len(samples.classes))
    matches = tuple(_match(name, samples.roles[name], int(cells), card, given) for name, cells in zip(samples.classes, counts, strict=True))
    columns = np.array([-1 if each.model_class is None else card.classes.index(each.model_class) for each in matches], np.int64)
    return Matching(matches, columns[samples.labels], tuple(matches[label].role for label in samples.labels.tolist()))


def read_map(pairs: Sequence[str]) -> dict[str, str]:
    """Return what --map DATA=MODEL says."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, sign, target = (part.strip() for part in pair.partition("="))
        if not (name and sign and target):
            raise EvaluationError(f"--map {pair!r} is not understood. Write the data's class, =, and the model's: --map ALL=blast.")
        if name in found:
            raise EvaluationError(f"--map names the class {name!r} twice.")
        found[name] = target
    return found


def _match(name: str, role: Role, cells: int, card: ModelCard, given: Mapping[str, str]) -> ClassMatch:
    if name in given:
        return ClassMatch(name, card.roles[given[name]], cells, given[name], "given")
    alike = [each for each in card.classes if each == name] or [each for each in card.classes if each.casefold() == name.casefold()]
    if len(alike) == 1:
        differs = card.roles[alike[0]] != role
        note = f"{role} in the data, {card.roles[alike[0]]} on the model's card: judged as the data says" if differs else ""
        return ClassMatch(name, role, cells, alike[0], "name", note)
    of_role = [each for each in card.classes if card.roles[each] == role]
    if len(of_role) == 1 and role != "excluded":
        return ClassMatch(name, role, cells, of_role[0], "role")
    note = "counts for nothing" if role == "excluded" else "by its role in the question of blasts, left out of the question of classes"
    return ClassMatch(name, role, cells, None, "unknown", note)


def _check(given: Mapping[str, str], samples: Samples, card: ModelCard) -> None:
    for name, target in given.items():
        if name not in samples.classes:
            raise EvaluationError(f"--map {name}={target}: the data has no class {name!r}. Its classes are {', '.join(samples.classes)}.")
        if target not in card.classes:
            raise EvaluationError(
                f"--map {name}={target}: {card.name!r} has no class {target!r}. Its classes are {', '.join(card.classes)}."
            )
