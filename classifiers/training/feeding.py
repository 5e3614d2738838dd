"""Batches made by threads ahead of the network, in order: turned, augmented, and the same whatever the number of threads."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from classifiers.augment import Augmentation, generator
from classifiers.sampling import EpochPlan
from classifiers.training.pixels import Pixels

AHEAD = 3  # batches a thread is ahead of the network
TURNS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}  # as np.rot90 counts them


class Source(Protocol):
    """What a network is shown: pictures, or the features that a frozen body makes of them."""

    def allocate(self, rows: int) -> NDArray[Any]:
        """Return room for so many."""

    def fill(self, out: NDArray[Any], plan: EpochPlan, positions: NDArray[np.intp], seed: int, epoch: int) -> None:
        """Put there what the plan shows at these positions."""


@dataclass(frozen=True)
class Pictures:
    """Prepared pictures of the training cells, changed as the plan and the recipe say while they are handed out."""

    pixels: Pixels
    rows: NDArray[np.intp]  # of `pixels`: what row i of a plan is
    augmentation: Augmentation

    def allocate(self, rows: int) -> NDArray[np.uint8]:
        return np.empty((rows, *self.pixels.shape[1:]), np.uint8)

    def fill(self, out: NDArray[Any], plan: EpochPlan, positions: NDArray[np.intp], seed: int, epoch: int) -> None:
        for place, position in enumerate(positions.tolist()):
            picture = self.pixels[self.rows[plan.index[position]]]
            turns = int(plan.quarter_turns[position]) % 4
            if plan.augmented[position] and self.augmentation:
                turned = cv2.rotate(picture, TURNS[turns]) if turns else picture
                out[place] = self.augmentation(np.asarray(turned, np.uint8), generator(seed, epoch, position))
            elif turns:
                cv2.rotate(picture, TURNS[turns], dst=out[place])
            else:
                out[place] = picture


@dataclass(frozen=True)
class Batch:
    """A process's share of a batch."""

    number: int
    inputs: NDArray[Any]
    labels: NDArray[np.int64]
    size: int  # of the whole batch, over all processes


def batch_bounds(count: int, batch_size: int, processes: int = 1) -> list[tuple[int, int]]:
    """Return where each batch of an epoch begins and ends.

    What is left over at the end joins the batch before if it is less than two cells for each process: batch normalisation
    cannot work on one.
    """
    starts = list(range(0, count, batch_size))
    if len(starts) > 1 and count - starts[-1] < 2 * processes:
        starts.pop()
    return list(zip(starts, [*starts[1:], count], strict=True))


@dataclass
class Feed:
    """Hands out an epoch's batches, of each batch every `processes`-th cell from the `process`-th on."""

    source: Source
    labels: NDArray[np.int64]  # of the rows that plans name
    batch_size: int
    seed: int
    threads: int
    process: int = 0
    processes: int = 1
    waited_s: float = field(default=0.0, init=False)  # by the network for data, so far
    _pool: ThreadPoolExecutor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="feed")

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def batches(self, plan: EpochPlan, epoch: int, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `first` on."""
        bounds = batch_bounds(len(plan), self.batch_size, self.processes)
        waiting: deque[Future[Batch]] = deque()
        following = iter(range(first, len(bounds)))

        def submit() -> None:
            if (number := next(following, None)) is not None:
                waiting.append(self._pool.submit(self._make, plan, epoch, number, bounds[number]))

        try:
            for _ in range(AHEAD * self.threads):
                submit()
            while waiting:
                started = time.perf_counter()
                batch = waiting.popleft().result()
                self.waited_s += time.perf_counter() - started
                submit()
                yield batch
        finally:
            for each in waiting:
                each.cancel()

    def _make(self, plan: EpochPlan, epoch: int, number: int, bounds: tuple[int, int]) -> Batch:
        positions = np.arange(*bounds)[self.process :: self.processes]
        inputs = self.source.allocate(len(positions))
        self.source.fill(inputs, plan, positions, self.seed, epoch)
        return Batch(number, inputs, self.labels[plan.index[positions]], bounds[1] - bounds[0])
