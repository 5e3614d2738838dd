"""A model card as both the page and the terminal show it: every number worked out, every text ready, nothing about where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Final

from smearscan.intervals import limit_of_blank, wilson
from smearscan.percentages import percent
from smearscan.reports.card_sections import Number, Picture, Sections, Source, read_sections, value_text

CLASSIFIER: Final = "classifier"
DETECTOR: Final = "detector"
WORST_OF: Final = 10  # cells that a subject must have to be the worst
RIGHT: Final = {"blast": "Sensitivity: blasts called blast", "other": "Specificity: other cells not called blast"}
CURVES: Final = "training/curves.png"  # what `smearscan train` draws


@dataclass(frozen=True)
class SubjectRow:
    """How one subject's cells were called."""

    subject: str
    role: str
    cells: int
    right: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.right / self.cells


@dataclass(frozen=True)
class Spread:
    """One kind of cells over all subjects."""

    role: str
    label: str
    subjects: int
    cells: int
    right: int
    low: float
    high: float
    median: float
    worst: SubjectRow | None  # None where no subject has cells enough


@dataclass(frozen=True)
class CardView:
    """All that is shown of a card."""

    kind: str
    name: str
    summary: str
    licence: str
    sha256: str
    alarm: str  # why its numbers are no numbers of unseen subjects
    classes: tuple[tuple[str, str], ...]  # and their roles
    facts: tuple[tuple[str, str], ...]
    subjects: tuple[SubjectRow, ...]
    spreads: tuple[Spread, ...]
    blank: tuple[float | None, str] | None  # limit of blank and how it was found; None: this kind of model has none
    sections: Sections


def view_card(kind: str, card: Mapping[str, Any], is_there: Callable[[str], bool] = lambda name: False) -> CardView:
    """Return a card for showing: `card` is card.json, `is_there` says whether a file lies in its folder."""
    extra = card.get("extra") or {}
    sections = _shown_files(read_sections(extra), is_there)
    citation = str(card.get("citation") or extra.get("citation") or "")
    if not sections.data and (card.get("training_data") or citation):
        sections = replace(sections, data=(Source(card.get("training_data") or "not named", citation=citation),))
    subjects = _subjects(card.get("subjects") or ())
    split = extra.get("split")
    return CardView(
        kind=kind,
        name=str(card["name"]),
        summary=str(card.get("summary", "")),
        licence=str(card.get("licence", "")),
        sha256=str(card.get("sha256", "")),
        alarm=str(split.get("warning") or "") if isinstance(split, Mapping) else "",
        classes=tuple((name, card["roles"][name]) for name in card["classes"]),
        facts=tuple(_classifier_facts(card) if kind == CLASSIFIER else _detector_facts(card)),
        subjects=subjects,
        spreads=tuple(_spread(role, rows) for role in RIGHT if (rows := [each for each in subjects if each.role == role])),
        blank=limit_of_blank(card.get("blank_fractions") or ()) if kind == CLASSIFIER else None,
        sections=sections,
    )


def common_place(numbers: Sequence[Number]) -> str:
    """Return on what most of these numbers were measured, to be said once; "" where no two share it."""
    places = Counter(each.on for each in numbers if each.on)
    place, count = places.most_common(1)[0] if places else ("", 0)
    return place if count > 1 or len(numbers) == 1 else ""


def counted_text(each: SubjectRow | Spread) -> str:
    """Write a count with its denominator: "190 of 200"."""
    return f"{each.right:,} of {each.cells:,}"


def percents_text(each: SubjectRow | Spread) -> str:
    """Write its share with its interval: "95 % (91-97 %)"."""
    return f"{_percent(each.right / each.cells)} % ({_percent(each.low)}-{_percent(each.high)} %)"


def _percent(share: float) -> str:
    return value_text(share, "%").removesuffix(" %")


def _shown_files(sections: Sections, is_there: Callable[[str], bool]) -> Sections:
    """Leave out pictures that do not lie in the folder."""
    failures, pictures = (
        tuple(replace(each, dark=each.dark if each.dark and is_there(each.dark) else "") for each in found if is_there(each.file))
        for found in (sections.failures, sections.pictures)
    )
    if not pictures and is_there(CURVES):
        pictures = (Picture(CURVES, "The course of the training."),)
    files = frozenset(name for each in (*failures, *pictures) for name in (each.file, each.dark) if name)
    return replace(sections, failures=failures, pictures=pictures, files=files)


