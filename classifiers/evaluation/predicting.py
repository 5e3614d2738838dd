"""Every cell of a set through a classifier, in full batches, with the next batch being read meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifiers.base import Classifier, Predictions
from classifiers.card import ModelCard
from classifiers.datasets.base import DatasetError, Samples

READERS: Final = 2
AHEAD: Final = 2  # batches in reading
NAMED: Final = 5  # unreadable pictures that a message names; all are counted

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Scored:
    """What a classifier made of the cells that could be read."""

    predictions: Predictions  # one row for each of `rows`
    rows: NDArray[np.intp]  # of the samples
    unreadable: tuple[str, ...]  # why, one sentence a cell


def predict_samples(classifier: Classifier, samples: Samples, show: Callable[[int], None] | None = None) -> Predictions:
    """Score every cell; raises DatasetError, naming and counting them, where pictures cannot be read.

    `show` is called with the number of cells done so far.
    """
    return score_samples(classifier, samples, show=show).predictions


def score_samples(
    classifier: Classifier, samples: Samples, *, skip_unreadable: bool = False, show: Callable[[int], None] | None = None
) -> Scored:
    """Score every cell that can be read; without `skip_unreadable` one that cannot be is an error.

    After the first unreadable picture nothing more is scored, but the rest is read, so that the message can say how many.
    """
    rows: list[int] = []
    unreadable: list[str] = []
    scored: list[NDArray[np.float32]] = []
    done = 0
    for batch in _batches(samples, classifier.card, classifier.compute.batch_size):
        crops = [each for each in batch if not isinstance(each, str)]
        rows += [done + place for place, each in enumerate(batch) if not isinstance(each, str)]
        unreadable += [each for each in batch if isinstance(each, str)]
        done += len(batch)
        if crops and (skip_unreadable or not unreadable):
            scored.append(classifier.predict(np.stack(crops)).probabilities)
        if show:
            show(done)
    if unreadable and not skip_unreadable:
        raise DatasetError(_refusal(unreadable, len(samples)))
    empty = np.zeros((0, len(classifier.card.classes)), np.float32)
    return Scored(Predictions(np.concatenate([empty, *scored]), classifier.card.classes), np.asarray(rows, np.intp), tuple(unreadable))


def _batches(samples: Samples, card: ModelCard, size: int) -> Iterator[list[Picture | str]]:
    """Yield crops in batches, in order; a cell that cannot be read is the sentence that says why."""

    def read(row: int) -> Picture | str:
        try:
            return samples.crop(row, card.crop_px, card.crop_um)
        except DatasetError as error:
            return str(error)

    with ThreadPoolExecutor(READERS) as pool:
        waiting: deque[list[Future[Picture | str]]] = deque()
        for start in range(0, len(samples), size):
            waiting.append([pool.submit(read, row) for row in range(start, min(start + size, len(samples)))])
            if len(waiting) > AHEAD:
                yield [future.result() for future in waiting.popleft()]
        while waiting:
            yield [future.result() for future in waiting.popleft()]


def _refusal(unreadable: list[str], cells: int) -> str:
    named = " ".join(unreadable[:NAMED])
    more = f" And {len(unreadable) - NAMED} more." if len(unreadable) > NAMED else ""
    return f"{len(unreadable)} of {cells} cells cannot be read, so no number would be of the whole set. {named}{more}"
