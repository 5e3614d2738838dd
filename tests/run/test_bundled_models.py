"""The two models that come along, one after the other, as a run uses them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from classifiers import bundled
from detectors.boxes import as_boxes
from detectors.yolo import YoloDetector
from smearscan import crops, staining
from smearscan.config import DEFAULT_CLASSIFIER


@pytest.mark.data
@pytest.mark.slow
def test_what_the_detector_proposes_between_red_cells_the_classifier_leaves_out(data_folder: Path, detection: ModuleType) -> None:
    """The first of these slides is dense: a quarter of what is proposed there is no white cell."""
    classifier, detector = bundled.open_bundled(DEFAULT_CLASSIFIER, device="cpu"), YoloDetector("white-cells", device="cpu")
    cells = hits = kept = 0
    for field in detection.composed_slides(data_folder, 2):
        boxes = detector.tuned(field.picture, field.mpp).propose(field.picture, field.mpp).boxes
        size = (field.picture.shape[1], field.picture.shape[0])
        cut = crops.cut(field.picture, (0, 0), boxes, classifier.card, slide_size=size, mpp=field.mpp)
        seen = crops.in_known_stain(cut, classifier.card, staining.of_picture(field.picture, field.mpp))
        called = classifier.card.called(classifier.predict(seen).probabilities)
        counted = as_boxes(boxes[~np.isin(called, classifier.card.columns("excluded"))])
        cells, kept = cells + len(field.truth), kept + len(counted)
        hits += int((detection.match(field.truth, counted) >= 0).sum())
    assert cells == 120
    assert hits / cells >= 0.97
    assert hits / kept >= 0.95
