"""`smearscan smear`: draw a synthetic smear with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command(short_help="Draw a synthetic smear with known truth.")
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--width", type=int, default=6000, show_default=True, help="Width in pixels.")
@click.option("--height", type=int, default=6000, show_default=True, help="Height in pixels.")
@click.option("--mpp", type=float, default=0.25, show_default=True, help="Microns per pixel.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed and settings give the same file.")
@click.option("--stain", type=int, default=None, help="Seed of the staining; 0 is the textbook one. Default: as --seed.")
@click.option("--white-cells", type=int, default=None, help="Exactly so many white cells. Default: by --white-cells-per-mm2.")
@click.option("--white-cells-per-mm2", type=float, default=40.0, show_default=True, help="Of the area where cells can be read.")
@click.option("--blast-fraction", type=float, default=0.0, show_default=True, help="Share of blasts among the white cells, 0 to 1.")
@click.option("--smudge-fraction", type=float, default=0.03, show_default=True, help="Smudge cells for each white cell.")
@click.option("--debris-per-mm2", type=float, default=2.0, show_default=True, help="Clots of dye and dirt as large as a cell.")
@click.option(
    "--layout",
    type=click.Choice(["auto", "field", "film"]),
    default="auto",
    show_default=True,
    help="field: monolayer all over; film: thick end, feather edge and glass around; auto: film from 4 mm on.",
)
@click.option("--quality", type=int, default=80, show_default=True, help="JPEG quality, 1 to 100.")
@click.option("--workers", type=int, default=None, help="Processes that paint. Default: as many as there are processors.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it is there.")
def smear(out: Path, quality: int, workers: int | None, overwrite: bool, **settings: Any) -> None:
    """Draw a blood smear to OUT, and its truth to OUT's name with .truth.csv in place of the ending.

    OUT.tif becomes a pyramidal TIFF of any size, OUT.jpg or OUT.png a plain field. The truth has a line for each object: x, y
    and diameter in level-0 pixels, and its class; the classes smudge and debris are no white cells.
    """
    from smearscan import console
    from smearscan.errors import ConfigError, OutputError
    from smearscan.smears import SmearPlan, plan_smear, truth_path, write_smear

    plan = SmearPlan(**settings)
    try:
        there = [path for path in (out, truth_path(out)) if path.exists()]
        if not out.parent.is_dir():
            raise ConfigError(f"{out.parent} is no folder. Make it first, or choose another place.")
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}. Choose another place.") from error
    if there and not overwrite:
        raise ConfigError(f"{there[0]} exists. Choose another name, or replace it with --overwrite.")
    drawn = plan_smear(plan)
    with console.progress(f"drawing {out.name}") as shown:
        truth = write_smear(drawn, out, quality=quality, workers=workers, report=lambda done, total: shown.update(done, total, {}))
    cells = [cell for cell in drawn.truth if cell.is_white_cell]
    blasts = sum(cell.kind == "blast" for cell in cells)
    size = console.format_bytes(out.stat().st_size)
    console.say(f"{out}: {plan.width} x {plan.height} px, {size}, {len(cells)} white cells, {blasts} of them blasts. Truth: {truth}")
