"""The page of one slide: a map, the numbers, every flagged cell, the settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from smearscan.percentages import percent
from smearscan.reports.cell_table import CellTable
from smearscan.reports.pages import figures, wording
from smearscan.reports.pages.choosing import GALLERY_CELLS, near_misses, rank
from smearscan.reports.pages.files import AREAS, MAP, PAGE, PageFiles, href
from smearscan.reports.pages.templating import render
from smearscan.reports.slide_json import card_of

DOTS: Final = 100_000  # that a map of 1,600 px can show; of more, every n-th cell that is not flagged
KINDS: Final = ("classifier", "detector")
TRACEBACK: Final = "traceback.txt"
OTHER, BLAST, EXCLUDED = range(3)  # how the map marks a cell
LINKS: Final = {  # what else may lie in the folder
    "cells.csv": "every cell, as a table",
    "cells.geojson.gz": "the cells as detections for QuPath",
    "scores.zarr/": "the score map, to lay over the slide",
    "slide.json": "everything on this page, for programs",
    TRACEBACK: "where the program failed",
}


@dataclass(frozen=True)
class Tile:
    """One cell of the gallery."""

    number: int  # in the galleries of the page
    id: str
    row: int  # in the table of cells
    score: float
    place: str
    crop: str  # files, "" where there is none
    heat_map: str
    in_cell: str  # "83 %" of the heat map lies in the cell, "" where that is not known


def slide_page(record: Mapping[str, Any], cells: CellTable | None, files: PageFiles) -> str:
    """Return the page of a slide from its record (as in slide.json), its cells and the files that lie beside the page.

    `cells` is None for a slide that was not scanned.
    """
    home = "../" * (record["key"].count("/") + 2) + "index.html"
    names = {kind: wording.model_name(record[kind]) for kind in KINDS}
    known: dict[str, Any] = {"record": record, "home": home, "links": _links(files), "shown": names, "cards": _cards(record, home)}
    if cells is None or record["count"] is None:
        return render("not_scanned.html.j2", "not_scanned.js", {}, **known, is_bug=TRACEBACK in files.names)
    scores = card_of(record).blast_probability(cells.probabilities)
    counted = np.array([not reason for reason in cells.excluded], np.bool_)
    pictured = np.array([bool(files.crop(each)) for each in cells.ids], np.bool_)
    flagged = rank(scores, cells.flagged & counted, pictured)
    shown = flagged[:GALLERY_CELLS]
    others = counted & ~cells.flagged
    sample = near_misses(scores, others, pictured, record["key"])
    gallery = [_tile(number, row, cells, scores, files) for number, row in enumerate([*shown.tolist(), *sample.tolist()])]
    return render(
        "slide.html.j2",
        "slide.js",
        _data(record, cells, scores, gallery, files),
        **known,
        files=files,
        map=MAP if MAP in files.names else "",
        areas=AREAS if AREAS in files.names else "",
        map_size=files.sizes.get(MAP, (1, 1)),
        bar=figures.scale_bar(record["info"]["width"], record["info"]["mpp"]),
        tiles=gallery[: len(shown)],
        sample=gallery[len(shown) :],
        flagged_total=len(flagged),
        counted_others=int(others.sum()),
        pictures=any(tile.crop for tile in gallery),
        heat_maps=any(tile.heat_map or files.overlay(tile.id) for tile in gallery),
        measured=any(tile.in_cell for tile in gallery),
        histogram=figures.histogram(scores[counted], cells.flagged[counted]),
        settings=_settings(record),
        root=figures.root_percent,
        ticks=figures.TICKS,
    )


def _tile(number: int, row: int, cells: CellTable, scores: NDArray[np.float64], files: PageFiles) -> Tile:
    cell_id = cells.ids[row]
    if cells.centres_um is not None:
        x, y = cells.centres_um[row].tolist()
        place = f"{x:,.0f}, {y:,.0f} µm"
    else:
        left, top, right, bottom = cells.boxes[row].tolist()
        place = f"{(left + right) / 2:,.0f}, {(top + bottom) / 2:,.0f} px"
    share = float(cells.cam_in_cell[row])
    in_cell = "" if math.isnan(share) else f"{percent(share)} %"
    return Tile(number, cell_id, row, float(scores[row]), place, files.crop(cell_id), files.heat_map(cell_id), in_cell)


def _data(
    record: Mapping[str, Any], cells: CellTable, scores: NDArray[np.float64], gallery: Sequence[Tile], files: PageFiles
) -> dict[str, Any]:
    """Return what the page's script needs, in columns: places in whole pixels, scores in thousandths."""
    rows = _dots(cells, [tile.row for tile in gallery])
    excluded = np.array([bool(reason) for reason in cells.excluded], np.bool_)
    marks = np.where(excluded, EXCLUDED, np.where(cells.flagged, BLAST, OTHER))
    centres = (cells.boxes[:, :2] + cells.boxes[:, 2:]) / 2
    number = {name: index for index, name in enumerate(cells.classes)}
    at = {int(row): index for index, row in enumerate(rows)}
    info, classifier = record["info"], record["classifier"]
    odd = {at[row]: cells.ids[row] for row in at if "-" in cells.ids[row]}
    return {
        "width": info["width"],
        "height": info["height"],
        "mpp": info["mpp"],
        "map": MAP if MAP in files.names else "",
        "classes": [{"name": name, "role": classifier["roles"][name]} for name in cells.classes],
        "threshold": classifier["threshold"],
        "rows": [] if len(rows) == len(cells) else rows.tolist(),  # of cells.csv, where they are not simply all
        "x": np.floor(centres[rows, 0]).astype(int).tolist(),
        "y": np.floor(centres[rows, 1]).astype(int).tolist(),
        "size": np.rint(np.mean(cells.boxes[rows, 2:] - cells.boxes[rows, :2], axis=1)).astype(int).tolist() if len(rows) else [],
        "mark": marks[rows].tolist(),
        "called": [number[cells.called[row]] for row in rows.tolist()],
        "score": np.rint(scores[rows] * 1000).astype(int).tolist(),
        "ids": odd,  # the others are the pixel of the centre
        "gallery": [at[tile.row] for tile in gallery],
        "scores": [np.rint(cells.probabilities[tile.row] * 1000).astype(int).tolist() for tile in gallery],
        "crops": [int(bool(tile.crop)) for tile in gallery],
        "overlays": [files.overlay(tile.id) for tile in gallery],
        "in_cell": [tile.in_cell for tile in gallery],
    }


