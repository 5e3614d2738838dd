"""A laboratory's own cells: a CSV with a line for each.

Columns `file` (from the CSV's folder) and `label`; where there, `subject` (whose the cell is), `group` (what may not be parted: by
default the subject), `split` (the laboratory's own part), `role` (of the label), and `left`, `top`, `right`, `bottom` where the cell
is a part of its file. Cells of one file without a subject are one group.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifiers.datasets.base import DatasetError, Samples
from classifiers.datasets.csv_lines import read_header, read_lines
from classifiers.datasets.roles import settle_classes

LOOKED_FOR = "a .csv with the columns file and label, or a folder with one of those"
NEEDED = frozenset({"file", "label"})
BOX = ("left", "top", "right", "bottom")


def recognise(root: Path) -> bool:
    """Whether `root` is such a CSV, or a folder with exactly one."""
    return _table(root) is not None


def read(root: Path, *, roles: Mapping[str, str] | None = None, positive: str | None = None) -> Samples:
    """Return the cells that a CSV lists; `roles` win over its column."""
    path = _table(root)
    if path is None:
        raise DatasetError(f"{root} is no table of cells. Looked for {LOOKED_FOR}.")
    lines = read_lines(path, NEEDED)
    for number, line in enumerate(lines, 2):
        if not line["file"] or not line["label"]:
            raise DatasetError(f"{path}, line {number} lacks a file or a label.")
    if not lines:
        raise DatasetError(f"{path} lists no cell.")
    classes = settle_classes((line["label"] for line in lines), _roles(path, lines) | dict(roles or {}), positive, str(path))
    subjects = tuple(line.get("subject", "") for line in lines)
    return Samples(
        name=path.stem,
        root=path.parent,
        classes=classes.names,
        roles=classes.roles,
        positive_class=classes.positive,
        files=tuple(Path(line["file"]).as_posix() for line in lines),
        labels=np.array([classes.names.index(line["label"]) for line in lines], np.int64),
        subjects=subjects,
        groups=tuple(line.get("group") or subject or line["file"] for line, subject in zip(lines, subjects, strict=True)),
        parts=tuple(line.get("split", "") for line in lines),
        boxes=_boxes(path, lines),
    )


def _table(root: Path) -> Path | None:
    candidates = [root] if root.is_file() else sorted(root.glob("*.csv")) if root.is_dir() else []
    found = [path for path in candidates if path.suffix.lower() == ".csv" and set(read_header(path)) >= NEEDED]
    return found[0] if len(found) == 1 else None


def _roles(path: Path, lines: list[dict[str, str]]) -> dict[str, str]:
    """Return what the column role says of each label."""
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 2):
        role = line.get("role", "")
        if role and found.setdefault(line["label"], role) != role:
            raise DatasetError(
                f"{path}, line {number}: the label {line['label']!r} has the role {role!r} here and {found[line['label']]!r} above."
            )
    return found


def _boxes(path: Path, lines: list[dict[str, str]]) -> NDArray[np.int32] | None:
    filled = [sum(bool(line.get(name)) for name in BOX) for line in lines]
    if not any(filled):
        return None
    boxes = np.empty((len(lines), 4), np.int32)
    for row, line in enumerate(lines):
        try:
            boxes[row] = [int(line.get(name, "")) for name in BOX]
        except ValueError as error:
            raise DatasetError(
                f"{path}, line {row + 2}: left, top, right, bottom must be whole numbers in every line or in none."
            ) from error
        left, top, right, bottom = boxes[row]
        if left >= right or top >= bottom:
            raise DatasetError(f"{path}, line {row + 2}: the box {left, top, right, bottom} is empty.")
    return boxes
