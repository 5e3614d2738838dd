"""A laboratory's own cells: a folder of class folders.

    cells/lymphoblast/17_001.jpg             class lymphoblast
    cells/train/lymphoblast/17_001.jpg       the same with the laboratory's own parts (train, val, test ...)

Whose a cell is must be said, or no split can keep people apart: `subject_pattern` is a regular expression that finds the
subject in a file's path from its class folder, in its first group (`"^([^_]+)_"` gives 17 above), or `subject_folders=True` says
that the folders in a class folder are the subjects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from classifiers.datasets.base import DatasetError, Samples
from classifiers.datasets.pictures import find_pictures, folders
from classifiers.datasets.roles import settle_classes

LOOKED_FOR = "a folder with one folder of pictures for each class, two or more"
PARTS = frozenset({"train", "training", "val", "valid", "validation", "calibration", "test", "testing"})


def recognise(root: Path) -> bool:
    """Whether `root` is a folder with pictures in two or more class folders."""
    if not root.is_dir():
        return False
    return len({folder.name for _, folder in _class_folders(root) if next(find_pictures(folder), None) is not None}) > 1


def read(
    root: Path,
    *,
    roles: Mapping[str, str] | None = None,
    positive: str | None = None,
    subject_pattern: str | None = None,
    subject_folders: bool = False,
) -> Samples:
    """Return the cells below `root`; a class whose name does not say its role needs one in `roles`."""
    if subject_pattern is not None and subject_folders:
        raise DatasetError("Give subject_pattern or subject_folders, not both.")
    if subject_folders:
        subject_pattern = "^([^/]+)/"
    rows: list[tuple[str, str, str, str]] = []
    for part, folder in _class_folders(root):
        for path in find_pictures(folder):
            subject = _subject(path.relative_to(folder).as_posix(), subject_pattern, path)
            rows.append((path.relative_to(root).as_posix(), folder.name, subject, part))
    if not rows:
        raise DatasetError(f"{root} holds no pictures. Looked for {LOOKED_FOR}.")
    classes = settle_classes((name for _, name, _, _ in rows), roles, positive, str(root))
    return Samples(
        name=root.resolve().name,
        root=root,
        classes=classes.names,
        roles=classes.roles,
        positive_class=classes.positive,
        files=tuple(file for file, _, _, _ in rows),
        labels=np.array([classes.names.index(name) for _, name, _, _ in rows], np.int64),
        subjects=tuple(subject for _, _, subject, _ in rows),
        groups=tuple(subject or file for file, _, subject, _ in rows),
        parts=tuple(part for _, _, _, part in rows),
    )


def _class_folders(root: Path) -> list[tuple[str, Path]]:
    """Return each class folder with the part that it stands in, "" where the set has none."""
    top = folders(root)
    if top and all(folder.name.lower() in PARTS for folder in top):
        return [(part.name.lower(), folder) for part in top for folder in folders(part)]
    return [("", folder) for folder in top]


def _subject(file: str, pattern: str | None, path: Path) -> str:
    if pattern is None:
        return ""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DatasetError(f"The subject_pattern {pattern!r} is no regular expression: {error}.") from error
    if compiled.groups < 1:
        raise DatasetError(f"The subject_pattern {pattern!r} has no group (...) to find the subject in.")
    found = compiled.search(file)
    if found is None or not found[1]:
        raise DatasetError(
            f"{path}: the subject is not found in {file!r} by {pattern!r}. Give each cell's subject, or a CSV with a column subject."
        )
    return found[1]
