"""What every test may ask for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real images that SMEARSCAN_DATA names; without it the test is skipped."""
    named = os.environ.get("SMEARSCAN_DATA")
    if not named:
        pytest.skip("needs real images: set SMEARSCAN_DATA to their folder")
    folder = Path(named).resolve()
    assert folder.is_dir(), f"SMEARSCAN_DATA names {folder}, which is no folder"
    return folder


@pytest.fixture(scope="session")
def benchmark_module() -> Iterator[Callable[[str], ModuleType]]:
    """Import a benchmark by its name, so that a figure in the tests is the one that it prints; processes that it starts find it too."""
    folder = str(Path(__file__).parents[1] / "benchmarks")
    sys.path.insert(0, folder)
    yield import_module
    sys.path.remove(folder)


@pytest.fixture(scope="session")
def detection(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("detection")
