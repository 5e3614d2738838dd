"""Three reports, each two of them compared: one table, one page that leads to all."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from smearscan.compare import read_report
from smearscan.compare.overview import publish_overview, sides_of
from smearscan.compare.publishing import publish
from smearscan.results import NOTICE

GRID = [[300 + 100 * column, 200 + 100 * row] for row in range(10) for column in range(10)]
BLASTS = {"first": 10, "second & co": 20, "third": 60}


def compared(folder: Path, slides: dict[str, list[Any]], write) -> dict[str, Any]:
    """Write the reports, compare each two, and return the records by their folders."""
    for name, reported in slides.items():
        write(folder / name, *reported)
    reports = [read_report(folder / name) for name in slides]
    pairs = [(a, b, f"{a.name}-vs-{b.name}") for a, b in combinations(reports, 2)]
    return {name: publish(a, b, None, folder / name)[1] for a, b, name in pairs}


def blasts(count: int) -> list[bool]:
    return [True] * count + [False] * (100 - count)


def test_each_report_is_said_once(tmp_path: Path, slide, write) -> None:
    slides = {name: [slide("1.tif", places=GRID, blasts=blasts(n)), slide("2.tif", places=GRID)] for name, n in BLASTS.items()}
    slides["third"][1] = slide("2.tif", places=GRID[:40])  # too few for a fraction
    sides = sides_of(list(compared(tmp_path, slides, write).values()))
    assert [side["name"] for side in sides] == list(BLASTS)
    assert [side["cells"] for side in sides] == [200, 200, 140]
    # Of the slide that has a fraction in all three.
    assert [side["fraction"] for side in sides] == [{"slides": 1, "mean": pytest.approx(n / 100)} for n in BLASTS.values()]


def test_reports_of_other_slides_have_no_one_table(tmp_path: Path, slide, write) -> None:
    slides = {name: [slide("1.tif", places=GRID), slide("2.tif", places=GRID)] for name in BLASTS}
    slides["third"] = [slide("1.tif", places=GRID), slide("3.tif", places=GRID)]
    records = compared(tmp_path, slides, write)
    # Without a truth all that is said of a report is of all its slides.
    assert len(sides_of(list(records.values()))) == 3
    records["first-vs-third"]["a"]["crops"] += 1
    assert sides_of(list(records.values())) == []
    publish_overview(records, tmp_path)
    assert "There is no one table" in (tmp_path / "index.html").read_text()


def test_the_page_leads_to_all(tmp_path: Path, slide, write) -> None:
    records = compared(tmp_path, {name: [slide("1.tif", places=GRID, blasts=blasts(n))] for name, n in BLASTS.items()}, write)
    publish_overview(records, tmp_path)
    page = (tmp_path / "index.html").read_text()
    links = [part.partition('"')[0] for part in page.split('href="')[1:]]
    leading = {unquote(link) for link in links if link.endswith("index.html")}
    assert leading == {f"{name}/index.html" for name in [*BLASTS, *records]}
    assert all((tmp_path / name / "index.html").is_file() for name in records)
    assert NOTICE in page
    assert "second &amp; co against first" in page
    for record in records.values():
        assert record["summary"][1].replace("&", "&amp;") in page
