"""`smearscan data check`: what a set of labelled cells holds, before anything is trained on it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smearscan import console
from smearscan.cli.learning import data_options, load_samples, told_plainly
from smearscan.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from classifiers.datasets import Samples
    from classifiers.datasets.checking import DataReport
    from classifiers.splits import Split

SHOWN = 12  # of a list on the terminal; --json and --csv have all


@click.group(short_help="Look at labelled cells: classes, subjects, duplicates, leaks.")
def data() -> None:
    """Work with sets of labelled cells."""


@data.command()
@click.argument("path", metavar="DATA", type=click.Path(path_type=Path))
@data_options
@click.option("--split", "split_name", metavar="FILE|KIND", help="Judge a split: a CSV with file and part, or subject, random, published.")
@click.option("--shares", default="64/16/20", show_default=True, help="Of --split subject or random: train/validation/test in percent.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of --split subject or random.")
@click.option("--allow-leaks", is_flag=True, help="Report a split that leaks without refusing it.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), metavar="FILE", help="Write every pair of like pictures to FILE.")
@click.option("--json", "as_json", is_flag=True, help="Write what was found to stdout.")
def check(
    path: Path,
    *,
    kind: str | None,
    roles: tuple[str, ...],
    data_settings: tuple[str, ...],
    split_name: str | None,
    shares: str,
    seed: int,
    allow_leaks: bool,
    csv_file: Path | None,
    as_json: bool,
) -> None:
    """Read every cell of DATA; list classes, subjects, sizes, faulty files, and cells that are there twice.

    The same cell under two subjects makes a split by subject a leak: the groups to join are named. With --split, that split is
    judged too. Exit codes: 0 looked at all, 2 wrong use or a split that leaks.
    """
    from classifiers.datasets import checking

    with told_plainly():
        samples = load_samples(path, kind, roles, data_settings)
        split = _split(samples, split_name, shares, seed)
        with console.progress("pictures read", len(samples)) as bar:
            report = checking.check(samples, split, show=lambda done: bar.update(done, len(samples), {}))
    if csv_file is not None:
        _write_pairs(csv_file, report, split)
    _print(report)
    if as_json:
        console.emit_json(_as_json(report, split))
    if split is not None and report.leak:
        message = checking.describe_leak(samples, split, report.leak)
        if not allow_leaks:
            raise ConfigError(f"{message} Here that is --allow-leaks.")
        console.warn(message)


def _split(samples: Samples, name: str | None, shares: str, seed: int) -> Split | None:
    from classifiers import splits

    if name is None:
        return None
    if name in splits.KINDS and name != "given":
        return splits.split_samples(samples, name, parse_shares(shares), seed)
    return splits.read_split(Path(name), samples)


def parse_shares(text: str) -> tuple[float, ...]:
    """Return shares from percent, 64/16/20."""
    try:
        return tuple(float(part) / 100 for part in text.split("/"))
    except ValueError as error:
        raise ConfigError(f"--shares {text!r} must be percentages of the parts, as 64/16/20 or 80/20.") from error


def _print(report: DataReport) -> None:
    samples = report.samples
    named = any(samples.subjects)
    console.say(f"{samples.name} at {samples.root}: {console.counted(len(samples), 'cell')}")
    if samples.licence:
        console.say(f"Licence: {samples.licence}. Cite: {samples.citation}.")
    rows: list[tuple[object, ...]] = [
        (each.name, each.role, each.cells, each.subjects if named else None, each.groups) for each in report.classes
    ]
    rows.append(("all", "", len(samples), len(set(samples.subjects) - {""}) if named else None, report.groups))
    console.table(("class", "counts as", "cells", "subjects", "groups"), rows, right=("cells", "subjects", "groups"))
    if not named:
        console.warn("The set names no subjects: no split of it can be shown to keep people apart.")
    if (sizes := report.size_range()) is not None:
        smallest, median, largest = (f"{width} x {height}" for width, height in sizes)
        console.say(f"Sizes in px: {smallest} to {largest}, median {median}.")
    _print_list([reason for _, reason in report.unreadable], "files cannot be read", "every file can be read")
    console.say(f"{console.counted(report.repeated, 'picture')} with the same pixels more than once.")
    like = [
        f"{each.how} ({each.likeness:.2f}): {samples.files[each.first]} of {samples.groups[each.first]}, "
        f"{samples.files[each.second]} of {samples.groups[each.second]}"
        for each in report.pairs
    ]
    _print_list(like, "pairs of different groups show the same", "no two groups show the same cell")
    for join in report.joins[:SHOWN]:
        console.say(f"Join in one group: {', '.join(join)}")
    if len(report.joins) > SHOWN:
        console.say(f"and {len(report.joins) - SHOWN} more to join; --json lists all of them.")


def _print_list(lines: list[str], some: str, none: str) -> None:
    console.say(f"{len(lines)} {some}:" if lines else f"{none[0].upper()}{none[1:]}.")
    for line in lines[:SHOWN]:
        console.say(f"  {line}")
    if len(lines) > SHOWN:
        console.say(f"  and {len(lines) - SHOWN} more; --json lists all of them.")


def _pairs(report: DataReport, split: Split | None) -> Iterator[dict[str, object]]:
    from classifiers.splits import PARTS

    samples = report.samples
    for pair in report.pairs:
        found: dict[str, object] = {"how": pair.how, "likeness": pair.likeness}
        for side, row in (("first", pair.first), ("second", pair.second)):
            found |= {side: samples.files[row], f"{side}_subject": samples.subjects[row], f"{side}_group": samples.groups[row]}
            found[f"{side}_box"] = "" if samples.boxes is None else " ".join(str(each) for each in samples.boxes[row].tolist())
            found[f"{side}_part"] = samples.parts[row] if split is None else PARTS[split.parts[row]]
        yield found


def _write_pairs(path: Path, report: DataReport, split: Split | None) -> None:
    sides = [f"{side}{what}" for side in ("first", "second") for what in ("", "_subject", "_group", "_part", "_box")]
    with _writing(path), path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["how", "likeness", *sides], lineterminator="\n")
        writer.writeheader()
        writer.writerows(_pairs(report, split))


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}. Choose another place.") from error


def _as_json(report: DataReport, split: Split | None) -> dict[str, Any]:
    samples = report.samples
    sizes = report.size_range()
    found: dict[str, Any] = {
        "name": samples.name,
        "path": str(samples.root),
        "licence": samples.licence,
        "citation": samples.citation,
        "cells": len(samples),
        "subjects": len(set(samples.subjects) - {""}),
        "groups": report.groups,
        "classes": [
            {"class": each.name, "role": each.role, "cells": each.cells, "subjects": each.subjects, "groups": each.groups}
            for each in report.classes
        ],
        "sizes_px": None if sizes is None else dict(zip(("smallest", "median", "largest"), (list(each) for each in sizes), strict=True)),
        "unreadable": [{"file": samples.files[row], "reason": reason} for row, reason in report.unreadable],
        "repeated_pictures": report.repeated,
        "pairs": list(_pairs(report, split)),
        "groups_to_join": [list(join) for join in report.joins],
    }
    if split is not None and report.leak is not None:
        found["split"] = {
            "kind": split.kind,
            "note": split.note,
            "cells": split.sizes(),
            "leaks": bool(report.leak),
            "leaking_groups": list(report.leak.groups),
            "leaking_cells": [samples.files[row] for row in report.leak.rows],
        }
    return found
