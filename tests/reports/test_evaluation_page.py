"""The folder of an evaluation: tables, record, pictures and the page, and that names cannot harm it."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from classifiers.evaluation.json_record import record
from classifiers.evaluation.leaks import Leak
from classifiers.evaluation.report import Candidate, Options, Report, compare_models
from smearscan.cli.evaluation_folder import publish
from smearscan.errors import ConfigError
from smearscan.reports.pages.evaluation_page import counted, ends, evaluation_page, number
from smearscan.results import NOTICE
from smearscan.testing.browser import Browser, find_browser
from smearscan.testing.evaluations import Redness, make_card, make_samples

HOSTILE = """</script><script>alert(1)</script> "q" 'a' & 50% #7"""


def make_report(root: Path, models: int = 2) -> Report:
    rng = np.random.default_rng(0)
    labels = [row % 2 for row in range(60)]
    for row, label in enumerate(labels):
        red = int(np.clip(80 + 90 * label + rng.normal(0, 50), 0, 255))
        assert cv2.imwrite(str(root / f"{row}.png"), np.full((20, 20, 3), (40, 40, red), np.uint8))
    samples = replace(make_samples(labels, [f"S{row % 10}" for row in range(58)] + ["=1+1", HOSTILE], root=root), name=HOSTILE)
    candidates = [Candidate(f"m{index}", Redness(make_card(threshold=0.5 - 0.1 * index, name=HOSTILE))) for index in range(models)]
    return compare_models(candidates, samples, Options(draws=60))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return make_report(tmp_path_factory.mktemp("cells"))


@pytest.fixture(scope="module")
def folder(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "evaluation of 50% #1"
    publish(report, record(report), out)
    return out


def test_the_folder_holds_what_it_should_and_nothing_is_left_beside_it(folder: Path) -> None:
    files = {path.name for path in folder.iterdir()}
    assert {"evaluation.json", "metrics.csv", "subjects.csv", "confusion.csv", "predictions.csv", "errors.csv", "index.html"} <= files
    assert {"roc.png", "roc-dark.png", "confusion-m0.png", "reliability-m1.png", "subjects-m1-dark.png", "missed.png"} <= files
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_every_table_carries_the_research_line_and_no_formula(folder: Path) -> None:
    for path in folder.glob("*.csv"):
        rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
        assert rows, path.name
        assert {row["notice"] for row in rows} == {NOTICE}
        assert not [value for row in rows for value in row.values() if value.startswith(("=", "+", "@"))]


def test_everything_that_the_page_links_is_there_and_every_picture_is_shown(folder: Path) -> None:
    page = (folder / "index.html").read_text("utf-8")
    linked = {unquote(each) for each in re.findall(r'(?:src|href|srcset)="([^"#][^"]*)"', page) if not each.startswith("data:")}
    assert [name for name in linked if not (folder / name).is_file()] == []
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    assert made <= linked


def test_names_cannot_harm_the_page(folder: Path) -> None:
    page = (folder / "index.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)") > 3
    assert NOTICE in page


def test_the_page_is_made_from_the_record_alone(folder: Path) -> None:
    kept = json.loads((folder / "evaluation.json").read_text("utf-8"))
    assert evaluation_page(kept) == (folder / "index.html").read_text("utf-8")


def test_a_leak_is_said_loudly(report: Report) -> None:
    clean = evaluation_page(record(report))
    assert 'class="alarm"' not in clean
    assert "Not known whether these cells were trained on" in clean
    leak = Leak(True, True, 60, (True,) * 41 + (False,) * 19, (False,) * 60, (False,) * 60)
    leaky = replace(report, models=(replace(report.models[0], leak=leak), report.models[1]))
    page = evaluation_page(record(leaky))
    assert page.index("Leaky: numbers on cells or subjects that were trained on") < page.index("The models side by side")
    assert "m0: 41 of these 60 cells were trained on." in page


def test_numbers_are_written_with_their_denominators() -> None:
    answer = {"confusion": [[8, 2], [1, 4]], "classes": ["normal", "blast"]}
    assert counted("accuracy", answer) == "12 of 15 cells"
    assert counted("recall_blast", answer) == "4 of 5"
    assert counted("precision_blast", answer) == "4 of 6"
    assert counted("specificity_blast", answer) == "8 of 10"
    assert counted("f1_blast", answer) == ""
    assert number("recall_blast", 0.8) == "80 %"
    assert number("specificity_blast", 0.9962) == "99.62 %"
    assert number("accuracy", 1.0) == "100 %"
    assert number("auc", 0.91249) == "0.912"
    assert ends("recall_blast", {"low": 0.05, "high": 0.999}) == "5.0-99.9 %"
    assert ends("ece", {"low": None, "high": None}) == ""


@pytest.mark.slow
def test_an_earlier_evaluation_is_replaced_and_anything_else_is_not(report: Report, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(report, record(report), out)
    (out / "stale.png").write_bytes(b"")
    publish(report, record(report), out)
    assert not (out / "stale.png").exists()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(ConfigError, match="is no evaluation"):
        publish(report, record(report), tmp_path / "photos")
    assert (tmp_path / "photos" / "holiday.jpg").exists()


def test_a_single_model_has_no_comparison(tmp_path: Path) -> None:
    page = evaluation_page(record(make_report(tmp_path, models=1)))
    assert "side by side</h2>" not in page
    assert "What all of them miss" not in page
    assert "balanced accuracy" in page


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_in_a_browser_and_asks_for_nothing_else(folder: Path, width: int, dark: bool) -> None:
    executable = find_browser()
    if executable is None:
        pytest.skip("needs Chromium: install it, or name it in SMEARSCAN_BROWSER")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Browser(executable, Path(profile)) as browser:
        page = browser.page()
        page.look(width, 800, dark=dark)
        page.open((folder / "index.html").as_uri())
        assert page.run("document.documentElement.scrollWidth") == width
        shown = page.run("document.querySelector('picture img').currentSrc")
        assert shown.endswith("roc-dark.png" if dark else "roc.png")
        assert page.errors == []
        assert [each for each in page.requests if not each.startswith(("file://", "data:"))] == []
