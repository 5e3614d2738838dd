"""`smearscan models`: the models that ship, and any model folder: what they are, whether they are whole, and as ONNX."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smearscan import console
from smearscan.errors import OutputError, PluginError

if TYPE_CHECKING:
    from smearscan.models.shelf import Model

NARROW, WIDE = 60, 100  # characters of a card on a terminal
SUMMARY = 72  # characters of it in the list


@click.group(invoke_without_command=True, short_help="List, show, check and export models.")
@click.option("--json", "as_json", is_flag=True, help="Write the list to stdout as JSON.")
@click.pass_context
def models(context: click.Context, as_json: bool) -> None:
    """List the models that ship.

    A model is meant by its name, or by the folder that holds its card and weights. `models show` tells what one is for and how
    good it is, `verify` whether it is whole and works, `export` writes it for other programs.
    """
    if context.invoked_subcommand is None:
        _list(as_json)


@models.command("list", short_help="List the models that ship.")
@click.option("--json", "as_json", is_flag=True, help="Write the list to stdout as JSON.")
def list_models(as_json: bool) -> None:
    """List the models that ship, as `smearscan models` does."""
    _list(as_json)


@models.command()
@click.argument("model", metavar="NAME|FOLDER")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR", help="Write the card as a page, with its pictures, into this folder."
)
@click.option("--json", "as_json", is_flag=True, help="Write the card to stdout as JSON.")
def show(model: str, out: Path | None, as_json: bool) -> None:
    """Show a model's card: what it is for and what not, its data, its numbers and on whom, its limits.

    Exit code 4: there is no such model, or its card is wrong.
    """
    from smearscan.models import card_files, shelf
    from smearscan.reports.card_text import card_text
    from smearscan.reports.card_view import view_card

    found = shelf.find(model)
    if as_json:
        console.emit_json({"kind": found.kind, "card": found.card})
    elif out is None:
        view = view_card(found.kind, found.card, lambda name: (found.folder / name).is_file())
        sys.stdout.write(card_text(view, min(max(console.width(), NARROW), WIDE)))
    if out is not None:
        console.say(f"The card of {found.card['name']} is {card_files.write(found, out)}.")


@models.command(short_help="Check that models are whole and work.")
@click.argument("model", metavar="NAME|FOLDER...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Write what was found to stdout as JSON.")
def verify(model: tuple[str, ...], as_json: bool) -> None:
    """Check that models are whole and work: digests, network, weights, and what comes out.

    Exit codes: 0 all are, 4 one is not; the sentence says what is wrong with it.
    """
    from smearscan.models import checking, shelf

    failed: list[str] = []
    record: list[dict[str, object]] = []
    for named in model:
        try:
            sentences = checking.verify(shelf.find(named))
        except PluginError as error:
            failed.append(named)
            record.append({"model": named, "whole": False, "problem": str(error)})
            console.warn(f"{named}: {error}")
        else:
            record.append({"model": named, "whole": True, "found": sentences})
            console.say(f"{named}: {'; '.join(sentences)}.")
    if as_json:
        console.emit_json(record)
    if failed:
        raise PluginError(f"{', '.join(failed)} cannot be used.")


@models.command()
@click.argument("model", metavar="NAME|FOLDER")
@click.option(
    "--onnx", "out", required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.onnx", help="The file to write."
)
@click.option("--json", "as_json", is_flag=True, help="Write the file's metadata to stdout as JSON.")
def export(model: str, out: Path, as_json: bool) -> None:
    """Write a model as ONNX, with all that must be known of it as metadata.

    Of a classifier normalisation, temperature and softmax or sigmoid are inside: bytes in, calibrated probabilities out. Of a
    detector all boxes with their scores come out, before suppression. Needs onnx and onnxscript: pip install 'smearscan[export]'.
    """
    from classifiers import ClassifierError
    from detectors import DetectorError
    from smearscan import plugins
    from smearscan.models import shelf

    found = shelf.find(model)
    try:
        made = plugins.load(plugins.TO_ONNX[found.kind])(found.folder, out)
    except (ClassifierError, DetectorError) as error:
        raise PluginError(str(error)) from error
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error}.") from error
    for remark in made["remarks"]:
        console.warn(f"{found.name}: {remark}.")
    difference = made["largest_difference"]
    checked = "" if difference is None else f"; ONNX Runtime agrees with torch to {difference:.1g}"
    console.say(f"{out}: {console.format_bytes(out.stat().st_size)}{checked}.")
    if as_json:
        console.emit_json({"file": str(out), "largest_difference": difference, "metadata": made["metadata"]})


def _list(as_json: bool) -> None:
    from smearscan.models import shelf

    listed = shelf.bundled()
    if as_json:
        console.emit_json([_as_json(model) for model in listed])
        return
    columns = ("model", "kind", "size", "sha256", "licence", "summary")
    console.table(columns, [_row(model) for model in listed], right=("size",))
    console.say("`smearscan models show NAME` tells what one is for, how good it is and where it fails.")


def _row(model: Model) -> tuple[object, ...]:
    card = model.card
    summary = card["summary"] if len(card["summary"]) <= SUMMARY else card["summary"][: SUMMARY - 1].rstrip() + "…"
    return model.name, model.kind, console.format_bytes(model.bytes_on_disk), card["sha256"][:12], card["licence"], summary


def _as_json(model: Model) -> dict[str, object]:
    facts = {name: model.card[name] for name in ("summary", "classes", "licence", "training_data", "sha256")}
    return {"name": model.name, "kind": model.kind, "bytes": model.bytes_on_disk, "folder": str(model.folder), **facts}
