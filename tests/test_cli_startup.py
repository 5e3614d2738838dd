"""`smearscan --help` answers at once because it loads nothing heavy; benchmarks/startup.py says how fast."""

from __future__ import annotations

import subprocess
import sys

import pytest

# All that DESIGN.md gives a home, and what would cost as much without having one.
HEAVY = {
    "captum", "cv2", "dask", "distributed", "imagecodecs", "jinja2", "matplotlib", "openslide", "pandas", "PIL", "psutil",
    "pytorch_grad_cam", "rich", "scipy", "skimage", "sklearn", "starlette", "tifffile", "torch", "torchvision", "ultralytics", "zarr",
}  # fmt: skip


def loaded_by(*arguments: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter loads for `smearscan ARGUMENTS`."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "smearscan", *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.strip(), "it said something"
    lines = (line for line in ended.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_answers_without_loading_anything_heavy(argument: str) -> None:
    loaded = loaded_by(argument)
    assert {"smearscan", "click"} <= loaded, "the list of what was loaded was read"
    assert not loaded & HEAVY


def test_help_names_every_verb_and_the_notice() -> None:
    from smearscan.cli import VERBS

    shown = subprocess.run([sys.executable, "-m", "smearscan", "--help"], capture_output=True, text=True, timeout=120, check=True).stdout
    for verb, summary in VERBS.items():
        assert verb in shown
        assert summary.split(".")[0] in " ".join(shown.split())
    assert "For research use only." in shown
