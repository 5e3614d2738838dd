"""Detectors, classifiers and report writers by name: built-ins first, then what other packages offer.

Another package adds a detector with ten lines and one entry point:

    [project.entry-points."smearscan.detectors"]
    mine = "my_package:MyDetector"
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from pathlib import Path
from typing import Any

from smearscan.errors import PluginError

BUILT_IN: dict[str, dict[str, str]] = {
    "smearscan.detectors": {
        "window": "detectors.window:WindowDetector",
        "nuclei": "detectors.nuclei:NucleiDetector",
        "yolo": "detectors.yolo:YoloDetector",
    },
    "smearscan.classifiers": {},  # those that ship are folders, see BUNDLED
    "smearscan.reports": {
        "cells": "smearscan.reports.cells_csv:CellsCsv",
        "geojson": "smearscan.reports.cells_geojson:CellsGeojson",
        "overlays": "smearscan.reports.overlay_pictures:OverlayPictures",
        "page": "smearscan.reports.pages:SlidePage",
        "scores": "smearscan.reports.score_map:ScoreMap",
        "traceback": "smearscan.reports.traceback_text:TracebackText",
    },
}
EXPLAINER = "classifiers.explain:build_explainer"  # what makes heat maps, by name
EXPLAINER_NAMES = "classifiers.explain:names"
MODEL_FOLDER = "classifiers.opening:open_model"  # what opens a classifier given by its folder
DETECTOR_CARD = "detectors.yolo_folder:DetectorCard"  # what reads the card in a detector's folder
BUNDLED = {"classifier": "classifiers.bundled", "detector": "detectors.bundled"}  # the models that ship, a folder each
TO_ONNX = {"classifier": "classifiers.onnx_export:export", "detector": "detectors.yolo_onnx:export"}


def names(group: str) -> list[str]:
    """Return every name that `find` would accept, sorted."""
    return sorted({*BUILT_IN.get(group, {}), *_shipped(group), *(point.name for point in entry_points(group=group))})


def bundled_names(kind: str) -> list[str]:
    """Return the names of the models that ship, of one kind: classifier or detector."""
    return load(f"{BUNDLED[kind]}:names")()  # type: ignore[no-any-return]


def bundled_folder(kind: str, name: str) -> Path:
    """Return the folder of a model that ships."""
    return load(f"{BUNDLED[kind]}:folder")(name)  # type: ignore[no-any-return]


def find(group: str, name: str) -> Callable[..., Any]:
    """Return the factory registered under `name`; a built-in wins over a stranger of the same name."""
    kind = group.rsplit(".", 1)[-1].rstrip("s")
    if name in _shipped(group):
        return partial(load(f"{BUNDLED[kind]}:open_bundled"), name)
    reference = BUILT_IN.get(group, {}).get(name)
    if reference is None:
        reference = _from_entry_points(group, name)
    if reference is None:
        raise PluginError(f"There is no {kind} named {name!r}. Known: {', '.join(names(group)) or 'none'}.")
    try:
        return load(reference)
    except (ImportError, AttributeError) as error:
        raise PluginError(
            f"The {kind} {name!r} is registered as {reference!r}, which cannot be loaded: {error}. "
            "Install the package it needs, or choose another."
        ) from error


def load(reference: str) -> Callable[..., Any]:
    """Return what "module:attribute" names; the attribute may have dots."""
    module, _, attribute = reference.partition(":")
    return attrgetter(attribute)(import_module(module))  # type: ignore[no-any-return]


def _shipped(group: str) -> list[str]:
    """Return the models that ship and are opened by their own name; a detector is opened as `yolo`, with its name as an option."""
    return bundled_names("classifier") if group == "smearscan.classifiers" else []


def _from_entry_points(group: str, name: str) -> str | None:
    found: list[EntryPoint] = [point for point in entry_points(group=group) if point.name == name]
    references = sorted({f"{point.module}:{point.attr}" for point in found})  # without the extras that it may name
    if len(references) > 1:
        raise PluginError(f"Two installed packages offer {name!r} in {group}: {', '.join(references)}. Uninstall one.")
    return references[0] if references else None
