from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from classifiers.base import ClassifierError, Predictions
from smearscan.scoring import Scorer, Scores
from smearscan.testing.classifiers import FakeClassifier


def crops(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


class HeldBack(FakeClassifier):
    """Waits before every batch until it is let go."""

    def __init__(self, batch_size: int = 16) -> None:
        super().__init__(batch_size=batch_size)
        self.go = threading.Event()
        self.begun = threading.Event()

    def predict(self, crops: NDArray[np.uint8]) -> Predictions:
        self.begun.set()
        assert self.go.wait(10), "nobody let the classifier go"
        return super().predict(crops)


class Failing(FakeClassifier):
    def predict(self, crops: NDArray[np.uint8]) -> Predictions:
        raise ClassifierError(f"no room for {len(crops)} crops")


def drain(scorer: Scorer) -> dict[Hashable, Scores]:
    scorer.flush()
    found: dict[Hashable, Scores] = {}
    while finished := scorer.collect(block=True, timeout=10):
        found.update(finished)
    return found


@pytest.fixture
def held() -> Iterator[tuple[HeldBack, Scorer]]:
    classifier = HeldBack()
    scorer = Scorer(classifier, queue_limit=1000)
    yield classifier, scorer
    classifier.go.set()
    scorer.close()


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 20), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_every_key_gets_the_scores_of_its_own_crops_in_order(counts: list[int], batch_size: int, queue_limit: int) -> None:
    classifier = FakeClassifier(batch_size=batch_size)
    with Scorer(classifier, queue_limit) as scorer:
        found: dict[Hashable, Scores] = {}
        for index, count in enumerate(counts):
            scorer.submit(("slide", index), crops(count, index))
            for key, scores in scorer.collect():
                assert key not in found
                found[key] = scores
        found.update(drain(scorer))
        assert set(found) == {("slide", index) for index in range(len(counts))}
        for index, count in enumerate(counts):
            np.testing.assert_array_equal(found["slide", index], FakeClassifier().predict(crops(count, index)).probabilities)
        assert scorer.crops == sum(counts)
        assert scorer.waiting == 0
        # Batches are full but for the last, which flush sent.
        assert all(size == batch_size for size in classifier.batch_sizes[:-1])


def test_a_batch_is_filled_across_slides() -> None:
    classifier = FakeClassifier(batch_size=16)
    with Scorer(classifier) as scorer:
        for index in range(4):
            scorer.submit((f"slide {index}", 0), crops(4, index))
        assert [key for key, _ in scorer.collect(block=True, timeout=10)] == [(f"slide {index}", 0) for index in range(4)]
    assert classifier.batch_sizes == [16]


def test_no_crops_are_finished_at_once() -> None:
    with Scorer(FakeClassifier()) as scorer:
        scorer.submit("empty", crops(0))
        [(key, scores)] = scorer.collect()
    assert key == "empty"
    assert scores.shape == (0, 3)
    assert scores.dtype == np.float32


def test_collect_does_not_wait_for_what_nobody_sent() -> None:
    with Scorer(FakeClassifier(batch_size=16)) as scorer:
        scorer.submit("few", crops(3))
        assert scorer.collect(block=True) == []
        scorer.flush()
        assert [key for key, _ in scorer.collect(block=True, timeout=10)] == ["few"]


def test_scoring_goes_on_while_the_caller_does_something_else(held: tuple[HeldBack, Scorer]) -> None:
    classifier, scorer = held
    scorer.submit("a", crops(16))
    assert classifier.begun.wait(10)
    assert scorer.is_scoring
    assert scorer.collect() == []
    classifier.go.set()
    assert [key for key, _ in scorer.collect(block=True, timeout=10)] == ["a"]
    assert not scorer.is_scoring


def test_collect_gives_up_waiting_in_time(held: tuple[HeldBack, Scorer]) -> None:
    _, scorer = held
    scorer.submit("a", crops(16))
    started = time.monotonic()
    assert scorer.collect(block=True, timeout=0.05) == []
    assert 0.04 < time.monotonic() - started < 5
    assert scorer.blocked_seconds > 0.04


def test_submit_blocks_while_too_much_waits() -> None:
    classifier = HeldBack(batch_size=16)
    with Scorer(classifier, queue_limit=32) as scorer:
        scorer.submit("a", crops(32))
        returned = threading.Event()

        def submit() -> None:
            scorer.submit("b", crops(8))
            returned.set()

        caller = threading.Thread(target=submit)
        caller.start()
        assert not returned.wait(0.1), "40 crops wait and 32 may"
        classifier.go.set()
        assert returned.wait(10)
        caller.join()
        assert scorer.waiting <= 32


def test_what_the_classifier_raises_comes_out_at_every_later_call() -> None:
    with Scorer(Failing(batch_size=4)) as scorer:
        scorer.submit("a", crops(4))
        with pytest.raises(ClassifierError, match="no room for 4"):
            scorer.collect(block=True)
        with pytest.raises(ClassifierError, match="no room for 4"):
            scorer.submit("b", crops(1))
        with pytest.raises(ClassifierError, match="no room for 4"):
            scorer.flush()


def test_submit_raises_what_happened_while_it_blocked() -> None:
    with Scorer(Failing(batch_size=4), queue_limit=4) as scorer, pytest.raises(ClassifierError, match="no room"):
        scorer.submit("a", crops(40))


def test_a_slide_given_up_leaves_nothing_behind(held: tuple[HeldBack, Scorer]) -> None:
    classifier, scorer = held
    scorer.submit(("bad", 0), crops(10, 1))
    scorer.submit(("good", 0), crops(10, 2))  # 16 of the 20 are sent, and held back
    scorer.submit(("bad", 1), crops(5, 3))
    scorer.submit(("bad", 2), crops(0))
    scorer.drop(lambda key: isinstance(key, tuple) and key[0] == "bad")
    scorer.submit(("bad", 0), crops(2, 4))  # the key is free again
    classifier.go.set()
    found = drain(scorer)
    assert set(found) == {("good", 0), ("bad", 0)}
    np.testing.assert_array_equal(found["good", 0], FakeClassifier().predict(crops(10, 2)).probabilities)
    np.testing.assert_array_equal(found["bad", 0], FakeClassifier().predict(crops(2, 4)).probabilities)
    assert classifier.batch_sizes == [16, 6], "crops that were not yet sent are not scored"
    assert scorer.waiting == 0


def test_a_key_twice_is_a_fault_of_the_caller() -> None:
    with Scorer(FakeClassifier()) as scorer:
        scorer.submit("a", crops(1))
        with pytest.raises(ValueError, match="'a'"):
            scorer.submit("a", crops(1))


def test_closing_gives_up_what_is_not_begun(held: tuple[HeldBack, Scorer]) -> None:
    classifier, scorer = held
    scorer.submit("a", crops(64))
    assert classifier.begun.wait(10)
    classifier.go.set()
    scorer.close()
    assert len(classifier.batch_sizes) <= 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("scoring") and thread.is_alive()]


def test_time_at_work_is_counted() -> None:
    class Slow(FakeClassifier):
        def predict(self, crops: NDArray[np.uint8]) -> Predictions:
            time.sleep(0.02)
            return super().predict(crops)

    with Scorer(Slow(batch_size=4)) as scorer:
        scorer.submit("a", crops(12))
        drain(scorer)
        assert scorer.batches == 3
        assert scorer.seconds >= 0.06
