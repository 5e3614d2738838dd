"""scores.zarr: window mode's P(blast) on the grid of its windows, an OME-Zarr picture to lay over the slide.

One pixel is one window. The array has the axes y and x and one value for each place of the grid that starts at the
slide's corner: P(blast), summed over the card's classes of that role, as float32 rounded to six digits; NaN where the
gate left the window out, which is not the same as 0.

Where it lies: NGFF gives a pixel's place by its middle, as napari does, where the middle of the slide's first pixel is 0.
A window of `size` pixels that starts at the first pixel has its middle at (size - 1) / 2 of those. So

    scale = step * mpp        translation = (size - 1) / 2 * mpp

and a pixel drawn as a square `step` wide stands over the middle of its window. The window itself reaches farther, as
windows overlap. Without a scale the unit is the slide's pixel, and the axes name none.
Slides with bounds (openslide.bounds-x and -y) are measured from their first pixel, not from the bounds.

It is NGFF 0.5, that is Zarr 3. With proposals other than windows there is no grid, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from smearscan import __version__
from smearscan.reports.base import ReportWriter, SlideReport
from smearscan.reports.cell_table import SCORE_DIGITS
from smearscan.results import NOTICE, Cells, Scanned, WindowCount

FOLDER: Final = "scores.zarr"
ARRAY: Final = "0"  # the one level of its pyramid; a slide of 100,000 px is a picture of 1,800
CHUNK: Final = 512  # pixels a side
BLAST_COLOUR: Final = "D55E00"


class ScoreMap(ReportWriter):
    """Writes the score map of a slide that was scanned in windows, and else nothing."""

    name = "scores"

    def write(self, slide: SlideReport, folder: Path) -> None:
        outcome = slide.outcome
        if not isinstance(outcome, Scanned) or outcome.windows is None or outcome.count.windows is None:
            return
        windows = outcome.count.windows
        shape = _places(outcome.info.height, windows), _places(outcome.info.width, windows)
        if 0 in shape:  # the slide is smaller than a window
            return
        blast = outcome.windows.probabilities[:, slide.card.columns("blast")].astype(np.float64).sum(axis=1)
        _write(folder / FOLDER, on_grid(outcome.windows, blast, windows.step, shape), _attributes(slide, outcome.info.mpp, windows))


def on_grid(windows: Cells, values: NDArray[np.float64], step: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Lay one value a window on the grid of windows; NaN where there is no window."""
    grid = np.full(shape, np.nan, np.float32)
    left, top = windows.boxes[:, 0].astype(np.float64), windows.boxes[:, 1].astype(np.float64)
    if (left % step).any() or (top % step).any():
        raise ValueError(f"Some windows do not lie on a grid of {step} px that starts at the slide's corner.")
    grid[(top / step).astype(np.int64), (left / step).astype(np.int64)] = np.round(values, SCORE_DIGITS)
    return grid


def _places(length: int, windows: WindowCount) -> int:
    """Return how many whole windows stand along a side of the slide."""
    return max((length - windows.size) // windows.step + 1, 0)


def _attributes(slide: SlideReport, mpp: float | None, windows: WindowCount) -> dict[str, Any]:
    unit: Mapping[str, str] = {} if mpp is None else {"unit": "micrometer"}
    pixel = 1.0 if mpp is None else mpp
    blasts = [slide.card.classes[index] for index in slide.card.columns("blast")]
    multiscale = {
        "name": "P(blast)",
        "axes": [{"name": name, "type": "space", **unit} for name in "yx"],
        "datasets": [
            {
                "path": ARRAY,
                "coordinateTransformations": [
                    {"type": "scale", "scale": [windows.step * pixel] * 2},
                    {"type": "translation", "translation": [(windows.size - 1) / 2 * pixel] * 2},
                ],
            }
        ],
        "metadata": {
            "notice": NOTICE,
            "slide": slide.key,
            "window_size": windows.size,
            "window_step": windows.step,
            "mpp": mpp,
            "classes": blasts,
            "classifier": slide.card.name,
            "classifier_sha256": slide.card.sha256,
            "not_scored": "NaN",
            "smearscan": __version__,
        },
    }
    shown = {"start": 0.0, "end": 1.0, "min": 0.0, "max": 1.0}
    channel = {"label": "P(blast)", "color": BLAST_COLOUR, "window": shown, "active": True}
    return {"ome": {"version": "0.5", "multiscales": [multiscale], "omero": {"channels": [channel]}}}


def _write(folder: Path, grid: NDArray[np.float32], attributes: dict[str, Any]) -> None:
    import zarr

    group = zarr.create_group(folder, zarr_format=3, attributes=attributes)
    chunks = (min(CHUNK, grid.shape[0]), min(CHUNK, grid.shape[1]))
    array = group.create_array(ARRAY, shape=grid.shape, chunks=chunks, dtype="float32", fill_value=np.nan, dimension_names=("y", "x"))
    array[...] = grid
