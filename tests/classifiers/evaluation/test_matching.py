"""The data's classes in the model's terms, and classes put together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from classifiers.base import Predictions
from classifiers.card import Role
from classifiers.evaluation import EvaluationError, evaluate
from classifiers.evaluation.matching import match_classes, read_map
from classifiers.evaluation.questions import check_grouping, read_groups
from smearscan.testing.evaluations import FOUR, TWO, make_card, make_predictions, make_samples

OTHERS: Mapping[str, Role] = {"HEM": "other", "ALL": "blast"}


def how(
    samples_roles: Mapping[str, Role], card_roles: Mapping[str, Role], given: dict[str, str] | None = None
) -> dict[str, tuple[str | None, str]]:
    samples = make_samples(list(range(len(samples_roles))), roles=samples_roles)
    found = match_classes(samples, make_card(card_roles), given)
    return {each.data_class: (each.model_class, each.how) for each in found.matches}


def test_by_name_then_by_role() -> None:
    assert how(TWO, TWO) == {"normal": ("normal", "name"), "blast": ("blast", "name")}
    assert how({"Normal": "other", "BLAST": "blast"}, TWO) == {"Normal": ("normal", "name"), "BLAST": ("blast", "name")}
    assert how(OTHERS, TWO) == {"HEM": ("normal", "role"), "ALL": ("blast", "role")}


def test_what_the_user_says_comes_first() -> None:
    assert how(OTHERS, FOUR, {"HEM": "NGS"})["HEM"] == ("NGS", "given")
    assert how({"a": "other", "b": "other", "x": "blast"}, TWO, {"a": "blast"})["a"] == ("blast", "given")


def test_a_role_of_several_classes_names_none() -> None:
    assert how(OTHERS, FOUR) == {"HEM": (None, "unknown"), "ALL": ("BLA", "role")}


@pytest.mark.parametrize(
    ("given", "said"),
    [({"x": "blast"}, "the data has no class 'x'.*normal, blast"), ({"normal": "x"}, "has no class 'x'.*normal, blast")],
)
def test_a_map_of_unknown_classes_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        match_classes(make_samples([0, 1]), make_card(), given)


def test_cells_of_an_unknown_class_are_reported_and_kept_where_their_role_is_enough() -> None:
    roles: Mapping[str, Role] = {"NGB": "other", "BLA": "blast", "XYZ": "other", "DIRT": "excluded"}
    chances = np.tile([0.6, 0.1, 0.2, 0.1], (5, 1)).astype(np.float32)
    found = evaluate(make_card(FOUR), Predictions(chances, tuple(FOUR)), make_samples([0, 1, 2, 2, 3], roles=roles), draws=0)
    assert found.blast.question.rows.tolist() == [0, 1, 2, 3], "XYZ is no blast, whatever else it is; DIRT counts for nothing"
    assert found.classes is not None
    assert found.classes.question.rows.tolist() == [0, 1]
    assert any("does not know the class 'XYZ' (2 cells, other)" in each for each in found.notes)
    assert any("does not know the class 'DIRT' (1 cells, excluded)" in each for each in found.notes)
    assert any("1 of 5 cells are of classes that no count takes in" in each for each in found.notes)


def test_the_datas_word_on_what_is_a_blast_is_the_truth_and_the_difference_is_said() -> None:
    roles: Mapping[str, Role] = {"normal": "other", "blast": "blast", "NGB": "blast"}
    card = make_card({"normal": "other", "blast": "blast", "NGB": "other"})
    chances = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    found = evaluate(card, Predictions(chances, card.classes), make_samples([0, 1, 2], roles=roles), draws=0)
    assert found.blast.question.confusion.tolist() == [[1, 0], [1, 1]]
    assert any("'NGB': blast in the data, other on the model's card" in each for each in found.notes)


def test_the_order_of_the_data_classes_does_not_matter() -> None:
    turned = make_samples([0, 1, 1], roles={"blast": "blast", "normal": "other"})
    found = evaluate(make_card(), make_predictions([0.9, 0.2, 0.7]), turned, draws=0)
    assert found.blast.question.confusion.tolist() == [[1, 1], [0, 1]]


def test_a_card_with_the_blast_first_is_read_the_same() -> None:
    card = make_card({"blast": "blast", "normal": "other"})
    found = evaluate(card, Predictions(np.array([[0.9, 0.1], [0.2, 0.8]], np.float32), card.classes), make_samples([1, 0]), draws=0)
    assert found.blast.question.classes == ("normal", "blast")
    assert found.value("accuracy") == 1


def test_grouping_puts_calls_together_and_leaves_the_others_alone() -> None:
    # Is NGB, NGS, BLA, NGB; called NGS, NGS, NGB, NGB.
    chances = np.array([[0.3, 0.4, 0.2, 0.1], [0.1, 0.7, 0.1, 0.1], [0.5, 0.1, 0.3, 0.1], [0.6, 0.2, 0.1, 0.1]], np.float32)
    samples = make_samples([0, 1, 2, 0], roles=FOUR)
    found = evaluate(make_card(FOUR), Predictions(chances, tuple(FOUR)), samples, groupings={"line": {"NEU": ("NGB", "NGS")}}, draws=0)
    assert found.classes is not None
    assert found.classes.metrics["accuracy"].value == 0.5
    grouped = found.grouped["line"]
    assert grouped.question.classes == ("NEU", "BLA", "ART")
    assert grouped.metrics["accuracy"].value == 0.75
    assert grouped.question.confusion.tolist() == [[3, 0, 0], [1, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(grouped.question.scores[0], [0.7, 0.2, 0.1], atol=1e-6)
    assert "NEU = NGB, NGS" in grouped.question.rule


@pytest.mark.parametrize(
    ("grouping", "said"),
    [
        ({"NEU": ("NGB", "XYZ")}, "no class 'XYZ'"),
        ({"A": ("NGB", "NGS"), "B": ("NGS", "NGB")}, "two groups"),
        ({"A": ("NGB", "BLA")}, "blast and other"),
        ({"BLA": ("NGB", "NGS")}, "name of a class that is not in it"),
    ],
)
def test_groupings_that_make_no_sense(grouping: dict[str, tuple[str, ...]], said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        check_grouping(grouping, make_card(FOUR))


def test_what_the_command_line_says() -> None:
    assert read_map(["ALL=blast", "HEM = normal"]) == {"ALL": "blast", "HEM": "normal"}
    assert read_groups(["NEU=PMO, MYB"]) == {"NEU": ("PMO", "MYB")}
    for wrong in ("ALL", "=blast", "ALL="):
        with pytest.raises(EvaluationError, match="--map"):
            read_map([wrong])
    with pytest.raises(EvaluationError, match="twice"):
        read_map(["A=b", "A=c"])
    for wrong in ("NEU", "NEU=PMO", "=A,B"):
        with pytest.raises(EvaluationError, match="--group"):
            read_groups([wrong])