def _dots(cells: CellTable, always: Sequence[int]) -> NDArray[np.intp]:
    """Return the rows that the map shows: all, or on a very full slide the flagged ones, the gallery's and every n-th other."""
    if len(cells) <= DOTS:
        return np.arange(len(cells))
    wanted = cells.flagged.copy()
    wanted[list(always)] = True
    wanted[:: -(-len(cells) // DOTS)] = True
    return np.flatnonzero(wanted)


def _links(files: PageFiles) -> list[tuple[str, str]]:
    present = {"slide.json"} | files.names  # the record is written after everything else
    return [(name, text) for name, text in LINKS.items() if name in present]


def _cards(record: Mapping[str, Any], home: str) -> dict[str, str]:
    """Return links to the cards of the models by what they do; a report of an earlier version has none."""
    pages = record.get("card_pages", {})
    return {kind: href(home.removesuffix(PAGE) + pages[kind]) if pages.get(kind) else "" for kind in KINDS}


def _settings(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return every setting that changes what is counted, and which models ran, as names and values."""
    rows: dict[str, object] = {}
    for name, value in record["science"].items():
        if isinstance(value, Mapping):
            rows |= {f"{name} {below}": each for below, each in value.items()}
        else:
            rows[name] = value
    classifier = record["classifier"]
    rows |= {f"classifier {name}": classifier[name] for name in ("temperature", "crop_px", "crop_um", "crop_diameters")}
    rows |= {f"class {name}": role for name, role in classifier["roles"].items()}
    rows |= {"detector": record["detector"]["name"], "input": record["input_digest"], "smearscan": record["smearscan"]}
    return sorted((name, _value(value)) for name, value in rows.items())


def _value(value: object) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_value(each) or "-" for each in value) if any(each is not None for each in value) else ""
    return f"{value:g}" if isinstance(value, float) else str(value)
