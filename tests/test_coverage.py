"""The simulation that decides which interval the adjusted fraction gets: `benchmarks/coverage.py`, at full size."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SLIDES = 2000


@pytest.fixture(scope="module")
def coverage() -> ModuleType:
    """The benchmark, loaded by its path: it is a script beside the packages, not a part of them."""
    path = Path(__file__).parents[1] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_benchmark", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_interval_over_subjects_covers_and_the_others_do_not(coverage: ModuleType) -> None:
    table = coverage.simulate(SLIDES, methods=("D1", "D5", "D6"))
    print("\n" + "\n".join(coverage.lines(table)))
    covered = {name: np.array([each.covered for each in table if each.method == name]) for name in ("D1", "D5", "D6")}
    assert len(covered["D6"]) == 15
    assert covered["D6"].mean() >= 0.93 and covered["D6"].min() >= 0.90
    # Why it is worth its width: with rates that differ between subjects, the others do not hold what they promise.
    assert covered["D1"].mean() < 0.5 and covered["D5"].mean() < 0.7


def test_the_simulation_repeats_itself_and_lays_out_every_line(coverage: ModuleType) -> None:
    table = coverage.simulate(3)
    assert table == coverage.simulate(3)
    shown = list(coverage.lines(table))
    assert len(shown) == 2 + 15 + 2 and all(name in shown[0] for name in coverage.METHODS)
