"""From trained members to an ensemble's folder, and what an ensemble says of crops."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.datasets import Samples
from classifiers.ensembles import EnsembleClassifier, combine, train_ensemble
from classifiers.ensembles.classifier import resize
from classifiers.ensembles.mixing import weighted_f1
from classifiers.ensembles.recipe_training import first_weights
from classifiers.explain import build_explainer
from classifiers.opening import open_model
from classifiers.recipes import Recipe
from classifiers.splits import Split, split_samples, write_split
from classifiers.torch_classifier import TorchClassifier
from classifiers.training import TrainingStopped, read_predictions, train
from smearscan.building import build_classifier
from smearscan.config import ScanConfig
from smearscan.errors import PluginError

CPU: dict[str, Any] = {"device": "cpu", "precision": "fp32", "threads": 1}
Alter = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def split(labelled_cells: Samples) -> Split:
    return split_samples(labelled_cells, "subject", (0.5, 0.25, 0.25), 0)


@pytest.fixture(scope="module")
def recipes(small_recipe: Recipe) -> dict[str, Recipe]:
    """Three that differ in seed of nothing but width, activation and the size of their crops."""
    single = small_recipe.changed({})
    single = Recipe.from_mapping("one", {key: value for key, value in single.values.items() if key != "tuning"})
    two = single.changed({"network.activation": "sigmoid", "network.options.width": 8, "stages.0.epochs": 4})
    return {"one": single, "two": replace(two, name="two"), "smaller": replace(single.changed({"input.crop_px": 16}), name="smaller")}


@pytest.fixture(scope="module")
def models(labelled_cells: Samples, split: Split, recipes: dict[str, Recipe], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Trained once; tests that change a folder copy it first."""
    root = tmp_path_factory.mktemp("models")
    for name, recipe in recipes.items():
        train(labelled_cells, recipe, root / name, split=split, **CPU)
    return {name: root / name for name in recipes}


@pytest.fixture(scope="module")
def together(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ensembles") / "together"
    combine([models["one"], models["two"]], out, method="genetic", options={"population": 20, "generations": 8, "runs": 2})
    return out


@pytest.fixture
def copied(models: dict[str, Path], tmp_path: Path) -> list[Path]:
    return [shutil.copytree(models[name], tmp_path / name) for name in ("one", "two")]


def change_card(folder: Path, **values: Any) -> None:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    (folder / "card.json").write_text(json.dumps({**card, **values}), encoding="utf-8")


def test_an_ensemble_says_what_the_arithmetic_says(together: Path, models: dict[str, Path], labelled_cells: Samples) -> None:
    ensemble = open_model(together, device="cpu")
    crops = labelled_cells.crops(range(7), 24)
    one = TorchClassifier.load(models["one"], device="cpu").predict(crops).probabilities.astype(float)
    two = TorchClassifier.load(models["two"], device="cpu").predict(crops).probabilities.astype(float)
    assert ensemble.card.classes == ("normal", "blast")
    first, second = ensemble.card.network["weights"]
    mixed = (first * one + second * two) ** (1 / ensemble.card.temperature)
    expected = mixed / mixed.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ensemble.predict(crops).probabilities, expected, rtol=2e-6)


def test_a_row_does_not_depend_on_those_beside_it(together: Path, labelled_cells: Samples) -> None:
    ensemble = open_model(together, device="cpu")
    crops = labelled_cells.crops(range(40), 24)
    whole = ensemble.predict(crops).probabilities
    np.testing.assert_array_equal(
        np.vstack([ensemble.predict(crops[row : row + 1]).probabilities for row in (0, 17, 39)]), whole[[0, 17, 39]]
    )
    np.testing.assert_array_equal(open_model(together, device="cpu", batch_size=1).predict(crops[5:38]).probabilities, whole[5:38])


