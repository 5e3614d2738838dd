"""Every recipe, made as small as its network bears: trained to the end, opened again, and used in a run over a slide.

Small means few drawn cells, one epoch and a small input; networks, steps, stages and losses are the recipe's own.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifiers.base import Classifier
from classifiers.datasets import Samples
from classifiers.ensembles import combine
from classifiers.recipes import Recipe, load, names
from classifiers.splits import split_samples
from classifiers.training import read_predictions, train
from smearscan import night
from smearscan.building import DetectorChoice, build_classifier, build_explainer
from smearscan.config import ScanConfig
from smearscan.slides import find_slides

SMALLEST_PX = {"baldi": 60, "li-sequential": 192, "inception-v3": 80}  # poolings leave nothing of less; for the others 32 px do
# Of 32 px one place is left in the end. Batch norm over one place of a few cells can have no deviation at all, and gradients that SGD,
# which scales nothing, follows out of all bounds.
SMALLEST_PX |= {"densenet121": 64, "densenet161": 64, "resnet101": 64}
QUICK = "small-cnn"  # runs in the fast tests
SINGLE = [name for name in names() if load(name).ensemble is None]
ENSEMBLES = [name for name in names() if load(name).ensemble is not None]
MEMBERS = {member for name in ENSEMBLES if (plan := load(name).ensemble) for member in plan.members}

Shares = tuple[float, ...]
Train = Callable[..., Path]


def shrink(recipe: Recipe) -> Recipe:
    """Return the recipe for the smallest picture that its network bears, and one epoch of small batches a stage."""
    assert recipe.input is not None
    assert recipe.network is not None
    network = recipe.network
    px = SMALLEST_PX.get(network.name, 32) * (2 if network.options.get("stem") else 1)
    changes: dict[str, Any] = {"input.crop_px": px}
    changes |= {f"input.preparation.{index}.px": px for index, step in enumerate(recipe.input.preparation) if "px" in step}
    if "input_px" in network.options:
        changes["network.options.input_px"] = px
    if "up_sample_to" in recipe.sampling:
        changes["sampling.up_sample_to"] = 6
    for index in range(len(recipe.stages)):
        changes |= {f"stages.{index}.epochs": 1, f"stages.{index}.batch_size": 5}
    return recipe.changed(changes)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Pictures this small take longer to deal out to threads than to compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained(drawn_cells: Samples, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Train]:
    """Train a recipe, shrunk, on its own shares or an ensemble's, and return its model folder; members of ensembles are trained once."""
    kept: dict[tuple[str, Shares], Path] = {}

    def once(name: str, shares: Shares = ()) -> Path:
        recipe = shrink(load(name))
        shares = shares or recipe.data.shares
        if (name, shares) in kept:
            return kept[name, shares]
        out = tmp_path_factory.mktemp("models") / name
        split = split_samples(drawn_cells, "random", shares, seed=3)
        train(drawn_cells, recipe, out, split=split, seed=3, device="cpu", precision="fp32", threads=1)
        if name in MEMBERS:
            kept[name, shares] = out
        return out

    yield once
    for out in kept.values():
        shutil.rmtree(out)


def scan(slide: Path, config: ScanConfig, classifier: Classifier, out: Path) -> night.Ending:
    """Scan a slide as `smearscan run --classifier MODEL` does."""
    found = find_slides([slide])
    explainer = build_explainer(config, classifier)
    order = night.Order(config, out, found.slides, found.rejected, {}, classifier, DetectorChoice(config), explainer)
    return night.run(order, lambda sight: None, lambda line: None)


def check_model(model: Path, cells: Samples, slide: Path, report: Path) -> None:
    """The folder opened again gives the probabilities that training wrote, and a run with it scores the slide's cells."""
    config = ScanConfig(classifier=str(model), device="cpu", precision="fp32", workers=1, overlays=1, proposals="nuclei")
    classifier = build_classifier(config)
    rows, written = read_predictions(model / "training" / "predictions.csv", classifier.card.classes)
    assert len(rows) >= 2, "cells were held back"
    again = classifier.predict(cells.crops(rows, classifier.card.crop_px)).probabilities
    np.testing.assert_allclose(again, written, rtol=0, atol=2e-6)
    assert classifier.card.crop_um == pytest.approx(0.25 * 112), "what a crop covers was taken from the set"
    ending = scan(slide, config, classifier, report)
    assert ending.exit_code == 0
    (table,) = report.glob("slides/*/cells.csv")
    lines = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    scores = [float(line["p_blast"]) for line in lines if line["p_blast"]]
    assert len(scores) >= 7, "the slide's nine cells, but for one or two at its edge"
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize("name", [name if name == QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SINGLE])
def test_a_recipe_trains_reloads_and_runs(name: str, trained: Train, drawn_cells: Samples, drawn_slide: Path, tmp_path: Path) -> None:
    model = trained(name)
    try:
        check_model(model, drawn_cells, drawn_slide, tmp_path / "report")
    finally:
        if name not in MEMBERS:
            shutil.rmtree(model)  # a VGG takes half a gigabyte


@pytest.mark.slow
@pytest.mark.parametrize("name", ENSEMBLES)
def test_an_ensemble_is_put_together_reloads_and_runs(
    name: str, trained: Train, drawn_cells: Samples, drawn_slide: Path, tmp_path: Path
) -> None:
    recipe = load(name)
    plan = recipe.ensemble
    assert plan is not None
    members = [trained(member, recipe.data.shares) for member in plan.members]
    model = tmp_path / "together"
    card = combine(members, model, method=plan.method, options=plan.options, samples=drawn_cells, seed=3, device="cpu")
    assert [each["name"] for each in card.network["members"]] == [f"{member} on drawn cells" for member in plan.members]
    assert sum(card.network["weights"]) == pytest.approx(1)
    check_model(model, drawn_cells, drawn_slide, tmp_path / "report")
