"""What a run says of the machine that it ran on."""

from __future__ import annotations

import platform
import subprocess
import sys

import numpy as np
import pytest

MEGABYTE = 2**20
SAY = "from smearscan.machine import peak_memory_bytes as p; x = bytearray(b'1') * (80 << 20); print(p())"


@pytest.mark.skipif(platform.system() != "Linux", reason="says what Linux does when a process starts another")
def test_the_most_memory_is_a_process_s_own_and_not_that_of_the_one_that_started_it() -> None:
    held = np.ones(700 * MEGABYTE // 8)
    said = int(subprocess.run([sys.executable, "-c", SAY], check=True, capture_output=True, text=True).stdout)
    assert held[-1] == 1.0
    assert 80 * MEGABYTE < said < 500 * MEGABYTE
