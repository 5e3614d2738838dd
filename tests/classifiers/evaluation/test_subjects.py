"""Per-subject tables: who is there, how their cells were called, and who is worst."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from classifiers.evaluation import evaluate
from smearscan.testing.evaluations import make_card, make_predictions, make_samples


def test_one_row_a_group_with_wilson_intervals() -> None:
    labels = [1] * 20 + [0] * 100 + [1, 0]
    groups = ["A"] * 20 + ["H"] * 100 + ["both"] * 2
    chances = [0.9] * 19 + [0.2] + [0.7] * 5 + [0.1] * 95 + [0.8, 0.3]
    rows = {each.group: each for each in evaluate(make_card(), make_predictions(chances), make_samples(labels, groups), draws=0).subjects}
    assert list(rows) == ["A", "H", "both"]
    ends = binomtest(19, 20).proportion_ci(method="wilson")
    assert (rows["A"].sensitivity.value, rows["A"].sensitivity.low) == pytest.approx((0.95, ends.low))
    assert rows["A"].specificity.value is None
    assert rows["A"].specificity.note == "the subject has blasts only"
    # The golden values of a plain fraction: 5 of 100 is 2.15 to 11.18 %, so 95 of 100 is 88.82 to 97.85 %.
    assert rows["H"].specificity.low == pytest.approx(0.8882, abs=5e-5)
    assert rows["H"].specificity.high == pytest.approx(0.9785, abs=5e-5)
    assert (rows["H"].cells, rows["H"].others_called, rows["H"].auc) == (100, 5, None)
    assert rows["H"].mean_probability == pytest.approx(0.13)
    assert rows["H"].brier == pytest.approx((5 * 0.49 + 95 * 0.01) / 100)
    assert rows["both"].auc == 1.0
    assert rows["both"].ece is None, "two cells are too few for 15 bins"


def test_the_worst_is_named_and_is_no_subject_of_a_few_cells() -> None:
    labels = [1] * 42 + [0] * 20
    groups = ["A"] * 20 + ["B"] * 20 + ["tiny"] * 2 + ["H"] * 20
    chances = [0.9] * 15 + [0.1] * 5 + [0.9] * 18 + [0.1] * 2 + [0.1] * 2 + [0.2] * 20
    spread = evaluate(make_card(), make_predictions(chances), make_samples(labels, groups), draws=0).spread
    assert (spread["sensitivity"].worst_group, spread["sensitivity"].worst) == ("A", 0.75)
    assert spread["sensitivity"].median == 0.75
    assert spread["sensitivity"].subjects == 3
    assert spread["specificity"].worst == 1.0
    assert spread["brier"].worst_group == "A"


def test_data_without_subjects_has_no_table_and_says_so() -> None:
    found = evaluate(make_card(), make_predictions([0.9, 0.1]), make_samples([1, 0]), draws=0)
    assert found.subjects == ()
    assert any("names no subjects" in each for each in found.notes)


def test_subjects_of_one_person_are_one_row() -> None:
    samples = make_samples([1, 1, 0], ["A20", "A21", "H"])
    joined = type(samples)(**{**samples.__dict__, "groups": ("A20+A21", "A20+A21", "H")})
    rows = evaluate(make_card(), make_predictions([0.9, 0.9, 0.1]), joined, draws=0).subjects
    assert [(each.group, each.subjects, each.cells) for each in rows] == [("A20+A21", ("A20", "A21"), 2), ("H", ("H",), 1)]
