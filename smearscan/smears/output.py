"""Writes a smear and its truth, with several processes painting."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from pathlib import Path

import cv2

from smearscan.errors import ConfigError, OutputError
from smearscan.results import Picture
from smearscan.smears.painting import Smear
from smearscan.smears.plan import SmearPlan
from smearscan.smears.scattering import BLOCK
from smearscan.smears.truth import origins_path, truth_path, write_origins, write_truth
from smearscan.workers import usable_cores

_BAND = 4  # blocks in a row that one process paints at once; it paints the same columns in every row, and knows them
PYRAMIDS, PICTURES = (".tif", ".tiff"), (".jpg", ".jpeg", ".png")
_PICTURE_PX = 100e6
_ALONE_PX = 30e6  # below this starting processes takes longer than painting

Report = Callable[[int, int], None]  # blocks done, blocks in all


def write_smear(smear: Smear, path: Path, *, quality: int = 80, workers: int | None = None, report: Report | None = None) -> Path:
    """Write the smear and its truth beside it (see `truth_path`); return where the truth is.

    Where cells were cut out of pictures, a second table says of which (see `origins_path`).

    A name ending in .tif or .tiff gives a pyramid of any size, .jpg, .jpeg or .png a plain picture of a small field, which
    carries no scale. The file's bytes do not depend on `workers`; None takes all processors this process may use.
    """
    from smearscan.slides.writing import write_picture, write_pyramid  # brings tifffile, which who only paints can do without

    plan = smear.plan
    _check(plan, path, quality, workers)
    if workers is None:
        workers = usable_cores() if plan.width * plan.height > _ALONE_PX else 1
    blocks = _paint_alone(smear) if workers <= 1 else _paint_together(smear, workers)
    total = -(-plan.width // BLOCK) * -(-plan.height // BLOCK)
    if path.suffix.lower() in PYRAMIDS:
        write_pyramid(path, _counted(blocks, total, report), plan.width, plan.height, plan.mpp, block=BLOCK, quality=quality)
    else:
        write_picture(path, smear.picture(), quality=quality)
    truth = truth_path(path)
    write_truth(smear.truth, truth)
    origins = smear.origins
    if any(origins):
        write_origins(smear.truth, origins, origins_path(path))
    return truth


def _check(plan: SmearPlan, path: Path, quality: int, workers: int | None) -> None:
    suffix = path.suffix.lower()
    if suffix not in PYRAMIDS + PICTURES:
        raise ConfigError(f"{path} must end in {', '.join(PYRAMIDS + PICTURES)}; a smear is written as one of those.")
    if suffix in PICTURES and plan.width * plan.height > _PICTURE_PX:
        raise ConfigError(f"{path}: {plan.width} x {plan.height} px is too large for a plain picture. Name it .tif to write a pyramid.")
    if not 1 <= quality <= 100:
        raise ConfigError(f"quality is {quality}; JPEG knows 1 to 100.")
    if workers is not None and workers < 1:
        raise ConfigError(f"workers is {workers}; at least one process must paint.")


def _counted(blocks: Iterator[Picture], total: int, report: Report | None) -> Iterator[Picture]:
    for done, block in enumerate(blocks, 1):
        yield block
        if report:
            report(done, total)


def _paint_alone(smear: Smear) -> Iterator[Picture]:
    for row in range(-(-smear.plan.height // BLOCK)):
        for column in range(-(-smear.plan.width // BLOCK)):
            yield smear.block(column, row)


def _paint_together(smear: Smear, workers: int) -> Iterator[Picture]:
    """Paint with processes that each keep to their own columns, so that what they remember of a row serves the next."""
    columns, rows = -(-smear.plan.width // BLOCK), -(-smear.plan.height // BLOCK)
    bands = [(start, min(start + _BAND, columns)) for start in range(0, columns, _BAND)]
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks
    with ExitStack() as stack:
        pools = [
            stack.enter_context(ProcessPoolExecutor(1, context, initializer=_remember, initargs=(smear,)))
            for _ in range(min(workers, len(bands)))
        ]
        waiting: list[Future[list[Picture]]] = []
        tasks = ((row, index) for row in range(rows) for index in range(len(bands)))
        try:
            for row, index in tasks:
                waiting.append(pools[index % len(pools)].submit(_paint_band, row, *bands[index]))
                if len(waiting) > 2 * len(pools):
                    yield from waiting.pop(0).result()
            while waiting:
                yield from waiting.pop(0).result()
        except BrokenProcessPool as error:
            raise OutputError("A process that paints has ended, most likely for lack of memory. Try again with --workers 1.") from error
        finally:
            for each in waiting:
                each.cancel()


_remembered: list[Smear] = []  # in a painting process: the smear it paints


def _remember(smear: Smear) -> None:
    cv2.setNumThreads(1)  # the processes share the processors already
    _remembered[:] = [smear]


def _paint_band(row: int, start: int, stop: int) -> list[Picture]:
    return [_remembered[0].block(column, row) for column in range(start, stop)]
