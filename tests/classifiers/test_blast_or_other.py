"""The classifier that a run uses unless told otherwise: what its card promises, and that its networks keep it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from classifiers import bundled
from classifiers.folder import read_card
from smearscan.intervals import MINIMUM_BLAST_SUBJECTS, MINIMUM_OTHER_SUBJECTS

ROOT = Path(__file__).parents[2]


def test_its_card_has_what_a_run_adjusts_by() -> None:
    card = read_card(bundled.folder("blast-or-other"))
    roles = [each.role for each in card.subjects]
    assert roles.count("other") >= MINIMUM_OTHER_SUBJECTS
    assert roles.count("blast") >= MINIMUM_BLAST_SUBJECTS
    assert len(card.blank_fractions) >= 20
    assert card.stain is not None
    assert "no white cell" in card.classes
    assert card.roles["no white cell"] == "excluded"


def test_its_networks_know_the_same_stain_and_no_subject_twice(benchmark_module: Callable[[str], ModuleType]) -> None:
    card = read_card(bundled.folder("blast-or-other"))
    kept = benchmark_module("fold_models").read_folds(ROOT / "benchmarks" / "folds" / "blast-or-other")
    for number in kept.numbers:
        of_fold = read_card(kept.folder_of(number))
        assert of_fold.stain == card.stain
        assert (of_fold.crop_px, of_fold.crop_um, of_fold.network) == (card.crop_px, card.crop_um, card.network)
    unseen = [name for names in kept.subjects.values() for name in names]
    assert len(unseen) == len(set(unseen))
    counted = {name for each in card.subjects for name in each.subject.split("+")}
    assert counted <= set(unseen)


@pytest.mark.data
@pytest.mark.slow
def test_the_card_s_auroc_comes_out_again(benchmark_module: Callable[[str], ModuleType], data_folder: Path) -> None:
    card = read_card(bundled.folder("blast-or-other"))
    cells = benchmark_module("accuracy_cells")
    kept = benchmark_module("fold_models").read_folds(ROOT / "benchmarks" / "folds" / "blast-or-other")
    cnmc, _ = cells.of_cnmc(data_folder, card)
    found = cells.judge(cells.ask(cnmc, kept)).metrics["auc"].value
    assert found == pytest.approx(card.extra["test"]["auc"]["value"], abs=1e-3)
