"""Any slide as lazy pixels with its scale.

python examples/read_slide.py examples/slides/few.tif
"""

from __future__ import annotations

import sys
from pathlib import Path

from smearscan.slides import open_slide


def main(path: Path) -> None:
    with open_slide(path, scale_needed=False) as slide:
        info = slide.info
        print(f"{path.name}: {info.width} x {info.height} px, {len(info.levels)} levels, {info.mpp} um per pixel (from {info.mpp_source})")
        corner = slide.read((0, 0, 256, 256))  # numpy, RGB; outside the slide is white
        coarse = slide.pixels(len(info.levels) - 1)  # dask, nothing is read yet
        print(f"mean colour of the upper left corner: {corner.mean(axis=(0, 1)).round().astype(int).tolist()}")
        print(f"mean colour of the coarsest level: {coarse.mean(axis=(0, 1)).compute().round().astype(int).tolist()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "slides" / "few.tif")
