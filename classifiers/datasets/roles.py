"""What a class of a laboratory's own set counts as, by its name; and the order that its classes get."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from classifiers.card import ROLES, Role
from classifiers.datasets.base import DatasetError

# Lower case, words with one space, singular. Only names that mean one thing in haematology.
KNOWN: dict[Role, frozenset[str]] = {
    "blast": frozenset({"blast", "bla", "all", "aml", "lymphoblast", "myeloblast", "monoblast", "blast cell", "leukemia", "leukaemia"}),
    "other": frozenset(
        {"normal", "healthy", "hem", "benign", "other", "white cell", "lymphocyte", "monocyte", "neutrophil", "eosinophil", "basophil"}
        | {"granulocyte", "promyelocyte", "myelocyte", "metamyelocyte", "band neutrophil", "segmented neutrophil", "plasma cell"}
    ),
    "excluded": frozenset(
        {"artefact", "artifact", "smudge", "smudge cell", "debris", "background", "platelet", "thrombocyte", "red cell", "rbc"}
        | {"erythroblast", "proerythroblast", "normoblast", "nucleated red cell", "not identifiable", "unidentifiable"}
    ),
}
ORDER: tuple[Role, ...] = ("other", "excluded", "blast")  # blasts last: of two classes the positive one must be second


@dataclass(frozen=True)
class Classes:
    """Class names in the order of the labels, their roles, and the positive one."""

    names: tuple[str, ...]
    roles: Mapping[str, Role]
    positive: str


def settle_classes(names: Iterable[str], given: Mapping[str, str] | None, positive: str | None, where: str) -> Classes:
    """Return classes with roles: those given, else those that a name is known for; raises DatasetError where one is neither."""
    given = given or {}
    found = sorted(set(names))
    if stray := sorted(set(given) - set(found)):
        raise DatasetError(f"{where} has no class {stray[0]!r} to give a role to. Its classes: {', '.join(found)}.")
    roles = {name: _role(name, given) for name in found}
    unknown = [name for name, role in roles.items() if role is None]
    if unknown:
        raise DatasetError(
            f"{where}: nothing says whether the class {unknown[0]!r} counts as a blast. Give each of {', '.join(unknown)} one of the roles "
            f'{", ".join(ROLES)}: roles={{"{unknown[0]}": "blast"}}, or --role "{unknown[0]}=blast" on the command line.'
        )
    settled: dict[str, Role] = {name: role for name, role in roles.items() if role is not None}
    blasts = [name for name in found if settled[name] == "blast"]
    if not blasts or "other" not in settled.values():
        raise DatasetError(
            f"{where} needs a class of role 'blast' and one of role 'other'; its roles are {settled}. "
            "Change them with roles={...}, or --role CLASS=ROLE on the command line."
        )
    if positive is None and len(blasts) > 1:
        raise DatasetError(
            f"{where} has several classes of blasts: {', '.join(blasts)}. Say which one heat maps explain: "
            f'positive="{blasts[0]}", or --data-option positive={blasts[0]} on the command line.'
        )
    chosen = positive or blasts[0]
    if chosen not in blasts:
        raise DatasetError(f"{where}: the positive class {chosen!r} must be one of role 'blast': {', '.join(blasts)}.")
    return Classes(tuple(sorted(found, key=lambda name: (ORDER.index(settled[name]), name))), settled, chosen)


def _role(name: str, given: Mapping[str, str]) -> Role | None:
    if name in given:
        for role in ORDER:
            if given[name] == role:
                return role
        raise DatasetError(f"The role of {name!r} must be one of {', '.join(ROLES)}, not {given[name]!r}.")
    plain = re.sub(r"[\s_-]+", " ", name).strip().lower()
    return next((role for role, known in KNOWN.items() if plain in known or plain.removesuffix("s") in known), None)
