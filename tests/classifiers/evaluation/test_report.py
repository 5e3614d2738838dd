"""Several models on one set: what is compared, what is shown, and the tables that the rest can be recomputed from."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import roc_auc_score

from classifiers.base import NOTICE, Explainer, Predictions
from classifiers.datasets import Samples
from classifiers.evaluation import EvaluationError
from classifiers.evaluation.drawing import DARK, LIGHT, to_png
from classifiers.evaluation.galleries import choose_cells
from classifiers.evaluation.json_record import record
from classifiers.evaluation.plots import plots
from classifiers.evaluation.report import Candidate, Options, Report, compare_models
from classifiers.evaluation.tables import Table, tables
from smearscan.results import NOTICE as HOUSE_NOTICE
from smearscan.testing.evaluations import Redness, make_card

Pictures = Callable[[Sequence[int], Sequence[int], Sequence[str]], Samples]


class Greenish(Redness):
    """Says the same as Redness of most cells, and the contrary of the reddest."""

    def predict(self, crops: NDArray[np.uint8]) -> Predictions:
        found = super().predict(crops)
        turned = found.probabilities[:, 1] > 0.8
        return Predictions(np.where(turned[:, None], found.probabilities[:, ::-1], found.probabilities), found.classes)


class Corner(Explainer):
    """Looks at the upper left."""

    def explain(self, crops: NDArray[np.uint8], class_name: str, show: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        assert class_name == "blast"
        maps = np.zeros(crops.shape[:3], np.float32)
        maps[:, :4, :4] = 1
        return maps


@pytest.fixture
def samples(pictures: Pictures) -> Samples:
    rng = np.random.default_rng(0)
    labels = [row % 2 for row in range(60)]
    reds = [int(np.clip(80 + 90 * label + rng.normal(0, 50), 0, 255)) for label in labels]
    return pictures(reds, labels, [f"S{row % 10}" for row in range(60)])


@pytest.fixture
def report(samples: Samples) -> Report:
    candidates = [Candidate("red", Redness(), explainer=Corner()), Candidate("green", Greenish())]
    return compare_models(candidates, samples, Options(draws=100, surest=2, by_chance=2))


def column(table: Table, name: str, **where: str) -> list[object]:
    places = {each: index for index, each in enumerate(table.columns)}
    return [row[places[name]] for row in table.rows if all(row[places[key]] == value for key, value in where.items())]


def test_numbers_can_be_recomputed_from_the_table_of_predictions(report: Report) -> None:
    found = tables(report)
    table = found["predictions.csv"]
    chances = np.array(column(table, "blast_probability", model="green"), float)
    truth = np.array(column(table, "role", model="green")) == "blast"
    stated = column(found["metrics.csv"], "value", model="green", question="blast", metric="auc")
    assert stated[0] == pytest.approx(roc_auc_score(truth, chances), abs=1e-6)
    called = np.array(column(table, "called_blast", model="green"), bool)
    assert (called == (chances >= 0.5)).all()
    share = column(found["metrics.csv"], "value", model="green", question="blast", metric="recall", **{"class": "blast"})[0]
    assert share == pytest.approx(called[truth].mean())
    cells = column(found["confusion.csv"], "cells", model="green", **{"is": "blast", "called": "blast"})
    assert cells == [int(called[truth].sum())]
    assert len(table.rows) == 2 * len(report.samples)
    assert set(column(table, "training_part")) == {"unknown"}
    assert all(len(set(each.columns)) == len(each.columns) for each in found.values())


def test_errors_are_listed_with_how_many_models_miss_them(report: Report) -> None:
    assert report.errors is not None
    table = tables(report)["errors.csv"]
    missed = [int(str(each)) for each in column(table, "missed_by")]
    assert sorted(set(missed)) == [1, 2]
    assert (missed.count(1), missed.count(2)) == report.errors.missed_by[1:]
    wrong = {report.samples.files[row] for row in report.errors.rows[report.errors.times_missed > 0].tolist()}
    assert set(column(table, "file")) == wrong


def test_subjects_stand_in_a_table(report: Report) -> None:
    table = tables(report)["subjects.csv"]
    assert column(table, "group", model="red") == sorted(f"S{row}" for row in range(10))
    assert sum(int(str(each)) for each in column(table, "cells", model="red")) == 60


def test_the_record_is_plain_json_and_the_same_every_time(report: Report, samples: Samples) -> None:
    candidates = [Candidate("red", Redness(), explainer=Corner()), Candidate("green", Greenish())]
    again = compare_models(candidates, samples, Options(draws=100, surest=2, by_chance=2))
    assert json.dumps(record(report), allow_nan=False) == json.dumps(record(again), allow_nan=False)
    assert record(report)["notice"] == NOTICE == HOUSE_NOTICE


def test_galleries_hold_the_surest_and_some_by_chance(report: Report) -> None:
    question = report.models[0].evaluation.blast.question
    found = choose_cells(question, surest=3, by_chance=4)
    chances = question.scores[:, 1]
    for name, choice in found.items():
        is_blast, called = name in {"TP", "FN"}, name in {"TP", "FP"}
        held = np.flatnonzero((question.truth == is_blast) & (question.called == called))
        assert choice.total == len(held)
        shown = np.concatenate([choice.surest, choice.by_chance])
        assert len(set(shown.tolist())) == len(shown) == min(7, len(held))
        assert set(shown.tolist()) <= set(held.tolist())
        surest = sorted(chances[held], reverse=called)[:3]
        assert chances[choice.surest].tolist() == surest
    assert sum(choice.total for choice in found.values()) == len(question)


def test_heat_maps_go_with_the_cells_that_are_shown(report: Report) -> None:
    red, green = report.models
    assert red.heat_maps
    assert not green.heat_maps
    for picture in red.pictures.values():
        np.testing.assert_array_equal(picture.crop, report.samples.crops([picture.row], 16)[0])
        assert picture.heat_map is not None
        assert picture.heat_map[0, 0] == 1
    assert all(picture.heat_map is None for picture in green.pictures.values())
    assert {picture.row for picture in report.missed} <= set(report.errors.rows[report.errors.missed_by_all].tolist())  # type: ignore[union-attr]


def test_every_plot_is_drawn_on_both_papers_with_the_research_line(report: Report) -> None:
    drawn = plots(report)
    assert {plot.kind for plot in drawn} == {"roc", "precision-recall", "scores", "confusion", "reliability", "subjects", "missed"}
    assert len({plot.name for plot in drawn}) == len(drawn)
    for plot in drawn[1:3]:
        for theme in (LIGHT, DARK):
            content = to_png(plot.draw, theme, plot.width_in, plot.height_in)
            assert content == to_png(plot.draw, theme, plot.width_in, plot.height_in)
            picture = Image.open(io.BytesIO(content))
            assert picture.size == plot.size
            assert picture.info["Comment"] == NOTICE
            paper = np.asarray(picture.convert("RGB"))[0, 0]
            assert "#" + "".join(f"{each:02x}" for each in paper) == theme.paper


def test_models_with_other_classes_are_compared_by_blasts(samples: Samples) -> None:
    card = make_card({"normal": "other", "lymphoblast": "blast"})
    found = compare_models([Candidate("a", Redness()), Candidate("b", Redness(card))], samples, Options(draws=0))
    assert found.errors is not None
    assert (found.errors.question, found.errors.pairs[0].called_differently) == ("blast", 0)
    assert any("was taken for 'lymphoblast'" in note for note in found.models[1].evaluation.notes)


def test_what_cannot_be_read_is_left_out_for_every_model(samples: Samples) -> None:
    (samples.root / "3.png").unlink()
    candidates = [Candidate("a", Redness()), Candidate("b", Greenish())]
    found = compare_models(candidates, samples, Options(draws=0, skip_unreadable=True))
    assert len(found.samples) == 59
    assert len(found.unreadable) == 1
    assert found.digest == ""
    assert len(tables(found)["predictions.csv"].rows) == 2 * 59


def test_nothing_to_evaluate(samples: Samples) -> None:
    with pytest.raises(EvaluationError, match="no model"):
        compare_models([], samples)
    with pytest.raises(EvaluationError, match="no cells"):
        compare_models([Candidate("a", Redness())], samples.take([]))
    for row in range(60):
        (samples.root / f"{row}.png").write_bytes(b"")
    with pytest.raises(EvaluationError, match="Not one of the 60 cells"):
        compare_models([Candidate("a", Redness())], samples, Options(skip_unreadable=True))


def test_an_own_grouping_of_the_data_is_used_where_the_card_has_its_classes(samples: Samples) -> None:
    grouped = replace(samples, groupings={"line": {"NEU": ("PMO", "MYB")}})
    assert compare_models([Candidate("a", Redness())], grouped, Options(draws=0)).models[0].evaluation.grouped == {}
