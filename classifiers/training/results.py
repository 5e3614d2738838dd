"""What a training leaves behind: a model folder with its card, and beside it how the model came about."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from classifiers import networks
from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.datasets import Samples
from classifiers.folder import write_model
from classifiers.splits import PARTS, Split, write_split
from classifiers.torch_classifier import TorchClassifier
from classifiers.training import cards
from classifiers.training.cards import Scale, Scored
from classifiers.training.curves import best_epochs, write_curves_csv, write_curves_png
from classifiers.training.loop import Fitted
from classifiers.training.order import Order, half_name, input_plan
from classifiers.training.pixels import Pixels
from classifiers.training.progress import Epoch
from classifiers.training.recipe_toml import write_recipe

TRAINING = "training"  # the folder beside card and weights that says how they came about
CHECKPOINT = "checkpoint.pt"
CACHE = "cache"
LOOK_AT_ONCE = 256  # cells whose final logits are asked for at once


@dataclass(frozen=True)
class Trained:
    """A trained network and all that it came from."""

    samples: Samples
    split: Split
    order: Order
    fitted: Fitted
    pixels: Pixels


Amend = Callable[[ModelCard], ModelCard]


def write_results(
    out: Path, trained: Trained, *, scale: Scale, targets: Sequence[torch.device], rule: str, amend: Amend | None = None
) -> ModelCard:
    """Calibrate and test, write what says how the model came about, and the model itself last; return its card."""
    order = trained.order
    card = _card(trained, scale)
    scored = score(card, trained, targets[0])
    card = cards.calibrate(card, trained.split, scored, rule)
    card = amend(card) if amend is not None else card
    card = replace(card, summary=cards.summarise(card, order.recipe.title))
    try:
        _write_course(out / TRAINING, card, trained, scored)
        _write_times(out / TRAINING / "times.json", order, trained.fitted, targets)
        card = write_model(out, card, trained.fitted.network.state_dict())
    except OSError as error:
        raise ClassifierError(f"{out} cannot be written: {error.strerror}. Make room there; the same call goes on.") from error
    (out / TRAINING / CHECKPOINT).unlink(missing_ok=True)
    shutil.rmtree(out / TRAINING / CACHE, ignore_errors=True)
    return card


def _write_course(folder: Path, card: ModelCard, trained: Trained, scored: Scored) -> None:
    split, history, recipe = trained.split, trained.fitted.history, trained.order.recipe
    write_curves_csv(folder / "curves.csv", history)
    write_curves_png(folder / "curves.png", history, [stage.monitor for stage in recipe.stages], card.name, cards.leak_warning(split))
    write_split(folder / "split.csv", trained.samples, split)
    cards.write_predictions(folder / "predictions.csv", card, scored.judge(card, scored.rows), [PARTS[part] for part in split.parts])
    write_recipe(folder / "recipe.toml", recipe)


def score(card: ModelCard, trained: Trained, device: torch.device) -> Scored:
    """Return what the network says of the cells that it did not learn from, in fp32 and as it will in use."""
    pixels, rows = trained.pixels, cards.held_out(trained.split)
    prepared = replace(card, preparation=(), crop_px=int(pixels.shape[1]))  # the pictures are what the preparation leaves
    classifier = TorchClassifier(prepared, trained.fitted.network, device=str(device), precision="fp32")
    logits = [classifier.logits(pixels[rows[start : start + LOOK_AT_ONCE]]) for start in range(0, len(rows), LOOK_AT_ONCE)]
    nothing = np.zeros((0, len(card.classes) if card.activation == "softmax" else 1))
    return Scored(trained.samples, trained.order.labels, rows, np.concatenate([nothing, *logits]))


def _card(trained: Trained, scale: Scale) -> ModelCard:
    samples, split, order, recipe = trained.samples, trained.split, trained.order, trained.order.recipe
    plan = input_plan(recipe)
    crop_um, crop_diameters, scale_sentence = scale.of(samples)
    return ModelCard(
        name=f"{recipe.name} on {samples.name}",
        summary="",
        classes=order.classes,
        roles=dict(samples.roles),
        positive_class=samples.positive_class,
        activation=order.activation,
        network={"name": order.network.name, **order.network.options},
        crop_px=plan.crop_px,
        crop_um=crop_um,
        crop_diameters=crop_diameters,
        preparation=plan.preparation,
        mean=order.mean,
        std=order.std,
        cam_layer=networks.default_cam_layer(trained.fitted.network),
        licence=samples.licence,
        training_data=samples.name,
        extra={
            "citation": samples.citation,
            "scale": scale_sentence,
            "split": cards.describe_split(samples, split),
            "recipe": {"name": recipe.name, **json.loads(json.dumps(dict(recipe.values), default=str))},
            "identity": dict(order.identity),
            "training": _course(order, trained.fitted),
            "versions": cards.versions(),
        },
    )


def _course(order: Order, fitted: Fitted) -> dict[str, Any]:
    best = best_epochs(fitted.history, [stage.monitor for stage in order.recipe.stages])
    stages = [
        {
            "epochs": sum(each.stage == number for each in fitted.history),
            "best_epoch": fitted.history[place].epoch,
            **_validated(fitted.history[place]),
        }
        for number, place in enumerate(best, start=1)
    ]
    weights = "random" if order.weights is None else Path(order.weights).name
    return {"seed": order.seed, "precision": half_name(order.half), "initial_weights": weights, "stages": stages}


def _validated(epoch: Epoch) -> dict[str, float]:
    if epoch.validation_loss is None or epoch.validation_accuracy is None:
        return {}
    return {"validation_loss": round(epoch.validation_loss, 6), "validation_accuracy": round(epoch.validation_accuracy, 6)}


def _write_times(path: Path, order: Order, fitted: Fitted, targets: Sequence[torch.device]) -> None:
    training = fitted.seconds["training"]
    times = {
        "seconds": {name: round(value, 3) for name, value in fitted.seconds.items()},
        "cells_trained": fitted.cells_trained,
        "cells_per_s": round(fitted.cells_trained / training, 1) if training else None,
        "waiting_share": round(fitted.seconds["waiting"] / training, 5) if training else None,
        "machine": {
            "device": ",".join(str(each) for each in targets),
            "processor": torch.cpu.get_capabilities().get("cpu_name", platform.machine()),
            "threads": order.threads,
            "precision": half_name(order.half),
        },
    }
    path.write_text(json.dumps(times, indent=2) + "\n", encoding="utf-8")
