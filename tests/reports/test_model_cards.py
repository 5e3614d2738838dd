"""Model cards as text and as a page: everything that a card says is shown, and what it does not say does no harm."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from smearscan.reports.card_sections import picture_file, read_sections
from smearscan.reports.card_text import card_text
from smearscan.reports.card_view import CardView, view_card
from smearscan.reports.pages.card_page import card_page
from smearscan.results import NOTICE
from smearscan.testing.cards import FULL_EXTRA, write_full_model

DETECTOR = {
    "name": "discs",
    "summary": "Boxes discs.",
    "classes": ["disc", "red"],
    "roles": {"disc": "cell", "red": "ignored"},
    "input_px": 640,
    "margin_px": 64,
    "mpp": 0.25,
    "cell_px": [15.0, 300.0],
    "confidence": 0.25,
    "iou": 0.5,
    "max_detections": 300,
    "licence": "AGPL-3.0-or-later",
    "training_data": "drawn discs",
    "citation": "nobody",
    "sha256": "ab" * 32,
    "extra": {"metrics": [{"name": "mAP50", "value": 0.93, "low": 0.9, "high": 0.95, "unit": ""}], "limits": "Finds discs only."},
}


@pytest.fixture
def full(tmp_path: Path) -> CardView:
    card = write_full_model(tmp_path)
    return view_card("classifier", card, lambda name: (tmp_path / name).is_file())


def trained(**extra: Any) -> dict[str, Any]:
    """Return a card as `smearscan train` writes it."""
    test = {
        "on": "cross-validation",
        "folds": 5,
        "cells": 1200,
        "groups": 20,
        "accuracy": {"value": 0.84, "low": 0.8, "high": 0.88},
        "auc": {"value": 0.9, "low": None, "high": None, "note": "no interval: 2 groups bear on it, 5 are the least"},
    }
    return {
        "name": "ours",
        "summary": "Ours.",
        "classes": ["other", "blast"],
        "roles": {"other": "other", "blast": "blast"},
        "positive_class": "blast",
        "activation": "sigmoid",
        "network": {"name": "small-cnn", "width": 4},
        "crop_px": 64,
        "crop_um": None,
        "crop_diameters": 2.05,
        "preparation": [{"step": "clahe", "clip": 2.0}],
        "mean": [0.0, 0.0, 0.0],
        "std": [1.0, 1.0, 1.0],
        "threshold": 0.4,
        "temperature": 1.5,
        "training_data": "C-NMC 2019",
        "sha256": "cd" * 32,
        "extra": {"test": test, "citation": "Gupta & Gupta", "scale": "A crop covers 2.05 diameters of the box.", **extra},
    }


def shown(page: str) -> str:
    """Return the words of a page, tags and what is not shown left out."""
    body = re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_text_says_everything_and_keeps_its_width(full: CardView, width: int) -> None:
    text = card_text(full, width)
    for words in (
        "What it is for", "What it is not for", "Any diagnostic decision.", "Limits", "Numbers", "0.900 (0.884-0.938)", "90 % (86-93 %)",
        "the cells were not outlined", "Tests for shortcuts", "3.2 % (2.0-5.0 %)", "Limit of blank", "1.4 % (95th percentile",
        "Calibration",
        "Sensitivity: blasts called blast: 781 of 784", "worst drawn-4000, 54 of 56", "Slides composed of real cells", "28 of 30",
        "What was tried", "shufflenet", "By stain", "Drawn smears", "AGPL-3.0-or-later", "benchmarks/accuracy.py", full.sha256, NOTICE,
        "called blast from P(blast) = 0.79 on", "0.612", "22 µm", "smudge (excluded)",
    ):  # fmt: skip
        assert words.split()[-1] in text
        assert " ".join(words.split()) in " ".join(text.split())
    too_long = [line for line in text.splitlines() if len(line) > width and full.sha256 not in line]
    assert not too_long


def test_subjects_are_counted_and_the_worst_is_named(full: CardView) -> None:
    blast, other = full.spreads
    assert (blast.subjects, blast.right, blast.cells) == (14, 781, 784)
    assert (other.subjects, other.right, other.cells) == (20, 4285, 4300)
    assert blast.worst is not None
    assert (blast.worst.subject, blast.worst.right) == ("drawn-4000", 54)
    assert other.worst is not None
    assert other.worst.subject == "drawn-3010", "4 of its 215 cells were called blast"
    assert other.median == 1.0
    assert full.blank is not None
    assert full.blank[0] == pytest.approx(0.0141856)


def test_the_page_says_everything_and_asks_for_nothing(full: CardView) -> None:
    page = card_page(full)
    words = shown(page)
    for said in (
        "Any diagnostic decision.", "0.884-0.938", "On 5,084 cells of 34 subjects, where nothing else is said", "On two cores.", "3,100",
        "none: the cells were not outlined", "Does a black background flip the call?", "0.041 (0.030-0.055)", "Mean absolute error",
        "blast, called other; P(blast) 0.120; drawn-4000", "Two modes side by side.", "Also on the card", "identity seed", NOTICE,
    ):  # fmt: skip
        assert said in words, said
    assert page.count("<svg") == 2, "calibration and ROC"
    assert page.count("<circle") == 9
    for file in ("failures/0.png", "modes.png", "modes-dark.png"):
        assert f'"{file}"' in page
    assert not re.search(r"""(src|href|srcset)=["'](https?:)?//""", page)
    assert page == card_page(full)


