"""Which cells are trained on, chosen by, calibrated on and tested on.

A subject's cells look alike: same stain, same slide, same day. A network that has seen some of them knows the others, and
its numbers on them say nothing of the next subject. So a split goes by `Samples.groups` unless it is asked not to, and one
that parts a group, or that cannot know whether it does, is `leaky` and says so wherever its numbers appear.
"""

from __future__ import annotations

import csv
import warnings
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from classifiers.datasets.base import DatasetError, Samples

Kind = Literal["subject", "random", "published", "given"]
KINDS: tuple[str, ...] = get_args(Kind)
PARTS = ("train", "validation", "calibration", "test")
TRAIN, VALIDATION, CALIBRATION, TEST = range(4)
HELD_BACK = 0.1  # of all cells, for validation and for calibration each, where the shares do not name them
MANY_GROUPS = 1000  # from here on one shuffle is as good as several, and each takes seconds
DRAWS = 8  # shuffles from which the fold nearest to the wanted share is taken
COLUMNS = ("file", "label", "subject", "group", "part")
BOX_COLUMNS = ("left", "top", "right", "bottom")

# The shares of the published systems, as train, validation, test; with two, the cells tested on are those selected on.
PAPER_SHARES = MappingProxyType(
    {
        "64/16/20": (0.64, 0.16, 0.20),  # sliding windows with VGG, ResNet and others on C-NMC
        "80/20": (0.80, 0.20),  # five-layer network (CNN5) on C-NMC: 8,528 and 2,133 cells
        "60/20/20": (0.60, 0.20, 0.20),  # Baldi & Cioffo on C-NMC
        "56/14/30": (0.56, 0.14, 0.30),  # 21 bone marrow classes: 70/30, then the 70 % as 80/20
        "80/10/10": (0.80, 0.10, 0.10),  # class activation maps on C-NMC
    }
)
# What data sets call their own parts. Folds are for training: the set leaves open which of them to test on.
PUBLISHED_NAMES = MappingProxyType(
    {"train": TRAIN, "training": TRAIN, "fold": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION}
    | {"calibration": CALIBRATION, "test": TEST, "testing": TEST, "preliminary test": TEST}
)


class SplitError(DatasetError):
    """These cells cannot be split as asked, or a split does not belong to them."""


@dataclass(frozen=True, eq=False)
class Split:
    """One part for each row of `Samples`."""

    kind: Kind
    parts: NDArray[np.int8]  # (n,) indexes in PARTS
    leaky: bool  # one subject's cells lie in several parts, or nobody can say that they do not
    note: str = ""  # what a reader of its numbers must know

    def rows(self, part: str) -> NDArray[np.intp]:
        """Return the rows of a part, ascending; a part may be empty."""
        return np.flatnonzero(self.parts == PARTS.index(part))

    def sizes(self) -> dict[str, int]:
        """Return how many cells each part holds."""
        return {name: int((self.parts == index).sum()) for index, name in enumerate(PARTS)}


def split_samples(samples: Samples, kind: str, shares: Sequence[float], seed: int) -> Split:
    """Split cells as `kind` says, in two or three `shares`: train, (validation,) test. The same seed gives the same split.

    "subject": no group is parted; 0.1 of the cells is held back for calibration, and 0.1 for validation where two shares
    are given. "random": cells by chance, class by class, in exactly these shares; with two there is no test, as the cells of
    the second are those that the weights are selected on. "published": the set's own parts; `shares` is not used.
    """
    if len(shares) not in {2, 3} or abs(sum(shares) - 1) > 1e-6 or min(shares) <= 0:
        raise SplitError(f"Shares must be two or three positive numbers with the sum 1, not {list(shares)}.")
    match kind:
        case "subject":
            require_subjects(samples)
            validation = shares[1] if len(shares) == 3 else HELD_BACK
            parts = np.full(len(samples), TRAIN, np.int8)
            _take_groups(samples, parts, TEST, shares[-1], seed, left=3)
            _hold_back(samples, parts, validation, seed)
            return _judged("subject", samples, parts, "")
        case "random":
            return _split_cells(samples, shares, seed)
        case "published":
            return _split_as_published(samples, seed)
    raise SplitError(f"There is no split of kind {kind!r}. Known: subject, random, published.")


