"""`smearscan compare`: two reports of the same slides, cell by cell; or slides, scanned in several ways first."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smearscan import console
from smearscan.cli.listing import list_slides, require_slides
from smearscan.cli.settings import Numbers, config_from, setting_options
from smearscan.errors import ConfigError, ExitCode, OutputError, SmearscanError

if TYPE_CHECKING:
    from smearscan.compare import Report
    from smearscan.compare.cutting import PictureSource
    from smearscan.compare.variants import Variant
    from smearscan.config import ScanConfig
    from smearscan.labels import Labels
    from smearscan.slides import Found, SlideRow

Record = Mapping[str, Any]


@click.command(short_help="Compare two reports, or ways to scan, cell by cell.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="A B | SLIDES...")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="Where the comparison goes.")
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    metavar="TABLE",
    help="What cells truly are: slide,x,y,class or slide,cell,label; or a folder of NAME.truth.csv. Default: those beside SLIDES.",
)
@click.option(
    "--slides",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Where the slides of A and B lie, as given to run: cells that the reports keep no picture of are cut from them, with "
    "heat maps where the model is at hand.",
)
@click.option("--modes", metavar="LIST", default="", help="Scan SLIDES with each of these first, as window,nuclei.")
@click.option("--classifiers", metavar="LIST", default="", help="Scan SLIDES with each of these first: names or model folders.")
@click.option("--thresholds", type=Numbers(), default=(), metavar="LIST", help="Scan SLIDES at each of these first, as 0.5,0.9.")
@click.option("--json", "as_json", is_flag=True, help="Write the comparison's record to stdout.")
@setting_options("proposals", "classifier", "threshold")
@click.option("--proposals", default=None, help="What proposes cells, where --modes is not given.")
@click.option("--classifier", default=None, metavar="NAME|FOLDER", help="What calls the cells, where --classifiers is not given.")
@click.option("--threshold", type=float, default=None, help="The threshold, where --thresholds is not given.")
def compare(paths: tuple[Path, ...], out: Path, truth: Path | None, config_file: Path | None, as_json: bool, **flags: Any) -> None:
    """Compare the finished reports A and B of the same slides; or scan SLIDES in several ways and compare those.

    Cell by cell, slide by slide, in cost, and against the truth where there is one. B is held against A. With --modes,
    --classifiers or --thresholds the reports go to FOLDER/NAME first, as `run` makes them, and each two of them are
    compared in FOLDER/NAME-vs-NAME; where they are three or more, FOLDER/index.html leads to all. Exit codes: 0 every
    slide compared cell by cell, 2 wrong use, 3 some slides not, 4 none.
    """
    from smearscan.compare.cutting import PictureSource
    from smearscan.compare.overview import publish_overview
    from smearscan.compare.publishing import publish
    from smearscan.compare.report_folder import read_report
    from smearscan.labels import read_labels
    from smearscan.results import NOTICE

    slides: tuple[Path, ...] = flags.pop("slides")
    modes, classifiers, thresholds = _listed(flags.pop("modes")), _listed(flags.pop("classifiers")), flags.pop("thresholds")
    labels = read_labels(truth) if truth else None
    if modes or classifiers or thresholds:
        from smearscan.compare.variants import variants

        ways = variants(config_from(config_file, flags), modes, classifiers, thresholds)
        places = {(a.name, b.name): out / f"{a.name}-vs-{b.name}" for a, b in combinations(ways, 2)}
        _check_places(out, list(places.values()))
        reports, source = _scan(paths, out, ways)
        labels = labels or _truth_beside(paths)
        pairs = [(a, b, places[a.name, b.name]) for a, b in combinations(reports, 2)]
    elif len(paths) == 2:
        first, second = (read_report(path) for path in paths)
        if first.name == second.name:
            first, second = (read_report(path, f"{path.resolve().name} {letter}") for path, letter in zip(paths, "AB", strict=True))
        pairs = [(first, second, out)]
        source = _slides_of(slides, (first, second)) if slides else PictureSource()
    else:
        raise ConfigError("Name two reports, or slides together with --modes, --classifiers or --thresholds.")
    records = {place: publish(a, b, labels, place, source)[1] for a, b, place in pairs}
    _tell(records, labels)
    if len(records) > 1:
        publish_overview({place.name: record for place, record in records.items()}, out)
        console.say(f"A page of all is in {out}.")
    console.say(NOTICE)
    if as_json:
        found = list(records.values())
        console.emit_json(found[0] if len(found) == 1 else found)
    sys.exit(int(_exit_code(list(records.values()))))


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _truth_beside(slides: Sequence[Path]) -> Labels | None:
    """Return the truth tables that lie beside the slides, as `smearscan smear` writes them."""
    from smearscan.labels import read_labels

    folder = next((each for each in slides if each.is_dir() and next(each.rglob("*.truth.csv"), None)), None)
    return read_labels(folder) if folder else None


def _slides_of(slides: Sequence[Path], reports: Sequence[Report]) -> PictureSource:
    """Return the slides that finished reports are of, and what makes their heat maps again."""
    from smearscan.compare.cutting import PictureSource
    from smearscan.compare.explainers import explainer_of

    found = list_slides(slides, None)[0].slides
    explainers = {}
    for report in reports:
        explainer, why_none = explainer_of(report)
        if explainer is not None:
            explainers[report.name] = explainer
        elif why_none:
            console.say(why_none)
    return PictureSource({each.key: each.path for each in found}, explainers)


def _check_places(out: Path, places: Sequence[Path]) -> None:
    """Refuse, before hours of scanning, places where what comes of it could not be put."""
    from smearscan import ledger
    from smearscan.compare.overview import check_overview
    from smearscan.compare.publishing import check_target

    for place in (out, *out.resolve().parents):
        if ledger.is_report(place):
            raise ConfigError(f"{place} is a report, where no other can be put. Give another folder with --out.")
    check_overview(out)
    for place in places:
        check_target(place)


def _scan(slides: Sequence[Path], out: Path, ways: Sequence[Variant]) -> tuple[list[Report], PictureSource]:
    """Make the report of each way, or go on with it; what an earlier comparison has scanned is left alone.

    All are given the slides that were found before the first: one that comes meanwhile would be only in some reports. Each runs
    in a process of its own: the most memory that a process ever held is never given back, and would be the next one's too.
    """
    from smearscan import night
    from smearscan.compare.cutting import PictureSource
    from smearscan.compare.report_folder import read_report

    found, table = list_slides(slides, ways[0].config.slides_csv)
    require_slides(found, slides)
    # All models are built before any slide is opened: what is wrong with the last way is said now.
    orders = [night.prepare(way.config, out / way.name, found.slides, found.rejected, table) for way in ways]
    for way in ways:
        console.say(f"{way.name}: {console.counted(len(found.slides), 'slide')}")
        process = get_context("spawn").Process(target=scan_one_way, args=(way.config, out / way.name, found, table))
        process.start()
        process.join()
        if process.exitcode not in (ExitCode.DONE, ExitCode.SOME_NOT_DONE, ExitCode.NOTHING_DONE):
            raise OutputError(f"The report {out / way.name} could not be made (exit code {process.exitcode}): what is wrong stands above.")
    explainers = {way.name: order.explainer for way, order in zip(ways, orders, strict=True) if order.explainer is not None}
    source = PictureSource({slide.key: slide.path for slide in found.slides}, explainers)
    return [read_report(out / way.name, way.name) for way in ways], source


def scan_one_way(config: ScanConfig, out: Path, found: Found, table: Mapping[str, SlideRow]) -> None:
    """Do what `smearscan run` does, in a process that ends with its exit code.

    A slide on which the program failed is one that is not done: its report says so, and the others can be compared.
    """
    from smearscan import night

    try:
        order = night.prepare(config, out, found.slides, found.rejected, table)
        with console.progress(out.name, len(found.slides)) as bar:
            ending = night.run(order, lambda sight: bar.update(sight.done, sight.total, sight.slides), console.say)
    except SmearscanError as error:
        console.say(f"smearscan: {error}")
        sys.exit(int(ExitCode.BUG))
    console.say(f"{out.name}: {console.format_seconds(ending.seconds)}; its report is in {out}.")
    sys.exit(int(ExitCode.SOME_NOT_DONE if ending.exit_code is ExitCode.BUG else ending.exit_code))


def _tell(records: Mapping[Path, Record], labels: Labels | None) -> None:
    """Show what came of it: one table of all reports where there is one, else a table of each two; then their sentences."""
    from smearscan.compare.overview import sides_of

    together = sides_of(list(records.values())) if len(records) > 1 else []
    if together:
        _print_reports(together)
    for place, record in records.items():
        if not together:
            _print_reports([record["a"], record["b"]])
        for slide in record["slides"]:
            if slide["reason"]:
                console.say(f"{slide['slide']}: {slide['reason']}")
        for sentence in record["summary"]:
            console.say(sentence)
        console.say(f"The comparison is in {place}.")
    if labels is not None and not any(record[side]["truth"] for record in records.values() for side in "ab"):
        console.warn(f"{labels.source} names no cell of these slides, so that nothing is held against it")


def _print_reports(sides: Sequence[Record]) -> None:
    from smearscan.reports.pages.comparison_page import mode_rows

    rows = [(label, *(text for text, _ in texts)) for label, texts in mode_rows(sides)]
    names = [side["name"] for side in sides]
    console.table(("", *names), rows, right=names)


def _exit_code(records: Sequence[Record]) -> ExitCode:
    slides = [slide["compared"] for record in records for slide in record["slides"]]
    if slides and all(each == "cells" for each in slides):
        return ExitCode.DONE
    return ExitCode.SOME_NOT_DONE if any(each != "none" for each in slides) else ExitCode.NOTHING_DONE
