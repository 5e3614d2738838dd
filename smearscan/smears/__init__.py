"""Makes blood smears with known truth, drawn or composed of real pictures: for the demo, for tests and for benchmarks.

plan = SmearPlan(width=4000, height=3000, mpp=0.25, seed=7, white_cells=120, blast_fraction=0.2)
smear = plan_smear(plan)
smear.truth                          # where every cell is and what it is
smear.paint((0, 0, 1024, 1024))      # the same pixels whatever is asked for, and in whatever order
write_smear(smear, Path("a.tif"))    # a pyramid of any size in bounded memory, and a.truth.csv beside it

See `composing` for slides of real cells on real red-cell fields.
"""

from __future__ import annotations

from smearscan.smears.cells import CELL_KINDS, DrawnCells, draw_cell
from smearscan.smears.composing import CellChoice, Composed, compose, contents_path
from smearscan.smears.cutouts import BackgroundSource, CellSource, Cutout
from smearscan.smears.output import write_smear
from smearscan.smears.painting import Smear, plan_smear
from smearscan.smears.plan import SmearPlan
from smearscan.smears.stain import Stain
from smearscan.smears.truth import NOT_WHITE_CELLS, TruthCell, origins_path, read_truth, truth_path, write_truth

__all__ = [
    "CELL_KINDS",
    "NOT_WHITE_CELLS",
    "BackgroundSource",
    "CellChoice",
    "CellSource",
    "Composed",
    "Cutout",
    "DrawnCells",
    "Smear",
    "SmearPlan",
    "Stain",
    "TruthCell",
    "compose",
    "contents_path",
    "draw_cell",
    "origins_path",
    "plan_smear",
    "read_truth",
    "truth_path",
    "write_smear",
    "write_truth",
]
