"""Where are the white cells? Pictures in, boxes out; knows nothing of slides or of smearscan."""

from detectors.base import Detector, DetectorError, Proposals

__all__ = ["Detector", "DetectorError", "Proposals"]
