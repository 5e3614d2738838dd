"""Whole smears: the same pixels in whatever order, the truth they promise, and a place for other people's cells."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from smearscan.errors import ConfigError
from smearscan.smears import (
    BackgroundSource,
    CellSource,
    Cutout,
    Smear,
    SmearPlan,
    plan_smear,
    read_truth,
    truth_path,
    write_truth,
)
from smearscan.smears.scattering import BLOCK

PLAN = SmearPlan(2500, 2200, 0.25, seed=3, white_cells=60, blast_fraction=0.25)


@pytest.fixture(scope="module")
def smear() -> Smear:
    return plan_smear(PLAN)


@pytest.fixture(scope="module")
def picture(smear: Smear) -> NDArray[np.uint8]:
    return smear.picture()


def test_the_same_plan_draws_the_same_smear_and_another_seed_another(picture: NDArray[np.uint8]) -> None:
    again = plan_smear(PLAN)
    assert np.array_equal(again.picture(), picture)
    other = plan_smear(SmearPlan(2500, 2200, 0.25, seed=4, white_cells=60, blast_fraction=0.25))
    assert not np.array_equal(other.paint((0, 0, 600, 600)), picture[:600, :600])
    assert other.truth != again.truth


def test_pixels_do_not_depend_on_the_order_or_the_boxes_in_which_they_are_asked_for(picture: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    fresh = plan_smear(PLAN)
    for row, column in rng.permutation(list(itertools.product(range(3), range(3)))).tolist():
        part = fresh.block(column, row)
        assert np.array_equal(part, picture[row * BLOCK : (row + 1) * BLOCK, column * BLOCK : (column + 1) * BLOCK])
    alone = plan_smear(PLAN)  # has painted nothing else when it is asked for these
    for _ in range(6):
        left, top = int(rng.integers(0, 2000)), int(rng.integers(0, 1700))
        right, bottom = left + int(rng.integers(1, 500)), top + int(rng.integers(1, 500))
        assert np.array_equal(alone.paint((left, top, right, bottom)), picture[top:bottom, left:right])


def test_a_smear_that_went_to_another_process_paints_the_same(smear: Smear, picture: NDArray[np.uint8]) -> None:
    twin = pickle.loads(pickle.dumps(plan_smear(PLAN)))  # noqa: S301
    assert np.array_equal(twin.block(1, 1), picture[BLOCK : 2 * BLOCK, BLOCK : 2 * BLOCK])


def test_outside_the_slide_is_white(smear: Smear, picture: NDArray[np.uint8]) -> None:
    part = smear.paint((-10, 2190, 30, 2230))
    assert (part[:, :10] == 255).all()
    assert (part[10:] == 255).all()
    assert np.array_equal(part[:10, 10:], picture[2190:, :30])


@pytest.mark.parametrize(("count", "fraction"), [(60, 0.25), (37, 0.1), (41, 1.0), (50, 0.0), (0, 0.5)])
def test_truth_holds_exactly_the_cells_and_blasts_asked_for(count: int, fraction: float) -> None:
    truth = plan_smear(SmearPlan(3000, 2400, 0.25, seed=9, white_cells=count, blast_fraction=fraction)).truth
    white = [cell for cell in truth if cell.is_white_cell]
    assert len(white) == count
    assert sum(cell.kind == "blast" for cell in white) == round(fraction * count)


@pytest.mark.parametrize("mpp", [0.1, 0.25, 0.5])
def test_every_true_cell_lies_inside_the_slide_and_clear_of_the_others(mpp: float) -> None:
    plan = SmearPlan(round(500 / mpp), round(420 / mpp), mpp, seed=5, white_cells=45, blast_fraction=0.3)
    truth = plan_smear(plan).truth
    for cell in truth:
        left, top, right, bottom = cell.box
        assert left > 0
        assert top > 0
        assert right < plan.width
        assert bottom < plan.height
    for one, two in itertools.combinations(truth, 2):
        assert np.hypot(one.x - two.x, one.y - two.y) >= 1.2 * (one.diameter + two.diameter) / 2 - 1
    assert truth == sorted(truth, key=lambda cell: (cell.y, cell.x))


def test_a_white_cell_stands_at_every_true_place(smear: Smear, picture: NDArray[np.uint8]) -> None:
    elsewhere = np.median(picture[..., 1])
    for cell in smear.truth:
        if cell.is_white_cell:
            half = max(int(cell.diameter / 2) - 2, 2)
            part = picture[int(cell.y) - half : int(cell.y) + half + 1, int(cell.x) - half : int(cell.x) + half + 1]
            assert np.percentile(part[..., 1], 15) < 0.6 * elsewhere, cell  # a nucleus takes the green light


def test_no_seam_at_the_border_of_two_blocks(picture: NDArray[np.uint8]) -> None:
    steps = np.abs(np.diff(picture.astype(float).mean(-1), axis=1)).mean(0)
    assert steps[BLOCK - 1] < 1.5 * np.median(steps)
    assert steps[2 * BLOCK - 1] < 1.5 * np.median(steps)


def test_red_cells_do_not_repeat(picture: NDArray[np.uint8]) -> None:
    grey = picture[:2048, :2048].astype(float).mean(-1)
    blocks = [grey[row : row + BLOCK, column : column + BLOCK].ravel() for row in (0, BLOCK) for column in (0, BLOCK)]
    assert np.abs(np.corrcoef(blocks) - np.eye(4)).max() < 0.1


def test_a_small_slide_is_monolayer_all_over_and_a_large_one_a_film_with_glass_around() -> None:
    field = plan_smear(SmearPlan(1400, 1100, 0.25, seed=1, white_cells=8)).picture()
    assert _covered(field) > 0.2
    film = plan_smear(SmearPlan(12000, 6000, 0.5, seed=1, white_cells=100))
    corner, thick, edge = (film.paint((x, y, x + side, y + side)) for x, y, side in ((0, 0, 200), (1200, 2600, 700), (9700, 2600, 700)))
    assert _covered(corner) == 0
    assert _covered(thick) > 0.8
    assert 0.02 < _covered(edge) < 0.4


def _covered(picture: NDArray[np.uint8]) -> float:
    return float((picture[..., 1] < 205).mean())


class _Discs(CellSource):
    """Green discs in the place of blasts: nothing else in a smear is green."""

    def draw(self, rng: np.random.Generator, mpp: float) -> Cutout:
        radius = int(rng.integers(14, 20))
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        rgb = np.broadcast_to(np.array([20, 220, 20], np.uint8), (*x.shape, 3))
        return Cutout(rgb, (x * x + y * y <= radius * radius).astype(np.float32), 2.0 * radius, "blast")


class _Grey(BackgroundSource):
    """A slope of grey in the place of red cells."""

    def paint(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
        slope = (np.add.outer(np.arange(top, bottom), np.arange(left, right)) % 256).astype(np.uint8)
        return np.dstack([slope] * 3)


def test_cells_of_another_source_take_the_place_of_the_drawn_ones() -> None:
    smear = plan_smear(SmearPlan(1500, 1500, 0.25, seed=2, white_cells=20, blast_fraction=0.5), sources={"blast": _Discs()})
    picture = smear.picture().astype(int)
    green = picture[..., 1] > picture[..., 0] + 80
    blasts = [cell for cell in smear.truth if cell.kind == "blast"]
    assert len(blasts) == 10
    assert all(green[int(cell.y), int(cell.x)] for cell in blasts)
    assert all(28 <= cell.diameter <= 38 for cell in blasts)
    assert green.sum() == pytest.approx(sum(np.pi / 4 * cell.diameter**2 for cell in blasts), rel=0.1)


def test_cells_lie_on_another_background() -> None:
    plan = SmearPlan(1500, 1200, 0.25, seed=2, white_cells=10, smudge_fraction=0, debris_per_mm2=0)
    smear = plan_smear(plan, background=_Grey())
    picture = smear.picture()
    plain = _Grey().paint(0, 0, 1500, 1200)
    changed = (picture != plain).any(-1)
    y, x = np.mgrid[:1200, :1500]
    near = np.zeros_like(changed)
    for cell in smear.truth:
        near |= np.hypot(x + 0.5 - cell.x, y + 0.5 - cell.y) < 0.7 * cell.diameter
        assert changed[int(cell.y), int(cell.x)]
    assert not changed[~near].any()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"width": 0}, "width"),
        ({"height": 10**7}, "height"),
        ({"mpp": 25.0}, "mpp"),
        ({"mpp": float("nan")}, "mpp"),
        ({"blast_fraction": 20}, "blast_fraction"),
        ({"white_cells": -1}, "white_cells"),
        ({"seed": -1}, "seed"),
        ({"layout": "spiral"}, "layout"),
        ({"mixture": {"lymphocyte": 0.0}}, "mixture"),
        ({"mixture": {"dragon": 1.0}}, "dragon"),
    ],
)
def test_absurd_settings_are_refused_by_name(settings: dict[str, object], named: str) -> None:
    values: dict[str, object] = {"width": 1000, "height": 1000, **settings}
    with pytest.raises(ConfigError, match=named):
        SmearPlan(**values)  # type: ignore[arg-type]


def test_more_cells_than_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="found a place"):
        plan_smear(SmearPlan(600, 600, 0.25, white_cells=400))
    with pytest.raises(ConfigError, match="too small"):
        plan_smear(SmearPlan(80, 80, 0.25, white_cells=1))


def test_truth_survives_its_table(smear: Smear, tmp_path: Path) -> None:
    path = truth_path(tmp_path / "a.tif")
    assert path.name == "a.truth.csv"
    write_truth(smear.truth, path)
    assert path.read_text().splitlines()[0] == "x,y,diameter,class"
    back = read_truth(path)
    assert [(cell.x, cell.y, cell.kind) for cell in back] == [(cell.x, cell.y, cell.kind) for cell in smear.truth]
    assert [cell.diameter for cell in back] == pytest.approx([cell.diameter for cell in smear.truth], abs=0.005)


@pytest.mark.parametrize(
    ("text", "says"), [("a,b\n", "first line"), ("x,y,diameter,class\n1,2,three,blast\n", "line 2"), ("x,y,diameter,class\n1\n", "line 2")]
)
def test_a_table_that_is_no_truth_is_refused_with_its_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.truth.csv"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_truth(path)
