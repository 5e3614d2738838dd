"""`smearscan recipes`: the published systems that can be trained here, what they printed, and what came out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from classifiers.recipes.catalogue import Line


@click.group(invoke_without_command=True, short_help="List the published systems that can be trained here.")
@click.option("--json", "as_json", is_flag=True, help="Write the list to stdout as JSON.")
@click.option("--markdown", is_flag=True, help="Write the list to stdout as a page of Markdown, with the notes on each paper.")
@click.pass_context
def recipes(context: click.Context, as_json: bool, markdown: bool) -> None:
    """List the recipes of `smearscan train`: a published row each, its number and split, and what it gave here.

    Published numbers are on random splits of cells, with cells of one patient on both sides; "by subject" is on patients that
    were never seen. `recipes show NAME` tells all of one recipe; its file can be copied, changed and given to `train`.
    """
    if context.invoked_subcommand is not None:
        return
    from classifiers.recipes.catalogue import as_markdown, lines
    from smearscan import console
    from smearscan.cli.learning import told_plainly

    with told_plainly():
        listed = lines()
    if markdown:
        sys.stdout.write(as_markdown(listed))
    elif as_json:
        console.emit_json([line.as_json() for line in listed])
    else:
        _print(listed)


@recipes.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Write the recipe to stdout as JSON.")
def show(name: str, as_json: bool) -> None:
    """Tell all of one recipe, NAME or a file that ends with .toml, with the paper's numbers and those from here."""
    from classifiers.recipes import load, read_text
    from classifiers.recipes.catalogue import Line, metric
    from classifiers.recipes.reproduced import SPLITS, load_reproduced
    from smearscan import console
    from smearscan.cli.learning import told_plainly

    with told_plainly():
        recipe = load(name)
        results = load_reproduced().get(recipe.name, {})
        line = Line(recipe, results.get("random"), results.get("subject"))
        text = read_text(name)
    if as_json:
        console.emit_json({**line.as_json(), "recipe": recipe.values})
        return
    sys.stdout.write(text)
    for split in SPLITS:
        if split in results:
            result, by = results[split], "cells at random" if split == "random" else "subject"
            console.say(
                f"Here, on a split by {by}: {metric(result.metric)} of {result.test_cells} cells {line.measured(split)}; "
                f"{result.epochs} epochs in {result.minutes:.0f} min on {result.machine}."
                + (f" Changed: {', '.join(f'{key} = {value}' for key, value in result.changes.items())}." if result.changes else "")
            )


def _print(listed: list[Line]) -> None:
    from smearscan import console

    columns = ("recipe", "row", "published", "here, random", "here, by subject")
    rows = [
        (line.recipe.name, line.recipe.row, line.published, *(line.measured(split, brief=True) for split in ("random", "subject")))
        for line in listed
    ]
    console.table(columns, rows)
    console.say("* not as the recipe has it: without ImageNet weights, or changed.")
    console.say("Published numbers are on cells of patients that the network had seen. `smearscan recipes show NAME` tells all of one.")
