"""Trains the classifier of the demo on drawn smears, from the first pixel to the model folder.

    python examples/train_drawn_classifier.py --out my-model

Each drawn smear stands for a subject: it has a stain, a light and cells of its own, so smears are split
into those that train, those that set temperature and threshold, and those that the card's figures come
from. The result is for the demo and the tests: it has never seen a cell, and means nothing on real slides.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import minimize_scalar
from sklearn.metrics import confusion_matrix
from torch import nn

from classifiers import ModelCard, SubjectCounts, networks
from classifiers.allocator import keep_freed_memory
from classifiers.card import Role
from classifiers.folder import write_model
from classifiers.torch_classifier import TorchClassifier
from smearscan import crops
from smearscan.counting.calling import blast_probability, call_cells
from smearscan.results import Cells
from smearscan.smears import SmearPlan, plan_smear

CLASSES = ("blast", "other", "smudge", "artefact")
DETECTOR_ERROR_UM = 0.7  # how far a found centre lies from the true one, as a standard deviation
MOST_ERROR_UM = 2.0
CLEAR_UM = 14.0  # background is at least so far from the centre of any white cell


@dataclass(frozen=True)
class Sizes:
    """How much is drawn and trained; smear seeds of the three parts never meet."""

    train: int = 24
    calibration: int = 8
    negative: int = 20  # held out, without blasts, of at least 200 cells: the limit of blank asks for so many
    positive: int = 14  # held out, with blasts
    cells: int = 140
    negative_cells: int = 215
    views: int = 2  # crops of each training cell
    epochs: int = 10


SMOKE = Sizes(train=2, calibration=1, negative=1, positive=1, cells=40, negative_cells=30, views=2, epochs=6)


@dataclass(frozen=True)
class Sample:
    """Crops of one smear and the class of each, as columns."""

    subject: str
    crops: NDArray[np.uint8]
    labels: NDArray[np.int64]


def blank_card() -> ModelCard:
    return ModelCard(
        name="drawn-cells",
        summary="Trained on drawn cells only: for the demo and the tests, means nothing on real slides",
        classes=CLASSES,
        roles={"blast": "blast", "other": "other", "smudge": "excluded", "artefact": "excluded"},
        positive_class="blast",
        activation="softmax",
        network={"name": "small-cnn", "width": 16},
        crop_px=64,
        crop_um=22.0,
        cam_layer="features.2",
        licence="AGPL-3.0-or-later",
    )


def draw_sample(seed: int, card: ModelCard, cells: int, blast_fraction: float, views: int) -> Sample:
    """Draw the smear of one seed, as a scanner would store it, and cut its cells as `smearscan run` would."""
    rng = np.random.default_rng([seed, 17])
    mpp = float(rng.choice([0.2, 0.25, 0.25, 0.25, 0.35, 0.5]))
    side = round(42.0 * np.sqrt(cells) / mpp)  # 42 um from cell to cell
    plan = SmearPlan(
        width=side,
        height=side,
        mpp=mpp,
        seed=seed,
        white_cells=cells,
        blast_fraction=blast_fraction,
        smudge_fraction=0.15,
        debris_per_mm2=120.0,
        layout="field",
    )
    smear = plan_smear(plan)
    picture = as_jpeg(smear.picture(), quality=int(rng.integers(75, 95)))
    truth = smear.truth
    centres = np.array([(cell.x, cell.y) for cell in truth]).reshape(-1, 2)
    background = draw_background(rng, side, centres, CLEAR_UM / mpp, count=max(4, cells // 8))
    labels = [_label(cell.kind) for cell in truth] + [CLASSES.index("artefact")] * len(background)
    centres = np.repeat(np.concatenate([centres, background]), views, axis=0)
    error = np.clip(rng.normal(0, DETECTOR_ERROR_UM, centres.shape), -MOST_ERROR_UM, MOST_ERROR_UM) / mpp
    boxes = np.hstack([centres + error - 1, centres + error + 1])
    cut = crops.cut(picture, (0, 0), boxes, card, slide_size=(side, side), mpp=mpp)
    return Sample(f"drawn-{seed}", cut, np.repeat(labels, views))


def _label(kind: str) -> int:
    return CLASSES.index({"blast": "blast", "smudge": "smudge", "debris": "artefact"}.get(kind, "other"))


def draw_background(rng: np.random.Generator, side: int, centres: NDArray[np.float64], clear: float, count: int) -> NDArray[np.float64]:
    """Return places with nothing of a white cell near their centre: red cells, platelets, glass."""
    places: NDArray[np.float64] = rng.uniform(0, side, (20 * count, 2))
    gaps = np.linalg.norm(places[:, None] - centres[None], axis=2).min(axis=1)
    return np.asarray(places[gaps > clear][:count])


def as_jpeg(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def train(samples: Sequence[Sample], card: ModelCard, epochs: int) -> tuple[ModelCard, nn.Module]:
    """Fit the card's network; returns the card with the pixels' mean and deviation."""
    pixels = np.concatenate([sample.crops for sample in samples])
    labels = torch.from_numpy(np.concatenate([sample.labels for sample in samples]))
    mean, std = (getattr(pixels, name)(axis=(0, 1, 2)) / 255 for name in ("mean", "std"))
    card = replace(card, mean=tuple(mean.round(4).tolist()), std=tuple(std.round(4).tolist()))
    torch.manual_seed(7)
    network = networks.build_for(card).to(memory_format=torch.channels_last)
    counts = torch.bincount(labels, minlength=len(CLASSES)).clamp(min=1)
    criterion = nn.CrossEntropyLoss(weight=(counts.sum() / counts).sqrt(), label_smoothing=0.02)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    batches = max(1, len(labels) // 128)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.004, total_steps=epochs * batches)
    for epoch in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(labels))[: batches * 128].chunk(batches):
            optimiser.zero_grad()
            loss = criterion(network(augment(torch.from_numpy(pixels[rows.numpy()]), card)), labels[rows])
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1} of {epochs}: loss {total / batches:.4f}")
    return card, network.eval()


def augment(batch: torch.Tensor, card: ModelCard) -> torch.Tensor:
    """Normalise, turn and mirror at random, and vary strength and colour of the stain."""
    normalised = (batch.permute(0, 3, 1, 2).float() / 255 - torch.tensor(card.mean).view(3, 1, 1)) / torch.tensor(card.std).view(3, 1, 1)
    turned = torch.rot90(normalised, int(torch.randint(4, ())), (2, 3))
    if torch.rand(()) < 0.5:
        turned = turned.flip(3)
    strength = 1 + 0.12 * torch.randn(len(batch), 1, 1, 1) + 0.05 * torch.randn(len(batch), 3, 1, 1)
    return turned * strength + 0.15 * torch.randn(len(batch), 3, 1, 1)


def calibrate(samples: Sequence[Sample], card: ModelCard, network: nn.Module) -> ModelCard:
    """Set the temperature by least negative log-likelihood and the threshold by best balanced accuracy."""
    labels = np.concatenate([sample.labels for sample in samples])
    raw = TorchClassifier(card, network, device="cpu").predict(np.concatenate([sample.crops for sample in samples]))
    logs = np.log(np.maximum(raw.probabilities.astype(np.float64), 1e-12))

    def nll(temperature: float) -> float:
        cooled = logs / temperature
        return float((np.logaddexp.reduce(cooled, axis=1) - cooled[np.arange(len(labels)), labels]).mean())

    # Bounded: where no cell is called wrongly, ever lower temperatures would look ever better.
    temperature = round(float(minimize_scalar(nll, bounds=(0.5, 5.0), method="bounded").x), 3)
    card = replace(card, temperature=temperature)
    white = labels <= CLASSES.index("other")
    cells = _cells(TorchClassifier(card, network, device="cpu").predict(np.concatenate([s.crops for s in samples])[white]).probabilities)
    chance, is_blast = blast_probability(cells, card), labels[white] == CLASSES.index("blast")
    steps = np.linspace(0.05, 0.95, 91)
    balanced = np.array([((chance >= step)[is_blast].mean() + (chance < step)[~is_blast].mean()) / 2 for step in steps])
    best = steps[balanced >= balanced.max() - 1e-12]
    return replace(card, threshold=round(float(np.median(best)), 3))


def _cells(probabilities: NDArray[np.float32]) -> Cells:
    count = len(probabilities)
    return Cells(np.zeros((count, 4), np.float32), np.ones(count, np.float32), probabilities, CLASSES)


def evaluate(samples: Sequence[Sample], card: ModelCard, network: nn.Module) -> ModelCard:
    """Fill in what the card says of smears that neither training nor calibration saw."""
    classifier = TorchClassifier(card, network, device="cpu")
    counts: list[SubjectCounts] = []
    blanks: list[float] = []
    called_all: list[int] = []
    for sample in samples:
        called = call_cells(_cells(classifier.predict(sample.crops).probabilities), card)
        called_all += [CLASSES.index(name) for name in called.classes]
        counted = np.array([not reason for reason in called.excluded])
        role: Role = "blast" if (sample.labels == CLASSES.index("blast")).any() else "other"
        rows = counted & (sample.labels == CLASSES.index(role))
        counts.append(SubjectCounts(sample.subject, role, int(rows.sum()), int(called.blast[rows].sum())))
        if role == "other" and counted.sum() >= 200:
            blanks.append(round(float(called.blast[counted].mean()), 6))
    table = confusion_matrix(np.concatenate([sample.labels for sample in samples]), called_all, labels=range(len(CLASSES)))
    extra: dict[str, Any] = {
        "held_out_confusion": {"rows_are_true_columns_are_called": list(CLASSES), "counts": table.tolist()},
        "held_out_sensitivity": _rate(counts, "blast"),
        "held_out_specificity": 1 - _rate(counts, "other"),
    }
    return replace(card, subjects=tuple(counts), blank_fractions=tuple(blanks), extra=extra)


def _rate(counts: Sequence[SubjectCounts], role: str) -> float:
    chosen = [each for each in counts if each.role == role]
    return round(sum(each.called_blast for each in chosen) / max(1, sum(each.cells for each in chosen)), 4)


def run(out: Path, sizes: Sizes) -> ModelCard:
    keep_freed_memory()
    card = blank_card()
    started = time.perf_counter()
    training = [draw_sample(1000 + index, card, sizes.cells, 0.45, sizes.views) for index in range(sizes.train)]
    calibration = [draw_sample(2000 + index, card, sizes.cells, 0.35, 2) for index in range(sizes.calibration)]
    held_out = [draw_sample(3000 + index, card, sizes.negative_cells, 0.0, 1) for index in range(sizes.negative)]
    held_out += [draw_sample(4000 + index, card, sizes.cells, 0.4, 1) for index in range(sizes.positive)]
    print(f"drawn in {time.perf_counter() - started:.0f} s")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # gradients are sums, whose last bits would tell how many cores there were
    try:
        card, network = train(training, card, sizes.epochs)
    finally:
        torch.set_num_threads(threads)
    card = evaluate(held_out, calibrate(calibration, card, network), network)
    text = f"Drawn smears (smearscan.smears): seeds 1000-{999 + sizes.train} train, 2000-{1999 + sizes.calibration} calibrate, "
    text += f"3000-{2999 + sizes.negative} (no blasts) and 4000-{3999 + sizes.positive} (40 % blasts) held out for every figure here"
    card = write_model(out, replace(card, training_data=text), network.state_dict())
    rates = " and ".join(f"{name} {card.extra['held_out_' + name]}" for name in ("sensitivity", "specificity"))
    print(f"{out}: {rates} on held-out drawn smears")
    print(f"temperature {card.temperature}, threshold {card.threshold}, {time.perf_counter() - started:.0f} s in all")
    return card


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument("--smoke", action="store_true", help="a few seconds' worth, to see that it runs; the result is no good")
    arguments = parser.parse_args()
    run(arguments.out, SMOKE if arguments.smoke else Sizes())


if __name__ == "__main__":
    main()
