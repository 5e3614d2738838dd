"""The one call that makes a detector folder of labelled pictures."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from detectors.training.errors import NotTrainable
from detectors.training.labels import LabelledPicture
from detectors.training.loop import Training
from detectors.training.results import CardFacts, write_model
from detectors.training.settings import Show, Stop, TrainingSettings
from detectors.training.splitting import FieldSplit, split_pictures
from detectors.yolo import pick_device
from detectors.yolo_folder import CARD, MODEL, WEIGHTS, DetectorCard

CHECKPOINT = "checkpoint.pt"
LOGS = "training"


def train_detector(
    pictures: Sequence[LabelledPicture],
    folder: Path,
    settings: TrainingSettings | None = None,
    *,
    split: FieldSplit | None = None,
    facts: CardFacts | None = None,
    device: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    checkpoint_every_s: float = 60.0,
    show: Show = lambda progress: None,
    stop: Stop = lambda: False,
) -> DetectorCard:
    """Train a network on labelled pictures and write it to `folder`, with `training/` beside it; return its card.

    The folder holds the best weights so far from the first validation on. The same call goes on where an earlier one was
    stopped, even by a kill, and comes to the same weights on the same kind of machine. Once it is done, it is refused without
    `overwrite`. The test pictures of the split are looked at once, at the very end.
    """
    settings, facts = settings or TrainingSettings(), facts or CardFacts()
    checkpoint = folder / LOGS / CHECKPOINT
    if overwrite:
        _clear(folder)
    refuse_finished(folder)
    split = split or split_pictures(pictures, settings.seed)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    before = torch.get_num_threads()
    used = threads or before
    torch.set_num_threads(used)
    try:
        training = Training(split, settings, checkpoint, pick_device(device), used)
        training.resume()
        for validation in training.run(show, stop, checkpoint_every_s):
            if validation == training.standing.best and validation.step < settings.steps:
                write_model(training, folder, facts, split, tested=False)
        card = write_model(training, folder, facts, split, tested=True)
    finally:
        torch.set_num_threads(before)
    checkpoint.unlink(missing_ok=True)
    return card


def refuse_finished(folder: Path) -> None:
    """Raise NotTrainable if `folder` holds a detector that no checkpoint says is still in work, or anything else."""
    if (folder / LOGS / CHECKPOINT).is_file() or not folder.exists():
        return
    if not folder.is_dir():
        raise NotTrainable(f"{folder} is no folder: choose another place for the detector.")
    if (folder / CARD).is_file():
        raise NotTrainable(f"{folder} holds a finished detector: choose another folder, or start anew with overwrite (--overwrite).")
    if any(path.name != LOGS for path in folder.iterdir()):
        raise NotTrainable(f"{folder} is not empty: choose another folder for the detector.")


def _clear(folder: Path) -> None:
    """Delete what an earlier training wrote, and nothing else."""
    for name in (CARD, MODEL, WEIGHTS):
        (folder / name).unlink(missing_ok=True)
    if (folder / LOGS).is_dir():
        shutil.rmtree(folder / LOGS)