def cross_splits(samples: Samples, folds: int, seed: int, *, hold_back: bool = True) -> list[Split]:
    """Return `folds` splits by subject; each group is in the test part of exactly one of them.

    Of the others some are held back to choose weights by and to calibrate on, unless `hold_back` is False.
    """
    require_subjects(samples)
    splits = []
    for number, rows in enumerate(_folds(samples, np.arange(len(samples)), folds, seed)):
        parts = np.full(len(samples), TRAIN, np.int8)
        parts[rows] = TEST
        _check_classes(samples, parts == TEST, TEST)
        if hold_back:
            _hold_back(samples, parts, HELD_BACK, seed + number)
        splits.append(_judged("subject", samples, parts, f"fold {number + 1} of {folds}"))
    return splits


def parted_groups(samples: Samples, parts: NDArray[np.int8]) -> list[str]:
    """Return the groups that lie in several parts, sorted."""
    seen: dict[str, set[int]] = defaultdict(set)
    for group, part in zip(samples.groups, parts.tolist(), strict=True):
        seen[group].add(part)
    return sorted(group for group, where in seen.items() if len(where) > 1)


def write_split(path: Path, samples: Samples, split: Split) -> None:
    """Write a split as CSV, one line a cell, so that it can be kept, looked at and given back."""
    _require_rows(samples, split)
    boxed = samples.boxes is not None
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS + (BOX_COLUMNS if boxed else ()))
        for row, name in enumerate(samples.files):
            label = samples.classes[samples.labels[row]]
            place = samples.boxes[row].tolist() if samples.boxes is not None else []
            writer.writerow([name, label, samples.subjects[row], samples.groups[row], PARTS[split.parts[row]], *place])


