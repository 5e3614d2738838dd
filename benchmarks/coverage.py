"""How often the 95 % intervals of the blast fraction hold the truth, and how wide they are.

    python benchmarks/coverage.py [--slides 2000] [--seed 7]

Every simulated slide has its own sensitivity and specificity, and its own validation set of 12 subjects with
blasts and 12 without: Se ~ Beta(mean 0.90, SD 0.08), Sp ~ Beta(mean 0.85, SD 0.10), 20 to 200 cells a subject.
Side by side: plain Wilson (D1), pooled rates (D5), rates that differ between subjects (D6), and the textbook
way to D6, `resampling`, which was tried and not taken: subjects resampled, a beta-binomial fitted by moments.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smearscan.intervals import (
    AdjustmentRefused,
    Pooled,
    SlideRates,
    SubjectTallies,
    adjust_by_subjects,
    draw_slide_rates,
    lang_reiczigel,
    wilson_effective,
)
from smearscan.results import Interval

CELLS = (100, 200, 500)
FRACTIONS = (0.0, 0.02, 0.05, 0.2, 0.5)
METHODS = ("D1", "D5", "D6", "resampling")
SUBJECTS = 12
WHOLE = Interval(0.0, 1.0)  # what a method that refuses is taken to say


@dataclass(frozen=True)
class Coverage:
    """One table cell: how often the intervals of one method held the truth, and their mean width."""

    method: str
    cells: int
    fraction: float
    covered: float
    width: float


@dataclass(frozen=True)
class Validation:
    blast: SubjectTallies
    other: SubjectTallies


def simulate(slides: int, seed: int = 7, methods: Sequence[str] = METHODS) -> list[Coverage]:
    """Draw `slides` slides for each table cell and return the whole table; each slide comes with a fresh validation set."""
    held = np.zeros((len(methods), len(CELLS), len(FRACTIONS)))
    widths = np.zeros_like(held)
    for number in range(slides):
        rng = np.random.default_rng([seed, number])
        validation = draw_validation(rng)
        states = [_method(name, validation) for name in methods]
        for row, cells in enumerate(CELLS):
            for column, fraction in enumerate(FRACTIONS):
                x = draw_slide(rng, cells, fraction)
                for index, state in enumerate(states):
                    interval = state(x, cells)
                    held[index, row, column] += interval.low <= fraction <= interval.high
                    widths[index, row, column] += interval.high - interval.low
    return [
        Coverage(name, cells, fraction, float(held[index, row, column] / slides), float(widths[index, row, column] / slides))
        for index, name in enumerate(methods)
        for row, cells in enumerate(CELLS)
        for column, fraction in enumerate(FRACTIONS)
    ]


def draw_validation(rng: np.random.Generator) -> Validation:
    return Validation(_draw_subjects(rng, 0.90, 0.08), _draw_subjects(rng, 0.85, 0.10))


def draw_slide(rng: np.random.Generator, cells: int, fraction: float) -> int:
    """Return how many of a slide's cells are called blast."""
    sensitivity, specificity = rng.beta(*_beta(0.90, 0.08)), rng.beta(*_beta(0.85, 0.10))
    return int(rng.binomial(cells, fraction * sensitivity + (1 - fraction) * (1 - specificity)))


def _draw_subjects(rng: np.random.Generator, mean: float, sd: float) -> SubjectTallies:
    cells = rng.integers(20, 201, SUBJECTS)
    right = rng.binomial(cells, rng.beta(*_beta(mean, sd), SUBJECTS))
    return SubjectTallies(tuple(right.tolist()), tuple(cells.tolist()))


def _beta(mean: float, sd: float) -> tuple[float, float]:
    weight = mean * (1 - mean) / sd**2 - 1
    return mean * weight, (1 - mean) * weight