def test_what_was_written_is_what_the_folder_says(together: Path, labelled_cells: Samples, split: Split) -> None:
    ensemble = open_model(together, device="cpu")
    rows, written = read_predictions(together / "training" / "predictions.csv", ensemble.card.classes)
    np.testing.assert_array_equal(rows, np.flatnonzero(split.parts != 0))
    np.testing.assert_allclose(ensemble.predict(labelled_cells.crops(rows, 24)).probabilities, written, rtol=0, atol=2e-6)
    tested = np.isin(rows, split.rows("test"))
    truth = labelled_cells.labels[rows[tested]]
    test = ensemble.card.extra["test"]
    assert test["cells"] == tested.sum()
    assert test["weighted_f1"]["value"] == pytest.approx(f1_score(truth, written[tested].argmax(1), average="weighted"), abs=1e-6)
    subjects = {each.subject: each for each in ensemble.card.subjects}
    assert set(subjects) == {labelled_cells.groups[row] for row in split.rows("test")}
    for name, counts in subjects.items():
        own = [place for place, row in enumerate(rows) if labelled_cells.groups[row] == name]
        assert (counts.cells, counts.called_blast) == (len(own), int((written[own, 1] >= ensemble.card.threshold).sum()))


def test_weights_are_chosen_on_validation_cells_alone(models: dict[str, Path], copied: list[Path], tmp_path: Path) -> None:
    """Test predictions turned upside down change the test's numbers, and no weight."""
    plan: dict[str, Any] = {"method": "genetic", "options": {"population": 10, "generations": 3, "runs": 1}}
    before = combine([models["one"], models["two"]], tmp_path / "before", **plan)
    for folder in copied:
        path = folder / "training" / "predictions.csv"
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        for line in lines:
            if line["part"] == "test":
                line["p_normal"], line["p_blast"] = line["p_blast"], line["p_normal"]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
    after = combine(copied, tmp_path / "after", **plan)
    assert after.network == before.network
    assert (after.temperature, after.threshold) == (before.temperature, before.threshold)
    assert after.extra["test"]["accuracy"] != before.extra["test"]["accuracy"]


def test_the_card_says_how_good_each_member_is_alone(together: Path) -> None:
    course = ModelCard.load(together / "card.json").extra["ensemble"]
    with (together / "training" / "weights.csv").open(newline="", encoding="utf-8") as file:
        *members, last = list(csv.DictReader(file))
    assert [float(line["weight"]) for line in members] == [each["weight"] for each in course["members"]]
    assert [float(line["validation_weighted_f1"]) for line in members] == [each["validation_weighted_f1"] for each in course["members"]]
    assert float(last["validation_weighted_f1"]) >= max(float(line["validation_weighted_f1"]) for line in members)


def test_classes_are_matched_by_name(models: dict[str, Path], labelled_cells: Samples, tmp_path: Path) -> None:
    """A softmax with the positive class first, and a sigmoid, which has it second."""
    first_blast = replace(labelled_cells, classes=("blast", "normal"), labels=1 - labelled_cells.labels)
    recipe = Recipe.from_mapping("again", {key: value for key, value in _values(models["one"]).items() if key != "name"})
    split = split_samples(labelled_cells, "subject", (0.5, 0.25, 0.25), 0)
    train(first_blast, recipe, tmp_path / "turned", split=split, **CPU)
    card = combine([tmp_path / "turned", models["two"]], tmp_path / "out")
    assert card.classes == ("blast", "normal")
    crops = labelled_cells.crops(range(5), 24)
    turned = open_model(tmp_path / "turned", device="cpu").predict(crops).probabilities
    two = open_model(models["two"], device="cpu").predict(crops).probabilities
    ensemble = open_model(tmp_path / "out", device="cpu")
    assert isinstance(ensemble, EnsembleClassifier)
    said = ensemble.member_probabilities(crops)
    np.testing.assert_array_equal(said[0], turned)
    np.testing.assert_array_equal(said[1], two[:, ::-1])


def _values(model: Path) -> dict[str, Any]:
    return dict(ModelCard.load(model / "card.json").extra["recipe"])


