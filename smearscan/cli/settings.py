"""Command-line options made from the fields of ScanConfig, so that a flag and its field cannot drift apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import click

from smearscan.config import SETTINGS, ScanConfig, load_config

Command = TypeVar("Command", bound=Callable[..., Any])


class Numbers(click.ParamType[tuple[float, ...]]):
    """Fractions separated by commas, as 0.05,0.2."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of numbers: write it as 0.05,0.2.", param, ctx)


def setting_options(*left_out: str) -> Callable[[Command], Command]:
    """Give a command one option for each field of ScanConfig, and --config."""
    hints = get_type_hints(ScanConfig)

    def decorate(command: Command) -> Command:
        for name in reversed([name for name in SETTINGS if name not in left_out]):
            command = _option(name, str(hints[name]))(command)
        shown = "A TOML file with any of these settings, spelled with _ for -; flags win over it."
        return click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help=shown)(command)

    return decorate


def config_from(config_file: Path | None, flags: Mapping[str, Any]) -> ScanConfig:
    """Return the settings of a command: those of the file, with the flags that were given on top."""
    context = click.get_current_context()
    given = {name: value for name, value in flags.items() if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT}
    return load_config(config_file, given)


def flag(name: str) -> str:
    """Return how a field is written on the command line."""
    return "--" + name.replace("_", "-")


def _option(name: str, hint: str) -> Callable[[Command], Command]:
    field = SETTINGS[name]
    described = field.metadata
    if "bool" in hint:
        spelling = f"{flag(name)}/--no-{name.replace('_', '-')}" if field.default else flag(name)
        return click.option(spelling, name, is_flag=True, default=field.default, help=described["help"])
    kind: Any = str
    if described["choices"]:
        kind = click.Choice(described["choices"])
    elif "Path" in hint:
        kind = click.Path(path_type=Path)
    elif "tuple" in hint:
        kind = Numbers()
    elif "float" in hint:
        kind = float
    elif "int" in hint:
        kind = int
    shown = ",".join(f"{each:g}" for each in field.default) if isinstance(field.default, tuple) else field.default is not None
    metavar = described["metavar"] or None
    return click.option(flag(name), name, type=kind, default=field.default, show_default=shown, metavar=metavar, help=described["help"])
