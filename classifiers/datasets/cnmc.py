"""C-NMC 2019: single white cells of children with B-ALL and of healthy ones, each cut out on black, 450 x 450 px.

Three layouts are read; folders above them may have any name:

* as The Cancer Imaging Archive and Kaggle give it: pictures named `UID_<subject>_<image>_<cell>_<all|hem>.bmp`, for training in
  `C-NMC_training_data` (Kaggle: `training_data`) `/fold_0..2/all|hem/`; the preliminary test as `1.bmp`, `2.bmp` ... beside
  `C-NMC_test_prelim_phase_data_labels.csv` or in a folder `C-NMC_test_prelim_phase_data` beside it, whose columns `Patient_ID`,
  `new_names`, `labels` hold the name in the form above, the file, and 1 for a blast. Healthy subjects are `H<number>` (one of
  them is written `h3`); a patient is a bare number, called A<number> here. The final test set has no labels and is left out.
* cut out: `manifest.csv` and each cell's bounding box as a picture, with its place in the original frame.

The order of the classes is normal, blast, whatever order the folders have: `all` sorts before `hem`, so a program that numbers
folders trains a network whose output is the probability of healthy.

Gupta, A., & Gupta, R. (2019). ALL Challenge dataset of ISBI 2019 (C-NMC 2019). The Cancer Imaging Archive.
https://doi.org/10.7937/tcia.2019.dc64i46r
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from classifiers.datasets.base import DatasetError, Frame, Samples
from classifiers.datasets.csv_lines import read_header, read_lines

NAME = "C-NMC 2019"
LICENCE = "CC BY 3.0, as secondary sources state it"
CITATION = "Gupta & Gupta, ALL Challenge dataset of ISBI 2019 (C-NMC 2019), doi 10.7937/tcia.2019.dc64i46r"
LOOKED_FOR = "manifest.csv with the columns file, label, split_group, left, top; or pictures named UID_<subject>_<n>_<n>_all|hem.bmp"
CLASSES = ("normal", "blast")
FRAME_PX = 450
# No publication gives the scale. The 2,018 normal lymphoid cells of two folds have a median area diameter of 177 px, and
# lymphocytes of healthy people measure 10 um on a stained smear (Heyn et al., Am J Dis Child 125:789, 1973).
MPP = 10.0 / 177.0
MANIFEST = "manifest.csv"
PRELIMINARY_LABELS = "C-NMC_test_prelim_phase_data_labels.csv"
PRELIMINARY = "preliminary test"
PICTURE = re.compile(r"UID_(?P<subject>[Hh]?\d+)_\d+_\d+_(?P<ending>all|hem)\.(bmp|png|jpg)", re.IGNORECASE)
LABELS = {"hem": 0, "all": 1}

# The published set holds byte-identical pictures under these subjects' names: each line is one person, or cannot be told from one.
SAME_PERSON = (("A20", "A21"), ("A51", "A75", "A78"), ("H2", "H4", "H5", "H6"), ("H10", "H3"))
GROUP = {subject: "+".join(joined) for joined in SAME_PERSON for subject in joined}


def recognise(root: Path) -> bool:
    """Whether `root` holds C-NMC in one of its layouts."""
    if not root.is_dir():
        return False
    if (root / MANIFEST).is_file():
        return _is_manifest(root / MANIFEST)
    return next(_named_pictures(root), None) is not None or next(root.rglob(PRELIMINARY_LABELS), None) is not None


def read(root: Path) -> Samples:
    """Return the cells of C-NMC at `root`, in the order of their files."""
    if (root / MANIFEST).is_file():
        return _read_cut_out(root)
    if below := next((path for path in sorted(root.rglob(MANIFEST)) if _is_manifest(path)), None):
        raise DatasetError(f"{below} says where the cells beside it lay in their pictures. Give its folder, {below.parent}, as the data.")
    return _read_whole(root)


def _is_manifest(path: Path) -> bool:
    return {"file", "label", "split_group", "left", "top"} <= set(read_header(path))


@dataclass(frozen=True)
class _Cell:
    file: str
    label: int
    subject: str
    part: str


def _read_whole(root: Path) -> Samples:
    cells = [_cell(root, path) for path in _named_pictures(root)]
    for labels in root.rglob(PRELIMINARY_LABELS):
        cells += _preliminary(root, labels)
    cells.sort(key=lambda cell: cell.file)
    subjects = tuple(cell.subject for cell in cells)
    return _samples(
        root,
        files=tuple(cell.file for cell in cells),
        labels=[cell.label for cell in cells],
        subjects=subjects,
        groups=tuple(GROUP.get(subject, subject) for subject in subjects),
        parts=tuple(cell.part for cell in cells),
    )


def _named_pictures(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if PICTURE.fullmatch(path.name))


def _cell(root: Path, path: Path) -> _Cell:
    subject, label = _parse(path.name, path)
    folder = path.parent.name.lower()
    if folder in LABELS and LABELS[folder] != label:
        raise DatasetError(f"{path} is named for one class and stands in the folder of the other. Put it where its name says.")
    folds = [part for part in path.relative_to(root).parts if part.startswith("fold_")]
    return _Cell(path.relative_to(root).as_posix(), label, subject, folds[-1] if folds else "")


def _preliminary(root: Path, labels: Path) -> list[_Cell]:
    """Return the cells of the preliminary test, whose files are numbered and named in a table."""
    folders = [labels.parent, labels.parent / labels.name.removesuffix("_labels.csv")]
    cells = []
    for line in read_lines(labels, {"Patient_ID", "new_names", "labels"}):
        subject, label = _parse(line["Patient_ID"], labels)
        if line["labels"] != str(label):
            raise DatasetError(f"{labels}: {line['Patient_ID']} is named for another class than its label {line['labels']!r} says.")
        there = [folder / line["new_names"] for folder in folders if (folder / line["new_names"]).is_file()]
        if not there:
            raise DatasetError(f"{labels} names {line['new_names']}, which lies in none of {', '.join(str(each) for each in folders)}.")
        cells.append(_Cell(there[0].relative_to(root).as_posix(), label, subject, PRELIMINARY))
    return cells


def _parse(name: str, where: Path) -> tuple[str, int]:
    """Return subject and label as a picture's name says them."""
    found = PICTURE.fullmatch(name)
    if found is None:
        raise DatasetError(f"{where}: {name!r} is no name of a C-NMC picture: UID_<subject>_<image>_<cell>_<all|hem>.bmp.")
    subject = found["subject"].upper()
    return subject if subject.startswith("H") else f"A{subject}", LABELS[found["ending"].lower()]