def test_members_of_other_sizes_are_judged_as_they_are_used(models: dict[str, Path], labelled_cells: Samples, tmp_path: Path) -> None:
    members = [models["smaller"], models["one"]]
    with pytest.raises(ClassifierError, match=r"crops of 16 and 24 px.*--data"):
        combine(members, tmp_path / "out")
    seen: list[int] = []
    card = combine(members, tmp_path / "out", samples=labelled_cells, device="cpu", show=lambda done, total: seen.append(done))
    assert (card.crop_px, seen[-1]) == (24, len(read_predictions_rows(tmp_path / "out")))
    ensemble = open_model(tmp_path / "out", device="cpu")
    assert isinstance(ensemble, EnsembleClassifier)
    rows, written = read_predictions(tmp_path / "out" / "training" / "predictions.csv", card.classes)
    crops = labelled_cells.crops(rows, 24)
    np.testing.assert_allclose(ensemble.predict(crops).probabilities, written, rtol=0, atol=2e-6)
    small = open_model(models["smaller"], device="cpu").predict(resize(crops, 16)).probabilities
    np.testing.assert_array_equal(ensemble.member_probabilities(crops)[0], small)
    with pytest.raises(ClassifierError, match="is not what"):
        combine(members, tmp_path / "other", samples=labelled_cells.take(range(len(labelled_cells) - 1, -1, -1)), device="cpu")


def read_predictions_rows(folder: Path) -> list[int]:
    return read_predictions(folder / "training" / "predictions.csv", ("normal", "blast"))[0].tolist()


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        ({"crop_um": 20.0}, r"fields of a crop are \(12.0, 'um'\) and \(20.0, 'um'\)"),
        ({"crop_um": None, "crop_diameters": 12.0}, r"fields of a crop are .* 'diameters of the box'"),
        ({"roles": {"normal": "blast", "blast": "other"}, "positive_class": "normal", "activation": "softmax"}, "roles are"),
        (
            {"classes": ["other", "blast"], "roles": {"other": "other", "blast": "blast"}},
            r"does not say what|classes are \['blast', 'normal'\] and \['blast', 'other'\]",
        ),
    ],
)
def test_members_that_do_not_fit_are_refused(alter: dict[str, Any], words: str, copied: list[Path], tmp_path: Path) -> None:
    change_card(copied[1], **alter)
    with pytest.raises(ClassifierError, match=words):
        combine(copied, tmp_path / "out")
    assert not (tmp_path / "out" / "card.json").exists()


def test_members_of_another_split_are_refused(
    models: dict[str, Path], labelled_cells: Samples, recipes: dict[str, Recipe], tmp_path: Path
) -> None:
    other = split_samples(labelled_cells, "subject", (0.5, 0.25, 0.25), 5)
    train(labelled_cells, recipes["one"], tmp_path / "other", split=other, **CPU)
    with pytest.raises(ClassifierError, match=r"not split alike.*same --split file"):
        combine([models["one"], tmp_path / "other"], tmp_path / "out")


def test_members_that_learnt_from_other_cells_are_refused(copied: list[Path], tmp_path: Path) -> None:
    path = copied[1] / "training" / "split.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:1] + [line for line in lines[1:] if not line.startswith("00-0.png")]), encoding="utf-8")
    with pytest.raises(ClassifierError, match="did not learn from the same cells"):
        combine(copied, tmp_path / "out")


def test_one_model_and_the_same_twice_are_refused(models: dict[str, Path], copied: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match="two models or more"):
        combine([models["one"]], tmp_path / "out")
    with pytest.raises(ClassifierError, match="same model"):
        combine([models["one"], copied[0]], tmp_path / "out")
    (copied[0] / "training" / "predictions.csv").unlink()
    with pytest.raises(ClassifierError, match="smearscan train"):
        combine(copied, tmp_path / "out")


def test_a_finished_model_is_replaced_only_where_asked(models: dict[str, Path], together: Path, tmp_path: Path) -> None:
    out = shutil.copytree(together, tmp_path / "out")
    members = [models["one"], models["two"]]
    with pytest.raises(ClassifierError, match="holds a finished model"):
        combine(members, out)
    assert combine(members, out, overwrite=True).network["method"] == "average"
    with pytest.raises(ClassifierError, match="keeps its own members"):
        combine([out / "members" / "0", out / "members" / "1"], out, overwrite=True)


