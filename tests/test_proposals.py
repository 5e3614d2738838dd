"""A cell is proposed by the one tile whose core holds its centre, in the same words from every tile."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smearscan.proposals import propose_in_tile, sorted_order
from smearscan.results import Level
from smearscan.testing.detectors import FakeDetector
from smearscan.tiling import plan_tiles

SIDE = 700


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(90, 400))
def test_each_spot_is_proposed_once_for_every_tile_size(seed: int, spots: int, tile_size: int) -> None:
    rng = np.random.default_rng(seed)
    picture = np.full((SIDE, SIDE, 3), 250, np.uint8)
    for _ in range(spots):
        x, y, radius = rng.integers(30, SIDE - 30), rng.integers(30, SIDE - 30), rng.integers(4, 15)
        picture[y - radius : y + radius, x - radius : x + radius] = 20
    detector = FakeDetector()
    whole = detector.propose(picture)
    found = []
    for tile in plan_tiles(Level(0, SIDE, SIDE, 1.0), tile_size, max(detector.reach(None), 70)):
        piece = picture[tile.top : tile.bottom, tile.left : tile.right]
        found.append(propose_in_tile(detector, piece, tile, None).boxes)
    boxes = np.concatenate(found)
    np.testing.assert_array_equal(boxes[sorted_order(boxes)], whole.boxes[sorted_order(whole.boxes)])
