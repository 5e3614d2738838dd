"""Which cells of a slide its page shows: those that one report has alone, and those that the two call otherwise.

Each report keeps pictures of the cells it flagged and of some more, and the page links them; `cutting` makes the others
where the slides can be read. Of a cell without a picture the page says so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors import boxes
from smearscan.compare.comparison import SlideCells, SlideComparison
from smearscan.compare.report_folder import CellColumns, ReportSlide
from smearscan.reports.pages import PageFiles, find_files
from smearscan.reports.pages.files import MAP, PAGE, href

TILES: Final = 48  # of one gallery; all cells stand in cells.csv
DOTS: Final = 20_000  # on a map; of more, those that only one report has come first
BOTH, ONLY_A, ONLY_B = 0, 1, 2


@dataclass(frozen=True)
class Pictures:
    """Where the pictures of one report's slide are, as links from a page of the comparison."""

    folder: str  # link to the slide's folder in the report, without the last "/"
    files: PageFiles

    def of(self, cell: str) -> dict[str, str]:
        """Return the links to a cell's pictures and to its place on the slide's page, "" where there is none."""
        names = {"crop": self.files.crop(cell), "heat": self.files.heat_map(cell), "overlay": self.files.overlay(cell)}
        links = {kind: self.link(name) for kind, name in names.items()}
        return {**links, "page": f"{self.page}#cell-{cell}" if self.page else ""}

    @property
    def page(self) -> str:
        return self.link(PAGE if PAGE in self.files.names else "")

    def link(self, name: str) -> str:
        return f"{self.folder}/{href(name)}" if name else ""


def pictures(slide: ReportSlide, page_folder: Path) -> Pictures:
    """Look for the pictures that a report has of a slide; `page_folder` is where the page that shows them will lie."""
    return Pictures(link_between(page_folder, slide.folder), find_files(slide.folder))


def link_between(page_folder: Path, target: Path) -> str:
    """Return a relative link, or on another drive an absolute one."""
    here, there = page_folder.resolve(), target.resolve()
    if here.anchor != there.anchor:
        return there.as_uri()
    return href(Path(os.path.relpath(there, here)).as_posix())


def slide_view(slide: SlideComparison, cells: SlideCells, a: Pictures, b: Pictures) -> dict[str, Any]:
    """Return the galleries, the map and the links of a slide's page, as JSON values."""
    pairs = cells.pairs
    alone_a = np.flatnonzero(pairs.matching.of_first(len(pairs.a)) < 0)
    alone_b = np.flatnonzero(pairs.matching.of_second(len(pairs.b)) < 0)
    first, second = pairs.matching.first, pairs.matching.second
    changed = np.flatnonzero(pairs.a.blast[first] != pairs.b.blast[second])
    apart = np.abs(pairs.a.scores[first] - pairs.b.scores[second])
    most_apart = changed[np.argsort(-apart[changed], kind="stable")][:TILES]
    galleries = {
        "changed": [_tile(cells, (int(first[each]), int(second[each])), (a, b)) for each in most_apart],
        "only_a": [_tile(cells, (row, None), (a, b)) for row in _rank(pairs.a, alone_a, a)],
        "only_b": [_tile(cells, (None, row), (a, b)) for row in _rank(pairs.b, alone_b, b)],
    }
    info = slide.pair.a.record["info"] if slide.pair.a else {}
    return {
        "galleries": galleries,
        "totals": {"changed": len(changed), "only_a": len(alone_a), "only_b": len(alone_b)},
        "map": _map(cells, info, alone_a, alone_b),
        "picture": a.link(MAP if MAP in a.files.names else "") or b.link(MAP if MAP in b.files.names else ""),
        "picture_size": a.files.sizes.get(MAP) or b.files.sizes.get(MAP),
        "pages": {"a": a.page, "b": b.page},
        "notes": [],
    }


def _rank(cells: CellColumns, rows: NDArray[np.intp], shown: Pictures) -> list[int]:
    """Return blasts first, then those with a picture, then by score: what a person wants to see of cells that nobody else has."""
    pictured = np.array([bool(shown.files.crop(cells.ids[row])) for row in rows.tolist()], np.bool_)
    order = np.lexsort((-cells.scores[rows], ~pictured, ~cells.blast[rows]))
    return [int(row) for row in rows[order][:TILES]]


def _tile(cells: SlideCells, rows: tuple[int | None, int | None], shown: Sequence[Pictures]) -> dict[str, Any]:
    pairs, (row_a, row_b) = cells.pairs, rows
    truth = (cells.labels_a[row_a] if row_a is not None else "") or (cells.labels_b[row_b] if row_b is not None else "")
    left_out = pairs.left_out_by_b[row_a] if row_a is not None else pairs.left_out_by_a[row_b] if row_b is not None else ""
    sides = [_said(columns, row, links) for columns, row, links in zip((pairs.a, pairs.b), rows, shown, strict=True)]
    box = pairs.a.boxes[row_a] if row_a is not None else pairs.b.boxes[row_b or 0]
    x, y = boxes.centres(box[None])[0]
    return {"a": sides[0], "b": sides[1], "truth": truth, "left_out": left_out, "x": round(float(x)), "y": round(float(y))}


def _said(columns: CellColumns, row: int | None, links: Pictures) -> Mapping[str, Any] | None:
    if row is None:
        return None
    cell = columns.ids[row]
    facts = {"id": cell, "called": columns.names[columns.called[row]], "blast": bool(columns.blast[row])}
    return {**facts, "score": round(float(columns.scores[row]), 6), **links.of(cell)}


def _map(cells: SlideCells, info: Mapping[str, Any], alone_a: NDArray[np.intp], alone_b: NDArray[np.intp]) -> dict[str, Any]:
    """Return the dots in columns: place, which report has the cell, and what it is called (1 blast, 0 other, 2 not alike)."""
    pairs = cells.pairs
    first, second = pairs.matching.first, pairs.matching.second
    alike = pairs.a.blast[first] == pairs.b.blast[second]
    marks = [
        (pairs.a, alone_a, ONLY_A, pairs.a.blast[alone_a].astype(int)),
        (pairs.b, alone_b, ONLY_B, pairs.b.blast[alone_b].astype(int)),
        (pairs.a, first, BOTH, np.where(alike, pairs.a.blast[first], 2).astype(int)),
    ]
    places = np.concatenate([boxes.centres(columns.boxes[rows]) for columns, rows, _, _ in marks])
    where = np.concatenate([np.full(len(rows), mark) for _, rows, mark, _ in marks])
    calls = np.concatenate([called for *_, called in marks])
    total, kept = len(places), slice(0, DOTS)
    return {
        "width": info.get("width"),
        "height": info.get("height"),
        "mpp": info.get("mpp"),
        "cells": total,
        "x": np.floor(places[kept, 0]).astype(int).tolist(),
        "y": np.floor(places[kept, 1]).astype(int).tolist(),
        "where": where[kept].tolist(),
        "call": calls[kept].tolist(),
    }
