"""Two processes in one folder do not harm each other, and a dead one is in nobody's way."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from smearscan.errors import OutputError
from smearscan.ledger import Ledger

HOLD = """
import sys
from pathlib import Path
from smearscan.ledger import Ledger
with Ledger(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is at work in the folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "report")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_is_first(other: subprocess.Popen[str], tmp_path: Path) -> None:
    with pytest.raises(OutputError) as refusal, Ledger(tmp_path / "report"):
        pass
    assert str(tmp_path / "report") in str(refusal.value)
    assert f"process {other.pid} on {socket.gethostname()}, since 20" in str(refusal.value)


def test_who_is_refused_takes_nothing_from_who_is_first(other: subprocess.Popen[str], tmp_path: Path) -> None:
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    for _ in range(2):
        with pytest.raises(OutputError), Ledger(tmp_path / "report"):
            pass
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_a_killed_process_holds_nothing(other: subprocess.Popen[str], tmp_path: Path) -> None:
    other.kill()
    other.wait()
    with Ledger(tmp_path / "report") as ledger:
        assert (ledger.out / ".smearscan" / "holder.json").is_file()


def test_who_has_ended_holds_nothing(other: subprocess.Popen[str], tmp_path: Path) -> None:
    assert other.stdin is not None
    other.stdin.write("\n")
    other.stdin.close()
    assert other.wait() == 0
    assert not (tmp_path / "report" / ".smearscan" / "holder.json").exists()
    with Ledger(tmp_path / "report"):
        pass


def test_two_ledgers_of_one_process_are_two(tmp_path: Path) -> None:
    with Ledger(tmp_path):
        with pytest.raises(OutputError, match=f"process {os.getpid()} "), Ledger(tmp_path):
            pass
        with Ledger(tmp_path.parent / f"{tmp_path.name}-other"):
            pass


def test_a_run_that_fails_lets_go(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Ledger(tmp_path):
        raise ZeroDivisionError
    with Ledger(tmp_path):
        pass
