"""Cells of a finished report, to be explained: which ones, what they were called, and their crops as a classifier sees them.

    slides/*/{slide.json, cells.csv}  ─▶  choose  ─▶  cut_crops  ─▶  crops
    slides/*/overlays/crop-*.png, or the slides themselves ─┘

A report keeps the crops of the cells it shows, pixel by pixel. They serve a model that looks at the same field; for any
other cell, or any other field, the slide is read again and cut as the run cut it. A model that knows one stain gets crops
brought to it, as in a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from classifiers.card import ModelCard
from smearscan import crops, ledger, overlays, reports, staining
from smearscan.errors import ConfigError, SlideError
from smearscan.labels import Labels
from smearscan.reading import SlideSpec, opened
from smearscan.reports.slide_json import restored
from smearscan.results import Picture, Staining
from smearscan.salvage import read_or_white
from smearscan.slides import files_of, find_slides

FIELD = ("crop_px", "crop_um", "crop_diameters")  # what a card says of the part of a slide that a crop shows


@dataclass(frozen=True)
class Choice:
    """Which cells of a report are meant."""

    ids: tuple[str, ...] = ()  # of cells, alone or with their slide as SLIDE/ID
    flagged: bool = False
    errors: bool = False


@dataclass(frozen=True)
class Chosen:
    """The chosen cells of one slide."""

    folder: Path
    record: Mapping[str, Any]
    cells: reports.CellTable
    rows: tuple[int, ...]
    labels: tuple[str, ...]  # what each of `rows` truly is, "" where that is not known

    @property
    def key(self) -> str:
        return str(self.record["key"])

    @property
    def card(self) -> ModelCard:
        return reports.card_of(self.record)

    @property
    def in_windows(self) -> bool:
        return self.record["count"]["windows"] is not None

    @property
    def staining(self) -> Staining | None:
        """How the slide is stained, where the run looked: for a model that knows no stain it did not, nor before there were such models."""
        known = self.record["info"].get("staining")
        return restored(Staining, known) if known else None

    def take(self, kept: Sequence[int]) -> Chosen:
        """Return the same with some of the chosen cells only, by their places in `rows`."""
        return replace(self, rows=tuple(self.rows[each] for each in kept), labels=tuple(self.labels[each] for each in kept))


@dataclass(frozen=True)
class Cut:
    """The crops of the chosen cells of one slide."""

    chosen: Chosen  # those cells that could be cut
    shown: NDArray[np.uint8]  # as the slide has them
    crops: NDArray[np.uint8]  # as the model is given them: in the stain that it knows
    places: NDArray[np.float64]  # (n, 4) the cells' boxes in pixels of their crops; not a number in window mode
    lost: tuple[str, ...] = ()  # a sentence for each cell, or for the slide, that could not be


@dataclass
class _Wanted:
    """The ids that a user named, and which of them were found."""

    ids: Sequence[str]
    found: dict[str, list[str]] = field(default_factory=dict)  # as named -> slides

    def rows(self, key: str, cells: reports.CellTable) -> list[int]:
        places = {each: row for row, each in enumerate(cells.ids)}
        rows = []
        for named in self.ids:
            slide, _, cell = named.rpartition("/")
            if cell in places and slide in ("", key):
                self.found.setdefault(named, []).append(key)
                rows.append(places[cell])
        return rows

    def check(self, report: Path) -> None:
        missing = [each for each in self.ids if each not in self.found]
        if missing:
            raise ConfigError(f"{report} has no cell {', '.join(missing)}. The ids stand in slides/*/cells.csv.")
        for named, slides in self.found.items():
            if len(slides) > 1:
                raise ConfigError(f"{', '.join(slides)} each have a cell {named}: write it with its slide, as {slides[0]}/{named}.")


def choose(report: Path, choice: Choice, labels: Labels | None = None) -> list[Chosen]:
    """Return the chosen cells, slide by slide in the report's order; a slide without any is left out."""
    records = ledger.read_records(report) if report.is_dir() else {}
    if not records and not ledger.is_report(report):
        raise ConfigError(f"{report} is no smearscan report: name the folder that was given to `smearscan run --out`.")
    if choice.errors and labels is None:
        raise ConfigError("--errors needs to know what the cells truly are: give a table with --truth.")
    wanted = _Wanted(choice.ids)
    found, labelled = [], 0
    if not any(record["count"] for record in records.values()):
        raise ConfigError(f"{report} has no slide that is done: there are no cells to explain yet.")
    for record in records.values():
        if record["count"] is None:
            continue
        folder = report / PurePosixPath(record["folder"])
        cells = reports.CellTable.from_csv(folder / "cells.csv", record["classifier"]["classes"])
        known = labels.of_cells(record["key"], cells.ids, cells.boxes) if labels else ("",) * len(cells)
        labelled += sum(map(bool, known))
        rows = set(wanted.rows(record["key"], cells))
        rows |= set(np.flatnonzero(cells.flagged).tolist()) if choice.flagged else set()
        if choice.errors:
            card = reports.card_of(record)
            rows |= {row for row in range(len(cells)) if is_wrong(known[row], cells.called[row], bool(cells.flagged[row]), card)}
        if rows:
            picked = tuple(sorted(rows))
            found.append(Chosen(folder, record, cells, picked, tuple(known[row] for row in picked)))
    wanted.check(report)
    if labels is not None and not labelled:
        raise ConfigError(f"{labels.source} says of no cell of {report} what it is: its slides, cells or places are others.")
    return found


