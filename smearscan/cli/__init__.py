"""The command line: one file a verb, each loaded only when it is called."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from smearscan import __version__
from smearscan.errors import ExitCode, SmearscanError
from smearscan.results import NOTICE

VERBS = {
    "run": "Scan a folder of slides and write a report.",
    "check": "Open every slide before the night; say what needs a person.",
    "inspect": "Show the size, scale and layout of slides.",
    "report": "Rebuild pages, tables and exports of a report folder, without a model.",
    "compare": "Compare two reports, or ways to scan, cell by cell.",
    "data": "Look at labelled cells: classes, subjects, duplicates, leaks.",
    "smear": "Draw a synthetic smear with known truth.",
    "train": "Train a classifier from labelled cells, or a detector from boxed ones.",
    "tune": "Find a recipe's best values by trying many.",
    "ensemble": "Put several trained models together as one.",
    "evaluate": "Say how good models are on labelled cells.",
    "explain": "Show why cells were called so: heat maps, LIME, SHAP, activations.",
    "models": "List, show, check and export the models that ship, or any other.",
    "recipes": "List the published systems that can be trained here.",
}


class Verbs(click.Group):
    """A group whose commands are imported when they are called, and whose errors end with their exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = getattr(import_module(f"smearscan.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SmearscanError as error:
            click.echo(f"smearscan: {error}", err=True)
            sys.exit(int(error.exit_code))
        except KeyboardInterrupt:
            hint = "; the same command goes on where it stopped" if ctx.invoked_subcommand in {"run", "train", "tune"} else ""
            click.echo(f"smearscan: stopped by the keyboard{hint}.", err=True)
            sys.exit(int(ExitCode.NOTHING_DONE))


@click.group(cls=Verbs, epilog=NOTICE, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, package_name="smearscan")
def smearscan() -> None:
    """Count white cells and blasts on whole-slide blood smears, with intervals and evidence."""
