"""The memory of a run: over one very large drawn smear, and over ten slides one after the other.

    python benchmarks/memory.py --folder DIR            # draws 60,000 x 60,000 px into DIR first: minutes, and 0.5 GB of disk
    python benchmarks/memory.py --side 20000

Peaks are sums over all processes of a run. A run over ten slides may not need more than one over the first of them does.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from watching import Watched, watch

from smearscan.smears import SmearPlan, plan_smear, write_smear

LARGE_LIMIT_MB = 3000.0
GROWTH_LIMIT = 1.15
SLIDES = 10
SLIDE_PX = 6000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=60_000, help="pixels of the large smear")
    parser.add_argument("--folder", type=Path, help="where slides are drawn, and kept for another time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        large = drawn(folder / f"drawn-{options.side}.tif", options.side, seed=1)
        small = [drawn(folder / "ten" / f"drawn-{number}.tif", SLIDE_PX, seed=number) for number in range(SLIDES)]
        whole = scan([large], Path(scratch) / "large")
        print(f"one slide of {options.side} x {options.side} px   peak {whole.peak_mb:6.0f} MB   {whole.seconds:6.1f} s")
        first = scan(small[:1], Path(scratch) / "one")
        print(f"one slide of {SLIDE_PX} x {SLIDE_PX} px     peak {first.peak_mb:6.0f} MB   {first.seconds:6.1f} s")
        all_of_them = scan(small, Path(scratch) / "ten")
        print(f"ten slides of {SLIDE_PX} x {SLIDE_PX} px    peak {all_of_them.peak_mb:6.0f} MB   {all_of_them.seconds:6.1f} s")
    grown = all_of_them.peak_mb / first.peak_mb
    print(f"ten slides need {grown:.2f} times the memory of the first of them")
    return int(whole.peak_mb > LARGE_LIMIT_MB or grown > GROWTH_LIMIT)


def drawn(path: Path, side: int, seed: int) -> Path:
    """Return a drawn slide of that size, which is drawn unless it is there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_smear(plan_smear(SmearPlan(side, side, 0.25, seed=seed, blast_fraction=0.1)), path)
    return path


def scan(slides: list[Path], out: Path) -> Watched:
    settings = ["--classifier", "drawn-cells", "--proposals", "nuclei"]
    seen = watch([sys.executable, "-m", "smearscan", "run", *map(str, slides), "--out", str(out), *settings])
    if seen.exit_code != os.EX_OK:
        raise SystemExit(seen.complained)
    return seen


if __name__ == "__main__":
    raise SystemExit(main())
