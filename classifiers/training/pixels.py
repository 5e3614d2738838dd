"""The prepared pictures of a set of cells, made once: what every epoch shows, and what decoding again and again would cost.

They are held in memory while they are small beside it, else in a file that is mapped. Such a file can be shared: folds, trials of a
tuning and the processes of several GPUs read the same one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import psutil
from numpy.typing import NDArray

from classifiers.base import ClassifierError
from classifiers.datasets import Samples
from classifiers.preprocess import Preparation

Pixels: TypeAlias = NDArray[np.uint8]  # (n, side, side, 3)
ROWS_AT_ONCE = 16  # of a thread: few enough to show progress, many enough to outweigh the handing over
SHARE_OF_MEMORY = 0.3  # of what the machine has, free or not: the same training takes the same way each time


def prepare_pixels(
    samples: Samples,
    crop_px: int,
    steps: Sequence[Mapping[str, Any]],
    *,
    threads: int,
    cache: Path | None = None,
    fill_cache: Path | None = None,
    digest: str = "",
    show: Callable[[int, int], None] | None = None,
) -> Pixels:
    """Return every cell's picture as a card's preparation leaves it.

    With `cache` they are kept in a file there, under a name made of `digest` (of the samples) and of what is done to them, and a
    file that is there is taken as it is. Without it they go to memory, or to a file in `fill_cache` if memory is too small.
    """
    preparation = Preparation(steps)
    side = preparation.prepared_px(crop_px)
    shape = (len(samples), side, side, 3)
    fill = partial(_fill, samples=samples, crop_px=crop_px, preparation=preparation, threads=threads, show=show)
    in_memory = cache is None and np.prod(shape, dtype=np.int64) <= SHARE_OF_MEMORY * psutil.virtual_memory().total
    if in_memory:
        pixels = np.empty(shape, np.uint8)
        fill(pixels)
        return pixels
    folder = cache or fill_cache
    if folder is None:
        raise ClassifierError(f"{len(samples)} pictures of {side} px do not fit into memory. Name a folder to keep them in.")
    key = hashlib.sha256(json.dumps([digest, crop_px, [dict(step) for step in steps]], sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"pixels-{key}.npy"
    if not path.is_file():
        _write(path, shape, fill)
    return open_pixels(path)


def open_pixels(path: Path) -> Pixels:
    """Return a file of prepared pictures, mapped: nothing is read before it is asked for."""
    mapped: Pixels = np.load(path, mmap_mode="r")
    return mapped


def _write(path: Path, shape: tuple[int, ...], fill: Callable[[Pixels], None]) -> None:
    """Fill a file under another name first: one that bears its name is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        mapped = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
        fill(mapped)
        mapped.flush()
        unfinished.replace(path)
    except OSError as error:
        raise ClassifierError(f"{path} cannot be written: {error.strerror}. Make room there, or train in another folder.") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _fill(
    pixels: Pixels,
    *,
    samples: Samples,
    crop_px: int,
    preparation: Preparation,
    threads: int,
    show: Callable[[int, int], None] | None,
) -> None:
    def prepare(start: int) -> int:
        rows = np.arange(start, min(start + ROWS_AT_ONCE, len(samples)))
        pixels[rows] = preparation(samples.crops(rows, crop_px))
        return len(rows)

    done = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        try:
            for count in pool.map(prepare, range(0, len(samples), ROWS_AT_ONCE)):
                done += count
                if show is not None:
                    show(done, len(samples))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def mean_and_std(pixels: Pixels, rows: NDArray[np.intp]) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and deviation of each colour in [0, 1] over these pictures, exact: counted, not summed in floats."""
    counts = np.zeros((3, 256), np.int64)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        chunk = pixels[rows[start : start + ROWS_AT_ONCE]]
        for channel in range(3):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    std = np.sqrt(((values - mean[:, None]) ** 2 * share).sum(axis=1))
    return _triple(mean), _triple(np.maximum(std, 1 / 255))  # a channel that is the same everywhere is only shifted


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (round(float(each), 6) for each in values)
    return red, green, blue
