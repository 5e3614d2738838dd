"""Training a detector of white cells: labelled pictures in, a detector folder out.

pictures = read_labels(Path("bccd")) + read_labels(Path("txl_pbc"), names=("WBC", "RBC", "platelet"))
card = train_detector(pictures, Path("detector"), TrainingSettings(steps=8000))
"""

from __future__ import annotations

from detectors.training.errors import NotTrainable, TrainingStopped
from detectors.training.fitting import train_detector
from detectors.training.labels import LabelledPicture, read_labels
from detectors.training.results import CardFacts
from detectors.training.settings import DetectorProgress, TrainingSettings, Validation
from detectors.training.splitting import FieldSplit, read_split, split_pictures

__all__ = [
    "CardFacts",
    "DetectorProgress",
    "FieldSplit",
    "LabelledPicture",
    "NotTrainable",
    "TrainingSettings",
    "TrainingStopped",
    "Validation",
    "read_labels",
    "read_split",
    "split_pictures",
    "train_detector",
]
