"""Cross-validation: every subject is tested once, by a network that never saw it; then one network of all of them.

Each fold is a training of its own with its own test, validation and calibration subjects, kept in `folds/1` and so on; a fold
that is done is not done again. The model itself trains on all subjects but those that stop and calibrate it, which are the
first fold's: it stops by itself, as every fold did, rather than after the folds' median number of epochs, since it has more
cells an epoch. What its card says of accuracy and subjects are the folds' predictions, each at its own fold's threshold.

With few subjects that leaves too few to learn from, and one or two to calibrate on. A recipe whose stages monitor none has no need of
validation cells, and then no subject is held back: every fold learns from all it does not test, and gets its temperature and
threshold from what the other folds' networks say of their own test cells. No cell bears on how it is called itself. The model
learns from all subjects and is calibrated by the predictions of all folds.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers import calibration
from classifiers.base import ClassifierError
from classifiers.card import Activation, ModelCard
from classifiers.datasets import Samples
from classifiers.folder import CARD_FILE, read_card
from classifiers.recipes import Recipe
from classifiers.splits import PARTS, Split, cross_splits
from classifiers.training import cards
from classifiers.training.cards import Floats, Judged
from classifiers.training.model import choose_precision, refuse_finished, train
from classifiers.training.order import class_order, differing, half_name, identify
from classifiers.training.processes import choose_devices
from classifiers.training.progress import Progress, Show
from classifiers.training.results import CACHE, TRAINING

FOLDS = "folds"
OUT_OF_FOLD = "out_of_fold.csv"


@dataclass(frozen=True)
class Tested:
    """What the folds' networks say of the cells that they never saw."""

    judged: Judged  # every cell of the set, each at the threshold of its fold
    fold: NDArray[np.intp]  # of each cell, from 1
    cards: tuple[ModelCard, ...]
    uncooled: Floats  # the folds' probabilities as their predictions.csv have them


def cross_validate(samples: Samples, recipe: Recipe, out: Path, folds: int, *, seed: int = 0, **options: Any) -> ModelCard:
    """Train and test `folds` networks, then the model of all subjects, and write the model folder `out`.

    `options` are those of `train` except `split` and `amend`. The same call goes on where an earlier one ended.
    """
    overwrite = bool(options.pop("overwrite", False))
    splits = cross_splits(samples, folds, seed, hold_back=recipe.chooses)
    if overwrite:
        shutil.rmtree(out / FOLDS, ignore_errors=True)
    else:
        refuse_finished(out)
    own_cache = options.get("cache") is None
    if own_cache:
        options["cache"] = out / FOLDS / CACHE
    show: Show | None = options.pop("show", None)
    tested = test_folds(samples, recipe, out / FOLDS, splits, seed=seed, show=show, **options)
    final = whole(splits[0], folds)
    rule = options.get("threshold_rule", "youden")

    def amend(card: ModelCard) -> ModelCard:
        if not recipe.chooses:
            card = cards.fit(card, logits_of(tested.uncooled, card.activation), tested.judged.labels, rule)
            said = {"on": "the test cells of all folds", "threshold_rule": rule, **cards.sizes(samples, tested.judged.rows)}
            card = replace(card, extra={**card.extra, "calibration": said})
        cards.write_predictions(out / TRAINING / OUT_OF_FOLD, card, tested.judged, [f"fold {number}" for number in tested.fold])
        return amended(card, tested)

    card = train(
        samples,
        recipe,
        out,
        split=final,
        seed=seed,
        amend=amend,
        overwrite=overwrite,
        show=_labelled(show, "model of all subjects"),
        **options,
    )
    if own_cache:
        shutil.rmtree(out / FOLDS / CACHE, ignore_errors=True)
    return card


def whole(split: Split, folds: int) -> Split:
    """Return a split whose test cells are trained on as well: they are tested elsewhere."""
    parts = np.where(split.parts == PARTS.index("test"), PARTS.index("train"), split.parts).astype(np.int8)
    note = f"every subject tested once in {folds}-fold cross-validation"
    if split.leaky:  # some cells' subjects are not known, which no dealing of groups mends
        note = f"{note}; {split.note}"
    return Split(split.kind, parts, leaky=split.leaky, note=note)


