"""`smearscan compare`: two reports, or slides scanned in two ways, to a folder with tables and pages."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from functools import cache
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urljoin

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy.optimize import linear_sum_assignment

from smearscan.cli import smearscan
from smearscan.cli.compare import scan_one_way
from smearscan.compare import read_report
from smearscan.compare.explainers import explainer_of
from smearscan.config import ScanConfig
from smearscan.errors import ExitCode
from smearscan.results import NOTICE
from smearscan.slides import Found
from smearscan.smears import SmearPlan, TruthCell, plan_smear, write_smear, write_truth
from smearscan.testing.browser import Browser, Page, find_browser

LINK = re.compile(r'(?:href|src)="([^"#]+)(?:#[^"]*)?"')
TO_CELLS = re.compile(r'href="([^"]+#cell-[^"]+)"')


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(smearscan, ["compare", *map(str, arguments)])


@cache
def true_cells(seed: int) -> list[TruthCell]:
    plan = SmearPlan(width=3900, height=3900, mpp=0.25, seed=seed, white_cells=200, blast_fraction=0.3)
    return list(plan_smear(plan).truth)


@pytest.fixture
def drawn(tmp_path: Path, slide, write) -> Path:
    """Two reports of drawn smears: their true cells, moved and thinned out, and in each some that are not there."""
    rng = np.random.default_rng(5)
    (tmp_path / "truth").mkdir()
    sides: dict[str, list] = {"a": [], "b": []}
    for number in range(2):
        cells = true_cells(90 + number)
        write_truth(cells, tmp_path / "truth" / f"{number}.truth.csv")
        for reported in sides.values():
            kept = [cell for cell in cells if rng.random() < 0.85]
            places = [[cell.x + rng.normal(0, 8), cell.y + rng.normal(0, 8)] for cell in kept] + (rng.random((25, 2)) * 3900).tolist()
            blasts = [bool((cell.kind == "blast") ^ (rng.random() < 0.1)) for cell in kept] + [False] * 25
            # As a run writes them: by top, then left.
            diameters = np.array([cell.diameter for cell in kept] + [50.0] * 25)
            order = np.lexsort((np.array(places)[:, 0], np.array(places)[:, 1]))
            reported.append(
                slide(
                    f"{number}.tif",
                    places=np.array(places)[order],
                    diameters=diameters[order],
                    blasts=np.array(blasts)[order],
                    specimen="drawn",
                )
            )
    for name, slides in sides.items():
        write(tmp_path / name, *slides)
    return tmp_path


def brute_force(folder: Path, key: str) -> tuple[int, int, int]:
    """Match the cells of two reports on one table of all distances, as D15 says it."""
    places, reach = [], []
    for name in "ab":
        with (folder / name / "slides" / key / "cells.csv").open(newline="") as file:
            boxes = np.array([[float(row[side]) for side in ("left", "top", "right", "bottom")] for row in csv.DictReader(file)])
        places.append((boxes[:, :2] + boxes[:, 2:]) / 2)
        reach.append((boxes[:, 2:] - boxes[:, :2]).mean(axis=1) / 2)
    apart = np.linalg.norm(places[0][:, None] - places[1][None], axis=2)
    allowed = apart <= np.minimum(reach[0][:, None], reach[1][None])
    rows, columns = linear_sum_assignment(np.where(allowed, apart, 1e9))
    matched = int(allowed[rows, columns].sum())
    return matched, len(places[0]) - matched, len(places[1]) - matched


def test_drawn_smears_are_compared_as_by_brute_force(drawn: Path) -> None:
    done = run(drawn / "a", drawn / "b", "--out", drawn / "out", "--truth", drawn / "truth", "--json")
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    assert record == json.loads((drawn / "out" / "comparison.json").read_text())
    for each in record["slides"]:
        found = each["cells"]
        assert (found["matched"], found["only_a"], found["only_b"]) == brute_force(drawn, each["slide"])
        assert found["matched"] > 90
        assert found["only_a"] > 20
    with (drawn / "out" / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for each in record["slides"]:
        mine = [row["where"] for row in rows if row["slide"] == each["slide"]]
        assert {kind: mine.count(kind) for kind in ("both", "only A", "only B")} == {
            "both": each["cells"]["matched"],
            "only A": each["cells"]["only_a"],
            "only B": each["cells"]["only_b"],
        }
    assert 0.75 < record["a"]["truth"]["cells"]["recall"]["value"] < 0.95
    assert record["summary"][0] in done.stderr.replace("\n", " ")


def test_the_same_bytes_every_time(drawn: Path) -> None:
    contents = []
    for name in ("out", "again"):
        assert run(drawn / "a", drawn / "b", "--out", drawn / name).exit_code == 0
        folder = drawn / name
        contents.append({path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {
        "cells.csv",
        "comparison.csv",
        "comparison.json",
        "index.html",
        *(f"slides/{n}.tif/index.html" for n in "01"),
    }
    for name, content in contents[0].items():
        assert NOTICE.encode() in content, f"{name} lacks the notice"
        assert str(drawn).encode() not in content, f"{name} says where it lies"


def test_a_report_with_itself(drawn: Path) -> None:
    done = run(drawn / "a", drawn / "a", "--out", drawn / "out", "--json")
    record = json.loads(done.stdout)
    assert (record["cells"]["only_a"], record["cells"]["only_b"]) == (0, 0)
    assert record["calls"]["kappa"] == 1
    assert record["fractions"]["bland_altman"]["bias"] == 0
    assert (record["a"]["name"], record["b"]["name"]) == ("a A", "a B")
    assert "are called alike" in " ".join(record["summary"])


def links(page: Path) -> Iterator[Path]:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if not link.startswith("data:"):
            yield page.parent / unquote(unescape(link))


def test_an_earlier_comparison_is_replaced_and_nothing_else(drawn: Path) -> None:
    out = drawn / "out"
    assert run(drawn / "a", drawn / "a", "--out", out).exit_code == 0
    assert run(drawn / "a", drawn / "b", "--out", out).exit_code == 0
    assert json.loads((out / "comparison.json").read_text())["cells"]["only_a"] > 0
    assert not list(drawn.glob(".out-*"))
    (drawn / "full").mkdir()
    (drawn / "full" / "letter.txt").write_text("mine")
    for place, reason in (
        (drawn / "full", "is no comparison"),
        (drawn / "a", "holds the report"),
        (drawn, "holds the report"),
        (drawn / "b" / "x", "lies in"),
    ):
        done = run(drawn / "a", drawn / "b", "--out", place)
        assert done.exit_code == 2
        assert reason in done.stderr
    assert (drawn / "full" / "letter.txt").read_text() == "mine"
    assert not (drawn / "b" / "x").exists()


def test_what_is_in_the_way_is_said_before_anything_is_scanned(tmp_path: Path, slide, write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smearscan.cli.compare._scan", lambda *_: pytest.fail("it scans"))
    write(tmp_path / "report", slide(places=[[100, 100]]))
    (tmp_path / "mine" / "window-vs-nuclei").mkdir(parents=True)
    (tmp_path / "mine" / "window-vs-nuclei" / "letter.txt").write_text("mine")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("mine")
    for place, reason in (("report", "is a report"), ("report/x", "is a report"), ("mine", "is no comparison"), ("site", "is no page of")):
        done = run(tmp_path, "--modes", "window,nuclei", "--out", tmp_path / place)
        assert done.exit_code == 2
        assert reason in done.stderr
    assert (tmp_path / "site" / "index.html").read_text() == "mine"


def test_a_slide_on_which_the_program_failed_does_not_stop_a_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smearscan.night.prepare", lambda *_: None)
    monkeypatch.setattr("smearscan.night.run", lambda *_: SimpleNamespace(seconds=1.0, exit_code=ExitCode.BUG))
    with pytest.raises(SystemExit) as ended:
        scan_one_way(ScanConfig(), tmp_path, Found((), ()), {})
    assert ended.value.code == ExitCode.SOME_NOT_DONE


def test_why_a_finished_report_gives_no_heat_maps_is_said(tmp_path: Path, slide, write) -> None:
    folder = write(tmp_path / "a", slide(places=[[100, 100]]))
    assert "does not say which one model" in explainer_of(read_report(folder))[1]
    for named, why in (("nowhere/model", "nowhere"), ("drawn-cells", "drawn-cells is another model now")):
        (folder / "run.json").write_text(json.dumps({"program": "smearscan", "settings": {"classifier": named}}))
        explainer, said = explainer_of(read_report(folder))
        assert explainer is None
        assert said.startswith("a: cells that it keeps no picture of have no heat map, for ")
        assert why in said


def test_labels_of_other_slides_are_said(drawn: Path) -> None:
    (drawn / "other.csv").write_text("slide,x,y,class\nelse.tif,10,10,blast\n")
    assert (
        "other.csv names no cell of these slides"
        in run(drawn / "a", drawn / "b", "--out", drawn / "out", "--truth", drawn / "other.csv").stderr
    )
    assert "names no cell" not in run(drawn / "a", drawn / "b", "--out", drawn / "out", "--truth", drawn / "truth").stderr
    gone = run(drawn / "a", drawn / "b", "--out", drawn / "out", "--truth", drawn / "gone.csv")
    assert gone.exit_code == 2
    assert gone.stderr.endswith("gone.csv cannot be read: No such file or directory.\n")


def test_slides_that_cannot_be_compared_are_named(tmp_path: Path, slide, failed, write) -> None:
    grid = [[300 + 90 * n, 500] for n in range(30)]
    write(tmp_path / "a", slide("one.tif", places=grid), failed("two.tif"))
    write(tmp_path / "b", slide("one.tif", places=grid), slide("two.tif", places=grid))
    done = run(tmp_path / "a", tmp_path / "b", "--out", tmp_path / "out")
    assert done.exit_code == 3
    assert "two.tif: a did not scan it (unreadable): It is truncated: copy it again." in done.stderr
    with (tmp_path / "out" / "comparison.csv").open(newline="") as file:
        rows = {row["slide"]: row for row in csv.DictReader(file)}
    assert [rows[key]["compared"] for key in ("one.tif", "two.tif")] == ["cells", "none"]
    assert (rows["two.tif"]["matched"], rows["two.tif"]["cells_b"]) == ("", "30")
    write(tmp_path / "c", slide("other.tif", places=grid))
    assert run(tmp_path / "a", tmp_path / "c", "--out", tmp_path / "out").exit_code == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a"], "Name two reports"),
        (["a", "b", "--modes", "nuclei"], "nothing to compare"),
        (["a", "--modes", "nuclei,magic"], "There is no detector magic"),
        (["a", "--thresholds", "0.5,0.5"], "would be called threshold-0.5"),
        (["a", "nowhere"], "is no smearscan report"),
    ],
)
def test_wrong_use_is_said(tmp_path: Path, slide, write, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a", slide(places=[[100, 100]]))
    monkeypatch.chdir(tmp_path)
    done = run(*arguments, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert said in done.stderr


def check_links_to_cells(page: Page, compared: Path) -> None:
    """Follow links of a slide's galleries: each report shows the cell, be it one of its own gallery or not."""
    addresses = sorted({urljoin(compared.as_uri(), unescape(link)) for link in TO_CELLS.findall(compared.read_text(encoding="utf-8"))})
    arrived = set()
    for address in addresses[:: len(addresses) // 24 + 1]:
        page.open("about:blank")
        page.open(address)
        shown = page.run("[document.activeElement.closest('li')?.id, document.getElementById('detail-title').textContent]")
        tile, title = shown if page.run("document.getElementById('detail').open") else (shown[0], None)
        cell = address.rpartition("#cell-")[2]
        assert title == f"Cell {cell}" if title else tile == f"cell-{cell}", address
        arrived.add(bool(title))
    assert arrived == {True, False}


@pytest.mark.slow
def test_slides_are_scanned_in_two_modes_first(tmp_path: Path) -> None:
    (tmp_path / "slides" / "case 1").mkdir(parents=True)
    plan = SmearPlan(width=1700, height=1300, mpp=0.25, seed=3, white_cells=40, blast_fraction=0.4)
    smear, path = plan_smear(plan), tmp_path / "slides" / "case 1" / "blood.tif"
    write_smear(smear, path)
    # What lies beside the slides when the second mode begins, the report of the first, is nothing to scan.
    out = tmp_path / "slides" / "out"
    arguments = [tmp_path / "slides", "--modes", "window,nuclei", "--classifier", "drawn-cells", "--workers", "1", "--overlays", "4"]
    done = run(*arguments, "--out", out, "--json")
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    assert (record["a"]["slides"], record["b"]["slides"]) == (1, 1)
    assert record["b"]["truth"]["cells"]["recall"]["value"] > 0.9
    assert record["a"]["crops"] > 5 * record["b"]["crops"]
    assert record["a"]["cost"]["peak_memory_bytes"] > 0
    folder = out / "window-vs-nuclei"
    pages = sorted(folder.rglob("index.html"))
    assert len(pages) == 2
    for page in pages:
        missing = [link for link in links(page) if not link.exists()]
        assert not missing, f"{page} links what is not there"
    text = (folder / "slides" / "case 1" / "blood.tif" / "index.html").read_text()
    assert "keeps no picture" not in text, "what a report does not keep is cut from the slide"
    assert 'class="heat"' in text
    if find_browser():
        with Browser(str(find_browser()), tmp_path / "profile") as browser:
            page = browser.page()
            for address in pages:
                for width, dark in ((1280, False), (400, True)):
                    page.look(width, 900, dark=dark)
                    page.open(address.as_uri())
                    assert page.errors == []
                    assert page.run("document.documentElement.scrollWidth") <= width, f"{address} is wider than {width} px"
            page.press("h")
            assert page.run("document.body.classList.contains('heated')")
            check_links_to_cells(page, folder / "slides" / "case 1" / "blood.tif" / "index.html")
    finished = run(out / "window", out / "nuclei", "--slides", tmp_path / "slides", "--out", tmp_path / "finished")
    assert finished.exit_code == 0, finished.stderr
    assert "no heat map" not in finished.stderr
    text = (tmp_path / "finished" / "slides" / "case 1" / "blood.tif" / "index.html").read_text()
    assert text.count('class="heat"') == text.count('class="shot"') > 20, "both reports' models are at hand: every cell has a heat map"
    again = run(*arguments, "--out", out)
    assert again.exit_code == 0
    assert "took" not in again.stderr, "a run that found everything done says nothing of its cost"
