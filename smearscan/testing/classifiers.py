"""What every classifier must do, as tests to inherit, and a classifier that needs no weights.

class TestMine(ClassifierContract):
    @pytest.fixture
    def classifier(self):
        return MyClassifier()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from classifiers.base import Classifier, ClassifierError, Compute, Predictions
from classifiers.card import ModelCard, Role


def fake_card(
    classes: Sequence[str] = ("blast", "other", "smudge"),
    roles: Mapping[str, Role] | None = None,
    crop_px: int = 32,
    crop_um: float | None = 16.0,
) -> ModelCard:
    """Return a card of a classifier that was never trained."""
    given: Mapping[str, Role] = roles or {"blast": "blast", "other": "other", "smudge": "excluded"}
    return ModelCard(
        name="fake",
        summary="Looks at mean colours: for tests only",
        classes=tuple(classes),
        roles={name: given[name] for name in classes},
        positive_class=next(name for name in classes if given[name] == "blast"),
        activation="softmax",
        network={"name": "none"},
        crop_px=crop_px,
        crop_um=crop_um,
        licence="AGPL-3.0-or-later",
        training_data="none",
    )


class FakeClassifier(Classifier):
    """Scores a crop by its mean colours: redder is more like the first class, greener the second, and so on."""

    def __init__(self, card: ModelCard | None = None, batch_size: int = 16) -> None:
        self.card = card or fake_card()
        self.compute = Compute(device="cpu", precision="fp32", batch_size=batch_size)
        self.batch_sizes: list[int] = []  # of every call, for tests to look at

    def predict(self, crops: NDArray[np.uint8]) -> Predictions:
        px = self.card.crop_px
        if crops.dtype != np.uint8 or crops.shape[1:] != (px, px, 3):
            raise ClassifierError(f"{self.card.name!r} takes crops (n, {px}, {px}, 3) of uint8, not {crops.shape} of {crops.dtype}.")
        self.batch_sizes.append(len(crops))
        # Integer sums and one division a row: no rounding depends on the rows beside it.
        sums = crops.reshape(len(crops), px * px, 3).sum(axis=1, dtype=np.int64)
        weights = 1 + sums[:, [index % 3 for index in range(len(self.card.classes))]]
        probabilities = weights / weights.sum(axis=1, keepdims=True)
        return Predictions(probabilities.astype(np.float32), self.card.classes)


class ClassifierContract:
    """Tests that every classifier passes; a subclass gives the fixture `classifier`."""

    @pytest.fixture
    def classifier(self) -> Classifier:
        raise NotImplementedError("A subclass of ClassifierContract gives the fixture `classifier`.")

    @pytest.fixture
    def crops(self, classifier: Classifier) -> NDArray[np.uint8]:
        px = classifier.card.crop_px
        return np.random.default_rng(5).integers(0, 256, (37, px, px, 3), dtype=np.uint8)

    def test_probabilities_are_a_distribution_in_the_cards_order(self, classifier: Classifier, crops: NDArray[np.uint8]) -> None:
        predictions = classifier.predict(crops)
        assert predictions.classes == classifier.card.classes
        assert predictions.probabilities.shape == (len(crops), len(classifier.card.classes))
        assert predictions.probabilities.dtype == np.float32
        assert np.isfinite(predictions.probabilities).all()
        assert ((predictions.probabilities >= 0) & (predictions.probabilities <= 1)).all()
        np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, atol=1e-6)

    def test_no_crops_give_no_rows(self, classifier: Classifier, crops: NDArray[np.uint8]) -> None:
        assert classifier.predict(crops[:0]).probabilities.shape == (0, len(classifier.card.classes))

    @pytest.mark.parametrize("size", [1, 7, 16, 36])
    def test_a_rows_bits_do_not_depend_on_the_batch(self, classifier: Classifier, crops: NDArray[np.uint8], size: int) -> None:
        together = classifier.predict(crops).probabilities
        pieces = [classifier.predict(crops[start : start + size]).probabilities for start in range(0, len(crops), size)]
        np.testing.assert_array_equal(np.concatenate(pieces), together)

    def test_a_rows_bits_do_not_depend_on_its_place(self, classifier: Classifier, crops: NDArray[np.uint8]) -> None:
        order = np.random.default_rng(6).permutation(len(crops))
        np.testing.assert_array_equal(classifier.predict(crops[order]).probabilities, classifier.predict(crops).probabilities[order])

    def test_different_crops_get_different_scores(self, classifier: Classifier, crops: NDArray[np.uint8]) -> None:
        assert len(np.unique(classifier.predict(crops).probabilities, axis=0)) > 1

    def test_read_only_crops_are_taken_and_left_as_they_are(self, classifier: Classifier, crops: NDArray[np.uint8]) -> None:
        before = crops.copy()
        crops.flags.writeable = False
        classifier.predict(crops)
        np.testing.assert_array_equal(crops, before)

    def test_crops_of_another_size_are_refused(self, classifier: Classifier, crops: NDArray[np.uint8]) -> None:
        with pytest.raises(ClassifierError, match=str(classifier.card.crop_px)):
            classifier.predict(crops[:, 1:])

    def test_crops_of_another_type_are_refused(self, classifier: Classifier, crops: NDArray[np.uint8]) -> None:
        with pytest.raises(ClassifierError, match="uint8"):
            classifier.predict(crops.astype(np.float32))

    def test_what_it_computes_on_is_said(self, classifier: Classifier) -> None:
        assert classifier.compute.batch_size >= 1
        assert classifier.compute.device
        assert classifier.compute.precision in {"fp32", "mixed"}
