"""Crops of many tiles and many slides become full batches, and the probabilities go back to where they belong.

One thread scores while the caller goes on reading. All bookkeeping is done in the caller's thread, so
nothing here is shared but the queue inside the executor.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from classifiers.base import Classifier

Scores = NDArray[np.float32]  # (n, k)


@dataclass
class _Submission:
    """The crops of one key: how far they are handed out, and what has come back of them, in order."""

    key: Hashable
    crops: NDArray[np.uint8] | None  # None once all are handed out, so that the memory goes
    handed_out: int = 0
    returned: list[Scores] = field(default_factory=list)
    missing: int = 0
    dropped: bool = False


@dataclass(frozen=True)
class _Batch:
    """What the scoring thread works on: pieces of consecutive submissions, and whose they are."""

    pieces: tuple[tuple[_Submission, int], ...]
    crops: int
    future: Future[tuple[Scores, float]]


class Scorer:
    """Fills batches across tiles and slides in the order of submission.

    Called from one thread only. What the classifier raises is raised here at the next call, and at every
    call after it: the run is over then.
    """

    def __init__(self, classifier: Classifier, queue_limit: int | None = None) -> None:
        """`queue_limit` is how many crops may wait before `submit` blocks; as a rule eight batches."""
        self._classifier = classifier
        self._queue_limit = 8 * classifier.compute.batch_size if queue_limit is None else queue_limit
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scoring")
        self._unsent: deque[_Submission] = deque()
        self._sent: deque[_Batch] = deque()
        self._open: dict[Hashable, _Submission] = {}
        self._finished: list[tuple[Hashable, Scores]] = []
        self._waiting = 0  # crops submitted and not yet scored
        self._unsent_crops = 0
        self.seconds = 0.0  # the classifier was at work
        self.blocked_seconds = 0.0  # the caller waited for the classifier
        self.crops = 0  # scored
        self.batches = 0

    def submit(self, key: Hashable, crops: NDArray[np.uint8]) -> None:
        """Queue the crops of one tile of one slide; blocks while more than the limit wait."""
        self._take_in()
        if key in self._open:
            raise ValueError(f"{key!r} was submitted before and is not collected yet.")
        submission = _Submission(key, crops, missing=len(crops))
        self._open[key] = submission
        if len(crops) == 0:
            self._finish(submission)
            return
        self._unsent.append(submission)
        self._unsent_crops += len(crops)
        self._waiting += len(crops)
        self._send(self._classifier.compute.batch_size)
        while self._waiting > self._queue_limit and self._sent:
            self._wait_for_first(None)

    def collect(self, block: bool = False, timeout: float | None = None) -> list[tuple[Hashable, Scores]]:
        """Return the keys whose crops are all scored, each once, with (n, k) probabilities.

        With `block` it waits for at least one, at most `timeout` seconds, and returns none at once where
        nothing is being scored: what waits for a batch to fill needs `flush` first.
        """
        self._take_in()
        deadline = None if timeout is None else time.monotonic() + timeout
        while block and not self._finished and self._sent:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            self._wait_for_first(left)
        finished, self._finished = self._finished, []
        for key, _ in finished:
            self._open.pop(key, None)
        return finished

    def flush(self) -> None:
        """Score what waits although it fills no batch; returns at once."""
        self._take_in()
        self._send(1)

    def drop(self, belongs: Callable[[Hashable], bool]) -> None:
        """Forget every key for which `belongs` is true: its slide was given up. The keys may be used again."""
        for key in [key for key in self._open if belongs(key)]:
            submission = self._open.pop(key)
            submission.dropped = True
            if submission.crops is not None:
                unsent = len(submission.crops) - submission.handed_out
                self._unsent_crops -= unsent
                self._waiting -= unsent
                submission.crops = None
        self._unsent = deque(each for each in self._unsent if not each.dropped)
        self._finished = [(key, scores) for key, scores in self._finished if not belongs(key)]

    def close(self) -> None:
        """Stop: batches that are not begun are given up, the one being scored is waited for."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def waiting(self) -> int:
        """Crops submitted and not yet scored."""
        return self._waiting

    @property
    def is_scoring(self) -> bool:
        """Whether the classifier has work; if not, what waits will wait until more comes or `flush` is called."""
        return any(not batch.future.done() for batch in self._sent)

    def _send(self, at_least: int) -> None:
        """Hand out batches while `at_least` crops wait for one."""
        while self._unsent_crops >= at_least:
            self._send_one(min(self._classifier.compute.batch_size, self._unsent_crops))

    def _send_one(self, size: int) -> None:
        pieces: list[tuple[_Submission, int]] = []
        pixels: list[NDArray[np.uint8]] = []
        left = size
        while left:
            submission = self._unsent[0]
            assert submission.crops is not None, "a submission whose crops are all handed out leaves the queue"
            piece = submission.crops[submission.handed_out : submission.handed_out + left]
            pieces.append((submission, len(piece)))
            pixels.append(piece)
            submission.handed_out += len(piece)
            left -= len(piece)
            if submission.handed_out == len(submission.crops):
                submission.crops = None
                self._unsent.popleft()
        self._unsent_crops -= size
        self._sent.append(_Batch(tuple(pieces), size, self._executor.submit(self._score, pixels)))

    def _score(self, pixels: list[NDArray[np.uint8]]) -> tuple[Scores, float]:
        started = time.perf_counter()
        batch = pixels[0] if len(pixels) == 1 else np.concatenate(pixels)
        scores = self._classifier.predict(batch).probabilities
        return scores, time.perf_counter() - started

    def _take_in(self) -> None:
        while self._sent and self._sent[0].future.done():
            self._take_first()

    def _wait_for_first(self, timeout: float | None) -> None:
        started = time.perf_counter()
        try:
            self._sent[0].future.result(timeout)
        except FutureTimeoutError:
            return
        finally:
            self.blocked_seconds += time.perf_counter() - started
        self._take_first()

    def _take_first(self) -> None:
        batch = self._sent[0]
        scores, seconds = batch.future.result()  # a batch that failed stays first, so that every later call fails too
        self._sent.popleft()
        self.seconds += seconds
        self.crops += batch.crops
        self.batches += 1
        self._waiting -= batch.crops
        start = 0
        for submission, count in batch.pieces:
            submission.returned.append(scores[start : start + count])
            submission.missing -= count
            start += count
            if submission.missing == 0 and not submission.dropped:
                self._finish(submission)

    def _finish(self, submission: _Submission) -> None:
        empty = np.zeros((0, len(self._classifier.card.classes)), np.float32)
        self._finished.append((submission.key, np.concatenate([empty, *submission.returned])))
