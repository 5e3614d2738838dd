"""Maps of all cells, and from them the sheets, the gallery and the numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers import Classifier, ClassifierError
from classifiers.explain.activations import activations, choose, grid
from classifiers.explain.cell_masks import lie_on_black, masks_on_black
from classifiers.explain.inside import ellipses, share_inside
from classifiers.explain.views import CLASSLESS, View, Wish, make_views, open_wishes
from smearscan import console
from smearscan.cli.explain import CALLED
from smearscan.cli.explain_inputs import SCORE_DIGITS, Given, call
from smearscan.cli.explain_trials import Trial
from smearscan.errors import ConfigError
from smearscan.explaining import is_wrong
from smearscan.percentages import percent
from smearscan.reports import explanation_files as files
from smearscan.reports.explanation_sheet import CellFacts, Panel, draw_activations, draw_explanation
from smearscan.reports.pages import write_page
from smearscan.reports.pages.explanation_page import explanation_page
from smearscan.results import NOTICE

TOGETHER = 16  # cells whose activations are in memory at once
SHARE_DIGITS = 3


@dataclass
class Explained:
    """Everything that is known of the cells, as columns."""

    classifier: Classifier
    given: Given
    wishes: Sequence[Wish]
    options: Mapping[str, Mapping[str, Any]]  # by method
    ranking_options: Mapping[str, Any]
    probabilities: NDArray[np.float64]
    called: list[str]
    flagged: list[bool]
    explained: list[str]
    threshold: float
    views: list[View] = field(default_factory=list)
    shares: list[NDArray[np.float64]] = field(default_factory=list)  # of each view's maps, inside the cells
    cell_shares: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))  # of the crops, that the cells take up
    record: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.given)


def prepare(classifier: Classifier, given: Given, wishes: Sequence[Wish], flags: Mapping[str, Any]) -> Explained:
    """Score the cells and make every map."""
    card, threshold = classifier.card, given.threshold or classifier.card.threshold
    options, ranking_options = _options(given, flags)
    try:
        opened = open_wishes(classifier, wishes, options)
    except ClassifierError as error:  # of a model that can be explained: an option of a method is wrong
        raise ConfigError(str(error)) from error
    scores = classifier.predict(given.crops).probabilities
    calls = call(card, scores, threshold)
    named = flags["class_name"] or card.positive_class
    called = [name for name, _ in calls]
    found = Explained(
        classifier=classifier,
        given=given,
        wishes=wishes,
        options=options,
        ranking_options=ranking_options,
        probabilities=scores.astype(np.float64).round(SCORE_DIGITS),
        called=called,
        flagged=[flagged for _, flagged in calls],
        explained=called if named == CALLED else [named] * len(given),
        threshold=threshold,
    )
    with console.progress("maps", len(given) * len(opened)) as bar:
        show = lambda done: bar.update(done, len(given) * len(opened), {})  # noqa: E731
        found.views = list(make_views(opened, given.crops, found.explained, show))
    masks, known = _masks(given)
    found.cell_shares = np.array([mask.mean() if is_known else np.nan for mask, is_known in zip(masks, known, strict=True)], np.float64)
    found.shares = [np.where(known, share_inside(view.maps, masks), np.nan) for view in found.views]
    return found


def _options(given: Given, flags: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return the options of each method, and those of rankings by it."""
    hiding = flags["hiding"]
    if hiding == "auto":
        hiding = "black" if lie_on_black(given.crops).mean() > 0.5 else "grey"
    pieces: dict[str, Any] = {"method": flags["superpixels"], "side_px": flags["side_px"], "count": flags["count"]}
    pieces |= {name: flags[name] for name in ("kernel_size", "max_dist", "ratio")}
    shared = {"perturbations": flags["perturbations"], "hiding": hiding, "superpixels": pieces, "seed": flags["seed"]}
    surrogate = {**shared, "scale": flags["scale"]}
    return {"lime": surrogate, "shap": surrogate, "gradient-shap": {"samples": flags["samples"], "seed": flags["seed"]}}, shared