def alter_member(out: Path) -> None:
    change_card(out / "members" / "1", temperature=3.0)


def alter_member_weights(out: Path) -> None:
    path = out / "members" / "0" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def alter_weights(out: Path) -> None:
    card = json.loads((out / "card.json").read_text(encoding="utf-8"))
    change_card(out, network={**card["network"], "weights": [0.5, 0.5]})


def swap_members(out: Path) -> None:
    (out / "members" / "0").rename(out / "members" / "x")
    (out / "members" / "1").rename(out / "members" / "0")
    (out / "members" / "x").rename(out / "members" / "1")


def lose_member(out: Path) -> None:
    shutil.rmtree(out / "members" / "1")


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (alter_member, "not the member"),
        (alter_member_weights, "not what its card describes"),
        (alter_weights, "was altered"),
        (swap_members, "not the member"),
        (lose_member, "cannot be read"),
    ],
)
def test_what_was_altered_is_refused(alter: Callable[[Path], None], words: str, together: Path, tmp_path: Path) -> None:
    out = shutil.copytree(together, tmp_path / "out")
    open_model(out, device="cpu")
    alter(out)
    with pytest.raises(ClassifierError, match=words):
        open_model(out, device="cpu")
    with pytest.raises(PluginError, match=words):
        build_classifier(ScanConfig(classifier=str(out), device="cpu"))


def test_the_digest_is_another_where_a_member_or_a_weight_is(models: dict[str, Path], copied: list[Path], tmp_path: Path) -> None:
    """It is what a resumed run compares."""
    even = combine([models["one"], models["two"]], tmp_path / "even")
    again = combine([models["one"], models["two"]], tmp_path / "again")
    change_card(copied[1], temperature=3.0)
    cooled = combine(copied, tmp_path / "cooled")
    turned = combine([models["two"], models["one"]], tmp_path / "turned")
    assert even.sha256 == again.sha256
    assert len({even.sha256, cooled.sha256, turned.sha256}) == 3


@pytest.mark.slow
def test_ensembles_of_ensembles(together: Path, models: dict[str, Path], labelled_cells: Samples, tmp_path: Path) -> None:
    card = combine([together, models["smaller"]], tmp_path / "out", samples=labelled_cells, device="cpu")
    crops = labelled_cells.crops(range(4), 24)
    inner = open_model(together, device="cpu").predict(crops).probabilities
    ensemble = open_model(tmp_path / "out", device="cpu")
    assert isinstance(ensemble, EnsembleClassifier)
    np.testing.assert_array_equal(ensemble.member_probabilities(crops)[0], inner)
    assert card.network["members"][0]["name"] == ModelCard.load(together / "card.json").name


def test_a_member_without_weight_is_not_asked(together: Path, models: dict[str, Path], labelled_cells: Samples) -> None:
    card = ModelCard.load(together / "card.json")
    one, two = (open_model(models[name], device="cpu") for name in ("one", "two"))
    two.predict = lambda crops: pytest.fail("it was asked")  # type: ignore[method-assign]
    crops = labelled_cells.crops(range(3), 24)
    alone = EnsembleClassifier(replace(card, temperature=1.0), [one, two], [1.0, 0.0])
    np.testing.assert_allclose(alone.predict(crops).probabilities, one.predict(crops).probabilities, rtol=1e-6)


def test_crops_of_another_size_are_refused(together: Path) -> None:
    with pytest.raises(ClassifierError, match=r"takes crops of shape \(n, 24, 24, 3\)"):
        open_model(together, device="cpu").predict(np.zeros((1, 16, 16, 3), np.uint8))


