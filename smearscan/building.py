"""The models of a run, found by name or folder and built before the first slide is opened."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from classifiers import Classifier, ClassifierError, Explainer
from classifiers.card import CardError
from detectors import Detector, DetectorError
from smearscan import plugins
from smearscan.config import ScanConfig
from smearscan.errors import ConfigError, PluginError

NO_HEAT_MAPS = "none"
FIELD_MODEL = "yolo"  # the detector that has weights of its own, named by --detector


def build_classifier(config: ScanConfig) -> Classifier:
    """Return the classifier that --classifier names: a model folder, or a name."""
    named = config.classifier
    batch_size = config.batch_size if config.batch_size == "auto" else int(config.batch_size)
    options = {"device": config.device, "batch_size": batch_size, "precision": config.precision}
    try:
        if is_place(named):
            return plugins.load(plugins.MODEL_FOLDER)(Path(named), **options)  # type: ignore[no-any-return]
        return plugins.find("smearscan.classifiers", named)(**options)  # type: ignore[no-any-return]
    except (ClassifierError, CardError) as error:
        raise PluginError(str(error)) from error


def build_explainer(config: ScanConfig, classifier: Classifier) -> Explainer | None:
    """Return what makes the heat maps that --cam names, None where there shall be none."""
    if config.cam == NO_HEAT_MAPS or config.overlays == 0:
        return None
    known = plugins.load(plugins.EXPLAINER_NAMES)(signed=False)  # an overlay has no colours for what speaks against
    if config.cam not in known:
        raise ConfigError(f"cam = {config.cam!r} must be one of {', '.join(known)}, or {NO_HEAT_MAPS}.")
    try:
        return plugins.load(plugins.EXPLAINER)(config.cam, classifier)  # type: ignore[no-any-return]
    except ClassifierError as error:
        raise PluginError(str(error)) from error


@dataclass(frozen=True)
class DetectorChoice:
    """Which detector, with which options: small enough to send to every worker, which builds it there."""

    config: ScanConfig

    def __call__(self, mpp: float | None) -> Detector:
        """Build the detector for slides of that scale."""
        return _build(self.config, mpp if self.config.needs_scale() else None)


@lru_cache(maxsize=8)  # a model is loaded once in each process
def _build(config: ScanConfig, mpp: float | None) -> Detector:
    factory = plugins.find("smearscan.detectors", config.proposals)
    try:
        if config.proposals == "window":
            size, step = config.window_px(mpp)
            return factory(size=size, step=step)  # type: ignore[no-any-return]
        if config.proposals == FIELD_MODEL:
            return factory(**_field_options(config))  # type: ignore[no-any-return]
        return factory()  # type: ignore[no-any-return]
    except DetectorError as error:
        raise PluginError(str(error)) from error


def _field_options(config: ScanConfig) -> dict[str, object]:
    return {
        "model": config.detector,
        "trust_weights": config.trust_weights,
        "confidence": config.confidence,
        "iou": config.nms_iou,
        "device": config.device,
    }


def is_place(named: str) -> bool:
    """Whether a model is given by its place: anything with a separator, and any folder that is there."""
    return "/" in named or "\\" in named or Path(named).is_dir()
