"""The page of an explanation: every cell with its map, to be sifted by class, call and score, and each cell's sheet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from smearscan.reports.explanation_files import ACTIVATIONS, MAPS, RECORD, TABLE, crop_file, overlay_file
from smearscan.reports.pages.files import href
from smearscan.reports.pages.templating import render

FILES: Final = {
    TABLE: "one row a cell and view: scores, fit, share inside the cell",
    MAPS: "the maps and crops as numbers, for numpy.load",
    RECORD: "everything on this page, for programs",
}


def explanation_page(record: Mapping[str, Any]) -> str:
    """Return index.html of an explanation from its record, as explanations.json holds it."""
    cells = record["cells"]
    return render(
        "explanations.html.j2",
        "explanations.js",
        _data(record),
        more_style="explanations.css",
        record=record,
        cells=cells,
        views=record["views"],
        calls=_counted(each["called"] for each in cells),
        explained=_counted(each["explained"] for each in cells),
        several=len({each["source"] for each in cells}) > 1,
        labelled=any(each["label"] for each in cells),
        placed=any(share is not None for each in cells for share in each["inside"]),
        wrong=sum(bool(each["wrong"]) for each in cells),
        files=FILES,
        has_activations=bool(record["activations"]),
        activations=ACTIVATIONS,
        crop_file=crop_file,
        overlay_file=overlay_file,
    )


def _data(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page's script needs of each cell, in columns."""
    cells = record["cells"]
    return {
        "sheets": [href(each["sheet"]) for each in cells],
        "activations": [[href(name) for name in each["activations"]] for each in cells],
        "overlays": [[href(overlay_file(each["number"], view)) for view in range(len(record["views"]))] for each in cells],
        "names": [each["name"] for each in cells],
        "blast": [each["blast"] for each in cells],
        "inside": [each["inside"] for each in cells],
        "texts": [" ".join((each["name"], each["source"], each["label"])).casefold() for each in cells],
        "called": [each["called"] for each in cells],
        "explained": [each["explained"] for each in cells],
        "wrong": [int(bool(each["wrong"])) for each in cells],
        "signed": [int(each["signed"]) for each in record["views"]],
    }


def _counted(names: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts
