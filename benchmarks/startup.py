"""How long `smearscan --help` takes in a fresh interpreter: the median of ten runs, and the slowest imports of one.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMAND = ["-m", "smearscan", "--help"]


def seconds() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *COMMAND], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def slowest_imports(count: int) -> list[tuple[float, str]]:
    """Return the `count` modules whose own code took longest to load, in milliseconds."""
    shown = subprocess.run([sys.executable, "-X", "importtime", *COMMAND], check=True, capture_output=True, text=True).stderr
    rows = [line.removeprefix("import time:").split("|") for line in shown.splitlines() if line.startswith("import time:")]
    return sorted(((int(own) / 1000, name.strip()) for own, _, name in rows if own.strip().isdigit()), reverse=True)[:count]


def main() -> None:
    seconds()  # the first run also writes the bytecode
    runs = sorted(seconds() for _ in range(10))
    print(f"smearscan --help: median {statistics.median(runs):.3f} s of ten runs ({runs[0]:.3f}-{runs[-1]:.3f} s)")
    for milliseconds, name in slowest_imports(5):
        print(f"  {milliseconds:6.1f} ms  {name}")


if __name__ == "__main__":
    main()
