"""Which set of labelled cells a path holds, found out from its files, and its rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifiers.datasets import all_idb, aria, cnmc, folders, munich, table
from classifiers.datasets.base import DatasetError, Samples


@dataclass(frozen=True)
class Kind:
    """One layout of files: how it is recognised, and how it is read."""

    holds: str  # what was looked for, for the message that nothing was found
    recognise: Callable[[Path], bool]
    read: Callable[..., Samples]  # its root, and its own options by name, with defaults


KINDS: dict[str, Kind] = {
    "cnmc": Kind(cnmc.LOOKED_FOR, cnmc.recognise, cnmc.read),
    "munich": Kind(munich.LOOKED_FOR, munich.recognise, munich.read),
    "aria": Kind(aria.LOOKED_FOR, aria.recognise, aria.read),
    "all-idb1": Kind(all_idb.LOOKED_FOR_FIELDS, all_idb.recognise_fields, all_idb.read_fields),
    "all-idb2": Kind(all_idb.LOOKED_FOR_CELLS, all_idb.recognise_cells, all_idb.read_cells),
    "csv": Kind(table.LOOKED_FOR, table.recognise, table.read),
    "folders": Kind(folders.LOOKED_FOR, folders.recognise, folders.read),  # last: most sets are folders of folders
}


def load(path: str | Path, kind: str | None = None, **options: Any) -> Samples:
    """Return the labelled cells at `path`; without `kind` the first layout that its files have."""
    root = Path(path)
    if not root.exists():
        raise DatasetError(f"{root} does not exist.")
    if kind is None:
        kind = find_kind(root)
    elif kind not in KINDS:
        raise DatasetError(f"There is no kind of data set named {kind!r}. Known: {', '.join(KINDS)}.")
    reader = KINDS[kind].read
    return reader(root, **_fitting(reader, options, kind))


def find_kind(root: Path) -> str:
    """Return which layout the files at `root` have; raises DatasetError with all that was looked for."""
    for name, kind in KINDS.items():
        if kind.recognise(root):
            return name
    looked = "; ".join(f"{name}: {kind.holds}" for name, kind in KINDS.items())
    raise DatasetError(f"{root} holds no labelled cells in a layout that is known. Looked for {looked}.")


def _fitting(reader: Callable[..., Samples], given: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return options as a reader takes them: known ones, text from a command line as the number that it stands for."""
    known = {name: each for name, each in inspect.signature(reader).parameters.items() if each.kind is inspect.Parameter.KEYWORD_ONLY}
    if unknown := sorted(set(given) - set(known)):
        raise DatasetError(f"Data of kind {kind} has no option {unknown[0]!r}. Known: {', '.join(sorted(known)) or 'none'}.")
    return {name: _from_text(value, known[name].default, f"The option {name} of data of kind {kind}") for name, value in given.items()}


def _from_text(value: Any, default: Any, what: str) -> Any:
    """Return what a text stands for where the option's default is a number or a yes or no."""
    if not isinstance(value, str) or isinstance(default, str) or default is None:
        return value
    if isinstance(default, bool):
        if value.lower() not in {"true", "false"}:
            raise DatasetError(f"{what} must be true or false, not {value!r}.")
        return value.lower() == "true"
    try:
        return int(value)
    except ValueError as error:
        raise DatasetError(f"{what} must be a whole number, not {value!r}.") from error