def _subjects(given: Sequence[Mapping[str, Any]]) -> tuple[SubjectRow, ...]:
    rows = []
    for each in given:
        cells, called = int(each["cells"]), int(each["called_blast"])
        if cells and each["role"] in RIGHT:
            right = called if each["role"] == "blast" else cells - called
            ends = wilson(right, cells)
            rows.append(SubjectRow(str(each["subject"]), str(each["role"]), cells, right, ends.low, ends.high))
    return tuple(rows)


def _spread(role: str, rows: Sequence[SubjectRow]) -> Spread:
    cells, right = sum(each.cells for each in rows), sum(each.right for each in rows)
    ends = wilson(right, cells)
    enough = [each for each in rows if each.cells >= WORST_OF]
    worst = min(enough, key=lambda each: (each.share, each.subject), default=None)
    return Spread(role, RIGHT[role], len(rows), cells, right, ends.low, ends.high, median(each.share for each in rows), worst)


def _classifier_facts(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    crop_um, diameters, px = card.get("crop_um"), card.get("crop_diameters"), card["crop_px"]
    scale = (
        f"{crop_um:g} µm, {crop_um / px:.4g} µm per pixel"
        if crop_um is not None
        else f"{diameters:g} diameters of the cell's box"
        if diameters is not None
        else "pixels of the slide, whatever they measure"
    )
    extra = card.get("extra") or {}
    counted = card["positive_class"] if len([role for role in card["roles"].values() if role == "blast"]) == 1 else "the blast classes"
    return [
        ("Crop", f"{px} × {px} px: {scale}"),
        *([("Scale", str(extra["scale"]))] if extra.get("scale") else []),
        ("Stain", _stain(card.get("stain"))),
        ("Threshold", f"called blast from P({counted}) = {card['threshold']:g} on, among the classes that count"),
        ("Temperature", f"{card['temperature']:g}: logits are divided by it"),
        ("Network", _network(card["network"])),
        ("Output", "one probability (sigmoid)" if card["activation"] == "sigmoid" else f"{len(card['classes'])} probabilities (softmax)"),
        ("Preparation", "; ".join(_step(each) for each in card.get("preparation") or ()) or "none"),
        ("Normalisation", f"mean {value_text(card['mean'])}; deviation {value_text(card['std'])}"),
        *([("Heat maps", f"layer {card['cam_layer']}")] if card.get("cam_layer") else []),
    ]


def _stain(stain: Mapping[str, Any] | None) -> str:
    if stain is None:
        return "crops keep the colours of their slide"
    densities = " ".join(f"{value:.2f}" for value in stain["nucleus"])
    glass = " ".join(f"{value:.0f}" for value in stain["glass"])
    return f"a slide's crops are changed alike: glass of {glass}, nuclei of the optical densities {densities} (red, green, blue)"


def _network(network: Mapping[str, Any]) -> str:
    if members := network.get("members"):
        return f"{network.get('method', 'mixture')} of {len(members)} models: {', '.join(str(each.get('name')) for each in members)}"
    options = ", ".join(f"{name} {value_text(value)}" for name, value in network.items() if name != "name")
    return f"{network.get('name')}{f' ({options})' if options else ''}"


def _step(step: Mapping[str, Any]) -> str:
    options = ", ".join(f"{name} {value_text(value)}" for name, value in step.items() if name != "step")
    return f"{step.get('step')}{f' ({options})' if options else ''}"


def _detector_facts(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    mpp, across = card.get("mpp"), card.get("cell_px")
    return [
        ("Field", f"{card['input_px']} × {card['input_px']} px, of which {card['margin_px']} px on each side are margin"),
        ("Scale", f"{mpp:g} µm per pixel of the field" if mpp is not None else "pixels of the slide, whatever they measure"),
        *([("Cells", f"{across[0]:g} to {across[1]:g} px wide in the field; a slide without a scale is seen as it is")] if across else []),
        ("Confidence", f"proposed from {card['confidence']:g} on"),
        ("Overlap", f"two boxes with an IoU above {card['iou']:g} are one cell"),
        ("Most", f"{card['max_detections']:,} cells in one field"),
    ]


def blank_text(blank: tuple[float | None, str]) -> str:
    """Write the limit of blank."""
    value, how = blank
    return how if value is None else f"{percent(value)} % ({how})"