def read_split(path: Path, samples: Samples) -> Split:
    """Return the split that a CSV gives; every cell must be in it once, with its label, and no other."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := sorted({"file", "part"} - set(reader.fieldnames or ())):
                raise SplitError(f"{path} is no split: it has no column {missing[0]!r}. It needs {', '.join(COLUMNS)}.")
            lines = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SplitError(f"The split {path} cannot be read: {error}.") from error
    waiting: dict[tuple[str, ...], deque[int]] = defaultdict(deque)
    for row, name in enumerate(samples.files):
        waiting[_key(name, None if samples.boxes is None else [str(each) for each in samples.boxes[row].tolist()])].append(row)
    parts = np.full(len(samples), -1, np.int8)
    for number, line in enumerate(lines, 2):
        place = [line.get(name) or "" for name in BOX_COLUMNS]
        rows = waiting[_key(line["file"], None if samples.boxes is None else place)]
        if not rows:
            raise SplitError(f"{path}, line {number}: {line['file']} is not in {samples.root}, or stands there fewer times.")
        if line["part"] not in PARTS:
            raise SplitError(f"{path}, line {number}: the part {line['part']!r} is none of {', '.join(PARTS)}.")
        row = rows.popleft()
        label = samples.classes[samples.labels[row]]
        if line.get("label", label) != label:
            raise SplitError(f"{path}, line {number}: {line['file']} is {line['label']!r} there and {label!r} in {samples.root}.")
        parts[row] = PARTS.index(line["part"])
    if (missing_rows := np.flatnonzero(parts < 0)).size:
        raise SplitError(f"{path} names no part for {missing_rows.size} cells, the first being {samples.files[missing_rows[0]]}.")
    return _judged("given", samples, parts, f"read from {path.name}")


def _key(file: str, place: Sequence[str] | None) -> tuple[str, ...]:
    return (file, *(place or ()))


def _split_cells(samples: Samples, shares: Sequence[float], seed: int) -> Split:
    """Deal the cells of each class by chance. Rounding is at the borders between parts, so that shares hold within one cell a class."""
    order = (TRAIN, VALIDATION) if len(shares) == 2 else (TRAIN, VALIDATION, TEST)
    rng = np.random.default_rng(seed)
    parts = np.full(len(samples), TRAIN, np.int8)
    for label in range(len(samples.classes)):
        rows = rng.permutation(np.flatnonzero(samples.labels == label))
        borders = np.rint(np.cumsum(shares)[:-1] * len(rows)).astype(int)
        for part, dealt in zip(order, np.split(rows, borders), strict=True):
            parts[dealt] = part
    for part in order:
        if not (parts == part).any():
            raise SplitError(f"{len(samples)} cells are too few for the shares {list(shares)}: {PARTS[part]} would be empty.")
    note = "selected on the cells it is tested on" if len(shares) == 2 else ""
    return _judged("random", samples, parts, note)


def _split_as_published(samples: Samples, seed: int) -> Split:
    names = [name.lower().partition("_")[0] for name in samples.parts]
    if unknown := sorted({part for part, name in zip(samples.parts, names, strict=True) if name not in PUBLISHED_NAMES}):
        raise SplitError(
            f"{samples.name} has no published split that says what is trained on and tested on: a part of it is called {unknown[0]!r}. "
            "Split by subject instead."
        )
    parts = np.array([PUBLISHED_NAMES[name] for name in names], np.int8)
    if not (parts == TEST).any():
        there = ", ".join(sorted(set(samples.parts)))
        raise SplitError(f"{samples.name} at {samples.root} has no part to test on, only {there}. Split by subject instead.")
    note = ""
    if not (parts == VALIDATION).any():
        require_subjects(samples)
        _take_groups(samples, parts, VALIDATION, HELD_BACK, seed, left=1)
        note = "validation taken by subject from the published training cells"
    return _judged("published", samples, parts, note)


def _judged(kind: Kind, samples: Samples, parts: NDArray[np.int8], note: str) -> Split:
    """Return a split that says whether it leaks."""
    parted = len(parted_groups(samples, parts))
    unnamed = sum(not subject for subject in samples.subjects)
    found = [note] if note else []
    if parted:
        found.append(f"cells of {parted} of {len(set(samples.groups))} groups of subjects lie in several parts")
    if unnamed:
        found.append(f"the subject of {unnamed} of {len(samples)} cells is not known")
    return Split(kind, parts, leaky=bool(parted or unnamed), note="; ".join(found))


def _hold_back(samples: Samples, parts: NDArray[np.int8], validation: float, seed: int) -> None:
    _take_groups(samples, parts, VALIDATION, validation, seed, left=2)
    _take_groups(samples, parts, CALIBRATION, HELD_BACK, seed, left=1)
    _check_classes(samples, parts == TRAIN, TRAIN)


def _take_groups(samples: Samples, parts: NDArray[np.int8], part: int, share: float, seed: int, *, left: int) -> None:
    """Move groups that hold about `share` of all cells of each class from the training part to `part`.

    Groups of each class must remain for the `left` parts that are not filled yet. With few subjects the folds of one shuffle
    can lie far from the share: of several shuffles the nearest fold is taken.
    """
    rows = np.flatnonzero(parts == TRAIN)
    there = _class_groups(samples, rows)
    scarcest = min(len(groups) for groups in there)
    if scarcest <= left:
        _check_classes(samples, np.zeros(len(samples), bool), part)
    wanted = share * len(samples) / len(rows)
    folds = min(max(2, round(1 / wanted)), scarcest)
    draws = 1 if len(set(samples.groups)) >= MANY_GROUPS else DRAWS
    counts = np.bincount(samples.labels[rows], minlength=len(samples.classes))
    nearest, distance = _smallest_groups(samples, rows, there), np.inf
    for draw in range(draws):
        for fold in _folds(samples, rows, folds, seed * DRAWS + draw):
            taken = _class_groups(samples, fold)
            if not all(taken) or any(len(whole - gone) < left for whole, gone in zip(there, taken, strict=True)):
                continue
            off = float(np.abs(np.bincount(samples.labels[fold], minlength=len(counts)) / counts - wanted).sum())
            if off < distance - 1e-12:
                nearest, distance = fold, off
    parts[nearest] = part


def _class_groups(samples: Samples, rows: NDArray[np.intp]) -> list[set[str]]:
    """Return the groups that have cells of each class among `rows`."""
    found: list[set[str]] = [set() for _ in samples.classes]
    for row in rows.tolist():
        found[samples.labels[row]].add(samples.groups[row])
    return found


def _smallest_groups(samples: Samples, rows: NDArray[np.intp], there: Sequence[set[str]]) -> NDArray[np.intp]:
    """Return the rows of the smallest group of each class: what is taken where no fold leaves enough groups."""
    cells = Counter(samples.groups[row] for row in rows.tolist())
    taken: set[str] = set()
    for groups in there:
        if not groups & taken:
            taken.add(min(groups, key=lambda group: (cells[group], group)))
    return np.array([row for row in rows.tolist() if samples.groups[row] in taken], np.intp)


def _folds(samples: Samples, rows: NDArray[np.intp], folds: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of each fold; no group is in two of them.

    Groups whose subject nobody knows, as single fields, are dealt by themselves where there are enough of them: beside large groups
    of persons they would only fill up the folds that those left small.
    """
    groups = np.array([samples.groups[row] for row in rows])
    there = len(np.unique(groups))
    if folds < 2 or there < folds:
        raise SplitError(f"{there} groups of subjects cannot be dealt into {folds} folds; {_groups_of_classes(samples)}.")
    if np.bincount(samples.labels[rows]).max() < folds:
        raise SplitError(f"{folds} folds need {folds} cells of a class at least; {_groups_of_classes(samples)}.")
    named = np.isin(groups, groups[[bool(samples.subjects[row]) for row in rows]])
    parts = [part for part in (named, ~named) if part.any()]
    if any(len(np.unique(groups[part])) < folds or np.bincount(samples.labels[rows[part]]).max() < folds for part in parts):
        parts = [np.ones(len(rows), np.bool_)]
    for dealt in zip(*(_dealt(samples, rows[part], folds, seed) for part in parts), strict=True):
        yield np.sort(np.concatenate(dealt))


