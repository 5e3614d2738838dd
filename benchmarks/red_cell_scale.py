"""How well the size of red cells tells a slide's scale.

python benchmarks/red_cell_scale.py                 # drawn smears of six scales, laid out as fields and as crowded as a film
python benchmarks/red_cell_scale.py --data DIR      # and real fields: BCCD, Chula RBC-12, TXL-PBC by source

Of a drawn smear the truth is known. Of real fields it is not, but within a set of one laboratory the scale is one, so what
is said of single fields must be about the same; and where red cells were boxed by hand (BCCD, TXL-PBC), the diameter that
was measured can be laid beside the boxes. A field is taken as a slide: one that shows too few red cells is refused.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree  # trusted files: the data set's own

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detectors.scale import RED_CELL_UM
from smearscan import gate, red_cells
from smearscan.coarse import read_coarse
from smearscan.results import Box, Level, Picture, SlideInfo
from smearscan.smears import Smear, SmearPlan, plan_smear

SCALES = (0.1, 0.15, 0.2, 0.25, 0.35, 0.5)
SEEDS = (1, 2, 3)
SIDE_PX = 2000
CROWDED_UM = 4200.0  # long enough for a whole film, thick at one end
CROWDED_SCALES = (0.25, 0.5)


@dataclass
class InMemory:
    """A picture or a drawn smear as a slide without a scale."""

    width: int
    height: int
    paint: Callable[[Box], Picture]

    @property
    def info(self) -> SlideInfo:
        levels = (Level(0, self.width, self.height, 1.0, 1024, 1024),)
        return SlideInfo(Path("field"), "memory", self.width, self.height, None, None, levels)

    def read(self, box: Box, level: int = 0) -> Picture:
        assert level == 0, "there is one level"
        return self.paint(box)


def of_picture(picture: Picture) -> InMemory:
    return InMemory(picture.shape[1], picture.shape[0], lambda box: picture[box[1] : box[3], box[0] : box[2]])


def of_smear(smear: Smear) -> InMemory:
    return InMemory(smear.plan.width, smear.plan.height, smear.paint)


def find(slide: InMemory) -> tuple[red_cells.Finding, float]:
    """Return what the red cells say, and the seconds it took beyond the coarse picture and the gate, which a run has anyway."""
    coarse = read_coarse(slide, None)
    judged = gate.judge(coarse.picture, None, coarse.downsample, (slide.width, slide.height))
    started = time.perf_counter()
    return red_cells.measure(slide, coarse, judged), time.perf_counter() - started


def show(*columns: object) -> None:
    print("".join(f"{column!s:<{width}}" for column, width in zip(columns, (26, 10, 9, 9, 9, 9, 9, 9, 9, 0), strict=False)), flush=True)


def drawn(layout: str, scales: Iterable[float], size: Callable[[float], tuple[int, int]]) -> None:
    print(f"\nDrawn smears, layout {layout}")
    show("um per pixel", "seed", "found", "ratio", "spread", "cells", "patches", "seconds")
    ratios = []
    for mpp in scales:
        for seed in SEEDS:
            width, height = size(mpp)
            smear = plan_smear(SmearPlan(width, height, mpp, seed=seed, layout="film" if layout == "film" else "field"))
            found, seconds = find(of_smear(smear))
            if found.mpp is None:
                show(mpp, seed, "refused:", found.doubt)
                continue
            ratios.append(found.mpp / mpp)
            spread = "" if found.spread is None else f"{found.spread:.3f}"
            show(mpp, seed, found.mpp, f"{ratios[-1]:.3f}", spread, found.cells, found.patches, f"{seconds:.2f}")
    print(f"ratio to the truth: {min(ratios):.3f} to {max(ratios):.3f}, median {np.median(ratios):.3f}")


def real(name: str, fields: Sequence[tuple[Picture, NDArray[np.float64]]]) -> None:
    """Print one row for a set: what its fields say, how far they differ, and the diameters beside the boxes' sides."""
    found, widths, seconds, cells, refused = [], [], [], [], 0
    for picture, boxed in fields:
        finding, took = find(of_picture(picture))
        seconds.append(took)
        if finding.mpp is None:
            refused += 1
            continue
        found.append(finding.mpp)
        cells.append(finding.cells)
        if len(boxed) >= 3:
            widths.append(RED_CELL_UM / finding.mpp / np.median(boxed))
    if not found:
        show(name, len(fields), refused)
        return
    low, quarter, middle, three, high = np.percentile(found, (5, 25, 50, 75, 95))
    beside = f"{np.median(widths):.2f} ({np.percentile(widths, 25):.2f}-{np.percentile(widths, 75):.2f})" if widths else "-"
    share = f"{(three - quarter) / middle:.3f}"
    show(
        name,
        len(fields),
        refused,
        f"{middle:.4f}",
        f"{low:.4f}",
        f"{high:.4f}",
        share,
        int(np.median(cells)),
        f"{np.mean(seconds):.2f}",
        beside,
    )


