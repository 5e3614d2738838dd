"""Two reports held against each other: what is one cell, what is only in one, and what is said where that cannot be done."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from smearscan.compare import Comparison, compare, read_report
from smearscan.compare.comparison import SlideCells, SlideComparison
from smearscan.compare.record import comparison_record
from smearscan.errors import ConfigError, OutputError
from smearscan.labels import read_labels
from smearscan.reports.pages.comparison_page import mode_rows

GRID = [[300 + 100 * column, 200 + 100 * row] for row in range(10) for column in range(10)]


@pytest.fixture
def against(tmp_path, write):
    """Compare two lists of slides."""

    def compare_slides(a, b, truth: Path | None = None, names=("first", "second")) -> Comparison:
        reports = [read_report(write(tmp_path / name, *slides)) for name, slides in zip(names, (a, b), strict=True)]
        return compare(*reports, read_labels(truth) if truth else None)

    return compare_slides


def test_a_report_agrees_with_itself(tmp_path, slide, write) -> None:
    blasts = [index % 7 == 0 for index in range(100)]
    slides = [slide(f"{number}.tif", places=GRID, blasts=[*blasts[number:], *blasts[:number]], excluded=[3]) for number in range(3)]
    slides[2] = slide("2.tif", places=GRID, blasts=[False] * 100)
    report = read_report(write(tmp_path / "one", *slides))
    found = compare(report, report)
    assert [(each.level, each.only_a, each.only_b, each.verdict_changes) for each in found.slides] == [("cells", 0, 0, {})] * 3
    assert [each.matched for each in found.slides] == [99, 99, 100]
    assert found.calls.changed == 0
    assert found.calls.kappa == 1
    assert found.bland_altman is not None
    assert (found.bland_altman.bias, found.bland_altman.sd) == (0, 0)
    assert found.lin == pytest.approx(1)
    assert found.settings == ()


def test_what_both_have_and_what_one_has_alone(against, slide) -> None:
    a = slide(places=[[100, 100], [300, 300], [500, 500]], blasts=[True, False, True])
    b = slide(places=[[120, 100], [300, 330], [700, 700], [505, 500]], blasts=[False, False, True, True])
    (found,) = against([a], [b]).slides
    # 20 px apart is within half of 50 px, 30 px is not.
    assert (found.matched, found.only_a, found.only_b) == (2, 1, 2)
    assert found.calls is not None
    assert (found.calls.both_blast, found.calls.only_a_blast, found.calls.only_b_blast) == (1, 1, 0)


def test_the_smaller_of_two_diameters_decides(against, slide) -> None:
    a, b = slide(places=[[100, 100]], diameters=60), slide(places=[[125, 100]], diameters=40)
    assert against([a], [b]).slides[0].matched == 0


def test_excluded_cells_are_no_cells_and_are_said(against, slide) -> None:
    a = slide(places=[[100, 100], [300, 300]])
    b = slide(places=[[102, 100], [301, 300]], excluded=[1])
    (found,) = against([a], [b]).slides
    assert (found.matched, found.only_a, found.only_b) == (1, 1, 0)
    assert (found.left_out_by_b, found.left_out_by_a) == (1, 0)


def test_a_window_s_place_is_as_good_as_its_grid(against, slide) -> None:
    cells = slide(places=[[300, 300], [600, 600]], diameters=50)
    windows = slide(places=[[336, 336], [640, 640]], diameters=112, window=(112, 56))  # 51 and 57 px away
    (found,) = against([cells], [windows]).slides
    assert (found.matched, found.within_half_diameter) == (1, 0), "half a diameter is 25 px, half a step 28 px more"
    assert "28 px" in comparison_record(against([cells], [windows], names=("c", "d")))["matching"]


def test_of_a_window_and_a_cell_the_cell_s_diameter_decides(against, slide) -> None:
    cells = slide(places=[[300, 300], [600, 600]], diameters=80)
    windows = slide(places=[[360, 300], [670, 600]], diameters=112, window=(112, 56))
    # 60 px are within half of 80 px and the 28 px of half a step, 70 px are not; half of what a window stands for would be 28 px.
    assert [each.matched for each in against([cells], [windows]).slides] == [1]
    assert [each.matched for each in against([windows], [cells], names=("c", "d")).slides] == [1]


def test_windows_are_matched_with_windows(against, slide) -> None:
    places = [[56 + 112 * column, 56.0] for column in range(20)]
    a, b = (slide(places=shifted, diameters=112, window=(112, 56)) for shifted in (places, [[x + 56, y] for x, y in places]))
    (same,) = against([a], [a], names=("a", "a2")).slides
    assert (same.matched, same.only_a, same.within_half_diameter) == (20, 0, 20)
    (moved,) = against([a], [b], names=("a3", "b")).slides
    assert (moved.matched, moved.within_half_diameter) == (20, 0)


def test_other_slides_and_scales_are_said(against, slide, failed) -> None:
    a = [slide(f"{name}.tif", places=GRID, blasts=[True] * 100) for name in ("content", "gone", "mpp", "same")] + [failed("broken.tif")]
    b = [
        slide("content.tif", places=GRID, digest="cd"),
        slide("mpp.tif", places=GRID, mpp=0.5),
        slide("same.tif", places=GRID),
        slide("broken.tif", places=GRID),
        slide("new.tif", places=GRID),
    ]
    found = against(a, b)
    said = {each.key: (each.level, each.reason) for each in found.slides}
    assert said == {
        "broken.tif": ("none", "first did not scan it (unreadable): It is truncated: copy it again."),
        "content.tif": ("fractions", "The files differ, though they have one name and size. Only the fractions are compared."),
        "gone.tif": ("none", "second has no such slide."),
        "mpp.tif": (
            "fractions",
            "The scales differ: 0.25 um per pixel in first, 0.5 um per pixel in second. Only the fractions are compared.",
        ),
        "new.tif": ("none", "first has no such slide."),
        "same.tif": ("cells", ""),
    }
    assert len(found.fractions) == 3
    summary = comparison_record(found)["summary"]
    assert "not compared, for the two did not scan the same slides" in summary[-1]
    assert summary[0].startswith("1 of 6 slides were compared cell by cell; 2 by their fractions only, 3 not")


def test_two_scans_of_one_specimen_are_compared_by_their_fractions(against, slide) -> None:
    a = [slide("scanner1.tif", places=GRID, specimen="anna")]
    b = [slide("scanner2.tif", places=GRID, specimen="anna", digest="cd")]
    (found,) = against(a, b).slides
    assert (found.key, found.level) == ("scanner1.tif", "fractions")
    assert "same specimen" in found.reason


def test_verdicts_that_change_are_named(against, slide) -> None:
    none, many = [False] * 100, [True] * 60 + [False] * 40
    found = against([slide(places=GRID, blasts=none)], [slide(places=GRID, blasts=many)])
    changes = found.slides[0].verdict_changes
    assert changes
    assert all(after == "above" for _, after in changes.values())
    assert found.slides[0].difference == pytest.approx(0.6)
    assert found.lin is None, "one slide is no correlation"


def test_a_missing_column_is_named(tmp_path, slide, write) -> None:
    report = read_report(write(tmp_path / "one", slide(places=GRID)))
    table = next((tmp_path / "one").rglob("cells.csv"))
    table.write_text(table.read_text().replace("flagged", "marked").replace("left,", "links,"))
    with pytest.raises(OutputError, match=r"lacks the columns flagged, left"):
        next(iter(report.slides.values())).cells()
    (found,) = compare(report, report).slides
    assert found.level == "fractions"
    assert "lacks the columns flagged, left" in found.reason


def test_a_table_of_another_version_will_do(tmp_path, slide, write) -> None:
    """Columns may be more, fewer and in another order, as long as those that are needed are there."""
    report = read_report(write(tmp_path / "one", slide(places=GRID, excluded=[0])))
    before = next(iter(report.slides.values())).cells()
    path = next((tmp_path / "one").rglob("cells.csv"))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [*sorted({*rows[0]} - {"overlay", "x_um"}), "mood"]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, kept, restval="fine", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    after = next(iter(report.slides.values())).cells()
    assert after.ids == before.ids
    assert np.array_equal(after.boxes, before.boxes)
    assert np.array_equal(after.scores, before.scores)
    assert len(after.counted) == 99


def test_what_is_no_report_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="no smearscan report"):
        read_report(tmp_path)


def test_the_visitor_sees_every_cell(tmp_path, slide, write) -> None:
    a = read_report(write(tmp_path / "a", slide(places=GRID)))
    b = read_report(write(tmp_path / "b", slide(places=GRID[:50])))
    seen: list[tuple[SlideComparison, SlideCells | None]] = []
    compare(a, b, visit=lambda found, cells: seen.append((found, cells)))
    ((found, cells),) = seen
    assert cells is not None
    assert (len(cells.pairs.a), len(cells.pairs.b), found.only_a) == (100, 50, 50)


def test_the_mean_fraction_is_that_of_slides_that_have_one_in_both(against, slide) -> None:
    ten, thirty = ([True] * blasts + [False] * (100 - blasts) for blasts in (10, 30))
    a = [slide("1.tif", places=GRID, blasts=ten), slide("2.tif", places=GRID, blasts=thirty), slide("3.tif", places=GRID, blasts=thirty)]
    b = [slide("1.tif", places=GRID, blasts=thirty), slide("2.tif", places=GRID, blasts=thirty), slide("3.tif", places=GRID[:9])]
    record = comparison_record(against(a, b))
    assert record["a"]["fraction"] == {"slides": 2, "mean": pytest.approx(0.2)}
    assert record["b"]["fraction"] == {"slides": 2, "mean": pytest.approx(0.3)}
    rows = dict(mode_rows([record["a"], record["b"]]))
    assert [text for text, _ in rows["Fraction, mean of 2 slides"]] == ["20 %", "30 %"]


def test_costs_are_what_was_noted(against, slide) -> None:
    found = against([slide(places=GRID, excluded=range(50))], [slide(places=GRID)])
    cost = found.slides[0].a.cost
    assert (cost.seconds, cost.crops, cost.crops_per_cell) == (2.5, 100, 2.0)
    assert cost.pixels == pytest.approx(0.625e6 / 0.25**2)
    assert (found.cost_a.seconds, found.cost_a.peak_memory_bytes) == (12.0, None)
