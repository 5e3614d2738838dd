"""End to end on one drawn smear, window and nuclei modes: crops a second beside the plain script, and where the time goes.

    python benchmarks/throughput.py                      # 20,000 x 20,000 px: some minutes
    python benchmarks/throughput.py --side 6000 --rounds 1

Both sides are whole processes over the same crops of the same slide; what is compared is the time from the first read to
the last score: of the plain script what it prints itself, of smearscan the `engines.seconds` of run.json. They are
measured in turns, and the middle of the rounds is printed, so that the machine's noise meets both alike. Scores must
agree within 1e-5.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from smearscan.smears import SmearPlan, plan_smear, write_smear

HERE = Path(__file__).parent
MODEL = HERE.parent / "classifiers" / "bundled" / "drawn-cells"


@dataclass
class Mode:
    """One way of proposing, and what was measured of it."""

    name: str
    flags: list[str]
    ours: list[dict[str, Any]] = field(default_factory=list)  # run.json of each round
    plain: list[float] = field(default_factory=list)  # crops a second
    difference: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=20_000, help="pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain-limit", type=int, default=20_000, help="crops that the plain script scores at most")
    parser.add_argument("--folder", type=Path, help="where the slide is drawn, and kept for another time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        slide = drawn_slide(options.folder or Path(scratch), options.side)
        modes = [Mode("nuclei", ["--proposals", "nuclei"]), Mode("window", ["--proposals", "window"])]
        for _ in range(options.rounds):
            for mode in modes:
                measure(mode, slide, Path(scratch) / mode.name, options.plain_limit)
        for mode in modes:
            tell(mode)


def drawn_slide(folder: Path, side: int) -> Path:
    """Return a drawn slide of that size, which is drawn unless it is there."""
    path = folder / f"drawn-{side}.tif"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_smear(plan_smear(SmearPlan(width=side, height=side, mpp=0.25, seed=11, blast_fraction=0.1)), path)
    return path


def measure(mode: Mode, slide: Path, out: Path, limit: int) -> None:
    command = [sys.executable, "-m", "smearscan", "run", str(slide), "--out", str(out), "--classifier", str(MODEL), "--precision", "fp32"]
    subprocess.run([*command, "--overwrite", "--no-gate", *mode.flags], check=True, capture_output=True)
    record = json.loads(next((out / "slides").rglob("slide.json")).read_text())
    mode.ours.append({**json.loads((out / "run.json").read_text()), "area_mm2": record["area"]["scanned"]})
    cells = next((out / "slides").rglob("cells.csv"))
    scores = out.with_suffix(".npy")
    across = (record["info"]["width"] - 112) // 56 + 1
    skip = across * across // 2  # the first windows of a film lie on glass: the plain script begins in the middle
    if mode.name == "window":
        crops, seconds = plain(
            slide, "--window", "112", "--step", "56", "--skip", str(skip), "--limit", str(limit), "--scores", str(scores)
        )
        difference = largest_difference(cells, np.load(scores), (across, skip))
    else:
        plain(slide, "--boxes", str(cells), "--scores", str(scores))
        difference = largest_difference(cells, np.load(scores), None)
        crops, seconds = plain(slide, "--nuclei")
    mode.plain.append(crops / seconds)
    mode.difference = max(mode.difference, difference)


def plain(slide: Path, *flags: str) -> tuple[int, float]:
    """Run the plain script; returns how many crops it scored, and in how many seconds."""
    command = [sys.executable, str(HERE / "plain_script.py"), str(slide), str(MODEL), *flags]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"(\d+) crops in ([\d.]+) s", said)
    assert found, said
    return int(found[1]), float(found[2])


def largest_difference(cells: Path, plain: np.ndarray[Any, Any], grid: tuple[int, int] | None) -> float:
    """Compare our scores with those of the plain script, which lists cells as the file does, and windows row by row."""
    with cells.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name.startswith("p_")]
    ours = np.array([[float(row[name]) for name in names] for row in rows])
    place = np.arange(len(rows))
    if grid is not None:
        across, skip = grid
        place = np.array([int(row["top"]) // 56 * across + int(row["left"]) // 56 for row in rows]) - skip
    both = (place >= 0) & (place < len(plain))
    assert both.any(), "no crop was scored by both"
    return float(np.abs(ours[both] - plain[place[both]]).max())


def tell(mode: Mode) -> None:
    engines = [facts["engines"] for facts in mode.ours]
    rates = [each["crops"] / each["seconds"] for each in engines]
    scoring = [each["crops"] / each["scoring_seconds"] for each in engines]
    idle = [each["idle_seconds"] / each["seconds"] for each in engines]
    area = mode.ours[0]["area_mm2"]
    middle = statistics.median
    print(f"{mode.name}: {engines[0]['crops']} crops, {engines[0]['workers']} workers, middle of {len(engines)} rounds")
    print(f"  end to end      {middle(rates):8.0f} crops/s")
    print(f"  scoring alone   {middle(scoring):8.0f} crops/s")
    print(f"  plain script    {middle(mode.plain):8.0f} crops/s")
    ratios = [ours / plain for ours, plain in zip(rates, mode.plain, strict=True)]
    print(f"  ratio           {middle(ratios):8.2f} ({min(ratios):.2f}-{max(ratios):.2f})")
    print(f"  per mm2         {middle([each['seconds'] for each in engines]) / area:8.2f} s")
    print(f"  classifier idle {100 * middle(idle):8.0f} % of the time: it waited for the readers")
    stages = mode.ours[-1]["stages_seconds"]
    shown = [facts["stages_seconds"].get("explain", 0.0) / facts["engines"]["seconds"] for facts in mode.ours]
    print(f"  heat maps       {100 * middle(shown):8.1f} % of the time, without reading, drawing and writing them: see overlays.py")
    print("  stages          " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in stages.items() if name != "total"))
    print(f"  scores differ by at most {mode.difference:.1e}")


if __name__ == "__main__":
    main()
