"""Whether a model is whole and works: what its card describes is there, the network builds, and what comes out makes sense."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from classifiers import Classifier, ClassifierError
from classifiers.card import CardError
from detectors import Detector, DetectorError
from smearscan import plugins
from smearscan.errors import PluginError
from smearscan.models.shelf import Model
from smearscan.reports.card_sections import read_sections
from smearscan.reports.card_view import CLASSIFIER

CROPS = 5
SUM_WITHIN = 1e-4
FIELD_PX, FIELD_CELLS, FIELD_MPP = 640, 12, 0.25  # of the picture that a detector is shown


def verify(model: Model) -> list[str]:
    """Return what was found, in sentences; raises PluginError with the one that says what is wrong."""
    try:
        found = _classifier(model) if model.kind == CLASSIFIER else _detector(model)
    except (ClassifierError, CardError, DetectorError) as error:
        raise PluginError(str(error)) from error
    gone = sorted(name for name in read_sections(model.card.get("extra") or {}).files if not (model.folder / name).is_file())
    if gone:
        raise PluginError(f"{model.folder} lacks {', '.join(gone)}, which its card shows. Copy the model folder again from where it came.")
    return [
        f"the files are those that the card describes (sha256 {model.card['sha256'][:12]})",
        "the network builds and its weights fit",
        found,
    ]


def _classifier(model: Model) -> str:
    classifier: Classifier = plugins.load(plugins.MODEL_FOLDER)(model.folder, device="cpu")
    card = classifier.card
    crops = np.random.default_rng(0).integers(0, 256, (CROPS, card.crop_px, card.crop_px, 3), np.uint8)
    crops[-1] = 255  # glass, and nothing else
    found = classifier.predict(crops).probabilities
    if found.shape != (CROPS, len(card.classes)):
        raise PluginError(f"{model.name}: {CROPS} crops gave probabilities of the shape {found.shape}, not one for each of its classes.")
    sums = found.sum(axis=1, dtype=np.float64)
    if not np.isfinite(found).all() or found.min() < 0 or np.abs(sums - 1).max() > SUM_WITHIN:
        raise PluginError(
            f"{model.name}: its probabilities make no sense: they lie between {found.min():.3g} and {found.max():.3g} and add up to "
            f"{sums.min():.6g} to {sums.max():.6g}. Train it again, or get another copy."
        )
    return f"{CROPS} crops give probabilities of {len(card.classes)} classes that add up to 1"


def _detector(model: Model) -> str:
    from smearscan.smears import SmearPlan, plan_smear

    detector: Detector = plugins.find("smearscan.detectors", "yolo")(model=Path(model.folder), device="cpu")
    plan = SmearPlan(width=FIELD_PX, height=FIELD_PX, mpp=FIELD_MPP, seed=0, white_cells=FIELD_CELLS, layout="field")
    found = detector.propose(plan_smear(plan).picture(), FIELD_MPP)
    boxes, scores = found.boxes, found.scores
    inside = (boxes >= 0).all() and (boxes <= FIELD_PX).all() and (boxes[:, 2:] > boxes[:, :2]).all()
    if not (np.isfinite(boxes).all() and inside and ((scores >= 0) & (scores <= 1)).all()):
        raise PluginError(f"{model.name}: its boxes make no sense: some lie outside the picture, or have no size or no score from 0 to 1.")
    return f"a drawn picture of {FIELD_CELLS} white cells gives {len(found)} boxes"
