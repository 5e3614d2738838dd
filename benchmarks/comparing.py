"""How long two reports are compared, and with how much memory.

    python benchmarks/comparing.py [--slides 2] [--cells 100000]

The second report has each cell of the first up to a third of a diameter away; of both, a twentieth of the cells is left
out. Nothing is scanned: the reports are written here. Every pair that was drawn must be found. The limits are 10 s a
slide of 100,000 cells and 1 GB, writing cells.csv and the pages included. It is one thread's work, so the limit is on
the processor's time, which neighbours on the machine do not change.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from smearscan import machine
from smearscan.compare.publishing import publish
from smearscan.compare.report_folder import read_report
from smearscan.counting import call_cells, count_cells, explain
from smearscan.ledger import Ledger
from smearscan.reports import CellsCsv, DetectorFacts, SlideReport, slide_record
from smearscan.results import Area, Cells, Level, Scanned, SlideInfo
from smearscan.testing.classifiers import fake_card

SECONDS_LIMIT, MEMORY_LIMIT_MB = 10.0, 1000.0
SPACING, DIAMETER = 90.0, 50.0  # px; cells lie on a loose grid, so that it is known which are one
LEFT_OUT = 0.05


def drawn_slide(key: str, cells: int, seed: int, moved: int) -> SlideReport:
    """Return the report on a slide whose cells lie where `seed` says, moved a little by `moved`."""
    side = int(np.ceil(np.sqrt(cells)))
    extent = int((side + 1) * SPACING)
    base, shift = np.random.default_rng(seed), np.random.default_rng([seed, moved])
    corner = np.stack(np.divmod(np.arange(cells), side), axis=1)[:, ::-1] * SPACING + base.random((cells, 2)) * 20
    blast = base.random(cells) < 0.1
    kept = np.flatnonzero(shift.random(cells) >= LEFT_OUT)
    corner = (corner + (shift.random((cells, 2)) - 0.5) * DIAMETER / 3)[kept]
    card = fake_card()
    scores = np.clip(np.where(blast[kept], 0.9, 0.1) + shift.normal(0, 0.1, len(kept)), 0.001, 0.999)
    probabilities = np.zeros((len(kept), len(card.classes)), np.float32)
    roles = {card.roles[name]: index for index, name in enumerate(card.classes)}
    probabilities[:, roles["blast"]], probabilities[:, roles["other"]] = scores, 1 - scores
    columns = Cells(np.hstack([corner, corner + DIAMETER]).astype(np.float32), np.ones(len(kept), np.float32), probabilities, card.classes)
    called = call_cells(columns, card)
    count = count_cells(columns, called, card, proposals=len(kept), duplicates=0, counting_tile_px=1000)
    info = SlideInfo(Path(key), "drawn", extent, extent, 0.25, "file", (Level(0, extent, extent, 1.0),))
    area = Area("mm2", 1.0, 1.0, {})
    outcome = Scanned(info, "ok", "", columns, called.classes, called.excluded, called.blast, count, area, explain(count))
    return SlideReport(key, key, outcome, card, DetectorFacts("drawn"), {"drawn": moved}, "sha256:" + "ab" * 32)


def write_report(folder: Path, slides: int, cells: int, moved: int) -> None:
    keys = [f"slide-{number}.tif" for number in range(slides)]
    with Ledger(folder, keys) as book:
        for number, key in enumerate(keys):
            report = drawn_slide(key, cells, number, moved)
            book.publish(key, lambda staged, report=report: CellsCsv().write(report, staged), slide_record(report))  # type: ignore[misc]
        book.write_run({})


def compare(folder: Path, slides: int, cells: int, results: multiprocessing.Queue[tuple[float, float, int | None, int, int]]) -> None:
    """Compare the two reports in a process of its own, so that its peak is nobody else's."""
    begun, begun_cpu = time.perf_counter(), time.process_time()
    found, _ = publish(read_report(folder / "a"), read_report(folder / "b"), None, folder / "compared")
    seconds, cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
    expected = sum(_pairs(cells, number) for number in range(slides))
    results.put((seconds, cpu, machine.peak_memory_bytes(), sum(slide.matched or 0 for slide in found.slides), expected))


def _pairs(cells: int, seed: int) -> int:
    kept = [np.random.default_rng([seed, moved]).random(cells) >= LEFT_OUT for moved in (1, 2)]
    return int((kept[0] & kept[1]).sum())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slides", type=int, default=2)
    parser.add_argument("--cells", type=int, default=100_000, help="of each slide")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as scratch:
        for name, moved in (("a", 1), ("b", 2)):
            write_report(Path(scratch) / name, options.slides, options.cells, moved)
        results: multiprocessing.Queue[tuple[float, float, int | None, int, int]] = context.Queue()
        process = context.Process(target=compare, args=(Path(scratch), options.slides, options.cells, results))
        process.start()
        seconds, cpu, peak, matched, expected = results.get()
        process.join()
    each, peak_mb = cpu / options.slides, (peak or 0) / 1e6
    print(f"two reports of {options.slides} slides of {options.cells:,} cells")
    print(f"{seconds / options.slides:.1f} s a slide, of the processor {each:.1f} s, peak {peak_mb:.0f} MB")
    print(f"{matched:,} pairs found of {expected:,} drawn")
    return int(each > SECONDS_LIMIT or peak_mb > MEMORY_LIMIT_MB or matched != expected)


if __name__ == "__main__":
    sys.exit(main())
