"""Reports against truth tables and reviewed labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from smearscan.compare import compare, read_report
from smearscan.compare.truth import Hits, rates, role_of
from smearscan.intervals import wilson
from smearscan.labels import read_labels
from smearscan.testing.classifiers import fake_card

TRUTH = """x,y,diameter,class
100,100,50,blast
300,100,50,lymphocyte
500,100,50,blast
700,100,30,monocyte
900,100,50,smudge
1100,100,50,blast
"""


@pytest.fixture
def compared(tmp_path: Path, slide, write):
    """A report against itself, with a truth table beside."""
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "blood.truth.csv").write_text(TRUTH)
    places = [[105, 100], [300, 90], [500, 120], [720, 100], [900, 100], [1500, 100], [1700, 100]]
    report = read_report(write(tmp_path / "one", slide(places=places, blasts=[True, True, False, False, True, True, False])))
    return compare(report, report, read_labels(tmp_path / "truth"))


def test_hits_are_counted(compared) -> None:
    truth = compared.slides[0].a.truth
    # 720 is 20 px from a cell of 30 px: not it. The smudge is neither hit nor miss, though it is called blast.
    assert truth.cells == Hits(hit=3, missed=2, false=3)
    assert truth.blasts == Hits(hit=1, missed=2, false=2)
    assert (truth.true_cells, truth.true_blasts, truth.true_fraction) == (5, 3, 0.6)


def test_misses_are_sorted_by_size(compared) -> None:
    # 30 px are 7.5 um, 50 px 12.5 um.
    assert compared.slides[0].a.truth.missed_by_size == ((1, 1), (0, 0), (0, 0), (1, 4), (0, 0), (0, 0))


def test_rates_are_wilson_s_for_few_slides(compared) -> None:
    found = compared.truth_a.cells
    assert found["recall"].value == 0.6
    assert found["recall"].interval == wilson(3, 5)
    assert found["precision"].interval == wilson(3, 6)
    assert found["f1"].value == pytest.approx(6 / 11)
    union = wilson(3, 8)
    assert found["f1"].interval.low == pytest.approx(2 * union.low / (1 + union.low))
    assert found["f1"].interval.low < 6 / 11 < found["f1"].interval.high


def test_slides_are_drawn_where_there_are_several() -> None:
    uneven = [Hits(100, 0, 0), Hits(100, 0, 0), Hits(50, 50, 0), Hits(100, 0, 0), Hits(20, 80, 0), Hits(100, 0, 0)]
    drawn, once_more = rates(uneven), rates(uneven)
    assert drawn == once_more, "seeded"
    assert drawn["recall"].method == "slides drawn"
    assert drawn["recall"].value == pytest.approx(470 / 600)
    cells_alone = wilson(470, 600)
    interval = drawn["recall"].interval
    assert interval is not None
    assert interval.high - interval.low > 3 * (cells_alone.high - cells_alone.low), "slides differ more than cells do"


def test_nothing_to_find_is_no_rate() -> None:
    found = rates([Hits()])
    assert [found[name].value for name in ("recall", "precision", "f1")] == [None, None, None]
    assert rates([Hits()] * 6)["recall"].interval is None


def test_labels_by_cell_know_only_found_cells(tmp_path: Path, slide, write) -> None:
    report = read_report(write(tmp_path / "one", slide(places=[[100, 100], [300, 100], [500, 100]], blasts=[True, True, False])))
    (tmp_path / "reviewed.csv").write_text("slide,cell,label\nblood.tif,x000100y000100,blast\nblood.tif,x000300y000100,other\n")
    found = compare(report, report, read_labels(tmp_path / "reviewed.csv"))
    truth = found.slides[0].a.truth
    assert truth is not None
    assert truth.cells is None
    assert truth.blasts == Hits(hit=1, missed=0, false=1)
    assert found.truth_a is not None
    assert found.truth_a.cells is None
    assert found.truth_a.fraction_error is None


def test_places_without_a_diameter_reach_as_far_as_the_cell(tmp_path: Path, slide, write) -> None:
    report = read_report(write(tmp_path / "one", slide(places=[[100, 100], [300, 100]], diameters=[50, 50])))
    (tmp_path / "places.csv").write_text("slide,x,y,class\nblood.tif,120,100,blast\nblood.tif,330,100,other\n")
    truth = compare(report, report, read_labels(tmp_path / "places.csv")).slides[0].a.truth
    assert truth is not None
    assert truth.cells == Hits(1, 1, 1)
    assert truth.missed_by_size == ()


def test_labels_have_roles() -> None:
    card = fake_card()
    roles = {name: role_of(name.upper(), card) for name in card.classes}
    assert roles == dict(card.roles)
    assert role_of("Smudge", card) == "excluded"
    assert role_of("eosinophil", card) == "other"
    assert role_of("blast", card) == "blast"
