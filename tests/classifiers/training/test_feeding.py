"""Batches come in order and are the same however they are made."""

from __future__ import annotations

import time

import numpy as np
import pytest

from classifiers.augment import Augmentation, generator
from classifiers.sampling import EpochPlan, Sampling
from classifiers.training.feeding import Batch, Feed, Pictures, batch_bounds

LABELS = np.arange(23) % 2
PIXELS = np.random.default_rng(0).integers(0, 256, (30, 12, 12, 3), dtype=np.uint8)
ROWS = np.arange(5, 28)
STEPS = ({"step": "flip"}, {"step": "rotate"}, {"step": "brightness"})


def feed(threads: int = 1, augmentation: tuple[dict[str, str], ...] = STEPS, **options: int) -> Feed:
    return Feed(Pictures(PIXELS, ROWS, Augmentation(augmentation)), LABELS, 8, 3, threads, **options)


def all_of(feed: Feed, plan: EpochPlan, epoch: int = 2, first: int = 0) -> list[Batch]:
    try:
        return list(feed.batches(plan, epoch, first))
    finally:
        feed.close()


@pytest.fixture
def plan() -> EpochPlan:
    return Sampling.from_mapping({"copies": "right-angles"}).epoch(LABELS, 2, 3)


def test_batches_do_not_depend_on_the_number_of_threads_nor_on_where_an_epoch_begins(plan: EpochPlan) -> None:
    whole = all_of(feed(1), plan)
    for other, skipped in ((all_of(feed(4), plan), 0), (all_of(feed(3), plan, first=5), 5)):
        assert [batch.number for batch in other] == list(range(skipped, len(whole)))
        for one, two in zip(whole[skipped:], other, strict=True):
            np.testing.assert_array_equal(one.inputs, two.inputs)
            np.testing.assert_array_equal(one.labels, two.labels)
    assert any((a.inputs != b.inputs).any() for a, b in zip(whole, all_of(feed(1), plan, epoch=3), strict=True)), "epochs differ"


def test_each_picture_is_turned_then_augmented_by_its_position(plan: EpochPlan) -> None:
    augmentation = Augmentation(STEPS)
    shown = np.concatenate([batch.inputs for batch in all_of(feed(2), plan)])
    plain = np.concatenate([batch.inputs for batch in all_of(feed(2, ()), plan)])
    for position in range(len(plan)):
        turned = np.rot90(PIXELS[ROWS[plan.index[position]]], plan.quarter_turns[position])
        np.testing.assert_array_equal(plain[position], turned)
        np.testing.assert_array_equal(shown[position], augmentation(np.ascontiguousarray(turned), generator(3, 2, position)))


def test_only_what_the_plan_names_is_augmented() -> None:
    plan = Sampling.from_mapping({"up_sample_to": 20}).epoch(LABELS, 0, 0)
    shown = np.concatenate([batch.inputs for batch in all_of(feed(), plan)])
    same = np.array([(picture == PIXELS[ROWS[row]]).all() for picture, row in zip(shown, plan.index, strict=True)])
    assert same[~plan.augmented].all()
    assert not same[plan.augmented].any()


def test_processes_share_each_batch_without_loss(plan: EpochPlan) -> None:
    whole = all_of(feed(), plan)
    shares = [all_of(feed(process=number, processes=2), plan) for number in range(2)]
    for one, first, second in zip(whole, *shares, strict=True):
        assert first.size == second.size == one.size == len(one.labels)
        np.testing.assert_array_equal(one.inputs[0::2], first.inputs)
        np.testing.assert_array_equal(one.inputs[1::2], second.inputs)


@pytest.mark.parametrize(
    ("count", "processes", "sizes"),
    [(16, 1, [8, 8]), (17, 1, [8, 9]), (18, 1, [8, 8, 2]), (19, 2, [8, 11]), (20, 2, [8, 8, 4]), (1, 1, [1]), (3, 2, [3])],
)
def test_a_last_cell_alone_joins_the_batch_before(count: int, processes: int, sizes: list[int]) -> None:
    assert [end - start for start, end in batch_bounds(count, 8, processes)] == sizes


def test_the_wait_for_data_is_measured(plan: EpochPlan) -> None:
    class Slow(Pictures):
        def fill(self, *arguments: object) -> None:
            time.sleep(0.02)

    slow = Feed(Slow(PIXELS, ROWS, Augmentation(())), LABELS, 8, 3, threads=1)
    batches = all_of(slow, plan)
    assert slow.waited_s >= 0.015 * len(batches)


def test_an_error_in_a_thread_is_not_lost(plan: EpochPlan) -> None:
    class Broken(Pictures):
        def fill(self, *arguments: object) -> None:
            raise OSError("gone")

    broken = Feed(Broken(PIXELS, ROWS, Augmentation(())), LABELS, 8, 3, threads=2)
    with pytest.raises(OSError, match="gone"):
        all_of(broken, plan)
