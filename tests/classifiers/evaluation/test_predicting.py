"""Cells through a classifier: in order, in full batches, and what happens when one cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from classifiers.datasets import DatasetError, Samples
from classifiers.evaluation import predict_samples, score_samples
from smearscan.testing.evaluations import Redness, make_samples

Pictures = Callable[[Sequence[int], Sequence[int], Sequence[str]], Samples]
REDS = [0, 40, 80, 120, 160, 200, 240, 250, 255]


@pytest.fixture
def samples(pictures: Pictures) -> Samples:
    return pictures(REDS, [0, 1] * 4 + [0], ["A"] * 9)


def test_every_cell_is_scored_in_order_and_in_full_batches(samples: Samples) -> None:
    classifier, told = Redness(batch_size=4), []
    found = predict_samples(classifier, samples, told.append)
    np.testing.assert_allclose(found.probabilities[:, 1], np.array(REDS) / 255, atol=1e-6)
    assert classifier.given == [4, 4, 1]
    assert told == [4, 8, 9]


def test_unreadable_pictures_are_named_and_counted_and_nothing_is_scored_after_them(samples: Samples) -> None:
    (samples.root / "1.png").write_bytes(b"no picture")
    (samples.root / "7.png").unlink()
    classifier = Redness(batch_size=4)
    with pytest.raises(DatasetError, match=r"2 of 9 cells cannot be read.*1\.png is no picture.*7\.png cannot be read"):
        predict_samples(classifier, samples)
    assert classifier.given == []


def test_unreadable_pictures_are_left_out_when_asked(samples: Samples) -> None:
    (samples.root / "1.png").write_bytes(b"no picture")
    found = score_samples(Redness(), samples, skip_unreadable=True)
    assert found.rows.tolist() == [0, 2, 3, 4, 5, 6, 7, 8]
    assert len(found.unreadable) == 1
    np.testing.assert_allclose(found.predictions.probabilities[1, 1], 80 / 255, atol=1e-6)


def test_many_unreadable_pictures_are_not_all_named(samples: Samples) -> None:
    for row in range(9):
        (samples.root / f"{row}.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"9 of 9 cells.*And 4 more"):
        predict_samples(Redness(), samples)


def test_no_cells_give_no_rows() -> None:
    assert predict_samples(Redness(), make_samples([])).probabilities.shape == (0, 2)