@pytest.mark.slow
def test_a_heat_map_is_the_weighted_mean_of_the_members(together: Path, models: dict[str, Path], labelled_cells: Samples) -> None:
    crops = labelled_cells.crops(range(1, 90, 20), 24)
    ensemble = open_model(together, device="cpu")
    told: list[int] = []
    found = build_explainer("gradcam", ensemble).explain(crops, "blast", told.append)
    weights = ensemble.card.network["weights"]
    maps = [build_explainer("gradcam", open_model(models[name], device="cpu")).explain(crops, "blast") for name in ("one", "two")]
    mean = weights[0] * maps[0] + weights[1] * maps[1]
    highest = mean.max((1, 2), keepdims=True)
    np.testing.assert_allclose(found, np.divide(mean, highest, out=np.zeros_like(mean), where=highest > 0), atol=1e-6)
    assert found.max() == 1
    assert told == sorted(told)
    assert told[-1] == len(crops)
    with pytest.raises(ClassifierError, match="is an ensemble"):
        build_explainer("gradcam", ensemble, layer="features")


def test_weights_for_all_members_are_for_those_that_begin_with_some(recipes: dict[str, Recipe]) -> None:
    """A network from scratch beside ImageNet's, as in ens-average, has no published weights to be given."""
    plain = recipes["one"]
    begins = plain.changed({"network.weights": "IMAGENET1K_V1"})
    assert first_weights(begins, "one", "IMAGENET1K_V1") == "IMAGENET1K_V1"
    assert first_weights(plain, "one", "IMAGENET1K_V1") is None
    assert first_weights(plain, "one", {"one": "own.safetensors"}) == "own.safetensors"
    assert first_weights(begins, "one", {"two": "own.safetensors"}) is None


@pytest.mark.slow
def test_a_recipe_of_members_is_trained_and_goes_on_after_a_stop(
    labelled_cells: Samples, split: Split, recipes: dict[str, Recipe], together: Path, tmp_path: Path
) -> None:
    plan = {"members": ["one", "two"], "method": "genetic", "options": {"population": 20, "generations": 8, "runs": 2}}
    recipe = Recipe.from_mapping("pair", {"title": "Two", "data": {"set": "folders", "shares": [0.5, 0.25, 0.25]}, "ensemble": plan})
    out, seen = tmp_path / "out", set()

    def call(**options: Any) -> ModelCard:
        return train_ensemble(
            labelled_cells,
            recipe,
            out,
            split=split,
            load_member=recipes.__getitem__,
            show=lambda progress: seen.add((progress.label, progress.activity)),
            **{**CPU, **options},
        )

    with pytest.raises(TrainingStopped):
        call(stop=lambda: ("member 2 of 2, two", "training") in seen)
    assert (out / "members-training" / "0-one" / "card.json").is_file(), "the first member is finished"
    assert not (out / "members-training" / "1-two" / "card.json").is_file()
    with pytest.raises(ClassifierError, match="finished member whose seed was not the same"):
        call(seed=1)
    card = call()
    assert card.sha256 == ModelCard.load(together / "card.json").sha256, "as an undisturbed training of the members"
    assert card.name == "pair on labelled cells"
    assert {label for label, _ in seen} >= {"member 1 of 2, one", "member 2 of 2, two"}
    assert not (out / "members-training").exists()
    with pytest.raises(ClassifierError, match="holds a finished model"):
        call()
    with pytest.raises(ClassifierError, match="not of an ensemble"):
        train_ensemble(labelled_cells, recipes["one"], tmp_path / "x", split=split)


def test_a_run_goes_with_an_ensemble(together: Path, labelled_cells: Samples, split: Split, tmp_path: Path) -> None:
    classifier = build_classifier(ScanConfig(classifier=str(together), device="cpu", precision="fp32"))
    assert isinstance(classifier, EnsembleClassifier)
    assert classifier.compute.batch_size >= 1
    assert classifier.card.mpp == pytest.approx(0.5)
    write_split(tmp_path / "split.csv", labelled_cells, split)
    assert (together / "training" / "split.csv").read_bytes() == (tmp_path / "split.csv").read_bytes()
    chosen = np.isin(read_predictions_rows(together), split.rows("validation"))
    _, mixed = read_predictions(together / "training" / "predictions.csv", classifier.card.classes)
    truth = labelled_cells.labels[split.rows("validation")]
    score = weighted_f1(mixed[None, chosen], truth, np.ones((1, 1)))[0]
    assert classifier.card.extra["ensemble"]["validation_weighted_f1"] == pytest.approx(score, abs=1e-6)
