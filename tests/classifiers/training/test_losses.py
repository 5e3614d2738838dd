"""The one loss for both activations is what torch computes for each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from classifiers.training.losses import Loss, Mixing, balanced_weights, log_probabilities

LOGITS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 2, 1, 1, 0, 2])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_is_cross_entropy(smoothing: float) -> None:
    loss = Loss("softmax", torch.ones(3), smoothing)
    expected = functional.cross_entropy(LOGITS, LABELS, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(loss(LOGITS, loss.targets(LABELS)), expected)


def test_sigmoid_is_binary_cross_entropy_of_the_positive_class() -> None:
    loss, logits, labels = Loss("sigmoid", torch.tensor([0.5, 2.0]), 0.0), LOGITS[:, :1], LABELS.clamp(max=1)
    expected = functional.binary_cross_entropy_with_logits(
        logits[:, 0], labels.float(), weight=torch.where(labels == 1, 2.0, 0.5), reduction="sum"
    )
    torch.testing.assert_close(loss(logits, loss.targets(labels)), expected)


def test_logits_far_out_and_of_half_precision_stay_finite() -> None:
    logits = torch.tensor([[200.0], [-200.0]], dtype=torch.bfloat16)
    logs = log_probabilities(logits, "sigmoid")
    assert logs.dtype == torch.float32
    assert torch.isfinite(logs).all()
    assert logs.argmax(1).tolist() == [1, 0]


def test_balanced_weights_give_classes_the_same_weight_and_cells_1_on_average() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [3])
    weights = balanced_weights(labels, 4)
    assert weights[2] == 0, "a class without cells"
    np.testing.assert_allclose(np.bincount(labels, weights[labels], 4)[[0, 1, 3]], 10 / 3, rtol=1e-6)


def test_mixing_blends_pictures_and_targets_alike_and_repeatably() -> None:
    options = {"seed": 1, "epoch": 2, "batch": 3, "process": 0}
    mixing = Mixing.draw(0.4, 6, **options)
    values = torch.eye(6)
    blended = mixing.blend(values)
    assert 0 < mixing.share < 1
    torch.testing.assert_close(blended.sum(1), torch.ones(6))
    torch.testing.assert_close(blended, mixing.share * values + (1 - mixing.share) * values[mixing.order.tolist()])
    assert Mixing.draw(0.4, 6, **options).share == mixing.share
    assert Mixing.draw(0.4, 6, **{**options, "batch": 4}).share != mixing.share
