"""The pages: what they say, that names cannot harm them, that links resolve, and that they can be made again from files."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from smearscan.ledger import read_records
from smearscan.reports import ReportWriter, SlideReport, slide_record
from smearscan.reports.cell_table import CellTable
from smearscan.reports.overlay_sheet import BACKGROUND_GREY, heat
from smearscan.reports.pages import SlidePage, batch_page, find_files, slide_page, wording, write_page
from smearscan.reports.pages.choosing import GALLERY_CELLS, SAMPLE_CELLS, SAMPLE_POOL, near_misses, rank
from smearscan.reports.pages.figures import root_percent, scale_bar
from smearscan.reports.pages.files import PageFiles
from smearscan.reports.pages.map_pictures import draw_areas
from smearscan.reports.pages.templating import TEMPLATES
from smearscan.results import HEAT_MAP_NOTICE, NOTICE, Scanned
from smearscan.testing.reports import ReportContract, fake_failure, fake_scanned

VOID = {"meta", "link", "img", "input", "br", "wbr"}
CELLS = {"td", "th", "p", "li", "button"}  # whose text does not touch that of the next


class TestSlidePage(ReportContract):
    @pytest.fixture
    def writer(self) -> ReportWriter:
        return SlidePage()


class Parsed(HTMLParser):
    """The elements of a page, checked to close in order, and its text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.scripts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " " if tag in CELLS else ""

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not self.open or self.open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def parse(path: Path) -> Parsed:
    return Parsed(path.read_text(encoding="utf-8"))


def page_of(slide: SlideReport, files: PageFiles | None = None) -> Parsed:
    cells = CellTable.from_scanned(slide) if isinstance(slide.outcome, Scanned) else None
    return Parsed(slide_page(slide_record(slide), cells, files or PageFiles()))


def pages(report: Path) -> list[Path]:
    found = sorted(report.rglob("index.html"))
    assert len(found) == 9
    return found


