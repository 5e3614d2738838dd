"""Runs a command and watches the memory of it and its children; for the benchmarks that state peaks."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

EVERY_S = 0.1


@dataclass(frozen=True)
class Watched:
    """What a command took. Memory that processes share is counted once for each, so that the sum errs on the high side."""

    seconds: float
    peak_mb: float  # of all its processes together
    said: str  # on stdout
    complained: str  # on stderr
    exit_code: int


def watch(command: Sequence[str]) -> Watched:
    """Run a command to its end."""
    started = time.monotonic()
    peak = 0
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=out, stderr=errors)
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _memory(watched))
            time.sleep(EVERY_S)
        out.seek(0)
        errors.seek(0)
        return Watched(time.monotonic() - started, peak / 1e6, out.read(), errors.read(), process.returncode)


def _memory(process: psutil.Process) -> int:
    total = 0
    try:
        for each in [process, *process.children(recursive=True)]:
            total += each.memory_info().rss
    except psutil.NoSuchProcess:
        return total  # one of them has just ended
    return total
