"""The classifier that ships: whole, honest about what it is, and able to tell drawn cells apart."""

from __future__ import annotations

import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from classifiers import bundled
from classifiers.base import Classifier, ClassifierError
from classifiers.folder import read_model
from smearscan import crops, plugins
from smearscan.smears import SmearPlan, plan_smear
from smearscan.testing.classifiers import ClassifierContract

EXAMPLES = Path(__file__).parents[2] / "examples"


def load_example(name: str) -> ModuleType:
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


class TestDrawnCellsContract(ClassifierContract):
    @pytest.fixture
    def classifier(self) -> Classifier:
        return bundled.open_bundled("drawn-cells", device="cpu")


def test_it_is_found_by_name() -> None:
    assert plugins.find("smearscan.classifiers", "drawn-cells")(device="cpu").card.name == "drawn-cells"
    assert "drawn-cells" in plugins.names("smearscan.classifiers")


def test_any_folder_with_a_card_is_known_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(bundled.folder("drawn-cells"), tmp_path / "another")
    (tmp_path / "no-model").mkdir()
    monkeypatch.setattr(bundled, "HERE", tmp_path)
    assert plugins.names("smearscan.classifiers") == bundled.names() == ["another"]
    assert plugins.find("smearscan.classifiers", "another")(device="cpu").card.crop_px == 64
    with pytest.raises(ClassifierError, match=r"No classifier named 'drawn-cells' ships\. Those that do: another"):
        bundled.folder("drawn-cells")


def test_its_card_says_what_it_is_and_carries_what_the_numbers_need() -> None:
    card = bundled.open_bundled("drawn-cells", device="cpu").card
    assert "means nothing on real slides" in card.summary
    assert card.roles == {"blast": "blast", "other": "other", "smudge": "excluded", "artefact": "excluded"}
    assert card.crop_px == 64
    assert card.crop_um == 22.0
    negative = [each for each in card.subjects if each.role == "other"]
    positive = [each for each in card.subjects if each.role == "blast"]
    assert len(negative) >= 12
    assert len(positive) >= 12
    assert len({each.subject for each in card.subjects}) == len(card.subjects)
    assert all(0 <= each.called_blast <= each.cells for each in card.subjects)
    assert len(card.blank_fractions) >= 20


def test_it_tells_the_cells_of_a_fresh_smear_apart() -> None:
    """Seeds of the training set begin at 1000: this smear was in none of its parts."""
    classifier = bundled.open_bundled("drawn-cells", device="cpu")
    smear = plan_smear(SmearPlan(width=1400, height=1400, seed=77, white_cells=60, blast_fraction=0.5, smudge_fraction=0.2, layout="field"))
    truth = [cell for cell in smear.truth if cell.kind != "debris"]
    boxes = np.array([cell.box for cell in truth])
    cut = crops.cut(smear.picture(), (0, 0), boxes, classifier.card, slide_size=(1400, 1400), mpp=0.25)
    found = classifier.predict(cut).probabilities.argmax(axis=1)
    kinds = [cell.kind if cell.kind in classifier.card.classes else "other" for cell in truth]
    right = np.array([classifier.card.classes[index] == kind for index, kind in zip(found, kinds, strict=True)])
    assert len(right) >= 70
    assert right.mean() >= 0.95


@pytest.mark.slow
def test_the_training_example_runs_and_gives_the_same_model_twice(tmp_path: Path) -> None:
    example = load_example("train_drawn_classifier")
    first = example.run(tmp_path / "first", example.SMOKE)
    example.run(tmp_path / "second", example.SMOKE)
    card, _ = read_model(tmp_path / "first")
    assert card == first
    assert len(card.subjects) == 2
    for name in ("card.json", "weights.safetensors"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
