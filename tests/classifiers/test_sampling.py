"""What an epoch holds: counts of every policy, what is shown again, and that seed and epoch alone decide it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from classifiers.base import ClassifierError
from classifiers.sampling import EpochPlan, Sampling

Labels = NDArray[np.int64]
POLICIES: list[dict[str, Any]] = [
    {},
    {"copies": "right-angles"},
    {"up_sample_to": 30},
    {"equalise": True},
    {"equalise": 17},
    {"balance": "sub-sample"},
    {"weights": "balanced"},
]
labelled = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(lambda each: np.array(each, np.int64))


def plan(values: dict[str, Any], labels: Labels, epoch: int = 0, seed: int = 0) -> EpochPlan:
    return Sampling.from_mapping(values).epoch(labels, epoch, seed)


def same(one: EpochPlan, other: EpochPlan) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("index", "quarter_turns", "augmented"))


def two_classes(first: int, second: int) -> Labels:
    return np.repeat([0, 1], [first, second])


@given(labels=labelled, values=st.sampled_from(POLICIES), epoch=st.integers(0, 5), seed=st.integers(0, 2**40))
@settings(max_examples=150, deadline=None)
def test_every_plan_is_whole_and_repeatable(labels: Labels, values: dict[str, Any], epoch: int, seed: int) -> None:
    made = plan(values, labels, epoch, seed)
    assert len(made) == len(made.index) == len(made.quarter_turns) == len(made.augmented) > 0
    assert made.index.min() >= 0
    assert made.index.max() < len(labels)
    assert (made.quarter_turns.dtype, made.augmented.dtype) == (np.int8, np.bool_)
    assert same(made, plan(values, labels, epoch, seed))
    if values != {"weights": "balanced"}:
        assert set(labels[made.index]) == set(labels), "no class is lost"


@given(labels=labelled, most=st.integers(1, 8), epoch=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_of_no_subject_are_more_cells_of_a_class_shown_than_asked_for(labels: Labels, most: int, epoch: int) -> None:
    subjects = [f"s{row % 3}" for row in range(len(labels))]
    made = Sampling.from_mapping({"most_of_a_subject": most}).epoch(labels, epoch, 1, subjects)
    whole = Counter(zip(subjects, labels.tolist(), strict=True))
    shown = Counter((subjects[row], int(labels[row])) for row in made.index)
    assert shown == {key: min(most, cells) for key, cells in whole.items()}
    assert len(set(made.index.tolist())) == len(made), "none twice"


def test_which_cells_of_a_subject_are_shown_is_drawn_anew() -> None:
    labels = np.zeros(100, np.int64)
    sampling = Sampling.from_mapping({"most_of_a_subject": 20})
    epochs = [set(sampling.epoch(labels, epoch, 0, ["one"] * 100).index.tolist()) for epoch in range(30)]
    assert epochs[0] != epochs[1]
    assert len(set.union(*epochs)) > 95
    with pytest.raises(ClassifierError, match="needs to know whose each cell is"):
        sampling.epoch(labels, 0, 0)


def test_of_ever_more_cells_of_a_subject_only_the_root_tells() -> None:
    labels = np.repeat([0, 0, 1, 1], [900, 100, 400, 100])
    whose = np.repeat(["many", "few", "many", ""], [900, 100, 400, 100]).tolist()
    sampling = Sampling.from_mapping({"weights": "subjects"})
    shown = np.zeros(len(labels))
    for epoch in range(40):
        made = sampling.epoch(labels, epoch, 3, whose)
        assert len(made) == len(labels)
        shown += np.bincount(made.index, minlength=len(labels))
    parts = np.array([shown[:900].sum(), shown[900:1000].sum(), shown[1000:1400].sum(), shown[1400:].sum()])
    np.testing.assert_allclose(parts / parts.sum(), np.array([30, 10, 20, 10]) / 70, atol=0.01)
    with pytest.raises(ClassifierError, match="weights needs to know whose each cell is"):
        sampling.epoch(labels, 0, 0)


@given(labels=labelled, number=st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_sizes_are_those_that_are_asked_for(labels: Labels, number: int) -> None:
    sizes = np.bincount(labels)
    np.testing.assert_array_equal(np.bincount(labels[plan({}, labels).index]), sizes)
    np.testing.assert_array_equal(np.bincount(labels[plan({"copies": "right-angles"}, labels).index]), 4 * sizes)
    wanted = np.where(sizes > 0, np.maximum(sizes, number), 0)
    np.testing.assert_array_equal(np.bincount(labels[plan({"up_sample_to": number}, labels).index]), wanted)
    np.testing.assert_array_equal(np.bincount(labels[plan({"equalise": number}, labels).index]), number * (sizes > 0))
    smallest = sizes[sizes > 0].min()
    np.testing.assert_array_equal(np.bincount(labels[plan({"balance": "sub-sample"}, labels).index]), smallest * (sizes > 0))


@given(labels=labelled, number=st.integers(1, 50), policy=st.sampled_from(["up_sample_to", "equalise"]))
@settings(max_examples=60, deadline=None)
def test_originals_are_shown_once_and_copies_evenly(labels: Labels, number: int, policy: str) -> None:
    made = plan({policy: number}, labels)
    originals, copies = (np.bincount(made.index[made.augmented == copied], minlength=len(labels)) for copied in (False, True))
    assert originals.max() == 1
    for label in np.unique(labels):
        in_class = labels == label
        if (originals + copies)[in_class].sum() > in_class.sum():
            assert (originals[in_class] == 1).all(), "no copy before every original is there"
        shown = (originals + copies)[in_class]
        assert shown.max() - shown.min() <= 1


def test_the_paper_that_equalised_two_classes_is_followed() -> None:
    """4,432 and 1,964 cells became 3,198 each, by 1,234 copies (Baldi and Cioffo)."""
    labels = two_classes(4432, 1964)
    made = plan({"equalise": True}, labels)
    assert np.bincount(labels[made.index]).tolist() == [3198, 3198]
    assert made.augmented.sum() == 1234
    assert set(labels[made.index[made.augmented]]) == {1}
    assert len(np.unique(made.index[made.augmented])) == 1234, "each chosen once"


def test_the_paper_that_turned_every_cell_is_followed() -> None:
    made = plan({"copies": "right-angles"}, two_classes(5, 2))
    assert sorted(zip(made.index.tolist(), made.quarter_turns.tolist(), strict=True)) == [(row, k) for row in range(7) for k in range(4)]
    assert made.augmented.all()


def test_every_epoch_has_its_own_order_and_copies() -> None:
    labels = two_classes(40, 13)
    for values in POLICIES:
        first, second = plan(values, labels, epoch=0), plan(values, labels, epoch=1)
        assert not np.array_equal(first.index, second.index), values
        assert not same(first, plan(values, labels, seed=1)), values
    copies = [np.sort(each.index[each.augmented]) for each in (plan({"up_sample_to": 45}, labels, epoch) for epoch in (0, 1))]
    assert not np.array_equal(*copies)


@pytest.mark.parametrize("values", [{"balance": "sub-sample"}, {"equalise": True}])
def test_what_is_left_out_is_drawn_once_for_a_seed(values: dict[str, Any]) -> None:
    labels = two_classes(200, 60)
    first, later, other = (np.sort(plan(values, labels, epoch, seed).index) for epoch, seed in ((0, 0), (7, 0), (0, 1)))
    np.testing.assert_array_equal(first, later)
    assert not np.array_equal(first, other)


def test_weights_make_classes_equally_likely() -> None:
    labels = two_classes(9000, 1000)
    made = plan({"weights": "balanced"}, labels)
    assert len(made) == 10_000
    assert abs(labels[made.index].mean() - 0.5) < 0.02
    assert made.augmented.all()


def test_what_is_augmented_can_be_told() -> None:
    labels = two_classes(20, 4)
    assert plan({"up_sample_to": 20, "augment": "all"}, labels).augmented.all()
    assert plan({"copies": "right-angles", "augment": "copies"}, labels).augmented.sum() == 3 * 24
    assert not plan({"augment": "copies"}, labels).augmented.any()
    drawn = plan({"weights": "balanced", "augment": "copies"}, labels)
    assert len(np.unique(drawn.index)) == (~drawn.augmented).sum()


@pytest.mark.parametrize("values", POLICIES)
def test_a_sampling_goes_through_json(values: dict[str, Any]) -> None:
    sampling = Sampling.from_mapping(values)
    assert sampling.as_mapping() == values
    assert Sampling.from_mapping(json.loads(json.dumps(sampling.as_mapping()))) == sampling


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"up_sample": 3}, r"no key 'up_sample'. Known: copies"),
        ({"up_sample_to": 0}, r"up_sample_to must be a whole number from 1 on, not 0"),
        ({"up_sample_to": True}, r"up_sample_to"),
        ({"equalise": "yes"}, r"equalise .*'yes'"),
        ({"copies": 4}, r"copies must be one of right-angles, not 4"),
        ({"balance": "over-sample"}, r"balance .*sub-sample"),
        ({"weights": "balanced", "equalise": True}, r"equalise and weights are given"),
        ({"augment": "none"}, r"augment must be one of all, copies"),
    ],
)
def test_a_wrong_sampling_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ClassifierError, match=message):
        Sampling.from_mapping(values)


def test_equalise_can_be_switched_off() -> None:
    assert len(plan({"equalise": False}, two_classes(5, 3))) == 8


def test_no_cells_make_no_epoch() -> None:
    with pytest.raises(ClassifierError, match="no cells"):
        plan({}, np.zeros(0, np.int64))
