"""A frozen body keeps its weights, and what it makes of pictures is computed once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from classifiers import networks
from classifiers.datasets import Samples
from classifiers.recipes import Recipe
from classifiers.splits import split_samples
from classifiers.training import features, train

SMALL = {"device": "cpu", "threads": 1, "precision": "fp32"}


@pytest.fixture
def frozen(recipe: Recipe) -> Recipe:
    head = {"optimiser": "sgd", "learning_rate": 0.05, "batch_size": 8, "epochs": 2, "frozen": True}
    return recipe.changed(
        {
            "input.crop_px": 32,
            "network": {"name": "cnn5", "activation": "softmax", "options": {"input_px": 32}},
            "augmentation": [],
            "sampling": {"copies": "right-angles"},
            "stages": [head, {**head, "unfreeze_from": "block5"}],
        }
    )


def test_frozen_blocks_keep_their_weights(drawn_cells: Samples, frozen: Recipe, out: Path) -> None:
    torch.manual_seed(3)
    begun = networks.build("cnn5", outputs=2, input_px=32).state_dict()
    train(drawn_cells, frozen, out, split=split_samples(drawn_cells, "subject", frozen.data.shares, 0), seed=3, **SMALL)
    found = load_file(out / "weights.safetensors")
    for name, tensor in found.items():
        same = bool((tensor == begun[name]).all())
        assert same == name.startswith(("body.block1.", "body.block2.", "body.block3.", "body.block4.")), name


def test_kept_features_train_the_head_as_pictures_do(
    drawn_cells: Samples, frozen: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = split_samples(drawn_cells, "subject", frozen.data.shares, 0)
    computed: list[int] = []
    extract = features.extract

    def counted(extract_from: features.Extract, pixels: np.ndarray, rows: np.ndarray, turns: np.ndarray) -> np.ndarray:
        computed.append(len(rows) * len(turns))
        return extract(extract_from, pixels, rows, turns)

    monkeypatch.setattr("classifiers.training.stage.extract", counted)
    train(drawn_cells, frozen, tmp_path / "kept", split=split, **SMALL)
    assert computed == [4 * len(split.rows("train")), len(split.rows("validation"))] * 2, "once for each stage, each turn and each cell"
    monkeypatch.setattr("classifiers.training.stage.features_fit", lambda *_: False)
    train(drawn_cells, frozen, tmp_path / "anew", split=split, **SMALL)
    kept, anew = (load_file(tmp_path / name / "weights.safetensors") for name in ("kept", "anew"))
    for name in kept:
        torch.testing.assert_close(kept[name], anew[name], rtol=1e-4, atol=1e-5)


def test_augmented_pictures_are_asked_for_anew(drawn_cells: Samples, frozen: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifiers.training.stage.extract", lambda *_: pytest.fail("features of augmented pictures were kept"))
    recipe = frozen.changed({"augmentation": [{"step": "flip"}]})
    train(drawn_cells, recipe, out, split=split_samples(drawn_cells, "subject", recipe.data.shares, 0), **SMALL)