def test_a_card_of_train_shows_what_it_has() -> None:
    card = trained(
        split={"warning": "leaky: random split of cells", "kind": "random"}, recipe={"name": "small-cnn", "stages": [{"epochs": 3}]}
    )
    view = view_card("classifier", card)
    text, page = card_text(view, 80), shown(card_page(view))
    for words in ("84 % (80-88 %)", "AUC", "0.900", "no interval: 2 groups", "1,200 cells of 20 subjects (cross-validation, 5 folds)"):
        assert words in text
    for words in ("84 %", "80-88 %", "1,200 cells of 20 subjects (cross-validation, 5 folds)", "recipe stages 1 epochs"):
        assert words in page
    for both in (text, page):
        assert "leaky: random split of cells" in both
        assert "C-NMC 2019" in both
        assert "Gupta & Gupta" in both.replace("&amp;", "&")
        assert "clahe (clip 2)" in both
        assert "2.05 diameters" in both
        assert "not said" in both, "the licence"
    assert "none: the card carries no negative slides" in text


def test_a_bare_card_is_shown_too() -> None:
    bare = {**trained(), "extra": {}, "training_data": "", "summary": ""}
    view = view_card("classifier", bare)
    assert "ours" in card_text(view)
    assert "The card does not say what it learnt from." in shown(card_page(view))
    assert view.sections.metrics == ()


def test_a_detector_has_a_card_as_well() -> None:
    view = view_card("detector", DETECTOR)
    text, page = card_text(view, 80), shown(card_page(view))
    for both in (text, page):
        for words in (
            "disc",
            "red",
            "ignored",
            "640 × 640 px",
            "0.25 µm per pixel",
            "15 to 300 px wide",
            "Finds discs only.",
            "0.930",
            "nobody",
        ):
            assert words in both
        assert "Limit of blank" not in both
        assert "apparent one" not in both


@pytest.mark.parametrize("nonsense", [None, 3, "text", [1, 2], {"a": 1}, [{"file": 7}], [{"value": "x"}], [[1]], [None]])
def test_no_shape_of_a_section_stops_a_card(nonsense: object) -> None:
    extra = {**dict.fromkeys(FULL_EXTRA, nonsense), "test": nonsense, "split": nonsense, "citation": nonsense}
    view = view_card("classifier", {**trained(), "extra": extra})
    assert NOTICE in card_text(view)
    assert NOTICE in card_page(view)


@pytest.mark.parametrize(
    ("named", "file"),
    [
        ("a.png", "a.png"),
        ("below/b.JPG", "below/b.JPG"),
        ("../a.png", ""),
        ("/etc/a.png", ""),
        ("below/../../a.png", ""),
        ("C:/a.png", ""),
        ("a\\b.png", ""),
        ("weights.safetensors", ""),
        ("https://example.org/a.png", ""),
        (3, ""),
        (None, ""),
    ],
)
def test_a_card_names_pictures_in_its_folder_only(named: object, file: str) -> None:
    assert picture_file(named) == file
    found = read_sections({"pictures": [{"file": named}]})
    assert [each.file for each in found.pictures] == ([file] if file else [])


def test_pictures_that_are_gone_are_left_out(tmp_path: Path) -> None:
    card = write_full_model(tmp_path)
    (tmp_path / "modes-dark.png").unlink()
    (tmp_path / "failures" / "0.png").unlink()
    view = view_card("classifier", card, lambda name: (tmp_path / name).is_file())
    assert view.sections.files == {"modes.png"}
    page = card_page(view)
    assert "failures/0.png" not in page
    assert "modes-dark.png" not in page


def test_the_plot_of_training_is_shown_where_a_card_names_none() -> None:
    view = view_card("classifier", trained(), lambda name: name == "training/curves.png")
    assert 'src="training/curves.png"' in card_page(view)


def test_nothing_that_a_card_says_can_run() -> None:
    evil = "</script><script>alert(1)</script>"
    extra = json.loads(json.dumps(FULL_EXTRA).replace("Drawn smears", evil).replace("field cell on black", evil).replace("By stain", evil))
    page = card_page(view_card("classifier", {**trained(), "name": evil, "summary": evil, "extra": {**extra, evil: evil}}))
    assert "<script>alert" not in page
    assert page.count("<script") == 2


def test_numbers_are_written_with_their_unit() -> None:
    given = [
        {"name": "specificity, median subject", "value": 0.871},
        {"name": "ECE", "value": 0.0241, "low": 0.01, "high": 0.04},
        {"name": "weighted_f1", "value": 0.5},
        {"name": "mean absolute error", "value": 0.041, "unit": "%"},
        {"name": "bias", "value": -0.021, "low": -0.05, "high": 0.01, "unit": "%"},
        {"name": "pass", "value": 12.34, "unit": "ms"},
        {"name": "sensitivity", "value": 0.9996},
    ]
    found = [(each.name, each.value, each.interval) for each in read_sections({"metrics": given}).metrics]
    assert found == [
        ("Specificity, median subject", "87 %", ""),
        ("ECE", "0.024", "0.010-0.040"),
        ("Weighted F1", "0.500", ""),
        ("Mean absolute error", "4.1 %", ""),
        ("Bias", "-2.1 %", "-5.0 to 1.0 %"),
        ("Pass", "12.34 ms", ""),
        ("Sensitivity", "99.96 %", ""),
    ]
