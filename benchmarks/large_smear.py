"""Writes a large drawn smear and reads it through, tile by tile, each in processes of its own, and prints what memory both took.

    python benchmarks/large_smear.py                      # 60,000 x 60,000 px: minutes, and about 1 GB of disk
    python benchmarks/large_smear.py --side 20000

The peak of a phase is the sum over its processes, looked at ten times a second; memory that processes share is counted
once for each, so that the sum errs on the high side. Beside it stands what the operating system says of the largest one.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from watching import watch

LIMIT_MB = 1000.0


@dataclass(frozen=True)
class Phase:
    name: str
    seconds: float
    peak_mb: float  # of all its processes together
    largest_mb: float  # of the largest of them
    said: str


def main() -> int:
    options = _options()
    if options.phase:
        return _write(options) if options.phase == "write" else _read(options)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "large.tif"
        phases = [_measure(phase, path, options) for phase in ("write", "read")]
        size_mb = path.stat().st_size / 1e6
    megapixels = options.side**2 / 1e6
    print(f"{options.side} x {options.side} px, {megapixels:.0f} Mpx, {size_mb:.0f} MB on disk")
    for phase in phases:
        speed = megapixels / phase.seconds
        print(
            f"{phase.name:5}  {phase.seconds:7.1f} s  {speed:6.1f} Mpx/s  peak {phase.peak_mb:5.0f} MB"
            f" (largest process {phase.largest_mb:.0f} MB)  {phase.said}"
        )
    if any(phase.peak_mb >= LIMIT_MB for phase in phases):
        print(f"more than {LIMIT_MB:.0f} MB")
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=60_000, help="pixels")
    parser.add_argument("--workers", type=int, default=2, help="processes that paint, each with its own memory")
    parser.add_argument("--tile", type=int, default=1024, help="pixels of a side of what is read at once")
    parser.add_argument("--folder", type=Path, default=None, help="where the slide is written (default: the system's temporary folder)")
    parser.add_argument("--phase", choices=("write", "read"), help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(phase: str, path: Path, options: argparse.Namespace) -> Phase:
    """Run one phase in a process of its own and watch it and its children."""
    command = [sys.executable, __file__, "--phase", phase, "--path", str(path), "--side", str(options.side), "--tile", str(options.tile)]
    if options.workers:
        command += ["--workers", str(options.workers)]
    seen = watch(command)
    if seen.exit_code:
        raise SystemExit(f"{phase} ended with exit code {seen.exit_code}\n{seen.complained}")
    largest_kb, _, words = seen.said.strip().partition(" ")
    return Phase(phase, seen.seconds, seen.peak_mb, int(largest_kb) * 1024 / 1e6, words)


def _largest_kb() -> int:
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(own, children) // (1024 if sys.platform == "darwin" else 1)


def _write(options: argparse.Namespace) -> int:
    from smearscan.smears import SmearPlan, plan_smear, write_smear

    smear = plan_smear(SmearPlan(options.side, options.side, 0.25, seed=1, blast_fraction=0.2))
    write_smear(smear, options.path, workers=options.workers)
    cells = sum(cell.is_white_cell for cell in smear.truth)
    print(f"{_largest_kb()} {cells} white cells")
    return 0


def _read(options: argparse.Namespace) -> int:
    from smearscan.slides import open_slide

    slide = open_slide(options.path)
    info, tile, total = slide.info, options.tile, 0
    for top in range(0, info.height, tile):
        for left in range(0, info.width, tile):
            box = (left, top, min(left + tile, info.width), min(top + tile, info.height))
            total += int(slide.read(box, 0).sum(dtype="uint64"))
    print(f"{_largest_kb()} by {info.reader}, mean grey {total / info.width / info.height / 3:.2f}, {info.mpp:g} um/px")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
