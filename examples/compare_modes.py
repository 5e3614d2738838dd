"""The sliding window and the detector of nuclei on the same slides, cell by cell.

python examples/compare_modes.py examples/slides/field.jpg 0.25
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from smearscan import night
from smearscan.compare import Report, compare, read_report
from smearscan.config import ScanConfig
from smearscan.labels import read_labels
from smearscan.slides import find_slides


def scan(slide: Path, mode: str, mpp: float | None, out: Path) -> Report:
    """Do what `smearscan run --proposals MODE --out OUT` does, and read the report back."""
    config = ScanConfig(proposals=mode, classifier="drawn-cells", mpp=mpp, overlays=0, workers=1)
    found = find_slides([slide])
    night.run(night.prepare(config, out, found.slides, found.rejected, {}), show=lambda sight: None, tell=lambda line: None)
    return read_report(out, mode)


def main(slide: Path, mpp: float | None) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        window, nuclei = (scan(slide, mode, mpp, Path(scratch) / mode) for mode in ("window", "nuclei"))
        found = compare(window, nuclei, read_labels(slide.parent))
    (compared,) = found.slides
    print(f"{slide.name}: {compared.matched} cells in both, {compared.only_a} only in window mode, {compared.only_b} only in nuclei")
    print(f"called otherwise: {found.calls.changed} of {found.calls.cells}")
    for side, name in ((compared.a, "window"), (compared.b, "nuclei")):
        if side.truth and side.truth.cells:
            cells = side.truth.cells
            print(f"{name}: {cells.hit} of {side.truth.true_cells} white cells, {cells.false} in error, {side.cost.crops} crops scored")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(
        Path(given[0]) if given else Path(__file__).parent / "slides" / "field.jpg",
        float(given[1]) if given[1:] else None if given else 0.25,
    )
