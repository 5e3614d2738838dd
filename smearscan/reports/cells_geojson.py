"""cells.geojson.gz: every cell as a QuPath detection, to drag onto the slide in QuPath (0.4 or newer; older ones want it unpacked).

What QuPath's importer makes of a feature, and what therefore stands in it:

| member | meaning to QuPath |
|---|---|
| id | a UUID; derived from the slide's key and the cell's id, so that importing twice asks instead of doubling |
| geometry | the cell's box; `isEllipse` makes QuPath draw the ellipse in it, other readers see the box; a window has no such mark |
| properties.objectType | "detection"; without it, or elsewhere, every cell would become an annotation and QuPath slow |
| properties.name | the cell's id in cells.csv |
| properties.classification | the class it was called, and the colour of its role as a triple: blast, other, excluded |
| properties.measurements | numbers only: P(class) for each class, objectness and, where known, diameter and heat map's share in the cell |

Coordinates are level-0 pixels from the corner of the slide's bounds (openslide.bounds-x and -y): QuPath shows nothing
outside them and counts from there. The file is ASCII, for QuPath reads it in whatever encoding its machine prefers.
The members `notice` and `slide` of the collection are foreign to GeoJSON, which allows them; QuPath passes over them.
A slide that was not scanned has no such file.
"""

from __future__ import annotations

import gzip
import json
import math
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from smearscan.reports.base import ReportWriter, SlideReport
from smearscan.reports.cell_table import PIXEL_DIGITS, CellTable
from smearscan.reports.slide_json import slide_record
from smearscan.reports.spreadsheet import CONTROL
from smearscan.results import NOTICE, Scanned

FILE: Final = "cells.geojson.gz"
NAMESPACE: Final = uuid.UUID("2382cdb4-86f0-53ce-b206-9f58fe40cf49")  # never changes: ids of earlier exports rest on it
COLOURS: Final = {"blast": [0xD5, 0x5E, 0x00], "other": [0x00, 0x72, 0xB2], "excluded": [0x88, 0x88, 0x88]}
BLOCK: Final = 20_000  # cells turned to text at once: a slide of a million is never whole in memory as text


class CellsGeojson(ReportWriter):
    """Writes the cells of a slide for QuPath."""

    name = "geojson"

    def write(self, slide: SlideReport, folder: Path) -> None:
        if isinstance(slide.outcome, Scanned):
            write_geojson(CellTable.from_scanned(slide), slide_record(slide), folder)


def write_geojson(cells: CellTable, record: Mapping[str, Any], folder: Path) -> None:
    """Write the file from a slide's cells and its record; a fresh scan and a rebuilt report come through here alike."""
    with (
        (folder / FILE).open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as file,  # no name, no time: the same bytes always
    ):
        file.write(f'{{"type":"FeatureCollection","notice":{_json(NOTICE)},"slide":{_json(record["key"])},"features":['.encode("ascii"))
        separator = "\n"
        for block in _blocks(cells, record):
            file.write((separator + block).encode("ascii"))
            separator = ",\n"
        file.write(b"\n]}\n")


def cell_uuids(key: str, ids: tuple[str, ...]) -> Iterator[str]:
    """Return a UUID for each cell: the same for the same cell of the same slide, in every run."""
    slide = uuid.uuid5(NAMESPACE, key.encode("utf-8", "backslashreplace").decode())  # a file's name need not be text
    return (str(uuid.uuid5(slide, each)) for each in ids)


def _blocks(cells: CellTable, record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the features as text, many at a time."""
    info = record["info"]
    corner = np.array([info["bounds_left"], info["bounds_top"]] * 2, np.float64)
    ellipse = "" if record["count"]["windows"] else ',"isEllipse":true'
    classification = _classifications(cells, record["classifier"]["roles"])
    uuids = cell_uuids(record["key"], cells.ids)
    for start in range(0, len(cells), BLOCK):
        rows = slice(start, start + BLOCK)
        features = []
        for cell, box, called, excluded, measured, unique in zip(
            cells.ids[rows],
            (np.round(cells.boxes[rows] - corner, PIXEL_DIGITS) + 0.0).tolist(),
            cells.called[rows],
            cells.excluded[rows],
            _measurements(cells, rows),
            uuids,
            strict=False,  # the uuids go on to the next block
        ):
            left, top, right, bottom = (repr(value).removesuffix(".0") for value in box)
            ring = f"[[{left},{top}],[{right},{top}],[{right},{bottom}],[{left},{bottom}],[{left},{top}]]"
            features.append(
                f'{{"type":"Feature","id":"{unique}","geometry":{{"type":"Polygon","coordinates":[{ring}]{ellipse}}},'
                f'"properties":{{"objectType":"detection","name":"{cell}",{classification[called, bool(excluded)]},'
                f'"measurements":{{{measured}}}}}}}'
            )
        yield ",\n".join(features)


def _classifications(cells: CellTable, roles: Mapping[str, str]) -> Mapping[tuple[str, bool], str]:
    """Return the text of every classification there is, by the class called and whether the cell is excluded."""
    texts = {}
    for name, out in set(zip(cells.called, map(bool, cells.excluded), strict=True)):
        # QuPath reads "a: b" as class b below class a, and takes no name of several lines.
        shown = CONTROL.sub(" ", name).replace(":", "-")
        colour = COLOURS["excluded" if out else roles[name]]
        texts[name, out] = f'"classification":{{"name":{_json(shown)},"color":{_json(colour)}}}'
    return texts


def _measurements(cells: CellTable, rows: slice) -> Iterator[str]:
    """Yield the measurements of each cell as text; what is not known is left out, for QuPath takes numbers only."""
    columns = {f"P({name})": cells.probabilities[rows, index] for index, name in enumerate(cells.classes)}
    columns["Objectness"] = cells.objectness[rows]
    if cells.diameters_um is not None:
        columns["Diameter µm"] = cells.diameters_um[rows]
    names = [_json(name) for name in columns]
    shares = cells.cam_in_cell[rows].tolist()  # of the few cells that have a heat map
    for share, values in zip(shares, zip(*(column.tolist() for column in columns.values()), strict=True), strict=True):
        known = ",".join(f"{name}:{value!r}" for name, value in zip(names, values, strict=True))
        yield known if math.isnan(share) else f'{known},"Heat map in cell":{share!r}'


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
