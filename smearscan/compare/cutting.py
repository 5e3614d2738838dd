"""Pictures of cells that a report keeps none of, cut again from the slide, with a heat map where the model is at hand.

A report keeps pictures of the cells it flagged and of some more. The cells that two reports disagree on are others, as a
rule; where the slides can be read, their crops are what was cut for the model of each report, pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classifiers import Explainer
from smearscan.compare.report_folder import ReportSlide
from smearscan.errors import OutputError
from smearscan.explaining import Chosen, cut_from_slide
from smearscan.reports import CellTable, card_of
from smearscan.reports.overlay_pictures import write_png
from smearscan.reports.overlay_sheet import heat

FOLDER = "pictures"


@dataclass(frozen=True)
class PictureSource:
    """Where pictures can be had from that the reports do not keep."""

    slides: Mapping[str, Path] = field(default_factory=dict)  # by key
    explainers: Mapping[str, Explainer] = field(default_factory=dict)  # by the report's name


def add_pictures(view: Mapping[str, Any], letter: str, slide: ReportSlide, folder: Path, *, name: str, source: PictureSource) -> list[str]:
    """Cut what the galleries of a slide lack of report `letter` into `folder`, and link it in `view`; return what could not be cut."""
    if slide.key not in source.slides:
        return []
    wanted = {said["id"]: said for tiles in view["galleries"].values() for each in tiles if (said := each[letter]) and not said["crop"]}
    if not wanted:
        return []
    card = card_of(slide.record)
    try:
        cells = CellTable.from_csv(slide.folder / "cells.csv", card.classes)
    except OutputError as error:
        return [str(error)]
    rows = tuple(row for row, cell in enumerate(cells.ids) if cell in wanted)
    cut = cut_from_slide(Chosen(slide.folder, slide.record, cells, rows, ("",) * len(rows)), card, source.slides[slide.key])
    explainer = source.explainers.get(name)
    maps = explainer.explain(cut.crops, card.positive_class) if explainer is not None and len(cut.crops) else [None] * len(cut.crops)
    place = folder / FOLDER / letter
    place.mkdir(parents=True)
    for row, crop, found in zip(cut.chosen.rows, cut.shown, maps, strict=True):
        cell = cells.ids[row]
        write_png(place / f"crop-{cell}.png", crop)
        wanted[cell]["crop"] = f"{FOLDER}/{letter}/crop-{cell}.png"
        if found is not None:
            write_png(place / f"heat-{cell}.png", heat(crop, found))
            wanted[cell]["heat"] = f"{FOLDER}/{letter}/heat-{cell}.png"
    return list(cut.lost)
