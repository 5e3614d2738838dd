"""Whether a set of labelled cells is what it says: classes, subjects, sizes, faulty files, and the same cell under two names.

A number measured on cells that were also trained on is not a number. So what looks the same must lie in one part of a split:
`check` finds it, `joined` puts it in one group, `refuse_leaks` stops a split that parts it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from classifiers.card import Role
from classifiers.datasets.base import DatasetError, Samples
from classifiers.datasets.duplicates import Pair, find_pairs, look
from classifiers.splits import PARTS, Split, parted_groups

NAMED = 6  # of a list in a sentence
Show = Callable[[int], None]


class LeakError(DatasetError):
    """A split has the same subject or the same picture on two sides."""


@dataclass(frozen=True)
class ClassSummary:
    """One class of a set in numbers."""

    name: str
    role: Role
    cells: int
    subjects: int  # 0 where the set names none
    groups: int


@dataclass(frozen=True)
class Leak:
    """What a split has on two sides."""

    groups: tuple[str, ...]  # that lie in several parts
    pictures: tuple[tuple[int, ...], ...]  # rows that show the same and lie in several parts, one tuple a picture
    rows: tuple[int, ...]  # all cells that either concerns

    def __bool__(self) -> bool:
        return bool(self.rows)


@dataclass(frozen=True)
class DataReport:
    """What `check` found."""

    samples: Samples
    classes: tuple[ClassSummary, ...]
    sizes: NDArray[np.int32]  # (n, 2) width and height of each picture; 0 where it cannot be read
    unreadable: tuple[tuple[int, str], ...]  # row and reason
    pairs: tuple[Pair, ...]  # that show the same in different groups
    repeated: int  # pictures that are there more than once with the same pixels, in one group or several
    joins: tuple[tuple[str, ...], ...]  # groups that must become one
    leak: Leak | None = None  # of the split that was asked about

    @property
    def groups(self) -> int:
        return len(set(self.samples.groups))

    def size_range(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]] | None:
        """Return smallest, median and largest (width, height), each side by itself; None where nothing can be read."""
        seen = self.sizes[self.sizes[:, 0] > 0]
        if not seen.size:
            return None
        shown = [np.rint(each(seen, axis=0)).astype(int) for each in (np.min, np.median, np.max)]
        smallest, median, largest = ((int(width), int(height)) for width, height in shown)
        return smallest, median, largest


def check(samples: Samples, split: Split | None = None, show: Show | None = None) -> DataReport:
    """Look at every picture of a set, and at what `split` parts; `show` is told how many pictures have been seen."""
    seen = look(samples, show)
    pairs, repeats = find_pairs(seen, samples.groups)
    report = DataReport(
        samples=samples,
        classes=_summaries(samples),
        sizes=seen.sizes,
        unreadable=tuple(sorted(seen.unreadable.items())),
        pairs=tuple(pairs),
        repeated=len(repeats),
        joins=_joins(samples, pairs),
    )
    return report if split is None else replace(report, leak=_find_leak(samples, split, pairs, repeats))


def joined(samples: Samples, report: DataReport) -> Samples:
    """Return the samples with one group in place of those that show the same cells."""
    new_name = {group: _join_name(join) for join in report.joins for group in join}
    return replace(samples, groups=tuple(new_name.get(group, group) for group in samples.groups))


def refuse_leaks(samples: Samples, split: Split, show: Show | None = None) -> DataReport | None:
    """Raise LeakError where a split that should keep subjects apart does not; return what was found.

    A random split is not refused, nor looked at: it parts subjects on purpose and is marked leaky wherever its numbers appear.
    """
    if split.kind == "random":
        return None
    report = check(samples, split, show)
    if report.leak:
        raise LeakError(describe_leak(samples, split, report.leak))
    return report


def describe_leak(samples: Samples, split: Split, leak: Leak) -> str:
    """Return in a sentence or two what a split has on two sides, with the first cells it concerns."""
    found = []
    if leak.groups:
        found.append(f"{len(leak.groups)} of {len(set(samples.groups))} groups of subjects ({_listed(leak.groups)})")
    if leak.pictures:
        rows = leak.pictures[0]
        first = ", ".join(f"{samples.files[row]} in {PARTS[split.parts[row]]}" for row in rows[:2])
        found.append(f"{len(leak.pictures)} pictures that show the same under two names (first {first})")
    return (
        f"This split has on several sides {' and '.join(found)}: {len(leak.rows)} of {len(samples)} cells. "
        "Numbers measured on it say nothing of a subject that was never seen. Split by joined groups, "
        "or allow the leak, which marks the numbers."
    )


def _summaries(samples: Samples) -> tuple[ClassSummary, ...]:
    found = []
    for label, name in enumerate(samples.classes):
        rows = np.flatnonzero(samples.labels == label)
        subjects = {samples.subjects[row] for row in rows} - {""}
        groups = {samples.groups[row] for row in rows}
        found.append(ClassSummary(name, samples.roles[name], len(rows), len(subjects), len(groups)))
    return tuple(found)


def _joins(samples: Samples, pairs: Sequence[Pair]) -> tuple[tuple[str, ...], ...]:
    names, group = np.unique(samples.groups, return_inverse=True)
    together = _clusters(len(names), [(int(group[pair.first]), int(group[pair.second])) for pair in pairs])
    return tuple(tuple(str(names[index]) for index in indexes) for indexes in together)


def _find_leak(samples: Samples, split: Split, pairs: Sequence[Pair], repeats: Sequence[Sequence[int]]) -> Leak:
    if len(split.parts) != len(samples):
        raise LeakError(f"A split of {len(split.parts)} cells does not belong to {len(samples)} cells.")
    parted = set(parted_groups(samples, split.parts))
    links = [(pair.first, pair.second) for pair in pairs] + [(rows[0], row) for rows in repeats for row in rows[1:]]
    pictures = [rows for rows in _clusters(len(samples), links) if len(set(split.parts[list(rows)].tolist())) > 1]
    rows = {row for row, group in enumerate(samples.groups) if group in parted} | {row for each in pictures for row in each}
    return Leak(tuple(sorted(parted)), tuple(pictures), tuple(sorted(rows)))


def _clusters(n: int, links: Sequence[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Return what links bind together, each as ascending numbers, without those that nothing binds."""
    if not links:
        return []
    ones, others = np.array(links).T
    label = connected_components(coo_matrix((np.ones(len(links)), (ones, others)), shape=(n, n)), directed=False)[1]
    bound = np.unique(np.concatenate([ones, others]))
    of_label: dict[int, list[int]] = {}
    for index in bound.tolist():
        of_label.setdefault(int(label[index]), []).append(index)
    return [tuple(indexes) for indexes in of_label.values()]


def _join_name(groups: Sequence[str]) -> str:
    """Return a name for groups that became one: all of them where they are few and short, else the first and how many."""
    whole = "+".join(groups)
    return whole if len(whole) <= 60 else f"{groups[0]}+{len(groups) - 1} more"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
