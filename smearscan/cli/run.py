"""`smearscan run`: a folder of slides in, a report out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from smearscan import console
from smearscan.cli.listing import list_slides, require_slides
from smearscan.cli.settings import config_from, setting_options
from smearscan.errors import ExitCode

MEANING = {
    ExitCode.DONE: "every slide done",
    ExitCode.BUG: "a programming error on at least one slide",
    ExitCode.SOME_NOT_DONE: "some slides not done",
    ExitCode.NOTHING_DONE: "no slide done",
}


@click.command()
@click.argument("slides", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="Where the report goes, or grows.")
@click.option("--json", "as_json", is_flag=True, help="Write the slides' records to stdout.")
@setting_options()
def run(slides: tuple[Path, ...], out: Path, as_json: bool, config_file: Path | None, **flags: Any) -> None:
    """Scan SLIDES, files or folders, and write a report to --out.

    The same command goes on where an earlier one stopped: slides that are done with the same input, weights and
    settings are left alone. Exit codes: 0 every slide done, 2 wrong use, 3 some slides not done, 4 nothing done.
    """
    config = config_from(config_file, flags)
    from smearscan import night

    found, table = list_slides(slides, config.slides_csv)
    require_slides(found, slides)
    order = night.prepare(config, out, found.slides, found.rejected, table)
    card = order.classifier.card
    device = order.classifier.compute.device
    console.say(f"{console.counted(len(found.slides), 'slide')}, classifier {card.name}, proposals by {config.proposals}, on {device}")
    console.say(f"{card.name}: {card.summary}")
    with console.progress("all slides", len(found.slides)) as bar:
        ending = night.run(order, lambda sight: _show(bar, sight), console.say)
    _print_ending(ending, out, 0.2 if 0.2 in config.verdicts else config.verdicts[-1])
    if as_json:
        console.emit_json(list(ending.records.values()))
    sys.exit(int(ending.exit_code))


def _show(bar: console.Progress, sight: Any) -> None:
    bar.update(sight.done, sight.total, {**sight.slides, "device busy": f"{100 * sight.device_busy:.0f} %"})


def _print_ending(ending: Any, out: Path, threshold: float) -> None:
    from smearscan.results import NOTICE

    columns = ("slide", "status", "cells", "blasts", "fraction (95 %)", f"verdict {100 * threshold:g} %")
    console.table(columns, [_row(record, threshold) for record in ending.records.values()], right=("cells", "blasts"))
    for key, record in ending.records.items():
        if record["reason"]:
            console.say(f"{key}: {record['reason']}")
    kept = f", {ending.kept} left alone since an earlier run had done them" if ending.kept else ""
    console.say(
        f"{console.counted(len(ending.records), 'slide')} in {console.format_seconds(ending.seconds)}{kept}. The report is in {out}."
    )
    if ending.exit_code is not ExitCode.DONE:
        console.say(f"Exit code {int(ending.exit_code)}: {MEANING[ending.exit_code]}.")
    console.say(NOTICE)


def _row(record: Mapping[str, Any], threshold: float) -> tuple[object, ...]:
    from smearscan.percentages import percent

    count = record["count"]
    if count is None:
        return record["key"], record["status"], None, None, None, None
    share = None
    if count["fraction"] is not None:
        low, high = count["wilson"]["low"], count["wilson"]["high"]
        share = f"{percent(count['fraction'])} % ({percent(low)}-{percent(high)})"
    verdict = next((each["verdict"] for each in count["verdicts"] if abs(each["threshold"] - threshold) < 1e-9), None)
    return record["key"], record["status"], count["cells"], count["blasts"], share, verdict
