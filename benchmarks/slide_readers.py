"""How fast slides are read: smearscan's reader, tifffile's zarr view, and OpenSlide, with one reader thread and with several.

    python benchmarks/slide_readers.py [SLIDE] [--side 1024] [--threads 1 2]

Without SLIDE a tiled, JPEG-compressed TIFF of noise on a gradient is written and read. Every way must give the same bytes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openslide
import tifffile
import zarr

from smearscan.results import Box, Picture
from smearscan.slides import open_slide

Read = Callable[[Box], Picture]


def write_slide(path: Path, side: int = 6144) -> Path:
    rng = np.random.default_rng(0)
    gradient = np.linspace(60, 220, side)[:, None, None] + np.linspace(-40, 40, side)[None, :, None]
    coarse = rng.integers(-30, 30, (side // 8, side // 8, 3)).repeat(8, axis=0).repeat(8, axis=1)
    picture = np.clip(gradient + coarse, 0, 255).astype(np.uint8)
    settings = {"photometric": "ycbcr", "compression": "jpeg", "compressionargs": {"level": 85}, "subsampling": (2, 2), "metadata": None}
    tifffile.imwrite(path, picture, tile=(256, 256), **settings)
    return path


def read_with_smearscan(path: Path) -> Read:
    return open_slide(path, scale_needed=False).read


def read_lazily(path: Path) -> Read:
    lazy = open_slide(path, scale_needed=False).pixels()
    return lambda box: np.asarray(lazy[box[1] : box[3], box[0] : box[2]].compute(scheduler="synchronous"))


def read_with_openslide(path: Path) -> Read:
    slide = openslide.OpenSlide(path)

    def read(box: Box) -> Picture:
        region = slide.read_region(box[:2], 0, (box[2] - box[0], box[3] - box[1]))
        return np.asarray(region)[..., :3]

    return read


def read_with_zarr_view(path: Path) -> Read:
    array = zarr.open_array(tifffile.TiffFile(path).series[0].levels[0].aszarr(level=0), mode="r")
    return lambda box: np.asarray(array[box[1] : box[3], box[0] : box[2]])


WAYS: dict[str, Callable[[Path], Read]] = {
    "smearscan": read_with_smearscan,
    "smearscan, lazy array": read_lazily,
    "tifffile's zarr view": read_with_zarr_view,
    "OpenSlide": read_with_openslide,
}


def boxes(width: int, height: int, side: int) -> list[Box]:
    return [
        (left, top, min(left + side, width), min(top + side, height)) for top in range(0, height, side) for left in range(0, width, side)
    ]


def measure(path: Path, open_it: Callable[[Path], Read], asked: list[Box], threads: int) -> tuple[float, float]:
    """Return megapixels a second and core-milliseconds a megapixel, the best of five passes, each with fresh caches."""
    wall, cores = [], []
    for _ in range(5):
        read = open_it(path)
        started, started_cores = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(threads) as pool:
            pixels = sum(picture.shape[0] * picture.shape[1] for picture in pool.map(read, asked)) / 1e6
        wall.append((time.perf_counter() - started) / pixels)
        cores.append((time.process_time() - started_cores) / pixels)
    return 1 / min(wall), 1000 * min(cores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slide", nargs="?", type=Path)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.slide or write_slide(Path(folder) / "drawn.tif")
        with open_slide(path, scale_needed=False) as slide:
            info = slide.info
        asked = boxes(info.width, info.height, arguments.side)
        middle = asked[len(asked) // 2]
        truth = read_with_smearscan(path)(middle)
        print(f"{path.name}: {info.width} x {info.height} px, read by {info.reader} in boxes of {arguments.side} px")
        for name, open_it in WAYS.items():
            same = "same bytes" if np.array_equal(open_it(path)(middle), truth) else "OTHER BYTES"
            for threads in arguments.threads:
                speed, cost = measure(path, open_it, asked, threads)
                print(f"  {name:22} {threads} threads {speed:7.1f} Mpx/s {cost:6.1f} core-ms/Mpx   {same}")


if __name__ == "__main__":
    main()
