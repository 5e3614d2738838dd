"""A crash cannot lie: whatever moment a run ends at, what is there is whole, and the next run ends with the same bytes."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(os.name == "nt", reason="ends processes by fork and SIGKILL")


@pytest.fixture(scope="module")
def night() -> ModuleType:
    spec = importlib.util.spec_from_file_location("night", HERE / "night.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: processes are killed here, not disks, and thousands of fsyncs take minutes."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as folder:
        yield Path(folder)


def break_steps(folder: Path, how: str, stride: int) -> dict[str, int]:
    """Return how many steps were broken in each kind of night."""
    command = [sys.executable, str(HERE / "every_step.py"), str(folder), how, str(stride)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {line.partition(":")[0]: int(line.partition(":")[2]) for line in done.stdout.splitlines()}


@pytest.mark.parametrize("how", ["kill", "full"])
def test_a_run_may_break_at_some_steps(how: str, memory: Path) -> None:
    broken = break_steps(memory, how, stride=11)
    assert min(broken.values()) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "full"])
def test_a_run_may_break_at_every_step(how: str, memory: Path) -> None:
    broken = break_steps(memory, how, stride=1)
    assert list(broken) == ["nothing", "an earlier report"]
    assert min(broken.values()) > 60, "a night of two slides has many more steps"


@pytest.mark.slow
def test_ten_kills_at_random_moments(night: ModuleType, memory: Path) -> None:
    out, slides, kills = memory / "killed", 100, 10
    night.scan(memory / "undisturbed", "new", slides)
    moments = random.Random(7)
    for _ in range(kills):
        command = [sys.executable, str(HERE / "night.py"), str(out), "new", str(slides)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(moments.randint(1, 6)):
                assert process.stdout.readline(), "it was still at work"
            time.sleep(moments.uniform(0, 0.003))
            process.kill()
        night.assert_whole(out)
    assert not (out / "run.json").exists(), "no run came to its end"
    decided = night.scan(out, "new", slides)
    assert 0 < list(decided.values()).count("kept") < slides
    assert night.tree(out) == night.tree(memory / "undisturbed")
    assert set(night.scan(out, "new", slides).values()) == {"kept"}
