"""`smearscan inspect`: what slides are, before anything is done with them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smearscan import console
from smearscan.cli.listing import list_slides
from smearscan.errors import ExitCode, SlideError

if TYPE_CHECKING:
    from smearscan.results import SlideInfo
    from smearscan.slides import FoundSlide, NotASlide

COLUMNS = ("slide", "size", "levels", "um/px", "from", "tiles", "reader", "on disk")


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path, readable=False))
@click.option("--mpp", type=float, help="Microns per pixel of slides that do not say it themselves.")
@click.option("--slides-csv", type=click.Path(path_type=Path), metavar="FILE", help="A table with the columns slide, specimen and mpp.")
@click.option(
    "--scale-from-red-cells/--no-scale-from-red-cells",
    default=True,
    help="Take the scale of slides that do not say it from the size of their red cells.",
)
@click.option("--json", "as_json", is_flag=True, help="Write everything to stdout as JSON.")
@click.pass_context
def inspect(
    context: click.Context,
    paths: tuple[Path, ...],
    *,
    mpp: float | None,
    slides_csv: Path | None,
    scale_from_red_cells: bool,
    as_json: bool,
) -> None:
    """Show the size, scale and layout of slides: of every slide in the files and folders PATH...

    Pixels are looked at only of slides that do not say their scale; `smearscan check` compares the others' scale with
    their red cells, too. Exit code 3: some cannot be opened; 4: none can.
    """
    from smearscan.red_cells import look_for_scale
    from smearscan.slides import open_slide, row_of

    found, rows = list_slides(paths, slides_csv)
    opened: list[tuple[FoundSlide, SlideInfo]] = []
    refused: list[tuple[FoundSlide, str]] = []
    for slide in found.slides:
        row = row_of(rows, slide.key)
        try:
            with open_slide(slide.path, mpp=mpp, csv_mpp=row.mpp if row else None, scale_needed=False) as open_one:
                info = open_one.info
                opened.append((slide, look_for_scale(open_one) if info.mpp is None and scale_from_red_cells else info))
        except SlideError as error:
            refused.append((slide, str(error)))
    if as_json:
        console.emit_json(_as_json(opened, refused, found.rejected))
    else:
        _show(opened, refused, found.rejected)
    context.exit(int(_exit_code(opened, refused, found.rejected)))


def _exit_code(opened: list[Any], refused: list[Any], rejected: tuple[NotASlide, ...]) -> ExitCode:
    if not opened:
        return ExitCode.NOTHING_DONE
    return ExitCode.SOME_NOT_DONE if refused or any(other.may_be_slide for other in rejected) else ExitCode.DONE


def _show(opened: list[tuple[FoundSlide, SlideInfo]], refused: list[tuple[FoundSlide, str]], rejected: tuple[NotASlide, ...]) -> None:
    from smearscan.red_cells import remark

    if opened:
        console.table(COLUMNS, [_row(slide, info) for slide, info in opened], right=("size", "levels", "um/px", "on disk"))
    for slide, info in opened:
        unknown = "its microns per pixel are not known: give them with --mpp or --slides-csv" if info.mpp is None else remark(info)
        for note in (*info.notes, *([unknown] if unknown else ())):
            console.say(f"{slide.key}: {note}")
    for slide, reason in refused:
        console.say(reason if reason.startswith(slide.key) else f"{slide.key}: {reason}")
    for other in rejected:
        console.say(f"{other.path}: not a slide: {other.reason}")
    if not opened and not refused:
        console.say("No slide was found.")


def _row(slide: FoundSlide, info: SlideInfo) -> tuple[object, ...]:
    first = info.levels[0]
    return (
        slide.key,
        f"{info.width} x {info.height}",
        " ".join(f"{level.downsample:.3g}" for level in info.levels),
        None if info.mpp is None else f"{info.mpp:.4g}",
        info.mpp_source,
        None if first.tile_width is None else f"{first.tile_width} x {first.tile_height}",
        info.reader,
        console.format_bytes(info.bytes_on_disk),
    )


def _as_json(
    opened: list[tuple[FoundSlide, SlideInfo]], refused: list[tuple[FoundSlide, str]], rejected: tuple[NotASlide, ...]
) -> dict[str, object]:
    return {
        "slides": [{"slide": slide.key, **asdict(info), "path": str(info.path)} for slide, info in opened],
        "not_opened": [{"slide": slide.key, "path": str(slide.path), "reason": reason} for slide, reason in refused],
        "not_slides": [{"path": str(other.path), "reason": other.reason, "may_be_slide": other.may_be_slide} for other in rejected],
    }
