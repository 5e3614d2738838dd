"""The slides in examples/slides are what their script draws, and fit for what they are shown for."""

from __future__ import annotations

import runpy
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from smearscan.smears import read_truth, truth_path

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPT = runpy.run_path(str(EXAMPLES / "draw_example_slides.py"))


def _pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    picture = tifffile.imread(path) if path.suffix == ".tif" else imagecodecs.imread(path)
    return np.asarray(picture, np.int16)


@pytest.mark.parametrize("name", ["field.jpg", pytest.param("none.tif", marks=pytest.mark.slow)])
def test_drawing_again_gives_the_slide_that_is_there(name: str, tmp_path: Path) -> None:
    SCRIPT["draw"](tmp_path, [name])
    there, drawn = EXAMPLES / "slides" / name, tmp_path / name
    assert truth_path(drawn).read_bytes() == truth_path(there).read_bytes()
    if drawn.read_bytes() != there.read_bytes():
        # Another processor may round a sum differently and so turn one grey level; more than that is another drawing.
        difference = np.abs(_pixels(drawn) - _pixels(there))
        assert difference.mean() < 0.02
        assert (difference > 12).mean() < 1e-5


def test_the_table_of_scales_is_the_scripts(tmp_path: Path) -> None:
    SCRIPT["write_slides_csv"](tmp_path)
    assert (tmp_path / "slides.csv").read_bytes() == (EXAMPLES / "slides" / "slides.csv").read_bytes()


@pytest.mark.parametrize(("name", "least", "most"), [("none.tif", 0.0, 0.0), ("few.tif", 0.02, 0.10), ("many.tif", 0.40, 0.60)])
def test_a_slide_is_small_and_holds_enough_cells_for_an_interval(name: str, least: float, most: float) -> None:
    path = EXAMPLES / "slides" / name
    assert path.stat().st_size <= 3_000_000
    cells = [cell for cell in read_truth(truth_path(path)) if cell.is_white_cell]
    assert len(cells) >= 200
    assert least <= sum(cell.kind == "blast" for cell in cells) / len(cells) <= most
    assert len({cell.kind for cell in cells} - {"blast"}) >= 4
