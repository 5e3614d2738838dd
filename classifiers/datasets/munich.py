"""Bone marrow cytology of 945 patients in 21 classes, 250 x 250 px: the Munich set.

The Cancer Imaging Archive gives `BM_cytomorphology_data/<class>/`, with the pictures of large classes in numbered folders of a
thousand: `ART/0001-1000/ART_00001.jpg`; small classes have theirs directly: `ABE/ABE_00001.jpg`. Nothing says which cells are
of one patient, so every split of it may part a patient, and its numbers, published ones included, must be read so.

Matek, C., Krappe, S., Münzenmayer, C., Haferlach, T., & Marr, C. (2021). An Expert-Annotated Dataset of Bone Marrow Cytology in
Hematologic Malignancies. The Cancer Imaging Archive. https://doi.org/10.7937/TCIA.AXH3-T579
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from classifiers.card import Role
from classifiers.datasets.base import DatasetError, Samples
from classifiers.datasets.pictures import find_pictures

NAME = "Munich bone marrow cytology"
LICENCE = "CC BY 4.0"
CITATION = "Matek et al., Bone Marrow Cytology in Hematologic Malignancies, doi 10.7937/TCIA.AXH3-T579"
LOOKED_FOR = "folders named ABE, ART, BAS, BLA ... with pictures BLA_NNNNN.jpg in them or one folder deeper"
PICTURE = re.compile(r"(?P<name>[A-Z]{3})_\d+")

# Counted are blasts over white cells. A faggot cell is the abnormal promyelocyte of promyelocytic leukaemia, which counts as a
# blast where blasts are counted (WHO); a common promyelocyte (PMO) does not, nor does an immature lymphocyte (LYI), which is none
# of the blasts in this set's own scheme. Nucleated red cells are no white cells; artefacts, smudges and what could not be
# named are no cell that could be counted.
ROLES: dict[str, Role] = {
    "ABE": "other",  # abnormal eosinophil
    "ART": "excluded",  # artefact
    "BAS": "other",  # basophil
    "BLA": "blast",  # blast
    "EBO": "excluded",  # erythroblast
    "EOS": "other",  # eosinophil
    "FGC": "blast",  # faggot cell
    "HAC": "other",  # hairy cell
    "KSC": "excluded",  # smudge cell
    "LYI": "other",  # immature lymphocyte
    "LYT": "other",  # lymphocyte
    "MMZ": "other",  # metamyelocyte
    "MON": "other",  # monocyte
    "MYB": "other",  # myelocyte
    "NGB": "other",  # band neutrophil
    "NGS": "other",  # segmented neutrophil
    "NIF": "excluded",  # not identifiable
    "OTH": "excluded",  # other: cells of no class above, white or not
    "PEB": "excluded",  # proerythroblast
    "PLM": "other",  # plasma cell
    "PMO": "other",  # promyelocyte
}
CLASSES = tuple(ROLES)
# Stages of one line, which networks and people confuse with each other; evaluation states numbers with them as one class too.
GROUPINGS = {"neutrophil line": {"NEU": ("PMO", "MYB", "MMZ", "NGB", "NGS")}}


def recognise(root: Path) -> bool:
    """Whether `root`, or a folder in it, has class folders of the Munich set, whose pictures bear their names."""
    top = _top(root)
    if top is None:
        return False
    first = next(find_pictures(top / "BLA"), None)
    return first is not None and PICTURE.fullmatch(first.stem) is not None


def read(root: Path) -> Samples:
    """Return the cells of the Munich set; classes that a copy lacks keep their place, so that copies agree on the order."""
    top = _top(root)
    if top is None:
        raise DatasetError(f"{root} holds nothing of {NAME}. Looked for {LOOKED_FOR}.")
    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(CLASSES):
        for path in find_pictures(top / name):
            found = PICTURE.fullmatch(path.stem)
            if found is None or found["name"] != name:
                raise DatasetError(f"{path} is not named for the class {name} in whose folder it stands. Put it where its name says.")
            files.append(path.relative_to(root).as_posix())
            labels.append(label)
    if not files:
        raise DatasetError(f"{root} holds no picture of {NAME}. Looked for {LOOKED_FOR}.")
    return Samples(
        name=NAME,
        root=root,
        classes=CLASSES,
        roles=ROLES,
        positive_class="BLA",
        files=tuple(files),
        labels=np.array(labels, np.int64),
        subjects=("",) * len(files),
        groups=tuple(files),
        parts=("",) * len(files),
        licence=LICENCE,
        citation=CITATION,
        groupings=GROUPINGS,
    )


def _top(root: Path) -> Path | None:
    """Return the folder of class folders: `root` or one in it."""
    if not root.is_dir():
        return None
    for folder in (root, *(each for each in sorted(root.iterdir()) if each.is_dir())):
        if (folder / "BLA").is_dir() and sum((folder / name).is_dir() for name in CLASSES) > 1:
            return folder
    return None
