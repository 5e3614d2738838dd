"""Draws the slides in examples/slides and their truth; the same machine draws the same bytes every time.

python examples/draw_example_slides.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

from smearscan.smears import SmearPlan, plan_smear, write_smear

MPP = 0.25
QUALITY = 54  # keeps a slide of 20 Mpx under 3 MB
SLIDES: dict[str, SmearPlan] = {
    "none.tif": SmearPlan(4480, 4480, MPP, seed=11, stain=0, white_cells=220, blast_fraction=0.0),
    "few.tif": SmearPlan(4480, 4480, MPP, seed=12, stain=6, white_cells=230, blast_fraction=0.06),
    "many.tif": SmearPlan(4480, 4480, MPP, seed=13, stain=3, white_cells=240, blast_fraction=0.45),
    "field.jpg": SmearPlan(1800, 1350, MPP, seed=14, stain=7, white_cells=24, blast_fraction=0.25),
}


def draw(folder: Path, names: list[str]) -> None:
    for name in names:
        write_smear(plan_smear(SLIDES[name]), folder / name, quality=QUALITY if name.endswith(".tif") else 88, workers=1)


def write_slides_csv(folder: Path) -> None:
    """A plain picture cannot say its scale: the table beside the slides does."""
    lines = ["slide,specimen,mpp", *(f"{name},{Path(name).stem},{MPP if name == 'field.jpg' else ''}" for name in SLIDES)]
    (folder / "slides.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "slides"
    target.mkdir(parents=True, exist_ok=True)
    draw(target, list(SLIDES))
    write_slides_csv(target)
    print(f"{len(SLIDES)} slides in {target}")