def _read_cut_out(root: Path) -> Samples:
    lines = read_lines(root / MANIFEST, {"file", "label", "subject", "split_group", "fold", "left", "top", "width", "height"})
    if unknown := sorted({line["label"] for line in lines} - set(CLASSES)):
        raise DatasetError(f"{root / MANIFEST}: the label {unknown[0]!r} is none of {', '.join(CLASSES)}.")
    try:
        places = np.array([[int(line[name]) for name in ("left", "top", "width", "height")] for line in lines], np.int32).reshape(-1, 4)
    except ValueError as error:
        raise DatasetError(f"{root / MANIFEST}: a cell's place must be whole numbers: {error}.") from error
    return _samples(
        root,
        files=tuple(line["file"] for line in lines),
        labels=[CLASSES.index(line["label"]) for line in lines],
        subjects=tuple(line["subject"] for line in lines),
        groups=tuple(line["split_group"] for line in lines),
        parts=tuple(line["fold"] for line in lines),
        frame=Frame(FRAME_PX, places[:, 0], places[:, 1]),
        cell_px=places[:, 2:].max(axis=1).astype(np.float32),
    )


def _samples(root: Path, *, labels: list[int], **columns: object) -> Samples:
    if not labels:
        raise DatasetError(f"{root} holds no cell of C-NMC.")
    return Samples(
        name=NAME,
        root=root,
        classes=CLASSES,
        roles={"normal": "other", "blast": "blast"},
        positive_class="blast",
        labels=np.array(labels, np.int64),
        mpp=MPP,
        licence=LICENCE,
        citation=CITATION,
        **columns,  # type: ignore[arg-type]  # columns of Samples, by name
    )
