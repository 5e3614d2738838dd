"""From trained models to one model folder that holds them all."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.base import ClassifierError
from classifiers.calibration import read_rule
from classifiers.card import ModelCard
from classifiers.datasets import Samples
from classifiers.ensembles.classifier import EnsembleClassifier, columns_of
from classifiers.ensembles.folder import MEMBERS, copy_members, network_of, write_ensemble
from classifiers.ensembles.members import PREDICTIONS, SPLIT_FILE, Member, check_agreement, held_out, read_member
from classifiers.ensembles.mixing import Floats, logits, mix, weighted_f1
from classifiers.ensembles.weights import METHODS, choose_weights
from classifiers.opening import open_model
from classifiers.splits import PARTS
from classifiers.training.cards import Scored, calibrate, summarise, versions, write_predictions
from classifiers.training.model import begin

LOOK_AT_ONCE = 256  # cells that are scored at once

Show = Callable[[int, int], None]  # cells done, of how many


def combine(
    members: Sequence[Path],
    out: Path,
    *,
    method: str = "average",
    options: Mapping[str, Any] | None = None,
    samples: Samples | None = None,
    seed: int = 0,
    name: str | None = None,
    threshold_rule: str = "youden",
    device: str = "auto",
    overwrite: bool = False,
    show: Show | None = None,
) -> ModelCard:
    """Put trained models together, write the model folder `out`, and return its card.

    `method` chooses how much each counts, on the validation cells, which must be the same of all. The mixture is calibrated and
    tested on the cells that single models are. What members said of them stands in their folders; only where they take crops of
    different sizes are the cells needed again, in `samples`: the ensemble has crops of the largest size, and makes them smaller.
    """
    read_rule(threshold_rule)
    if method not in METHODS:
        raise ClassifierError(f"There is no way to combine models named {method!r}. Known: {', '.join(METHODS)}.")
    read = [read_member(folder) for folder in members]
    check_agreement(read)
    if within := [each for each in members if each.resolve().is_relative_to((out / MEMBERS).resolve())]:
        raise ClassifierError(f"{within[0]} lies where {out} keeps its own members. Give another folder for the ensemble.")
    begin(out, overwrite=overwrite)
    cells, split = held_out(read[0])
    said = _probabilities(read, samples, device, show)
    scored_rows = read[0].rows
    chosen_on = np.isin(scored_rows, split.rows("validation"))
    weights = choose_weights(method, said[:, chosen_on], cells.labels[scored_rows][chosen_on], seed, options)
    places = copy_members(members, out)
    course = _course(read, said[:, chosen_on], cells.labels[scored_rows][chosen_on], weights)
    course |= {"method": method, "options": dict(options or {}), "seed": seed}
    card = _card(read, network_of(method, weights, places), course, name)
    scored = Scored(cells, cells.labels, scored_rows, logits(mix(said, weights)))
    card = calibrate(card, split, scored, threshold_rule)
    card = replace(card, summary=summarise(card, _title(course)))
    write_predictions(out / PREDICTIONS, card, scored.judge(card, scored_rows), [PARTS[part] for part in split.parts])
    if (split_file := read[0].folder / SPLIT_FILE).is_file():
        shutil.copyfile(split_file, out / SPLIT_FILE)
    _write_weights(out / "training" / "weights.csv", card)
    return write_ensemble(out, card)


def _probabilities(members: Sequence[Member], samples: Samples | None, device: str, show: Show | None) -> Floats:
    """Return what each member says of the held-out cells, (members, n, k), as it will within the ensemble."""
    classes = members[0].card.classes
    sizes = sorted({member.card.crop_px for member in members})
    if len(sizes) == 1:
        return np.stack([member.probabilities[:, columns_of(member.card, classes)] for member in members])
    if samples is None:
        raise ClassifierError(
            f"The members take crops of {' and '.join(str(px) for px in sizes)} px, and in the ensemble all are made from the largest. "
            "Give the labelled cells (--data) that they were trained on, so that they are judged as they will be used."
        )
    rows = members[0].rows
    _check_samples(members[0], samples)
    opened = [open_model(member.folder, device, "auto", "fp32") for member in members]
    even = np.full(len(members), 1 / len(members))
    ensemble = EnsembleClassifier(_largest(members).card, opened, even)
    said = []
    for start in range(0, len(rows), LOOK_AT_ONCE):
        crops = samples.crops(rows[start : start + LOOK_AT_ONCE], sizes[-1])
        said.append(np.stack(ensemble.member_probabilities(crops)))
        if show is not None:
            show(min(start + LOOK_AT_ONCE, len(rows)), len(rows))
    order = columns_of(ensemble.card, classes)
    return np.concatenate(said, axis=1)[:, :, order].astype(np.float64)


def _largest(members: Sequence[Member]) -> Member:
    return max(members, key=lambda member: member.card.crop_px)


def _check_samples(member: Member, samples: Samples) -> None:
    for row, file, *_ in member.cells:
        if int(row) >= len(samples) or samples.files[int(row)] != file:
            raise ClassifierError(
                f"{samples.name} at {samples.root} is not what {member.folder} was trained on: its cell {row} is not {file}. "
                "Give the same labelled cells, read in the same way."
            )


def _card(members: Sequence[Member], network: Mapping[str, Any], course: Mapping[str, Any], name: str | None) -> ModelCard:
    first = members[0].card
    return ModelCard(
        name=name or f"{course['method']} of {len(members)} models on {first.training_data}",
        summary="",
        classes=first.classes,
        roles=dict(first.roles),
        positive_class=first.positive_class,
        activation="softmax",  # of the logarithms of mixed probabilities
        network=network,
        crop_px=_largest(members).card.crop_px,
        crop_um=first.crop_um,
        crop_diameters=first.crop_diameters,
        licence=first.licence,
        training_data=first.training_data,
        extra={
            **{name: first.extra[name] for name in ("citation", "scale", "split")},
            "identity": {name: first.extra["identity"][name] for name in ("data", "split")},  # which are those of all members
            "ensemble": course,
            "versions": versions(),
        },
    )


def _title(course: Mapping[str, Any]) -> str:
    how = {"average": "Average", "genetic": "Average weighted by a genetic algorithm", "optuna": "Average weighted by search"}
    weighed = ", ".join(f"{each['weight']:.3g} {each['name']}" for each in course["members"])
    return f"{how[course['method']]} of {len(course['members'])} models ({weighed})"


def _course(members: Sequence[Member], said: Floats, labels: NDArray[np.integer], weights: Floats) -> dict[str, Any]:
    """Return what the card says of how the weights came about: how good the mixture and each member alone are on these cells."""
    scores = weighted_f1(said, labels, np.vstack([weights, np.eye(len(members))])).round(6).tolist()
    return {
        "chosen_on": {"part": "validation", "cells": len(labels)},
        "validation_weighted_f1": scores[0],
        "members": [
            {"name": each.card.name, "weight": weight, "validation_weighted_f1": score}
            for each, weight, score in zip(members, weights.tolist(), scores[1:], strict=True)
        ],
    }


def _write_weights(path: Path, card: ModelCard) -> None:
    """Write one line a member, and one for all of them together."""
    course = card.extra["ensemble"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["member", "name", "weight", "validation_weighted_f1"])
        for number, member in enumerate(course["members"]):
            writer.writerow([number, member["name"], f"{member['weight']:.6f}", f"{member['validation_weighted_f1']:.6f}"])
        writer.writerow(["all", card.name, "1.000000", f"{course['validation_weighted_f1']:.6f}"])
