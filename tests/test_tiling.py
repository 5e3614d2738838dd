"""Cores cover a slide exactly once; what is read begins on the grid and reaches the margin."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from smearscan.results import Level, Tile
from smearscan.tiling import core_size, plan_tiles, round_up

SIDES = st.integers(1, 700)
FILE_TILES = st.one_of(st.none(), st.sampled_from([16, 60, 64, 240, 256]))


@st.composite
def plans(draw: st.DrawFn) -> tuple[Level, int, int, int, list[Tile]]:
    file_tile = draw(FILE_TILES)
    level = Level(0, draw(SIDES), draw(SIDES), 1.0, file_tile, draw(FILE_TILES) if file_tile else None)
    tile_size, margin, grid = draw(st.integers(20, 500)), draw(st.integers(0, 300)), draw(st.sampled_from([1, 2, 4, 7]))
    return level, tile_size, margin, grid, plan_tiles(level, tile_size, margin, grid=grid)


@given(plans())
def test_cores_cover_every_pixel_once(plan: tuple[Level, int, int, int, list[Tile]]) -> None:
    level, *_, tiles = plan
    owners = np.zeros((level.height, level.width), np.uint8)
    for tile in tiles:
        left, top, right, bottom = tile.core
        owners[top:bottom, left:right] += 1
    assert (owners == 1).all()


@given(plans())
def test_a_tile_reads_its_core_and_the_margin_as_far_as_the_slide_goes(plan: tuple[Level, int, int, int, list[Tile]]) -> None:
    level, _, margin, grid, tiles = plan
    for index, tile in enumerate(tiles):
        left, top, right, bottom = tile.core
        assert tile.index == index
        assert tile.left % grid == 0
        assert tile.top % grid == 0
        assert 0 <= tile.left <= max(left - margin, 0)
        assert 0 <= tile.top <= max(top - margin, 0)
        assert min(right + margin, level.width) <= tile.right <= level.width
        assert min(bottom + margin, level.height) <= tile.bottom <= level.height


@given(plans())
def test_reading_decodes_no_more_than_the_margin_demands(plan: tuple[Level, int, int, int, list[Tile]]) -> None:
    level, tile_size, _, grid, tiles = plan
    if level.tile_width is None or math.lcm(level.tile_width, grid) > 2 * tile_size:
        return
    assert all(tile.core[0] % level.tile_width == 0 for tile in tiles)


@given(st.integers(1, 400), st.integers(1, 300), st.integers(30, 200))
def test_a_field_is_never_split_between_cores(width: int, height: int, field: int) -> None:
    for tile in plan_tiles(Level(0, width, height, 1.0), 128, 20, field=field):
        assert tile.core[0] % field == 0
        assert tile.core[1] % field == 0


def test_a_striped_file_is_read_in_bands_of_about_as_many_pixels() -> None:
    striped = Level(0, 50_000, 40_000, 1.0, 50_000, 16)
    width, height = core_size(striped, 4096)
    assert width == 50_000
    assert height % 16 == 0
    assert abs(width * height - 4096 * 4096) <= 16 * 50_000


def test_tiles_that_are_too_large_do_not_make_cores_too_large() -> None:
    assert core_size(Level(0, 10_000, 10_000, 1.0, 7_000, 7_000), 1024) == (1024, 1024)


def test_round_up() -> None:
    assert [round_up(value, 8) for value in (0, 1, 8, 9)] == [0, 8, 8, 16]
