"""The heat maps of finished reports, made again by the model that each names, where it is at hand and is still the same."""

from __future__ import annotations

from classifiers import Explainer
from smearscan import building
from smearscan.compare.report_folder import Report
from smearscan.config import ScanConfig
from smearscan.errors import SmearscanError


def explainer_of(report: Report) -> tuple[Explainer | None, str]:
    """Return what makes heat maps as the run did, or nothing and the sentence that says why."""
    settings = report.run.get("settings") or {}
    digests = {slide.record["classifier"]["sha256"] for slide in report.slides.values() if slide.count is not None}
    if not settings.get("classifier") or len(digests) != 1:
        return None, _without(report, "it does not say which one model it is of")
    try:
        config = ScanConfig(classifier=settings["classifier"], cam=settings.get("cam", ScanConfig.cam))
        classifier = building.build_classifier(config)
        if classifier.card.sha256 not in digests:
            return None, _without(report, f"{config.classifier} is another model now")
        return building.build_explainer(config, classifier), ""
    except SmearscanError as error:
        return None, _without(report, str(error))


def _without(report: Report, why: str) -> str:
    return f"{report.name}: cells that it keeps no picture of have no heat map, for {why.removesuffix('.')}."