def _method(name: str, validation: Validation) -> Callable[[int, int], Interval]:
    """Return what turns x of n into an interval, once the validation set is known."""
    blast, other = validation.blast, validation.other
    if name == "D1":
        return lambda x, n: wilson_effective(x / n, n)
    if name == "D5":
        pooled = [Pooled(sum(each.right), sum(each.cells)) for each in (blast, other)]
        return lambda x, n: _or_whole(lambda: lang_reiczigel(x, n, pooled[0], pooled[1])[1])
    rates = draw_slide_rates(blast, other) if name == "D6" else _resampled(blast, other)
    return lambda x, n: _or_whole(lambda: adjust_by_subjects(x, n, rates).interval)


def _or_whole(interval: Callable[[], Interval]) -> Interval:
    try:
        return interval()
    except AdjustmentRefused:
        return WHOLE


def _resampled(blast: SubjectTallies, other: SubjectTallies) -> SlideRates:
    rng = np.random.default_rng(6)
    return SlideRates(_resample(blast, rng), _resample(other, rng))


def _resample(tallies: SubjectTallies, rng: np.random.Generator, draws: int = 2000) -> NDArray[np.float64]:
    """Resample N - 1 of N subjects, fit a beta-binomial by moments, draw one rate; `draws` times."""
    chosen = rng.integers(0, len(tallies.cells), (draws, len(tallies.cells) - 1))
    right, cells = np.array(tallies.right)[chosen], np.array(tallies.cells)[chosen]
    subjects, total = chosen.shape[1], cells.sum(axis=1)
    mean = right.sum(axis=1) / total
    between = (cells * (right / cells - mean[:, None]) ** 2).sum(axis=1) / (subjects - 1)
    within = (right * (1 - right / cells)).sum(axis=1) / (total - subjects)
    typical = (total - (cells**2).sum(axis=1) / total) / (subjects - 1)
    spread = between + (typical - 1) * within
    correlation = np.divide(between - within, spread, out=np.zeros_like(spread), where=spread > 0).clip(1e-4, 0.95)
    weight, middle = (1 - correlation) / correlation, mean.clip(1e-3, 1 - 1e-3)
    rates: NDArray[np.float64] = rng.beta(middle * weight, (1 - middle) * weight)
    return rates


def lines(table: Sequence[Coverage]) -> Iterator[str]:
    """Lay the table out: one line for each number of cells and fraction, coverage and mean width of every method."""
    methods = list(dict.fromkeys(each.method for each in table))
    found = {(each.method, each.cells, each.fraction): each for each in table}
    yield "cells  fraction " + "".join(f"{name:>18}" for name in methods)
    yield "                " + "   coverage  width" * len(methods)
    for cells in CELLS:
        for fraction in FRACTIONS:
            row = [found[name, cells, fraction] for name in methods]
            yield f"{cells:5d}  {fraction:8.2f} " + "".join(f"{each.covered:11.3f}{each.width:7.3f}" for each in row)
    for label, summary in (("average", np.mean), ("lowest", np.min)):
        row_of = [[each for each in table if each.method == name] for name in methods]
        ends = (f"{summary([e.covered for e in row]):11.3f}{summary([e.width for e in row]):7.3f}" for row in row_of)
        yield f"{label:15} " + "".join(ends)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slides", type=int, default=2000, help="slides for each line of the table")
    parser.add_argument("--seed", type=int, default=7)
    chosen = parser.parse_args()
    begun = time.perf_counter()
    table = simulate(chosen.slides, chosen.seed)
    print("\n".join(lines(table)))
    print(f"{chosen.slides} slides a line, {len(METHODS)} methods, {time.perf_counter() - begun:.0f} s")
    validation = draw_validation(np.random.default_rng(chosen.seed))
    draw_slide_rates.cache_clear()
    begun = time.perf_counter()
    rates = draw_slide_rates(validation.blast, validation.other)
    drawn = time.perf_counter()
    adjust_by_subjects(40, 200, rates)
    print(f"D6: {1000 * (drawn - begun):.0f} ms once a card, {1000 * (time.perf_counter() - drawn):.1f} ms a slide")


if __name__ == "__main__":
    main()