def _dealt(samples: Samples, rows: NDArray[np.intp], folds: int, seed: int) -> Iterator[NDArray[np.intp]]:
    group = np.unique([samples.groups[row] for row in rows], return_inverse=True)[1]
    labels = samples.labels[rows]
    kept = _thinned(group, labels, folds, seed)
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():  # a class of fewer cells than folds: `_check_classes` says it in our words
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        for _, fold in splitter.split(np.zeros(len(kept)), labels[kept], group[kept]):
            yield rows[np.isin(group, group[kept[fold]])]


def _thinned(group: NDArray[np.intp], labels: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.intp]:
    """Return some of the cells of each group, by chance: what folds are dealt by.

    scikit-learn deals groups in the order of their sizes, and its seed only decides between groups of equal size: with all
    cells, every seed would give the same folds. Each group keeps a cell of each of its classes, each class a cell a fold.
    """
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.4, 1, group.max() + 1)
    order = rng.permutation(len(group))
    chosen = rng.uniform(size=len(group)) < share[group]
    pairs = group * (labels.max() + 1) + labels
    chosen[order[np.unique(pairs[order], return_index=True)[1]]] = True
    for label in np.unique(labels):
        chosen[order[labels[order] == label][:folds]] = True
    return np.flatnonzero(chosen)


def _check_classes(samples: Samples, chosen: NDArray[np.bool_], part: int) -> None:
    held = set(samples.labels[chosen].tolist())
    missing = [name for label, name in enumerate(samples.classes) if label not in held]
    if missing:
        raise SplitError(
            f"{samples.name} cannot be split by subject so that {PARTS[part]} holds {missing[0]!r}: {_groups_of_classes(samples)}. "
            "Add subjects, take fewer folds or other shares, or ask for a random split, which is marked leaky."
        )


def _groups_of_classes(samples: Samples) -> str:
    found = Counter(label for label, _ in set(zip(samples.labels.tolist(), samples.groups, strict=True)))
    return ", ".join(f"{name!r} has {found[label]} groups" for label, name in enumerate(samples.classes))


def require_subjects(samples: Samples) -> None:
    """Raise SplitError where a set names no subjects: no split of it keeps people apart."""
    if not any(samples.subjects):
        raise SplitError(
            f"{samples.name} at {samples.root} names no subjects, so it cannot be split by subject. Say whose each cell is "
            "(a CSV with a column subject; for folders the option subject_folders=true or subject_pattern), or ask for a random split, "
            "which is marked leaky."
        )


def _require_rows(samples: Samples, split: Split) -> None:
    if len(split.parts) != len(samples):
        raise SplitError(f"A split of {len(split.parts)} cells does not belong to {len(samples)} cells.")
