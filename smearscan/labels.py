"""What cells truly are, from a table of labels or from truth tables, for cells that a run has found.

    slide,cell,label      the cells' ids in a report, as a person wrote them down; `slide` may be left out where there is one
    slide,x,y,class       places in level-0 pixels; with a column diameter as in the truth of a drawn smear
    file,label            pictures

A folder is searched for NAME.truth.csv, the truth of the slide NAME, in the folders of the slides' keys.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from smearscan.errors import ConfigError

LABELS = ("label", "class")  # either names the column


@dataclass
class Places:
    """Labelled places of one slide."""

    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)
    reach: list[float] = field(default_factory=list)  # half a diameter; not a number where none is given
    labels: list[str] = field(default_factory=list)


@dataclass
class Labels:
    """Labels by slide ("" for whichever) and cell, by slide and place, or by file."""

    source: Path
    by_id: dict[tuple[str, str], str] = field(default_factory=dict)
    by_place: dict[str, Places] = field(default_factory=dict)
    by_file: dict[str, str] = field(default_factory=dict)

    def of_cells(self, slide: str, ids: Sequence[str], boxes: NDArray[np.float64]) -> tuple[str, ...]:
        """Return the label of each cell of a slide, "" where there is none."""
        found = [self.by_id.get((slide, each)) or self.by_id.get(("", each), "") for each in ids]
        places = self.places(slide)
        if places is not None and len(ids):
            found = [known or near for known, near in zip(found, _nearest(places, boxes), strict=True)]
        return tuple(found)

    def places(self, slide: str) -> Places | None:
        """Return every labelled place of a slide, also where nothing was found; None where there is no such table."""
        return self.by_place.get(slide) or self.by_place.get("") or self._truth_beside(slide)

    def of_file(self, name: str) -> str:
        """Return the label of a picture, "" where there is none; its name alone is enough where only that is in the table."""
        return self.by_file.get(name) or self.by_file.get(PurePosixPath(name).name, "")

    def _truth_beside(self, slide: str) -> Places | None:
        if not self.source.is_dir():
            return None
        key = PurePosixPath(slide)
        path = self.source / key.with_name(f"{key.stem}.truth.csv")
        return _read(path).by_place.get("") if path.is_file() else None


def read_labels(path: Path) -> Labels:
    """Read a table of labels, or take note of a folder of truth tables; raises ConfigError with what is wrong."""
    if path.is_dir():
        if next(path.rglob("*.truth.csv"), None) is None:
            raise ConfigError(f"{path} holds no NAME.truth.csv. Give such a folder, or a table, with --truth.")
        return Labels(path)
    return _read(path)


def _read(path: Path) -> Labels:
    found = Labels(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            columns = set(table.fieldnames or ())
            label = next((name for name in LABELS if name in columns), None)
            if label is None or not (columns >= {"x", "y"} or columns & {"cell", "file"}):
                raise ConfigError(
                    f"{path} is no table of labels: it needs a column label (or class), and cell, or x and y, or file, "
                    f"beside it; it has {', '.join(sorted(columns)) or 'none'}."
                )
            _take(found, table, label, columns)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    return found


def _take(found: Labels, rows: Iterable[Mapping[str, str]], label: str, columns: set[str]) -> None:
    for number, row in enumerate(rows, start=2):
        slide, text = row.get("slide") or "", (row[label] or "").strip()
        if not text:
            continue
        if "cell" in columns:
            found.by_id[slide, row["cell"]] = text
        elif "file" in columns:
            found.by_file[row["file"]] = text
        else:
            places = found.by_place.setdefault(slide, Places())
            try:
                x, y, across = float(row["x"]), float(row["y"]), float(row.get("diameter") or "nan")
            except (TypeError, ValueError) as error:
                raise ConfigError(f"{found.source}, line {number}: {error}; x, y and diameter are level-0 pixels.") from error
            if not (math.isfinite(x) and math.isfinite(y)):
                raise ConfigError(f"{found.source}, line {number}: {row['x']}, {row['y']} is no place; x and y are level-0 pixels.")
            places.x.append(x)
            places.y.append(y)
            places.reach.append(across / 2)
            places.labels.append(text)


def _nearest(places: Places, boxes: NDArray[np.float64]) -> list[str]:
    """Return for each cell the label of the nearest place within half a diameter, that of the cell where none is given."""
    tree = cKDTree(np.column_stack([places.x, places.y]))
    found = tree.query((boxes[:, :2] + boxes[:, 2:]) / 2)
    distance, index = np.asarray(found[0], np.float64), np.asarray(found[1], np.intp)
    own = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2
    reach = np.asarray(places.reach)[index]
    near = distance <= np.where(np.isnan(reach), own, reach)
    return [places.labels[place] if is_near else "" for place, is_near in zip(index.tolist(), near.tolist(), strict=True)]
