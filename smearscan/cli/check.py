"""`smearscan check`: before the night."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from smearscan import console
from smearscan.cli.listing import list_slides, require_slides
from smearscan.cli.settings import config_from, setting_options
from smearscan.errors import ExitCode

PROBLEMS_SHOWN = 3  # of a slide; a damaged file has one for each of its tiles


@click.command()
@click.argument("slides", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Where the report will go: is there room for it?")
@click.option("--json", "as_json", is_flag=True, help="Write what was found to stdout.")
@setting_options()
def check(slides: tuple[Path, ...], out: Path | None, as_json: bool, config_file: Path | None, **flags: Any) -> None:
    """Open every one of SLIDES, read samples, and estimate cells, minutes and disk; takes the same flags as `run`.

    Exit codes: 0 nothing needs a person, 2 wrong use, 3 something does, 4 no slide can be scanned.
    """
    config = config_from(config_file, flags)
    from smearscan import checking
    from smearscan.building import DetectorChoice, build_classifier
    from smearscan.reading import slide_spec
    from smearscan.workers import usable_cores

    found, table = list_slides(slides, config.slides_csv)
    require_slides(found, slides)
    classifier = build_classifier(config)
    specs = [slide_spec(slide, config, table, classifier.card) for slide in found.slides]
    workers = config.workers or usable_cores()
    with console.progress("slides checked", len(specs)) as bar:
        checks = checking.check_slides(
            specs,
            DetectorChoice(config),
            gated=config.gate,
            workers=workers,
            slide_timeout_s=config.slide_timeout_seconds,
            show=lambda done: bar.update(done, len(specs), {}),
        )
    seen = checking.forecast(checks, classifier, workers, out, config.overlays)
    _print(seen, found.rejected)
    if as_json:
        console.emit_json(_as_json(seen, found.rejected))
    if not any(each.info for each in checks):
        sys.exit(int(ExitCode.NOTHING_DONE))
    wanting = seen.needs_person or any(each.may_be_slide for each in found.rejected)
    sys.exit(int(ExitCode.SOME_NOT_DONE if wanting else ExitCode.DONE))


def _print(seen: Any, rejected: Any) -> None:
    columns = ("slide", "size", "um/px", "scale from", "worth a look", "cells", "time", "problems")
    console.table(columns, [_row(each) for each in seen.slides], right=("um/px", "worth a look", "cells", "time", "problems"))
    for each in seen.slides:
        for problem in each.problems[:PROBLEMS_SHOWN]:
            console.say(f"{each.key}: {problem}")
        more = len(each.problems[PROBLEMS_SHOWN:])
        if more:
            console.say(f"{each.key}: and {more} more; --json lists all of them.")
    for each in rejected:
        if each.may_be_slide:
            console.say(f"{each.path}: {each.reason}")
    needed = console.format_bytes(seen.bytes_needed)
    console.say(f"About {seen.cells:.0f} cells, {console.format_seconds(seen.seconds)}, {needed} of disk.")
    if seen.disk_is_short:
        console.say(f"Only {console.format_bytes(seen.bytes_free)} are free there: make room, or choose another --out.")


def _row(each: Any) -> tuple[object, ...]:
    if each.info is None:
        return each.key, None, None, None, None, None, None, len(each.problems)
    info = each.info
    mpp = None if info.mpp is None else f"{info.mpp:.4g}"
    share = None if each.scanned_share is None else f"{100 * each.scanned_share:.0f} %"
    cells = None if each.cells is None else f"{each.cells:.0f}"
    seconds = None if each.seconds is None else console.format_seconds(each.seconds)
    return each.key, f"{info.width} x {info.height}", mpp, info.mpp_source, share, cells, seconds, len(each.problems)


def _as_json(seen: Any, rejected: Any) -> dict[str, object]:
    return {
        "slides": [
            {
                "slide": each.key,
                "width": each.info.width if each.info else None,
                "height": each.info.height if each.info else None,
                "mpp": each.info.mpp if each.info else None,
                "mpp_source": each.info.mpp_source if each.info else None,
                "scanned_share": each.scanned_share,
                "cells": each.cells,
                "seconds": each.seconds,
                "problems": list(each.problems),
            }
            for each in seen.slides
        ],
        "not_slides": [{"path": str(each.path), "reason": each.reason, "may_be_slide": each.may_be_slide} for each in rejected],
        "cells": seen.cells,
        "seconds": seen.seconds,
        "bytes_needed": seen.bytes_needed,
        "bytes_free": seen.bytes_free,
    }
