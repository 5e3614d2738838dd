"""scores.zarr: valid NGFF 0.5, every window at its place, and NaN where there was none."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from smearscan.reports import ScoreMap, SlideReport
from smearscan.results import NOTICE, Cells, Scanned
from smearscan.testing.classifiers import fake_card
from smearscan.testing.reports import SIDE, fake_failure, fake_scanned

SIZE, STEP = 112, 56


def windowed(rows: list[tuple[int, int]], scores: list[float], *, mpp: float | None = 0.25, **info: int) -> SlideReport:
    """Return a report whose windows stand at (row, column) of the grid, with these P(blast)."""
    slide = fake_scanned(windows=True, mpp=mpp)
    assert isinstance(slide.outcome, Scanned)
    corner = np.array(rows, np.float32).reshape(-1, 2)[:, ::-1] * STEP
    rest = (1 - np.array(scores)) / 2
    windows = Cells(
        boxes=np.hstack([corner, corner + SIZE]).astype(np.float32),
        objectness=np.ones(len(rows), np.float32),
        probabilities=np.stack([np.array(scores), rest, rest], axis=1).astype(np.float32),
        classes=slide.card.classes,
    )
    return replace(slide, outcome=replace(slide.outcome, windows=windows, info=replace(slide.outcome.info, **info)))


def written(slide: SlideReport, folder: Path) -> zarr.Group:
    ScoreMap().write(slide, folder)
    return zarr.open_group(folder / "scores.zarr", mode="r", zarr_format=3)


def transformation(group: zarr.Group) -> tuple[list[float], list[float]]:
    """Return scale and translation as a reader finds them."""
    ome: Any = group.attrs["ome"]
    scale, translation = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert (scale["type"], translation["type"]) == ("scale", "translation"), "NGFF wants the translation after the scale"
    return scale["scale"], translation["translation"]


def test_every_window_lies_at_its_place_and_the_others_are_nan(tmp_path: Path) -> None:
    group = written(windowed([(0, 0), (2, 5), (69, 69)], [0.25, 0.75, 1.0]), tmp_path)
    scores = np.asarray(group["0"])
    places = (SIDE - SIZE) // STEP + 1
    assert scores.shape == (places, places) == (70, 70)
    assert scores.dtype == np.float32
    assert (scores[0, 0], scores[2, 5], scores[69, 69]) == (0.25, 0.75, 1.0)
    assert np.isnan(scores).sum() == places**2 - 3


@pytest.mark.parametrize("mpp", [0.25, 0.2527, None])
def test_a_pixel_lies_over_the_middle_of_its_window(mpp: float | None, tmp_path: Path) -> None:
    """The arithmetic of napari: a layer's pixel i has its middle at i * scale + translation, the slide's own with scale mpp."""
    group = written(windowed([(2, 5)], [0.75], mpp=mpp), tmp_path)
    scale, translation = transformation(group)
    pixel = 1.0 if mpp is None else mpp
    left, top = 5 * STEP, 2 * STEP
    middle_of_pixels = [(top + top + SIZE - 1) / 2, (left + left + SIZE - 1) / 2]  # of the first and last pixel of the window
    world = [index * step + start for index, step, start in zip((2, 5), scale, translation, strict=True)]
    assert world == pytest.approx([each * pixel for each in middle_of_pixels])
    back = [round((at * pixel - start) / step) for at, step, start in zip(middle_of_pixels, scale, translation, strict=True)]
    assert np.asarray(group["0"])[tuple(back)] == 0.75
    units = [axis.get("unit") for axis in group.attrs["ome"]["multiscales"][0]["axes"]]  # type: ignore[index, call-overload]
    assert units == ([None, None] if mpp is None else ["micrometer", "micrometer"])


@pytest.mark.parametrize("mpp", [0.25, None])
def test_it_is_valid_ngff(mpp: float | None, tmp_path: Path) -> None:
    models = pytest.importorskip("ome_zarr_models", reason="ome-zarr-models is not installed: it comes with the extra 'test'")
    group = written(windowed([(0, 0)], [0.5], mpp=mpp), tmp_path)
    image = models.open_ome_zarr(group, version="0.5")
    assert type(image).__name__ == "Image"
    (multiscale,) = image.attributes.ome.multiscales
    assert [axis.name for axis in multiscale.axes] == ["y", "x"]
    from ome_zarr_models.common.omero import Omero

    shown = Omero(**group.attrs["ome"]["omero"])  # type: ignore[index, call-overload, arg-type]
    assert (shown.channels[0].window.start, shown.channels[0].window.end) == (0, 1)


def test_it_says_what_it_is(tmp_path: Path) -> None:
    group = written(windowed([(0, 0)], [0.5]), tmp_path)
    facts: Any = group.attrs["ome"]["multiscales"][0]["metadata"]  # type: ignore[index, call-overload]
    assert facts["notice"] == NOTICE
    assert (facts["slide"], facts["window_size"], facts["window_step"], facts["mpp"]) == ("monday/blood.tif", SIZE, STEP, 0.25)
    assert facts["classes"] == ["blast"]
    assert group["0"].metadata.dimension_names == ("y", "x")


def test_two_blast_classes_are_summed(tmp_path: Path) -> None:
    slide = windowed([(0, 0)], [0.5])
    card = fake_card(("blast", "other", "smudge"), {"blast": "blast", "other": "other", "smudge": "blast"})
    assert np.asarray(written(replace(slide, card=card), tmp_path)["0"])[0, 0] == 0.75


def test_scores_are_rounded_as_in_the_tables(tmp_path: Path) -> None:
    assert np.asarray(written(windowed([(0, 0)], [0.123456789]), tmp_path)["0"])[0, 0] == np.float32(0.123457)


def test_a_window_off_the_grid_is_a_bug() -> None:
    slide = windowed([(0, 0)], [0.5])
    assert isinstance(slide.outcome, Scanned)
    assert slide.outcome.windows is not None
    off = replace(slide.outcome.windows, boxes=slide.outcome.windows.boxes + 1)
    with pytest.raises(ValueError, match="grid of 56 px"):
        ScoreMap().write(replace(slide, outcome=replace(slide.outcome, windows=off)), Path("nowhere"))


def test_a_large_map_has_chunks_and_leaves_out_empty_ones(tmp_path: Path) -> None:
    side = 56 * 1100 + SIZE
    group = written(windowed([(0, 0), (1100, 1100)], [0.5, 0.25], width=side, height=side), tmp_path)
    assert group["0"].shape == (1101, 1101)
    assert np.asarray(group["0"])[1100, 1100] == 0.25
    assert sorted(path.name for path in (tmp_path / "scores.zarr" / "0" / "c").rglob("*") if path.is_file()) == ["0", "2"]
    assert math.isnan(np.asarray(group["0"])[600, 600])


@pytest.mark.parametrize(
    "slide", [fake_scanned(), fake_failure(), windowed([], [], width=100, height=100)], ids=["cells", "failed", "tiny"]
)
def test_where_there_is_no_grid_nothing_is_written(slide: SlideReport, tmp_path: Path) -> None:
    ScoreMap().write(slide, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_key_that_is_no_text_gives_a_file_that_opens(tmp_path: Path) -> None:
    group = written(replace(windowed([(0, 0)], [0.5]), key="a\udce9😀.tif"), tmp_path)
    assert group.attrs["ome"]["multiscales"][0]["metadata"]["slide"] == "a\udce9😀.tif"  # type: ignore[index, call-overload]
