"""The classifier that a run uses unless told otherwise: its card is whole, and its numbers come out of the benchmark again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from classifiers import bundled
from classifiers.card import ModelCard
from classifiers.folder import read_card
from smearscan import intervals
from smearscan.config import DEFAULT_CLASSIFIER, ScanConfig
from smearscan.testing.classifiers import ClassifierContract

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def accuracy(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("accuracy")


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return read_card(bundled.folder(DEFAULT_CLASSIFIER))


class TestBundled(ClassifierContract):
    @pytest.fixture
    def classifier(self) -> object:
        return bundled.open_bundled(DEFAULT_CLASSIFIER, device="cpu")


def test_it_is_what_a_run_uses_and_small() -> None:
    assert ScanConfig().classifier == DEFAULT_CLASSIFIER
    assert sum(path.stat().st_size for path in bundled.folder(DEFAULT_CLASSIFIER).rglob("*") if path.is_file()) < 6e6


def test_its_card_says_what_it_is_for_on_whom_it_was_measured_and_where_it_fails(card: ModelCard) -> None:
    for part in (
        "purpose",
        "not_for",
        "limits",
        "data",
        "metrics",
        "calibration_bins",
        "roc",
        "shortcut_tests",
        "composed",
        "tried",
        "commands",
    ):
        assert card.extra[part], part
    titles = {each["title"] for each in card.extra["tables"]}
    assert {"What it gets most wrong", "Subject by subject", "Negative composed slides"} <= titles
    said = {(each["name"], each.get("on", "")) for each in card.extra["metrics"]}
    assert ("AUROC of the cell's area alone", "C-NMC, on black") in said
    assert ("AUROC among cells of one size", "C-NMC, on black") in said
    assert card.roles["no white cell"] == "excluded"
    assert card.stain is not None


def test_a_run_adjusts_by_subjects_and_knows_its_limit_of_blank(card: ModelCard) -> None:
    by_role = {role: [each for each in card.subjects if each.role == role] for role in ("blast", "other")}
    assert len(by_role["other"]) >= 10
    assert len(by_role["blast"]) >= 5
    assert len(card.blank_fractions) >= 20
    limit, note = intervals.limit_of_blank(card.blank_fractions)
    assert limit is not None
    assert "percentile" in note


def test_no_network_of_the_cross_validation_saw_the_groups_it_is_asked_about(accuracy: ModuleType, card: ModelCard) -> None:
    models = accuracy.read_folds(ROOT / accuracy.KEEP)
    assert models.numbers == tuple(range(1, 11))
    names = [name for number in models.numbers for name in models.subjects[number]]
    assert len(names) == len(set(names)), "a person is tested once"
    for number in models.numbers:
        fold = read_card(models.folder_of(number))
        assert (fold.stain, fold.crop_um, fold.network) == (card.stain, card.crop_um, card.network)
        mine = {group for group, at in models.fold_of.items() if at == number}
        assert fold.extra["split"]["parts"]["test"]["groups"] == len(mine)
        assert fold.extra["split"]["parts"]["train"]["groups"] == len(models.fold_of) - len(mine)


@pytest.mark.slow
@pytest.mark.data
def test_the_cards_numbers_come_out_again(accuracy: ModuleType, card: ModelCard, data_folder: Path) -> None:
    models = accuracy.read_folds(ROOT / accuracy.KEEP)
    cells, samples = accuracy.of_cnmc(data_folder, card)
    said = accuracy.ask(cells, models)
    found = accuracy.tested(accuracy.judge(said), len(samples), len(models.numbers))
    written = card.extra["test"]
    assert (found["cells"], found["groups"], found["folds"]) == (written["cells"], written["groups"], written["folds"])
    for name in ("auc", "sensitivity", "specificity", "ece", "balanced_accuracy"):
        # Another processor adds in another order: a cell at the threshold may fall on its other side.
        assert found[name]["value"] == pytest.approx(written[name]["value"], abs=5e-3), name
        assert (found[name]["low"] is None) == (written[name]["low"] is None)
    one = models.classifier(1)
    assert np.array_equal(one.predict(cells.crops[:8]).probabilities, one.predict(cells.crops[:8]).probabilities)
    json.dumps(found)
