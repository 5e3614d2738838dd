"""`smearscan smear`: draw a synthetic smear with known truth, or compose one of real cells and real surroundings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from smearscan.smears import SmearPlan
    from smearscan.smears.composing import CellChoice, Composed

DRAWN_ONLY = ("smudge_fraction", "debris_per_mm2", "layout")
COMPOSED_ONLY = ("cells_mpp", "backgrounds_mpp", "exclude", "subjects", "part", "blast_label", "fields")


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
@click.option("--cells", multiple=True, metavar="DIR[=SHARE]", help="Compose of real cells: a folder of cut-outs. May be given again.")
@click.option("--backgrounds", type=click.Path(path_type=Path), metavar="DIR", help="Fields of red cells to lay them on.")
@click.option("--cells-mpp", type=float, multiple=True, help="Microns per pixel of the cut-outs, once for all or once for each --cells.")
@click.option("--backgrounds-mpp", type=float, help="Microns per pixel of the fields. Default: by the size of their red cells.")
@click.option("--exclude", multiple=True, metavar="NAME", help="A field that must not be used. May be given again.")
@click.option("--fields", type=int, default=10, show_default=True, help="At most so many fields make one slide.")
@click.option("--subjects", metavar="FILE|A11,H24", help="Only cells of these subjects; or a split as CSV, with --part.")
@click.option("--part", metavar="NAME", help="The part of the split in --subjects, as test.")
@click.option("--blast-label", multiple=True, metavar="LABEL", help="Labels that mean a blast. Default: blast, all, aml and the like.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it is there.")
def smear(out: Path, quality: int, workers: int | None, overwrite: bool, **settings: Any) -> None:
    """Draw a blood smear to OUT, and its truth to OUT's name with .truth.csv in place of the ending.

    OUT.tif becomes a pyramidal TIFF of any size, OUT.jpg or OUT.png a plain field. The truth has a line for each object: x, y
    and diameter in level-0 pixels, and its class; the classes smudge and debris are no white cells.

    With --cells and --backgrounds the slide is composed of real pictures: cut-out white cells (C-NMC's, or a folder with a
    manifest.csv, or a folder for each class) on fields of red cells. Its classes are blast and other; OUT.origins.csv names each
    cell's file and subject, OUT.contents.json the fields, subjects and licences.
    """
    from smearscan import console
    from smearscan.errors import ConfigError, OutputError
    from smearscan.smears import SmearPlan, contents_path, origins_path, plan_smear, truth_path, write_smear

    composing = {name: settings.pop(name) for name in ("cells", "backgrounds", *COMPOSED_ONLY)}
    is_composed = _is_composed(composing)
    if is_composed:
        settings |= {"smudge_fraction": 0.0, "debris_per_mm2": 0.0}
    plan = SmearPlan(**settings)
    beside = (truth_path(out), origins_path(out), contents_path(out)) if is_composed else (truth_path(out),)
    try:
        there = [path for path in (out, *beside) if path.exists()]
        if not out.parent.is_dir():
            raise ConfigError(f"{out.parent} is no folder. Make it first, or choose another place.")
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}. Choose another place.") from error
    if there and not overwrite:
        raise ConfigError(f"{there[0]} exists. Choose another name, or replace it with --overwrite.")
    composed = _compose(plan, composing) if is_composed else None
    drawn = composed.smear if composed else plan_smear(plan)
    with console.progress(f"drawing {out.name}") as shown:
        truth = write_smear(drawn, out, quality=quality, workers=workers, report=lambda done, total: shown.update(done, total, {}))
    if composed:
        composed.write_contents(contents_path(out))
    cells = [cell for cell in drawn.truth if cell.is_white_cell]
    blasts = sum(cell.kind == "blast" for cell in cells)
    size = console.format_bytes(out.stat().st_size)
    console.say(f"{out}: {plan.width} x {plan.height} px, {size}, {len(cells)} white cells, {blasts} of them blasts. Truth: {truth}")


def _is_composed(composing: dict[str, Any]) -> bool:
    """Say whether a composed slide is asked for; raises ConfigError where options do not go together."""
    from smearscan.errors import ConfigError

    source = click.get_current_context().get_parameter_source
    given = [name for name in (*DRAWN_ONLY, *COMPOSED_ONLY) if source(name) is not click.core.ParameterSource.DEFAULT]
    asked = bool(composing["cells"]), composing["backgrounds"] is not None
    if asked[0] != asked[1]:
        raise ConfigError("--cells and --backgrounds belong together: a slide is drawn, or composed of real cells on real fields.")
    for name in given:
        if (name in DRAWN_ONLY) is asked[0]:
            without = "a composed slide has none; leave it out" if asked[0] else "it needs --cells and --backgrounds"
            raise ConfigError(f"--{name.replace('_', '-')} does not apply: {without}.")
    if bool(composing["part"]) and not composing["subjects"]:
        raise ConfigError("--part needs the split it is a part of: --subjects split.csv.")
    return all(asked)


def _compose(plan: SmearPlan, composing: dict[str, Any]) -> Composed:
    from smearscan.smears.cell_folders import BLAST_LABELS, read_subjects
    from smearscan.smears.composing import compose

    named, part = composing["subjects"], composing["part"]
    return compose(
        plan,
        _choices(composing["cells"], composing["cells_mpp"]),
        composing["backgrounds"],
        subjects=read_subjects(named) if named and not part else (),
        split=Path(named) if part else None,
        part=part or "",
        field_mpp=composing["backgrounds_mpp"],
        exclude=composing["exclude"],
        fields=composing["fields"],
        blast_labels=composing["blast_label"] or BLAST_LABELS,
    )


def _choices(cells: tuple[str, ...], scales: tuple[float, ...]) -> list[CellChoice]:
    from smearscan.errors import ConfigError
    from smearscan.smears.composing import CellChoice

    if len(scales) not in {0, 1, len(cells)}:
        raise ConfigError(f"--cells-mpp is given {len(scales)} times for {len(cells)} --cells; give it once, or once for each.")
    found = []
    for index, text in enumerate(cells):
        folder, mark, share = text.rpartition("=")
        try:
            number = float(share) if mark else 1.0
        except ValueError as error:
            raise ConfigError(f"--cells {text}: {share!r} is no share. Write DIR=0.3, or DIR alone.") from error
        scale = scales[index % len(scales)] if scales else None
        if number < 0 or (scale is not None and not 0.01 <= scale <= 2):
            raise ConfigError(f"--cells {text}: a share must not be below 0, and --cells-mpp must lie between 0.01 and 2 um/px.")
        found.append(CellChoice(Path(folder if mark else text), number, scale))
    return found
