"""`smearscan report`: pages, tables and exports again, from what a run left."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from smearscan import console
from smearscan.errors import ExitCode


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="Write what was rebuilt, and what is missing, to stdout.")
def report(folder: Path, as_json: bool) -> None:
    """Rebuild the pages, tables and exports of the report in DIR, without a model and without the slides.

    Overlays and maps need the slides: what is missing of them is said. Exit codes: 0 everything is there, 2 DIR is no
    report, 3 something is missing, 4 the folder cannot be written.
    """
    from smearscan import rebuilding

    rebuilt = rebuilding.rebuild(folder)
    missing = rebuilt.missing
    for sentence in missing:
        console.say(sentence)
    console.say(f"{len(rebuilt.records)} slides, {len(rebuilt.replaced)} of their files renewed. The report is in {folder}.")
    if as_json:
        console.emit_json({"slides": list(rebuilt.records), "renewed": rebuilt.replaced, "missing": missing})
    sys.exit(int(ExitCode.SOME_NOT_DONE if missing else ExitCode.DONE))
