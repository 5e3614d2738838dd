"""Every script in examples/ runs; those that take long have tests of their own."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from detectors import Detector
from smearscan.testing.detectors import DetectorContract

EXAMPLES = Path(__file__).parents[1] / "examples"
TESTED_ELSEWHERE = {
    "draw_example_slides.py": "tests/smears/test_example_slides.py",
    "train_drawn_classifier.py": "tests/classifiers/test_bundled.py",
}


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py") if path.name not in TESTED_ELSEWHERE))
def test_an_example_runs_and_says_something(script: str) -> None:
    done = subprocess.run([sys.executable, "-W", "error", str(EXAMPLES / script)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert not done.stderr.strip()


class TestOwnDetector(DetectorContract):
    """What the example shows to others keeps the promises that it names."""

    @pytest.fixture
    def detector(self, monkeypatch: pytest.MonkeyPatch) -> Detector:
        monkeypatch.syspath_prepend(EXAMPLES)
        own: Detector = import_module("own_detector").DarkDetector()
        return own


def test_the_others_are_tested_where_it_says() -> None:
    for script, test in TESTED_ELSEWHERE.items():
        assert (EXAMPLES / script).is_file()
        assert script.removesuffix(".py") in (EXAMPLES.parent / test).read_text(encoding="utf-8")