def is_wrong(label: str, called: str, flagged: bool, card: ModelCard) -> bool:
    """Return whether a cell is called something else than it is; a label that the card does not know is no blast."""
    if not label:
        return False
    known = next((name for name in card.classes if name.casefold() == label.casefold()), None)
    return flagged if known is None else called != known


def same_field(one: ModelCard, other: ModelCard) -> bool:
    """Return whether two models look at the same part of a slide, at the same size."""
    return all(getattr(one, name) == getattr(other, name) for name in FIELD)


def cut_crops(
    chosen: Sequence[Chosen], card: ModelCard, slides: Sequence[Path] = (), show: Callable[[int], None] | None = None
) -> Iterator[Cut]:
    """Yield the crops of each slide's chosen cells for a model of that card; `slides` is where slides may be read again."""
    files = {each.key: each.path for each in find_slides(slides).slides} if slides else {}
    done = 0
    for each in chosen:
        kept = _kept_crops(each, card)
        if kept is not None:
            yield Cut(each, kept, crops.in_known_stain(kept, card, each.staining), _places(each, card))
        elif each.key in files:
            yield cut_from_slide(each, card, files[each.key])
        else:
            yield _not_found(each, card, bool(slides))
        done += len(each.rows)
        if show is not None:
            show(done)


def _not_found(chosen: Chosen, card: ModelCard, searched: bool) -> Cut:
    if searched:
        what = f"--slides has no slide {chosen.key}"
    elif same_field(chosen.card, card):
        what = (
            f"the report keeps no picture of some of these {len(chosen.rows)} cells of {chosen.key}: say with --slides where the slides lie"
        )
    else:
        what = f"{card.name} looks at another field than the report's {chosen.card.name}: say with --slides where the slides lie"
    if not searched:
        raise ConfigError(f"{what[:1].upper()}{what[1:]}, as they were given to `smearscan run`.")
    return _nothing(chosen, card, f"{len(chosen.rows)} cells of {chosen.key} cannot be cut: {what}.")


def _nothing(chosen: Chosen, card: ModelCard, why: str) -> Cut:
    none = np.zeros((0, card.crop_px, card.crop_px, 3), np.uint8)
    return Cut(chosen.take(()), none, none, np.zeros((0, 4)), (why,))


def _kept_crops(chosen: Chosen, card: ModelCard) -> NDArray[np.uint8] | None:
    """Return the crops that the report keeps, if it keeps all of them for this field, and knows how they are stained where that matters."""
    if not same_field(chosen.card, card) or (card.stain is not None and chosen.card.stain is None):
        return None
    found = np.empty((len(chosen.rows), card.crop_px, card.crop_px, 3), np.uint8)
    for row, crop in zip(chosen.rows, found, strict=True):
        path = chosen.folder / "overlays" / f"crop-{chosen.cells.ids[row]}.png"
        picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB) if path.is_file() else None
        if picture is None or picture.shape != crop.shape:
            return None
        crop[:] = picture
    return found


def cut_from_slide(chosen: Chosen, card: ModelCard, path: Path) -> Cut:
    """Read the cells' squares once more, one by one, after it is sure that the file is the one that was scanned."""
    record, info = chosen.record, chosen.record["info"]
    try:
        if ledger.input_digest(path, files_of) != record["input_digest"]:
            return _nothing(
                chosen, card, f"{len(chosen.rows)} cells of {chosen.key} cannot be cut: {path} is not the file that was scanned."
            )
        slide = opened(SlideSpec(chosen.key, path, mpp=None, csv_mpp=info["mpp"], scale_needed=card.crop_um is not None))
        stained = chosen.staining or (staining.look(slide) if card.stain is not None else None)
        squares = _squares(chosen, card)
        found, kept, lost = [], [], []
        for place, (row, square) in enumerate(zip(chosen.rows, squares, strict=True)):
            left, top, right, bottom = (int(each) for each in square)
            seen, unreadable, _ = read_or_white(slide, (left, top, right, bottom), slide.info.levels[0])
            if unreadable:
                lost.append(f"The cell {chosen.cells.ids[row]} of {chosen.key} lies where the slide cannot be read.")
                continue
            found.append(_cut(seen, square, card, (info["width"], info["height"])))
            kept.append(place)
    except (SlideError, OSError) as error:
        return _nothing(chosen, card, f"{len(chosen.rows)} cells of {chosen.key} cannot be cut: {error}")
    if not found:
        return replace(_nothing(chosen, card, ""), lost=tuple(lost))
    left_over, shown = chosen.take(kept), np.stack(found)
    return Cut(left_over, shown, crops.in_known_stain(shown, card, stained), _places(left_over, card), tuple(lost))


def _cut(seen: Picture, square: NDArray[np.int64], card: ModelCard, slide_size: tuple[int, int]) -> Picture:
    corner = (int(square[0]), int(square[1]))
    cut: Picture = crops.cut(seen, corner, square[None], card, slide_size=slide_size, whole_box=True)[0]
    return cut


def _squares(chosen: Chosen, card: ModelCard) -> NDArray[np.int64]:
    return crops.squares(chosen.cells.boxes[list(chosen.rows)], card, chosen.record["info"]["mpp"], whole_box=chosen.in_windows)


def _places(chosen: Chosen, card: ModelCard) -> NDArray[np.float64]:
    if chosen.in_windows:
        return np.full((len(chosen.rows), 4), np.nan)
    corners = chosen.cells.boxes[list(chosen.rows)]
    pairs = zip(corners, _squares(chosen, card), strict=True)
    return np.array([overlays.box_in_crop(corner, square, card.crop_px) for corner, square in pairs]).reshape(-1, 4)
