"""A handful of drawn cells and a small drawn slide, on which every recipe can be tried in seconds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from classifiers.datasets import Samples
from smearscan.smears import SmearPlan, Stain, draw_cell, plan_smear, write_smear

MPP = 0.25
FRAME_PX = 112  # a blast of 18.5 um is 74 px across
CELLS = 8  # of each class


@pytest.fixture(scope="session")
def drawn_cells(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """Blasts and lymphocytes cut out on black, as C-NMC shows them, two of each of eight subjects."""
    root = tmp_path_factory.mktemp("cells")
    rng = np.random.default_rng(11)
    names = []
    for kind in ("lymphocyte", "blast"):
        for number in range(CELLS):
            cutout = draw_cell(kind, rng, MPP, Stain.from_seed(0))
            cell = (cutout.rgb * (cutout.alpha > 0.5)[..., None]).astype(np.uint8)
            frame = np.zeros((FRAME_PX, FRAME_PX, 3), np.uint8)
            height, width = (min(side, FRAME_PX) for side in cell.shape[:2])
            top, left = (FRAME_PX - height) // 2, (FRAME_PX - width) // 2
            inner_top, inner_left = (cell.shape[0] - height) // 2, (cell.shape[1] - width) // 2
            frame[top : top + height, left : left + width] = cell[inner_top : inner_top + height, inner_left : inner_left + width]
            names.append(f"{kind}-{number}.png")
            assert cv2.imwrite(str(root / names[-1]), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    subjects = tuple(f"{'normal' if row < CELLS else 'ill'}-{row % CELLS // 2}" for row in range(2 * CELLS))
    return Samples(
        name="drawn cells",
        root=root,
        classes=("lymphocyte", "blast"),
        roles={"lymphocyte": "other", "blast": "blast"},
        positive_class="blast",
        files=tuple(names),
        labels=np.repeat(np.arange(2), CELLS),
        subjects=subjects,
        groups=subjects,
        parts=("",) * 2 * CELLS,
        mpp=MPP,
        licence="AGPL-3.0-or-later",
    )


@pytest.fixture(scope="session")
def drawn_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of nine white cells."""
    path = tmp_path_factory.mktemp("slide") / "drawn.tif"
    write_smear(plan_smear(SmearPlan(width=900, height=700, mpp=MPP, seed=5, white_cells=9, blast_fraction=0.34)), path)
    return path
