"""Two processes train as one does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from classifiers.base import ClassifierError
from classifiers.datasets import Samples
from classifiers.recipes import Recipe
from classifiers.splits import split_samples
from classifiers.training import TrainingStopped, train
from classifiers.training.processes import Alone, choose_devices, team


@pytest.fixture
def plain(recipe: Recipe) -> Recipe:
    """Without dropout and batch normalisation, which go by each process's share of a batch."""
    return recipe.changed(
        {
            "input.crop_px": 32,
            "network": {"name": "cnn5", "activation": "softmax", "options": {"input_px": 32, "dropout": 0.0}},
            "stages": [
                {"optimiser": "sgd", "momentum": 0.9, "learning_rate": 0.05, "batch_size": 8, "epochs": 2, "class_weights": "balanced"}
            ],
        }
    )


@pytest.mark.slow
def test_two_processes_come_to_the_weights_of_one_also_after_a_stop(drawn_cells: Samples, plain: Recipe, tmp_path: Path) -> None:
    split = split_samples(drawn_cells, "subject", plain.data.shares, 0)
    options = {"split": split, "threads": 1, "precision": "fp32"}
    train(drawn_cells, plain, tmp_path / "one", device="cpu", **options)  # type: ignore[arg-type]
    asked = iter(range(1000))
    with pytest.raises(TrainingStopped):
        train(drawn_cells, plain, tmp_path / "two", device="cpu,cpu", stop=lambda: next(asked) > 14, **options)  # type: ignore[arg-type]
    assert not (tmp_path / "two" / "card.json").exists()
    card = train(drawn_cells, plain, tmp_path / "two", device="cpu,cpu", **options)  # type: ignore[arg-type]
    one, two = (load_file(tmp_path / name / "weights.safetensors") for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-5)
    assert card.extra["identity"]["devices"] == "2"


def die(processes: Alone, order: object) -> None:
    raise SystemExit(3)


@pytest.mark.slow
def test_the_end_of_another_process_is_said() -> None:
    with (
        pytest.raises(ClassifierError, match=r"[Aa]nother process of this training ended"),
        team(choose_devices("cpu,cpu"), die, None) as processes,
    ):
        for _ in range(1000):
            processes.sum(torch.zeros(3))


def test_devices_are_one_or_several() -> None:
    assert choose_devices("cpu") == (torch.device("cpu"),)
    assert choose_devices("cpu,cpu,cpu") == (torch.device("cpu"),) * 3
    with pytest.raises(ClassifierError, match="not understood"):
        choose_devices("cpu,mps")


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens where there is no GPU")
def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(ClassifierError, match="cuda:0, cuda:1 is not available"):
        choose_devices("cuda:0,cuda:1")