def _masks(given: Given) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where each cell lies on its crop, and of which cells that is known: by its box, or by the black around it."""
    boxed = np.isfinite(given.places).all(axis=1)
    cells, height, width, _ = given.crops.shape
    masks = np.zeros((cells, height, width), bool)
    masks[boxed] = ellipses(given.places[boxed], (height, width))
    on_black = ~boxed & lie_on_black(given.crops)
    masks[on_black] = masks_on_black(given.crops[on_black])
    return masks, boxed | on_black


def fill_folder(folder: Path, found: Explained, trials: Sequence[Trial], flags: Mapping[str, Any]) -> None:
    """Write everything into an empty folder, the record and the page last."""
    given = found.given
    stems = [files.file_stem(number, name) for number, name in enumerate(given.names, 1)]
    drawn: dict[int, list[str]] = {row: [] for row in range(len(found))}
    with console.progress("sheets", len(found) * (1 + len(flags["activations"]))) as bar:
        for row in range(len(found)):
            panels = [_panel(view, shares, row) for view, shares in zip(found.views, found.shares, strict=True)]
            files.write_sheet(folder, _sheet(stems[row]), draw_explanation(given.crops[row], panels, _facts(found, row)))
            files.write_tiles(folder, row + 1, given.crops[row], [(view.maps[row], view.signed) for view in found.views])
            bar.update(row + 1, bar.total, {})
        for place, (row, layer, channels) in enumerate(_activations(found, flags), 1):
            name = f"{files.ACTIVATIONS}/{stems[row]}-{files.NOT_IN_A_NAME.sub('-', layer)}.png"
            files.write_sheet(folder, name, draw_activations(given.crops[row], channels, _facts(found, row), layer))
            drawn[row].append(name)
            bar.update(len(found) + place, bar.total, {})
    files.write_maps(folder, {view.wish.key: view.maps for view in found.views}, given.crops)
    files.write_table(folder, _rows(found, stems))
    for trial in trials:
        trial.write(folder)
    found.record = _record(found, stems, drawn, trials, flags)
    files.write_record(folder, found.record)
    write_page(folder, explanation_page(found.record))


def _activations(found: Explained, flags: Mapping[str, Any]) -> Iterator[tuple[int, str, list[tuple[int, NDArray[np.float32]]]]]:
    """Yield for each layer and cell the channels that are shown, each scaled by its own range."""
    for layer in flags["activations"]:
        for start in range(0, len(found), TOGETHER):
            for row, maps in enumerate(activations(found.classifier, found.given.crops[start : start + TOGETHER], layer), start):
                channels = choose(maps, flags["channels"])
                yield row, layer, [(int(each), grid(maps[each : each + 1], count=1)) for each in channels]


def _sheet(stem: str) -> str:
    return f"{files.SHEETS}/{stem}.png"


def _panel(view: View, shares: NDArray[np.float64], row: int) -> Panel:
    notes = [] if math.isnan(shares[row]) else [f"{percent(float(shares[row]))} % in the cell"]
    if not math.isnan(view.fit[row]):
        notes.append(f"fit {view.fit[row]:.2f}")
    return Panel(view.wish.method, view.layer, view.maps[row], view.signed, float(view.largest[row]), tuple(notes))


def _blast(found: Explained, row: int) -> float:
    return float(found.classifier.card.blast_probability(found.probabilities[[row]])[0])


def _wrong(found: Explained, row: int) -> bool:
    return is_wrong(found.given.labels[row], found.called[row], found.flagged[row], found.classifier.card)


def _facts(found: Explained, row: int) -> CellFacts:
    card, given = found.classifier.card, found.given
    notes = []
    if not math.isnan(found.cell_shares[row]) and any(np.isfinite(shares[row]) for shares in found.shares):
        notes.append(f"The cell takes up {percent(float(found.cell_shares[row]))} % of the crop.")
    if any(view.wish.method in CLASSLESS for view in found.views):
        notes.append(f"{', '.join(CLASSLESS)} shows what stands out in the layer, whatever the class.")
    if found.options["lime"]["scale"] == "log-odds" and any(np.isfinite(view.largest[row]) for view in found.views):
        notes.append("The score is in log-odds.")
    return CellFacts(
        name=given.names[row],
        source=given.sources[row],
        model=card.name,
        explained=found.explained[row],
        scores=tuple(zip(card.classes, found.probabilities[row].tolist(), strict=True)),
        blast=_blast(found, row),
        threshold=found.threshold,
        called=found.called[row],
        kind=card.roles[found.called[row]],
        label=given.labels[row],
        wrong=_wrong(found, row),
        footnotes=tuple(notes),
    )


def _rows(found: Explained, stems: Sequence[str]) -> Iterator[dict[str, str | float | bool | int | None]]:
    given, classes = found.given, found.classifier.card.classes
    for row in range(len(found)):
        for view, shares in zip(found.views, found.shares, strict=True):
            yield {
                "number": row + 1,
                "cell": given.names[row],
                "source": given.sources[row],
                "label": given.labels[row],
                "wrong": _wrong(found, row) if given.labels[row] else None,
                "called": found.called[row],
                "p_blast": _blast(found, row),
                "threshold": found.threshold,
                "explained": found.explained[row],
                "p_explained": float(found.probabilities[row, classes.index(found.explained[row])]),
                "method": view.wish.method,
                "layer": view.layer,
                "signed": view.signed,
                "largest": float(view.largest[row]),
                "fit": float(view.fit[row]),
                "p_hidden": float(view.hidden[row]),
                "share_inside": float(shares[row]),
                "cell_share": float(found.cell_shares[row]),
                "sheet": _sheet(stems[row]),
                "map": view.wish.key,
            }


def _record(
    found: Explained, stems: Sequence[str], drawn: Mapping[int, list[str]], trials: Sequence[Trial], flags: Mapping[str, Any]
) -> dict[str, Any]:
    card, given = found.classifier.card, found.given
    return {
        "notice": NOTICE,
        "model": {
            "name": card.name,
            "summary": card.summary,
            "sha256": card.sha256,
            "crop_px": card.crop_px,
            "classes": list(card.classes),
        },
        "source": given.source,
        "views": [{"key": view.wish.key, "title": _title(view), "signed": view.signed} for view in found.views],
        "settings": _settings(found, flags),
        "activations": list(flags["activations"]),
        "cells": [
            {
                "number": row + 1,
                "name": given.names[row],
                "short": PurePosixPath(given.names[row]).name,
                "source": given.sources[row],
                "label": given.labels[row],
                "wrong": _wrong(found, row),
                "called": found.called[row],
                "kind": card.roles[found.called[row]],
                "explained": found.explained[row],
                "blast": round(_blast(found, row), SCORE_DIGITS),
                "inside": [None if math.isnan(shares[row]) else round(float(shares[row]), SHARE_DIGITS) for shares in found.shares],
                "sheet": _sheet(stems[row]),
                "activations": drawn[row],
            }
            for row in range(len(found))
        ],
        "trials": [trial.as_json() for trial in trials],
        "lost": given.lost,
    }


def _title(view: View) -> str:
    return f"{view.wish.method}, layer {view.layer}" if view.layer else view.wish.method


def _settings(found: Explained, flags: Mapping[str, Any]) -> dict[str, str]:
    """Return what decides the maps, in words, for the page."""
    shown = {"Threshold": f"{found.threshold:g}"}
    if any(view.wish.method in ("lime", "shap") for view in found.views) or flags["sufficiency"]:
        pieces = found.ranking_options["superpixels"]
        own = f"kernel {pieces['kernel_size']:g}, distance {pieces['max_dist']:g}, ratio {pieces['ratio']:g}"
        if pieces["method"] == "slic":
            own = f"about {pieces['count']}"
        shown |= {
            "Superpixels": f"{pieces['method']}, {own}, cut up at {pieces['side_px'] or min(250, found.classifier.card.crop_px)} px",
            "Hidden ones show": str(found.ranking_options["hiding"]),
            "Perturbations": f"{flags['perturbations']:,}",
            "What is explained": flags["scale"],
        }
    if any(view.wish.method == "gradient-shap" for view in found.views):
        shown["Samples of gradient-shap"] = f"{flags['samples']:,}"
    shown["Seed"] = str(flags["seed"])
    return shown | ({"Note": " ".join(found.given.notes)} if found.given.notes else {})