def test_folds(
    samples: Samples, recipe: Recipe, folder: Path, splits: Sequence[Split], *, seed: int, show: Show | None, **options: Any
) -> Tested:
    """Train the networks of all folds in `folder`, where that is not done, and return what they say."""
    found: list[ModelCard] = []
    predicted: list[NDArray[np.float64]] = []
    for number, split in enumerate(splits, start=1):
        place = folder / str(number)
        card = _finished(place, samples, recipe, split, seed=seed, **options)
        if card is None:
            label = f"fold {number} of {len(splits)}"
            card = train(samples, recipe, place, split=split, seed=seed, show=_labelled(show, label), **options)
        found.append(card)
        rows, probabilities = cards.read_predictions(place / TRAINING / "predictions.csv", card.classes)
        predicted.append(probabilities[np.isin(rows, split.rows("test"))])
    uncooled = np.concatenate(predicted)
    if not recipe.chooses:
        rule = options.get("threshold_rule", "youden")
        found, predicted = calibrate_across(samples, found, predicted, splits, rule)
        for number, card in enumerate(found, start=1):
            card.save(folder / str(number) / CARD_FILE)
    order = np.argsort(np.concatenate([split.rows("test") for split in splits]))  # every cell is tested once
    called = np.concatenate([cards.call_blasts(card, each) for card, each in zip(found, predicted, strict=True)])[order]
    fold = np.repeat(np.arange(1, len(splits) + 1), [len(each) for each in predicted])[order]
    _, labels = class_order(samples, found[0].activation)
    judged = Judged(samples, labels, np.arange(len(samples)), np.concatenate(predicted)[order], called)
    return Tested(judged, fold, tuple(found), uncooled[order])


def calibrate_across(
    samples: Samples, found: Sequence[ModelCard], predicted: Sequence[Floats], splits: Sequence[Split], rule: str
) -> tuple[list[ModelCard], list[Floats]]:
    """Return each fold's card with the temperature and threshold that the other folds' test cells ask for, and what it then says.

    `predicted` are the probabilities of each fold's test cells at a temperature of 1.
    """
    _, labels = class_order(samples, found[0].activation)
    calibrated, cooled = [], []
    for number, (card, own, split) in enumerate(zip(found, predicted, splits, strict=True)):
        others = [place for place in range(len(splits)) if place != number]
        rows = np.concatenate([splits[place].rows("test") for place in others])
        logits = logits_of(np.concatenate([predicted[place] for place in others]), card.activation)
        fitted = cards.fit(card, logits, labels[rows], rule)
        probabilities = calibration.probabilities(logits_of(own, card.activation), card.activation, fitted.temperature)
        tested = split.rows("test")
        judged = Judged(samples, labels, tested, probabilities, cards.call_blasts(fitted, probabilities))
        said = {
            "calibration": {"on": "the other folds' test cells", "threshold_rule": rule, **cards.sizes(samples, rows)},
            "test": {"on": "test", **cards.measure(fitted, judged)},
        }
        subjects = () if split.leaky else cards.count_subjects(fitted, judged)
        calibrated.append(replace(fitted, subjects=subjects, extra={**card.extra, **said}))
        cooled.append(probabilities)
    return calibrated, cooled


def logits_of(probabilities: Floats, activation: Activation) -> Floats:
    """Return logits that give these probabilities at a temperature of 1."""
    logs: Floats = np.log(np.clip(probabilities, np.finfo(np.float64).tiny, None))
    return logs[:, 1:] - logs[:, :1] if activation == "sigmoid" else logs


def _finished(
    place: Path,
    samples: Samples,
    recipe: Recipe,
    split: Split,
    *,
    seed: int,
    device: str = "auto",
    precision: str = "auto",
    weights: str | Path | None = None,
    **_: Any,
) -> ModelCard | None:
    """Return the card of a fold that an earlier call finished; refuses one of another training."""
    if not (place / CARD_FILE).is_file():
        return None
    card = read_card(place)
    targets = choose_devices(device)
    half = choose_precision(precision, targets[0])
    now = identify(samples, recipe, split, seed=seed, weights=weights, precision=half_name(half), devices=len(targets))
    if changed := differing(card.extra.get("identity", {}), now):
        raise ClassifierError(
            f"{place} holds a fold whose {' and '.join(changed)} was not the same. "
            "Give another folder, or start anew with overwrite (--overwrite)."
        )
    return card


def amended(card: ModelCard, tested: Tested) -> ModelCard:
    """Return the card of the model of all subjects with what the folds say of it."""
    pooled = {"on": "cross-validation", "folds": len(tested.cards), **cards.measure(card, tested.judged)}
    each = [
        {
            **{name: fold.extra["test"][name] for name in ("cells", "groups", "accuracy", "balanced_accuracy", "auc")},
            "threshold": fold.threshold,
            "temperature": fold.temperature,
            "stages": fold.extra["training"]["stages"],
        }
        for fold in tested.cards
    ]
    subjects = () if card.extra["split"]["leaky"] else cards.count_subjects(card, tested.judged)
    return replace(card, subjects=subjects, extra={**card.extra, "test": pooled, "folds": each})


def _labelled(show: Show | None, label: str) -> Show | None:
    if show is None:
        return None

    def told(progress: Progress) -> None:
        show(replace(progress, label=label))

    return told
