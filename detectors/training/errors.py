"""What can go wrong with a training, beside what can go wrong with any detector."""

from __future__ import annotations

from detectors.base import DetectorError


class NotTrainable(DetectorError):
    """The pictures, their labels, or what is asked for make no sense: nothing can be trained."""


class TrainingStopped(DetectorError):
    """Training was asked to stop; its checkpoint is written, and the same call goes on from there."""