def test_every_page_carries_the_notice_and_a_policy_that_allows_its_own_script_only(report: Path) -> None:
    for path in pages(report):
        page = parse(path)
        assert NOTICE in page.words
        (policy,) = [each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
        code = page.scripts[-1]
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in policy
        assert policy.startswith("default-src 'none'")
        assert len(page.all("script")) == 2, "the data and the script"


def test_pages_are_whole_and_ask_for_nothing_from_elsewhere(report: Path) -> None:
    for path in pages(report):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest", text), path
        assert not re.search(r"<[^>]* on\w+=", text), "no script in attributes"


def test_every_link_and_picture_is_there(report: Path) -> None:
    for path in pages(report):
        page = parse(path)
        ids = Counter(each["id"] for _, each in page.elements if "id" in each)
        assert max(ids.values()) == 1, "no id twice"
        targets = [each[name] for _, each in page.elements for name in ("href", "src") if name in each and each[name] != "data:,"]
        assert targets
        for target in targets:
            file, _, fragment = target.partition("#")
            assert not fragment or unquote(fragment) in ids, target
            assert (path.parent / unquote(file)).exists() or not file, f"{target} in {path}"


def test_every_slide_is_linked_from_the_batch_page_and_leads_back(report: Path) -> None:
    links = {(report / unquote(each["href"])).resolve() for each in parse(report / "index.html").all("a")}
    for path in pages(report)[1:]:
        assert path.resolve() in links
        assert parse(path).all("a")[1]["href"].endswith("../index.html")


def test_a_hostile_name_stays_a_name(report: Path, slides: Mapping[str, SlideReport], folder_of: Callable[[str], Path]) -> None:
    (hostile,) = [slide for key, slide in slides.items() if "alert" in key]
    for path in (report / "index.html", folder_of(hostile.key) / "index.html"):
        page = parse(path)
        assert hostile.key in page.text
        assert hostile.specimen in page.text
        assert "<b>model</b>" in page.text
        assert not any("alert" in script for script in page.scripts)


def test_pictures_have_text_and_tables_have_header_cells(report: Path) -> None:
    for path in pages(report):
        page = parse(path)
        assert all(each.get("alt") for each in page.all("img"))
        assert all(each.get("scope") in ("col", "row") for each in page.all("th"))
        assert all(each.get("loading") == "lazy" for each in page.all("img") if "map" not in each["src"] or "thumb" in each["src"])


def test_pages_made_again_from_the_folder_are_the_same(report: Path) -> None:
    for record in read_records(report).values():
        folder = report / record["folder"]
        cells = CellTable.from_csv(folder / "cells.csv", record["classifier"]["classes"]) if record["count"] else None
        assert slide_page(record, cells, find_files(folder)) == (folder / "index.html").read_text(encoding="utf-8")
    again = batch_page(read_records(report).values(), date="2026-11-20T02:14")
    assert again == (report / "index.html").read_text(encoding="utf-8")


def test_the_batch_page_does_not_depend_on_the_order_of_its_records(report: Path) -> None:
    records = list(read_records(report).values())
    assert batch_page(reversed(records)) == batch_page(records)
    assert "02:14" not in batch_page(records), "no time that nobody gave"


def test_the_worst_slides_come_first(report: Path) -> None:
    rows = [each for each in parse(report / "index.html").all("tr") if "data-verdict" in each]
    order = ["not scanned", "above", "indeterminate", "insufficient", "below"]
    ranks = [order.index(each["data-verdict"]) for each in rows]
    assert ranks == sorted(ranks)
    assert {"not scanned", "insufficient"} < {each["data-verdict"] for each in rows}
    words = parse(report / "index.html").words
    assert "8 slides 6 scanned 0 partial 2 not scanned" in words


def test_a_slide_s_page_states_its_numbers_with_their_denominator() -> None:
    slide = fake_scanned()
    assert isinstance(slide.outcome, Scanned)
    count = slide.outcome.count
    assert count.fraction is not None
    assert count.wilson is not None
    words = page_of(slide).words
    assert f"{count.blasts} of {count.cells} cells flagged as blast" in words
    assert f"{wording.percent(count.fraction)} % apparent fraction, 95 % interval" in words
    assert f"{wording.percent(count.wilson.low)}-{wording.percent(count.wilson.high)} %" in words
    for verdict in count.verdicts:
        assert f"{100 * verdict.threshold:g} % {verdict.verdict}" in words
    assert "none: the card carries no per-subject counts" in words
    assert "0.25 µm per pixel, from file" in words
    for sentence in slide.outcome.flags:
        assert sentence in words


def test_more_than_two_classes_are_listed_each() -> None:
    words = page_of(fake_scanned()).words
    assert re.search(r"smudge excluded \d+ -none: excluded from the count", words)


def test_windows_are_told_from_cells() -> None:
    slide = fake_scanned(cells=900, windows=True)
    words = page_of(slide).words
    assert "Windows of 112 px, step 56 px: windows are not cells, and their share is no blast percentage" in words
    assert "windows are not cells" not in page_of(fake_scanned()).words
    text = batch_page([slide_record(slide)])
    assert "windows, not cells: " in text
    assert "112 px, step 56" in text


@pytest.mark.parametrize(("cells", "reason"), [(0, "No white cell was counted"), (30, "cells are too few for a percentage")])
def test_no_percentage_where_there_is_none(cells: int, reason: str) -> None:
    page = page_of(fake_scanned(cells=cells))
    assert reason in page.words
    assert "apparent fraction" not in page.words
    assert "No verdict on too few cells" in page.words
    batch = Parsed(batch_page([slide_record(fake_scanned(cells=cells))]))
    assert any(reason in each.get("title", "") for each in batch.all("span")), "the reason stands behind the dash"


@pytest.mark.parametrize("status", ["unreadable", "failed", "timed_out", "stopped"])
def test_a_slide_that_was_not_scanned_says_why_and_what_to_do(status: str) -> None:
    slide = fake_failure(status=status, traceback="Traceback\n" if status == "failed" else None)
    words = page_of(slide, PageFiles(frozenset({"traceback.txt"} if status == "failed" else ()))).words
    assert "monday/broken.tif is truncated: copy it again." in words
    assert " ".join(wording.WHAT_TO_DO[status].split()) in words
    assert "not reached" in batch_page([slide_record(slide)]) or status != "stopped"


def test_a_slide_that_failed_by_no_bug_is_not_blamed_on_the_program() -> None:
    words = page_of(fake_failure(status="failed")).words
    assert " ".join(wording.WHAT_TO_DO["refused"].split()) in words
    assert "traceback" not in words
    assert "fault of the program" not in words


def test_every_page_says_what_the_classifier_is_and_is_not(report: Path, slides: Mapping[str, SlideReport]) -> None:
    (summary,) = {slide.card.summary for slide in slides.values()}
    assert summary
    for path in pages(report):
        assert summary in parse(path).words


def test_a_setting_of_nothing_but_blanks_is_not_set() -> None:
    slide = dataclasses.replace(fake_scanned(), science={"window": [None, None, None], "sides": [112, None]})
    words = page_of(slide).words
    assert "window -none: not set" in words
    assert "sides 112, -" in words


def test_a_traceback_is_linked_where_there_is_one(folder_of: Callable[[str], Path]) -> None:
    assert {"href": "traceback.txt"} in parse(folder_of("tuesday/crash.tif") / "index.html").all("a")
    assert {"href": "traceback.txt"} not in parse(folder_of("tuesday/broken.tif") / "index.html").all("a")


def test_the_gallery_shows_flagged_cells_by_score_with_what_there_is_of_them(folder_of: Callable[[str], Path]) -> None:
    folder = folder_of("monday/a.tif")
    page = parse(folder / "index.html")
    scores = [float(text) for text in re.findall(r'class="score">(?:&[lg]t; )?([\d.]+)<', (folder / "index.html").read_text("utf-8"))]
    cells = CellTable.from_csv(folder / "cells.csv", ("blast", "other", "smudge"))
    flagged = int(cells.flagged.sum())
    assert scores[:flagged] == sorted(scores[:flagged], reverse=True)
    assert min(scores[:flagged]) >= 0.5 > max(scores[flagged:])
    assert len(scores) == flagged + SAMPLE_CELLS
    crops = [each for each in page.all("img") if each.get("class") == "crop"]
    heated = [each for each in page.all("img") if each.get("class") == "heat"]
    assert len(crops) == len(heated) == len(list((folder / "overlays").glob("crop-*.png"))) == 3
    for each in [*crops, *heated]:
        assert each["alt"].endswith(each["src"].split("-", 1)[1].removesuffix(".png")), "picture and name belong together"
    assert "no picture: it is past the number of pictures a slide" in page.words
    assert HEAT_MAP_NOTICE in page.words
    bare = page_of(fake_scanned())
    assert "no picture: this run made none" in bare.words
    assert HEAT_MAP_NOTICE not in bare.words


def test_the_data_for_the_map_are_the_table_s(slides: Mapping[str, SlideReport]) -> None:
    slide = slides["monday/a.tif"]
    cells = CellTable.from_scanned(slide)
    data = json.loads(page_of(slide).scripts[0])
    assert [f"x{x:06d}y{y:06d}" for x, y in zip(data["x"], data["y"], strict=True)] == list(cells.ids)
    assert [mark == 1 for mark in data["mark"]] == cells.flagged.tolist()
    assert [mark == 2 for mark in data["mark"]] == [bool(reason) for reason in cells.excluded]
    scores = slide.card.blast_probability(cells.probabilities)
    assert np.allclose(np.array(data["score"]) / 1000, scores, atol=6e-4)


def test_cells_on_one_pixel_keep_their_own_names() -> None:
    slide = fake_scanned(cells=2)
    assert isinstance(slide.outcome, Scanned)
    boxes = np.array([[10, 10, 50, 50]] * 2, np.float32)
    twice = dataclasses.replace(
        slide, outcome=dataclasses.replace(slide.outcome, cells=dataclasses.replace(slide.outcome.cells, boxes=boxes))
    )
    assert json.loads(page_of(twice).scripts[0])["ids"] == {"1": "x000030y000030-2"}


def test_a_very_full_gallery_is_cut_and_says_so() -> None:
    slide = fake_scanned(cells=9500, seed=9)
    page = page_of(slide)
    tiles = [each for each in page.all("button") if each.get("class") == "tile"]
    assert len(tiles) == GALLERY_CELLS + SAMPLE_CELLS
    assert isinstance(slide.outcome, Scanned)
    assert f"The 1,000 highest of {slide.outcome.count.blasts:,}" in page.words


def test_near_misses_are_drawn_from_the_nearest_and_are_the_same_every_time() -> None:
    scores = np.random.default_rng(2).random(500) / 2
    candidates, nothing = np.arange(500) % 3 > 0, np.zeros(500, bool)
    rows = near_misses(scores, candidates, nothing, "a.tif")
    ranked = [row for row in np.argsort(-scores) if candidates[row]]
    assert len(set(rows.tolist())) == SAMPLE_CELLS
    assert set(rows.tolist()) <= set(ranked[:SAMPLE_POOL])
    assert (np.diff(scores[rows]) <= 0).all()
    assert np.array_equal(rows, near_misses(scores, candidates, nothing, "a.tif"))
    assert not np.array_equal(rows, near_misses(scores, candidates, nothing, "b.tif"))
    assert len(near_misses(scores, nothing, nothing, "a.tif")) == 0
    assert near_misses(scores, scores > np.sort(scores)[-6], nothing, "a.tif").tolist() == np.argsort(-scores)[:5].tolist()


def test_of_scores_that_read_alike_those_with_a_picture_come_first() -> None:
    scores = np.array([0.99999, 0.99998, 0.9999, 0.97, 0.98, 0.2])
    pictured, wanted = np.array([0, 1, 1, 1, 0, 1], bool), np.array([1, 1, 1, 1, 1, 0], bool)
    assert rank(scores, wanted, pictured).tolist() == [1, 2, 0, 4, 3]
    assert rank(scores, wanted).tolist() == [0, 1, 2, 4, 3]


def test_near_misses_that_the_scan_made_pictures_of_are_the_sample() -> None:
    slide = fake_scanned()
    cells = CellTable.from_scanned(slide)
    shown = np.flatnonzero(~cells.flagged & (np.array(cells.excluded) == ""))[[3, 9]]
    page = page_of(slide, PageFiles(frozenset(f"overlays/crop-{cells.ids[row]}.png" for row in shown)))
    ids = [each["id"] for each in page.all("li") if "id" in each]
    assert set(ids[int(cells.flagged.sum()) :]) == {f"cell-{cells.ids[row]}" for row in shown}
    assert "2 of the cells that score nearest to 0.5 from below" in page.words


def test_what_was_left_out_is_hatched_by_reason_and_the_rest_is_clear(slides: Mapping[str, SlideReport]) -> None:
    outcome = slides["monday/a.tif"].outcome
    assert isinstance(outcome, Scanned)
    assert outcome.slide_map is not None
    drawn = draw_areas(outcome.slide_map)
    assert drawn is not None
    alpha = np.asarray(drawn.convert("RGBA"))[:, :, 3]
    assert not alpha[520:1080].any(), "nothing was left out in the middle"
    corners = [alpha[rows, columns] for rows in (slice(0, 480), slice(-480, None)) for columns in (slice(0, 480), slice(-480, None))]
    assert all(corner.all() for corner in corners), "a corner is washed and hatched"
    assert len({(corner > 150).tobytes() for corner in corners}) == 4, "each reason has a pattern of its own"
    nothing = dataclasses.replace(outcome.slide_map, reasons=np.zeros((1, 1), np.uint8), square=1e6)
    assert draw_areas(nothing) is None


def test_the_map_is_a_png_and_the_thumbnail_is_small(folder_of: Callable[[str], Path]) -> None:
    folder = folder_of("monday/a.tif")
    with Image.open(folder / "map.png") as picture, Image.open(folder / "map-areas.png") as areas:
        assert picture.size == (400, 400)
        assert areas.size == (1600, 1600), "a hatch is finer than what it covers"
    for name in ("map.png", "map-areas.png", "thumbnail.jpg"):
        with Image.open(folder / name) as picture:
            said = picture.info.get("Comment", picture.info.get("comment", b""))
            assert (said if isinstance(said, str) else said.decode()) == NOTICE, name
    assert (folder / "thumbnail.jpg").stat().st_size < 40_000
    assert find_files(folder).sizes["map.png"] == (400, 400)


@pytest.mark.parametrize(
    ("width", "mpp", "text"),
    [(4000, 0.25, "200 µm"), (100_000, 0.25, "5 mm"), (400, 0.05, "2 µm"), (4000, None, "500 px"), (1, 0.25, "0.05 µm")],
)
def test_a_scale_bar_is_a_round_length_that_fits(width: int, mpp: float | None, text: str) -> None:
    bar = scale_bar(width, mpp)
    assert bar.text == text
    number, unit = text.split()
    length = float(number) * {"µm": 1, "mm": 1000, "px": 1}[unit]
    assert bar.share == pytest.approx(length / (width * (mpp or 1)))
    assert 0.08 < bar.share <= 0.22


@pytest.mark.parametrize(("fraction", "place"), [(0, "0.00"), (0.01, "10.00"), (0.2, "44.72"), (1, "100.00"), (1.2, "100.00")])
def test_fractions_stand_on_a_square_root_scale(fraction: float, place: str) -> None:
    assert root_percent(fraction) == place


@pytest.mark.parametrize(
    ("fraction", "text"), [(0, "0"), (0.0005, "0.05"), (0.0099, "0.99"), (0.0321, "3.2"), (0.0996, "10"), (0.34, "34"), (1, "100")]
)
def test_percentages_have_two_digits_below_ten(fraction: float, text: str) -> None:
    assert wording.percent(fraction) == text


def test_colours_of_text_are_told_from_the_paper_in_both_themes() -> None:
    themes = re.findall(r":root \{([^}]*)\}", (TEMPLATES / "style.css").read_text("utf-8"))
    assert len(themes) == 2
    for theme in themes:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", theme))
        for text in ("ink", "quiet", "accent"):
            for ground in ("paper", "raised"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground, theme)
        assert contrast(colours["paper"], colours["accent"]) >= 4.5, "a pressed button"
        for mark in ("#d55e00", "#0072b2", "#888888"):
            assert contrast(mark, colours["paper"]) >= 3, "a mark"


def test_the_colours_of_heat_maps_on_a_page_are_those_of_the_overlays() -> None:
    style = (TEMPLATES / "style.css").read_text("utf-8")
    found = re.search(r"\.colours i \{[^}]*linear-gradient\(90deg, ([^)]*)\)", style)
    assert found
    stops = [tuple(bytes.fromhex(stop.strip("# "))) for stop in found[1].split(",")]
    values = np.tile(np.linspace(0, 1, len(stops), dtype=np.float32), (len(stops), 1))
    drawn = heat(np.full((len(stops), len(stops), 3), BACKGROUND_GREY, np.uint8), values)[0]
    np.testing.assert_allclose(stops, drawn, atol=3)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2: relative luminance, and the ratio of two."""

    def luminance(colour: str) -> float:
        channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_a_key_that_is_no_text_stays_legible(
    tmp_path: Path, write_report: Callable[[Path, Iterable[SlideReport]], list[Mapping[str, Any]]]
) -> None:
    slide = fake_scanned("monday/\udcff.tif")
    write_report(tmp_path / "report", [slide])
    links = [unquote(each["href"]) for each in parse(tmp_path / "report" / "index.html").all("a") if "slides" in each["href"]]
    assert all((tmp_path / "report" / link).is_file() for link in links)
    assert links
    write_page(tmp_path, "\udcff")
    assert (tmp_path / "index.html").read_text("utf-8") == "\\udcff"
