"""Folders of cells that were cut out of real pictures: what is in them, of whom, at what scale.

Three forms are read:

* a `manifest.csv` with a line for each picture, as C-NMC's cut-outs have it and as `cutting` writes it. Columns: `file` and
  `label`; and where they are known `subject`, `split_group`, `staining`, `mpp`, `glass` (its level, 0 to
  255, where the pictures were made neutral), `left`, `top`, `width`, `height`;
* C-NMC's own form, folders of pictures `UID_<subject>_..._<all|hem>.bmp` on black;
* one folder a class, with pictures of cells on black or with an alpha channel.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from smearscan.errors import ConfigError
from smearscan.smears.field_pictures import ENDINGS

BLAST_LABELS = ("blast", "blasts", "all", "aml", "lymphoblast", "myeloblast", "monoblast")
# No publication gives C-NMC's scale. Its 2,018 normal lymphoid cells have a median area diameter of 177 px (middle half
# 165-195), and lymphocytes of healthy people measure 10 um on a stained smear (Heyn et al., Am J Dis Child 125:789, 1973).
CNMC_MPP = 10.0 / 177.0
CNMC_FRAME_PX = 450
CNMC_LICENCE = "CC BY 3.0 as secondary sources state it; Gupta & Gupta, C-NMC 2019, doi 10.7937/tcia.2019.dc64i46r"
_CNMC_NAME = re.compile(r"UID_(?P<subject>[Hh]?\d+)_\d+_\d+_(?P<ending>all|hem)\.", re.IGNORECASE)
_MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class CellFile:
    """One cut-out on disk."""

    path: Path
    file: str  # as the folder names it
    label: str
    subject: str = ""  # "" where nobody says
    group: str = ""
    mpp: float | None = None
    glass: tuple[float, float, float] | None = None  # RGB of the glass that it lay on, where that is known
    staining: str = ""  # cells of one folder that differ in it were not stained alike: by other laboratories, or on other smears
    cut_by_frame: bool = False  # the cell goes on beyond the picture that it was cut from


@dataclass(frozen=True)
class CellFolder:
    """The cells of one folder that a slide may use."""

    root: Path
    cells: tuple[CellFile, ...]
    licence: str
    note: str = ""  # how the cells were chosen

    def labelled(self, labels: Collection[str], *, inside: bool) -> tuple[CellFile, ...]:
        """Return the cells whose label is (or is not) one of `labels`."""
        return tuple(cell for cell in self.cells if (cell.label.lower() in labels) is inside)

    def by_staining(self) -> dict[str, tuple[CellFile, ...]]:
        """Return the cells that were stained alike, under what says how."""
        found: dict[str, list[CellFile]] = {}
        for cell in self.cells:
            found.setdefault(cell.staining, []).append(cell)
        return {staining: tuple(cells) for staining, cells in found.items()}


def read_cell_folder(root: Path) -> CellFolder:
    """List the cells of a folder; raises ConfigError where there are none."""
    if not root.is_dir():
        raise ConfigError(f"{root} is no folder. Name one with cut-out cells.")
    cells = _by_manifest(root) if (root / _MANIFEST).is_file() else _by_folders(root)
    if not cells:
        raise ConfigError(f"{root} holds no cut-out cells: it needs {_MANIFEST}, or a folder for each class with pictures in it.")
    whole = tuple(cell for cell in cells if not cell.cut_by_frame)
    if not whole:
        raise ConfigError(f"Every cell of {root} is cut off by the edge of the picture that it comes from.")
    return CellFolder(root, whole, _licence(root, whole))


def choose_cells(folder: CellFolder, subjects: Collection[str] = (), split: Path | None = None, part: str = "") -> CellFolder:
    """Keep the cells of some subjects, or of one part of a split as `smearscan train` writes it.

    A folder that names no subjects, and that the split does not list, is kept whole, and its note says so.
    """
    if split is not None:
        listed, of_part = _read_split(split, part)
        if listed & {cell.file for cell in folder.cells}:
            return _kept(folder, [cell for cell in folder.cells if cell.file in of_part], f"part {part} of {split.name}")
        if any(cell.subject for cell in folder.cells):
            raise ConfigError(f"{split} names none of the cells in {folder.root}. Give the split that was made of this folder.")
        return replace(folder, note=f"whole: {split.name} does not list it, and it names no subjects")
    if not subjects:
        return replace(folder, note="whole")
    if not any(cell.subject for cell in folder.cells):
        return replace(folder, note="whole: it names no subjects")
    wanted = set(subjects)
    chosen = [cell for cell in folder.cells if {cell.subject, cell.group} & wanted]
    return _kept(folder, chosen, f"subjects {', '.join(sorted(wanted))}")


def read_subjects(value: str) -> tuple[str, ...]:
    """Return the subjects that an option names: a file with one a line, or a list with commas."""
    path = Path(value)
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else value.replace(",", "\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from error
    found = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not found:
        raise ConfigError(f"{value!r} names no subject. Write A11,H24 or the name of a file with one a line.")
    return found


def _kept(folder: CellFolder, cells: list[CellFile], note: str) -> CellFolder:
    if not cells:
        raise ConfigError(f"{folder.root} holds no cells of {note}.")
    return replace(folder, cells=tuple(cells), note=note)


def _read_split(path: Path, part: str) -> tuple[set[str], set[str]]:
    """Return every file that a split lists, and those of one part."""
    lines = _read_csv(path, ("file", "part"))
    parts = {line["part"] for line in lines}
    if part not in parts:
        raise ConfigError(f"{path} has no part {part!r}; it has {', '.join(sorted(parts)) or 'none'}.")
    return {line["file"] for line in lines}, {line["file"] for line in lines if line["part"] == part}


def _read_csv(path: Path, needed: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in needed if name not in (reader.fieldnames or ())]:
                raise ConfigError(f"{path} has no column {missing[0]!r}; it needs {', '.join(needed)}.")
            return [{name: value or "" for name, value in line.items() if isinstance(name, str)} for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error


def _by_manifest(root: Path) -> list[CellFile]:
    path = root / _MANIFEST
    lines = _read_csv(path, ("file", "label"))
    cnmc = bool(lines) and all(_CNMC_NAME.match(Path(line["file"]).name) for line in lines[:20])
    cells = []
    for number, line in enumerate(lines, 2):
        try:
            mpp = float(line["mpp"]) if line.get("mpp") else CNMC_MPP if cnmc else None
            glass = (float(line["glass"]),) * 3 if line.get("glass") else None
            cut = cnmc and _touches_frame(*(int(line[name]) for name in ("left", "top", "width", "height")))
        except (KeyError, ValueError) as error:
            raise ConfigError(f"{path}, line {number}: {error} is missing or no number.") from error
        group = line.get("split_group", "")
        cells.append(
            CellFile(
                root / line["file"],
                line["file"],
                line["label"],
                line.get("subject", ""),
                group,
                mpp,
                glass,
                line.get("staining", ""),
                cut,
            )
        )
    return cells


def _touches_frame(left: int, top: int, width: int, height: int) -> bool:
    return left <= 0 or top <= 0 or left + width >= CNMC_FRAME_PX or top + height >= CNMC_FRAME_PX


def _by_folders(root: Path) -> list[CellFile]:
    cells = []
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in ENDINGS or path.parent == root:
            continue
        named = _CNMC_NAME.match(path.name)
        if named:
            subject = named["subject"].upper()
            subject = subject if subject.startswith("H") else f"A{subject}"
            label, mpp = ("blast" if named["ending"].lower() == "all" else "normal"), CNMC_MPP
        else:
            subject, label, mpp = "", path.parent.name, None
        cells.append(CellFile(path, path.relative_to(root).as_posix(), label, subject, subject, mpp))
    return cells


def _licence(root: Path, cells: tuple[CellFile, ...]) -> str:
    if _CNMC_NAME.match(cells[0].path.name):
        return CNMC_LICENCE
    return licence_of(root)


def licence_of(folder: Path) -> str:
    """Return the first lines of a folder's licence file, looked for one folder up as well."""
    for place in (folder, folder.parent):
        for path in sorted(place.glob("LICEN[CS]E*")):
            lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
            return "; ".join(lines[:2])
    return "not stated in the folder"
