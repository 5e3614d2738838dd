"""What every test may ask for."""

from __future__ import annotations

import os
import sys
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
def detection() -> ModuleType:
    """The benchmark itself, so that the figure in the tests is the one that it prints."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    try:
        import detection as module
    finally:
        sys.path.pop(0)
    return module
