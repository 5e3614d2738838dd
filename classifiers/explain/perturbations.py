"""What a classifier says of many variations of many cells, in batches that are full whatever cell they belong to.

Of one cell's 128 variations the last batch would often be half empty, and of one variation at a time nearly all of it. So
the variations of all cells stand in one line, and the classifier is called on as many as it likes best. It is given crops
as any other, so that its preparation and calibration hold, and it need not be a torch network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from classifiers.base import Classifier, ClassifierError
from classifiers.explain.superpixels import Hiding, Labels, hide

Keep = NDArray[np.bool_]  # (variations, superpixels) of one crop


def score_hidden(
    classifier: Classifier,
    crops: NDArray[np.uint8],
    labels: Sequence[Labels],
    keeps: Sequence[Keep],
    *,
    hiding: Hiding = "grey",
    show: Callable[[int], None] | None = None,
) -> list[NDArray[np.float64]]:
    """Return for each crop what `classifier` says of its variations, one row a variation, one column a class of the card.

    `keeps[i]` has a row for each variation of `crops[i]`, which is True where a superpixel of `labels[i]` stays visible.
    `show` is told how many crops are done. A row's bits depend on nothing but its own variation.
    """
    if not len(crops) == len(labels) == len(keeps):
        raise ClassifierError(f"{len(crops)} crops need as many superpixels and variations, not {len(labels)} and {len(keeps)}.")
    ends = np.cumsum([len(keep) for keep in keeps], dtype=np.int64)
    rows: list[NDArray[np.float32]] = []
    scored = done = 0
    for batch in _one_ahead(_batches(crops, labels, keeps, hiding, max(1, classifier.compute.batch_size))):
        rows.append(classifier.predict(batch).probabilities)
        scored += len(batch)
        finished = int(np.searchsorted(ends, scored, side="right"))
        if show is not None and finished > done:
            show(finished)
        done = finished
    joined = np.concatenate([*rows, np.zeros((0, len(classifier.card.classes)))]).astype(np.float64)
    return np.split(joined, ends[:-1]) if len(ends) else []


def _batches(
    crops: NDArray[np.uint8], labels: Sequence[Labels], keeps: Sequence[Keep], hiding: Hiding, size: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield all variations in order, `size` at a time."""
    batch = np.empty((size, *crops.shape[1:]), np.uint8)
    filled = 0
    for crop, pieces, keep in zip(crops, labels, keeps, strict=True):
        start = 0
        while start < len(keep):
            some = keep[start : start + size - filled]
            batch[filled : filled + len(some)] = hide(crop, pieces, some, hiding)
            start, filled = start + len(some), filled + len(some)
            if filled == size:
                yield batch
                batch = np.empty_like(batch)
                filled = 0
    if filled:
        yield batch[:filled]


def _one_ahead(batches: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """Yield the same batches, the next one being made while one is with the classifier; no more than two are ever in memory."""
    with ThreadPoolExecutor(1, "variations") as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def shown_from(start: int, show: Callable[[int], None] | None) -> Callable[[int], None] | None:
    """Return what tells `show` of crops done, where `start` others were done before."""
    return None if show is None else lambda done: show(start + done)
