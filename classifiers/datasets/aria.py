"""Blood smears of 89 people suspected of ALL, in four classes: benign, and three stages of malignant B cells.

Kaggle gives 3,256 pictures twice, as they are and with all but the white cells made black: `Original/Early/WBC-Malignant-Early-001.jpg`
and `Segmented/...` of the same name (`Benign/WBC-Benign-001.jpg`). One of the two is read, as nobody may train on one and test on
the other. A picture may show several cells. Nothing says which pictures are of one person, so every split may part a person.

Ghaderzadeh, M., Aria, M., Hosseini, A., Asadi, F., Bashash, D., & Abolghasemi, H. (2022). A fast and efficient CNN model for B-ALL
diagnosis and its subtypes classification using peripheral blood smear images. International Journal of Intelligent Systems, 37(8),
5113-5133.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from classifiers.card import Role
from classifiers.datasets.base import DatasetError, Samples
from classifiers.datasets.pictures import find_pictures

NAME = "Aria, B-ALL blood smears"
LICENCE = "as its page on Kaggle states (mehradaria/leukemia)"
CITATION = "Ghaderzadeh, Aria, Hosseini et al., Int. J. Intelligent Systems 37(8), 5113-5133, 2022"
LOOKED_FOR = "pictures WBC-Benign-NNN.jpg and WBC-Malignant-Early|Pre|Pro-NNN.jpg"
PICTURE = re.compile(r"WBC-(?:Malignant-)?(?P<name>Benign|Early|Pre|Pro)-\d+", re.IGNORECASE)
CLASSES = ("Benign", "Early", "Pre", "Pro")
ROLES: dict[str, Role] = {"Benign": "other", "Early": "blast", "Pre": "blast", "Pro": "blast"}
POSITIVE = "Early"  # of the three stages the one with most pictures; P(blast) sums all three
FORMS = ("Original", "Segmented")


def recognise(root: Path) -> bool:
    """Whether `root` holds pictures that are named as Aria's."""
    return root.is_dir() and any(PICTURE.fullmatch(path.stem) for path in root.rglob("WBC-*"))


def read(root: Path, *, form: str = "Original") -> Samples:
    """Return Aria's pictures in one form: "Original", or "Segmented" with all but the white cells black."""
    if form not in FORMS:
        raise DatasetError(f"Aria's pictures have the forms {', '.join(FORMS)}, not {form!r}.")
    found = [path for path in find_pictures(root) if PICTURE.fullmatch(path.stem)]
    unwanted = set(FORMS) - {form}
    if any(form in path.relative_to(root).parts for path in found):
        found = [path for path in found if form in path.relative_to(root).parts]
    elif any(unwanted & set(path.relative_to(root).parts) for path in found):
        raise DatasetError(f"{root} has no folder {form}, only {', '.join(unwanted)}. Ask for that form.")
    if not found:
        raise DatasetError(f"{root} holds nothing of {NAME}. Looked for {LOOKED_FOR}.")
    files = tuple(path.relative_to(root).as_posix() for path in found)
    return Samples(
        name=f"{NAME}, {form.lower()}",
        root=root,
        classes=CLASSES,
        roles=ROLES,
        positive_class=POSITIVE,
        files=files,
        labels=np.array([_label(path) for path in found], np.int64),
        subjects=("",) * len(files),
        groups=files,
        parts=("",) * len(files),
        licence=LICENCE,
        citation=CITATION,
    )


def _label(path: Path) -> int:
    named = PICTURE.fullmatch(path.stem)
    assert named is not None
    name = named["name"].capitalize()
    folder = path.parent.name
    if folder in CLASSES and folder != name:
        raise DatasetError(f"{path} is named for the class {name} and stands in the folder of {folder}. Put it where its name says.")
    return CLASSES.index(name)