def read_rgb(path: Path) -> Picture:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.uint8)


def whole_sides(boxes: Iterable[tuple[float, float, float, float]], width: int, height: int) -> NDArray[np.float64]:
    """Return the mean side of boxes that the picture's edge does not cut."""
    margin = 3
    kept = [box for box in boxes if box[0] > margin and box[1] > margin and box[2] < width - margin and box[3] < height - margin]
    return np.array([np.sqrt((box[2] - box[0]) * (box[3] - box[1])) for box in kept], np.float64)


def bccd(folder: Path) -> list[tuple[Picture, NDArray[np.float64]]]:
    fields = []
    for path in sorted((folder / "images").glob("*.jpg")):
        picture = read_rgb(path)
        root = ElementTree.parse(folder / "annotations" / f"{path.stem}.xml").getroot()
        boxes = [
            tuple(float(each.findtext(f"bndbox/{edge}") or 0) for edge in ("xmin", "ymin", "xmax", "ymax"))
            for each in root.iter("object")
            if each.findtext("name") == "RBC"
        ]
        fields.append((picture, whole_sides(boxes, picture.shape[1], picture.shape[0])))  # type: ignore[arg-type]
    return fields


def chula(folder: Path) -> list[tuple[Picture, NDArray[np.float64]]]:
    return [(read_rgb(path), np.zeros(0)) for path in sorted(folder.glob("*.jpg"))]


def txl(folder: Path) -> dict[str, list[tuple[Picture, NDArray[np.float64]]]]:
    """Return the fields by source, which their size tells: 360 px wide from Barcelona, 575 px from Raabin."""
    sources: dict[str, list[tuple[Picture, NDArray[np.float64]]]] = {}
    for path in sorted((folder / "images").glob("*.jpg")):
        picture = read_rgb(path)
        height, width = picture.shape[:2]
        rows = [line.split() for line in (folder / "labels" / f"{path.stem}.txt").read_text(encoding="utf-8").splitlines()]
        cells = [tuple(float(each) for each in row[1:5]) for row in rows if row and row[0] == "1"]
        boxes = [((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height) for x, y, w, h in cells]
        sources.setdefault(f"txl_pbc, {width} px wide", []).append((picture, whole_sides(boxes, width, height)))
    return sources


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="The folder of real images.")
    options = parser.parse_args()
    drawn("field", SCALES, lambda mpp: (SIDE_PX, SIDE_PX))
    drawn("film", CROWDED_SCALES, lambda mpp: (round(CROWDED_UM / mpp), round(1600 / mpp)))
    if options.data is None:
        return
    print("\nReal fields, each taken as a slide")
    show("set", "fields", "refused", "median", "5 %", "95 %", "IQR", "cells", "seconds", "diameter / boxed side (IQR)")
    real("bccd", bccd(options.data / "bccd"))
    real("chula_rbc12", chula(options.data / "chula_rbc12"))
    for name, fields in sorted(txl(options.data / "txl_pbc").items()):
        real(name, fields)


if __name__ == "__main__":
    main()
