"""SIGKILL at any moment, then the same command: the files are those of a run that was never disturbed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smearscan.testing.runs import lasting_results

KILLS = 10


def command(slides: Path, out: Path) -> list[str]:
    settings = ["--classifier", "drawn-cells", "--proposals", "nuclei", "--workers", "2", "--tile-size", "512"]
    return [sys.executable, "-m", "smearscan", "run", str(slides), "--out", str(out), *settings]


def run_whole(slides: Path, out: Path) -> float:
    started = time.monotonic()
    done = subprocess.run(command(slides, out), capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - started


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_as_if_nothing_had_been(drawn: Path, tmp_path: Path) -> None:
    seconds = run_whole(drawn, tmp_path / "undisturbed")
    moments = random.Random(20)
    for _ in range(KILLS):
        process = subprocess.Popen(command(drawn, tmp_path / "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(moments.uniform(0.3, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    run_whole(drawn, tmp_path / "killed")
    assert lasting_results(tmp_path / "killed") == lasting_results(tmp_path / "undisturbed")


@pytest.mark.slow
def test_asked_to_stop_it_says_what_is_left_and_goes_on_later(drawn: Path, tmp_path: Path) -> None:
    seconds = run_whole(drawn, tmp_path / "undisturbed")
    process = subprocess.Popen(command(drawn, tmp_path / "stopped"), stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "stopped" / ".smearscan").exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.1 * seconds)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode in (3, 4), said
    assert "asked to stop (SIGTERM)" in said
    assert "The same command goes on" in said
    run_whole(drawn, tmp_path / "stopped")
    assert lasting_results(tmp_path / "stopped") == lasting_results(tmp_path / "undisturbed")
