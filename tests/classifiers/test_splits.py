"""Splits: no group in two parts, every row in one, the papers' shares, the same for the same seed, and honest about leaks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.datasets import Samples
from classifiers.splits import PAPER_SHARES, PARTS, Split, SplitError, cross_splits, parted_groups, read_split, split_samples, write_split


def make(cells_of_group: list[tuple[int, int]], *, named: bool = True, parts: list[str] | None = None) -> Samples:
    """Samples of groups, each given as its label and its number of cells."""
    labels, groups = [], []
    for number, (label, cells) in enumerate(cells_of_group):
        labels += [label] * cells
        groups += [f"g{number}"] * cells
    n = len(labels)
    return Samples(
        name="drawn",
        root=Path("cells"),
        classes=("normal", "blast"),
        roles={"normal": "other", "blast": "blast"},
        positive_class="blast",
        files=tuple(f"{row}.png" for row in range(n)),
        labels=np.array(labels, np.int64),
        subjects=tuple(groups) if named else ("",) * n,
        groups=tuple(groups) if named else tuple(f"{row}.png" for row in range(n)),
        parts=tuple(parts or [""] * n),
    )


def classes_in(samples: Samples, split: Split, part: str) -> set[int]:
    return set(samples.labels[split.rows(part)].tolist())


sets = st.tuples(
    st.lists(st.integers(1, 40), min_size=5, max_size=20),
    st.lists(st.integers(1, 40), min_size=5, max_size=20),
    st.randoms(use_true_random=False),
).map(lambda drawn: make(sorted([(0, n) for n in drawn[0]] + [(1, n) for n in drawn[1]], key=lambda _: drawn[2].random())))
shares_of_papers = st.sampled_from(sorted(PAPER_SHARES.values()))


@settings(max_examples=8, deadline=None)
@given(samples=sets, shares=shares_of_papers, seed=st.integers(0, 2**31))
def test_a_split_by_subject_parts_no_group(samples: Samples, shares: tuple[float, ...], seed: int) -> None:
    split = split_samples(samples, "subject", shares, seed)
    assert parted_groups(samples, split.parts) == []
    assert not split.leaky
    rows = np.concatenate([split.rows(part) for part in PARTS])
    assert sorted(rows.tolist()) == list(range(len(samples))), "every cell in exactly one part"
    assert all(classes_in(samples, split, part) == {0, 1} for part in PARTS), "every part has both classes"
    assert np.array_equal(split.parts, split_samples(samples, "subject", shares, seed).parts), "the same seed, the same split"


@settings(max_examples=50, deadline=None)
@given(samples=sets, shares=shares_of_papers, seed=st.integers(0, 2**31))
def test_a_random_split_has_the_shares_of_each_class(samples: Samples, shares: tuple[float, ...], seed: int) -> None:
    try:
        split = split_samples(samples, "random", shares, seed)
    except SplitError:
        assert len(samples) * min(shares) < len(samples.classes), "only a set too small for its shares is refused"
        return
    order = ["train", "validation", "test"][: len(shares)]
    for label in (0, 1):
        total = int((samples.labels == label).sum())
        for part, share in zip(order, shares, strict=True):
            assert abs(int((samples.labels[split.rows(part)] == label).sum()) - share * total) <= 1
    assert sum(split.sizes().values()) == len(samples)
    assert split.sizes()["calibration"] == 0
    assert split.leaky == bool(parted_groups(samples, split.parts))
    assert np.array_equal(split.parts, split_samples(samples, "random", shares, seed).parts)


@settings(max_examples=8, deadline=None)
@given(samples=sets, folds=st.integers(2, 3), seed=st.integers(0, 1000))
def test_each_group_is_tested_once_in_cross_splits(samples: Samples, folds: int, seed: int) -> None:
    tested: dict[str, int] = defaultdict(int)
    try:
        splits = cross_splits(samples, folds, seed)
    except SplitError as error:  # five groups of a class in three folds may leave one for training, none for validation
        assert "cannot be split by subject so that" in str(error)
        return
    for split in splits:
        assert parted_groups(samples, split.parts) == []
        for group in {samples.groups[row] for row in split.rows("test")}:
            tested[group] += 1
    assert tested == dict.fromkeys(samples.groups, 1)


def test_two_shares_leave_no_test_and_say_so() -> None:
    samples = make([(0, 50), (1, 50)])
    split = split_samples(samples, "random", PAPER_SHARES["80/20"], 0)
    assert split.sizes() == {"train": 80, "validation": 20, "calibration": 0, "test": 0}
    assert "selected on the cells it is tested on" in split.note
    assert split.leaky
    assert "2 of 2 groups" in split.note


def test_shares_by_subject_are_near_what_was_asked() -> None:
    samples = make([(label, 20) for label in (0, 1) for _ in range(20)])
    sizes = split_samples(samples, "subject", (0.64, 0.16, 0.20), 1).sizes()
    assert sizes["test"] == 160
    assert sizes["validation"] == pytest.approx(128, abs=40)
    assert sizes["calibration"] == pytest.approx(80, abs=40)


def test_other_seeds_give_other_splits() -> None:
    samples = make([(label, 5 + 3 * number) for label in (0, 1) for number in range(12)])  # no two groups of a size
    for kind in ("subject", "random"):
        assert len({split_samples(samples, kind, (0.8, 0.1, 0.1), seed).parts.tobytes() for seed in range(4)}) == 4


def test_folds_depend_on_the_seed() -> None:
    samples = make([(label, 5 + 3 * number) for label in (0, 1) for number in range(12)])
    first = {cross_splits(samples, 3, seed)[0].parts.tobytes() for seed in range(4)}
    assert len(first) > 1


def test_the_shares_of_the_papers_are_their_names() -> None:
    for name, shares in PAPER_SHARES.items():
        assert tuple(round(100 * share) for share in shares) == tuple(int(part) for part in name.split("/"))
        assert sum(shares) == pytest.approx(1)


def test_too_few_groups_are_counted_in_the_message() -> None:
    samples = make([(0, 30), (0, 30), (0, 30), (1, 30), (1, 30)])
    with pytest.raises(SplitError, match=r"'normal' has 3 groups, 'blast' has 2 groups"):
        split_samples(samples, "subject", (0.6, 0.2, 0.2), 0)
    with pytest.raises(SplitError, match="5 groups of subjects cannot be dealt into 6 folds"):
        cross_splits(samples, 6, 0)


@pytest.mark.parametrize("shares", [(1.0,), (0.5, 0.6), (0.5, 0.5, 0.0), (0.4, 0.3, 0.2, 0.1)])
def test_shares_that_are_none(shares: tuple[float, ...]) -> None:
    with pytest.raises(SplitError, match="two or three positive numbers with the sum 1"):
        split_samples(make([(0, 9), (1, 9)]), "random", shares, 0)
    with pytest.raises(SplitError, match=r"no split of kind 'patient'\. Known: subject, random, published"):
        split_samples(make([(0, 9), (1, 9)]), "patient", (0.8, 0.2), 0)


def test_without_subjects_only_a_random_split_and_it_leaks() -> None:
    samples = make([(0, 20), (1, 20)], named=False)
    with pytest.raises(SplitError, match="names no subjects"):
        split_samples(samples, "subject", (0.8, 0.2), 0)
    with pytest.raises(SplitError, match="names no subjects"):
        cross_splits(samples, 2, 0)
    split = split_samples(samples, "random", (0.6, 0.2, 0.2), 0)
    assert split.leaky
    assert "the subject of 40 of 40 cells is not known" in split.note


def test_published_parts() -> None:
    groups = [(label, 4) for label in (0, 1) for _ in range(10)]
    given = (["train"] * 28 + ["val"] * 4 + ["test"] * 8) * 2
    samples = make(groups, parts=given)
    split = split_samples(samples, "published", (0.8, 0.2), 0)
    assert split.sizes() == {"train": 56, "validation": 8, "calibration": 0, "test": 16}
    assert not split.leaky
    folds = make(groups, parts=(["fold_0"] * 32 + ["preliminary test"] * 8) * 2)
    taken = split_samples(folds, "published", (0.8, 0.2), 0)
    assert taken.sizes()["test"] == 16
    assert taken.sizes()["validation"] > 0
    assert "validation taken by subject" in taken.note
    parted = make(groups, parts=(["train", "val", "test", "train"] * 10) * 2)
    assert split_samples(parted, "published", (0.8, 0.2), 0).leaky
    with pytest.raises(SplitError, match="has no part to test on, only fold_0, fold_1"):
        split_samples(make(groups, parts=(["fold_0", "fold_1"] * 20) * 2), "published", (0.8, 0.2), 0)
    with pytest.raises(SplitError, match="a part of it is called ''"):
        split_samples(make(groups), "published", (0.8, 0.2), 0)


def test_a_split_is_kept_and_given_back(tmp_path: Path) -> None:
    samples = make([(label, 5) for label in (0, 1) for _ in range(8)])
    split = split_samples(samples, "subject", (0.6, 0.2, 0.2), 3)
    write_split(tmp_path / "split.csv", samples, split)
    lines = (tmp_path / "split.csv").read_text().splitlines()
    assert lines[0] == "file,label,subject,group,part"
    assert lines[1] == f"0.png,normal,g0,g0,{PARTS[split.parts[0]]}"
    back = read_split(tmp_path / "split.csv", samples)
    assert np.array_equal(back.parts, split.parts)
    assert (back.kind, back.leaky) == ("given", False)
    (tmp_path / "split.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]))
    assert np.array_equal(read_split(tmp_path / "split.csv", samples).parts, split.parts), "lines in any order"


def test_a_split_of_boxes_knows_them_by_their_place(tmp_path: Path) -> None:
    samples = make([(0, 2), (1, 2)])
    boxed = Samples(**{**vars(samples), "files": ("a.png",) * 4, "boxes": np.arange(16, dtype=np.int32).reshape(4, 4)})
    split = Split("given", np.array([0, 1, 2, 3], np.int8), leaky=True)
    write_split(tmp_path / "split.csv", boxed, split)
    lines = (tmp_path / "split.csv").read_text().splitlines()
    (tmp_path / "split.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]))
    back = read_split(tmp_path / "split.csv", boxed)
    assert back.parts.tolist() == [0, 1, 2, 3]
    assert back.leaky


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("part", "share"), "has no column 'part'"),
        (lambda text: text.replace("3.png", "9.png"), r"line 5: 9.png is not in cells"),
        (lambda text: text.replace("3.png", "2.png"), r"line 5: 2.png is not in cells, or stands there fewer times"),
        (lambda text: text[: text.rindex("3.png")], r"names no part for 1 cells, the first being 3.png"),
        (lambda text: text.replace("blast", "normal"), r"2.png is 'normal' there and 'blast' in cells"),
        (lambda text: text.replace("train", "practice"), r"the part 'practice' is none of train, validation"),
    ],
)
def test_a_split_that_does_not_belong_is_refused(tmp_path: Path, change: object, message: str) -> None:
    samples = make([(0, 2), (1, 2)])
    path = tmp_path / "split.csv"
    write_split(path, samples, Split("given", np.array([0, 3, 0, 3], np.int8), leaky=True))
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(SplitError, match=message):
        read_split(path, samples)
    with pytest.raises(SplitError, match="cannot be read"):
        read_split(tmp_path / "gone.csv", samples)
    with pytest.raises(SplitError, match="does not belong to 4 cells"):
        write_split(path, samples, Split("given", np.zeros(3, np.int8), leaky=True))


def test_fields_of_nobody_known_are_dealt_evenly_beside_persons_of_many_cells() -> None:
    persons = [(1, 900), (1, 200), (1, 150), (0, 400), (0, 300), (0, 30), (0, 20), (1, 20), (1, 10), (0, 10)]
    samples = make(persons + [(0, 6)] * 60)
    subjects = tuple(group if int(group[1:]) < len(persons) else "" for group in samples.groups)
    samples = replace(samples, subjects=subjects)
    for split in cross_splits(samples, 5, seed=3, hold_back=False):
        fields = {samples.groups[row] for row in split.rows("test").tolist() if not subjects[row]}
        assert 8 <= len(fields) <= 16
