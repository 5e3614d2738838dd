"""What explaining a cell costs by each method, and what batches bring: LIME over full batches against plain loops.

    python benchmarks/explanations.py
    python benchmarks/explanations.py --model FOLDER --cells 8 --rounds 3

The cells are drawn ones, cut at the scale that the model asks for. The ratio is that of the seconds a cell, middle and range of
several rounds, in turns, so that the machine's noise meets all alike; superpixels and fits are in it on both sides. Three loops
over single perturbations are measured:

  predict, one at a time    the classifier as it is, which fills each pass up to its full number of rows
  network, one at a time    the same folded network without any filling up: the quickest that a plain loop can be
  captum.attr.Lime          captum's own class with its usual settings, on the network, one perturbation at a time

All run as `smearscan` runs: with OpenMP threads that sleep while they wait. `--spinning` lets them spin, as torch does by itself:
the plain loops are then quicker by half, for a forward pass of one small crop is mostly waiting.
"""

from __future__ import annotations

import os
import sys

if "--spinning" not in sys.argv:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from captum.attr import Lime
from numpy.typing import NDArray

from classifiers import Classifier, Compute, Predictions
from classifiers.explain import build_explainer, names
from classifiers.explain.superpixels import segment
from classifiers.inference import quicken
from classifiers.torch_classifier import TorchClassifier
from smearscan import crops, plugins
from smearscan.slides import open_slide
from smearscan.smears import SmearPlan, plan_smear, write_smear

Crops = NDArray[np.uint8]


class OneByOne(Classifier):
    """The same classifier, which asks for one crop at a time."""

    def __init__(self, classifier: TorchClassifier) -> None:
        self.card = classifier.card
        self.compute = Compute("cpu", "fp32", 1)
        self.classifier = classifier

    def predict(self, crops: Crops) -> Predictions:
        return self.classifier.predict(crops)


class Unfilled(OneByOne):
    """Calls the folded network on the one crop, and nothing beside it."""

    def __init__(self, classifier: TorchClassifier) -> None:
        super().__init__(classifier)
        self.network = quicken(classifier.network)

    def predict(self, crops: Crops) -> Predictions:
        with torch.inference_mode():
            logits = self.network(self.classifier.prepare(crops)) / self.card.temperature
        return Predictions(as_probabilities(logits).numpy(), self.card.classes)


def as_probabilities(logits: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.sigmoid(-logits), torch.sigmoid(logits)], 1) if logits.shape[1] == 1 else logits.softmax(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder; without it the bundled classifier of drawn cells")
    parser.add_argument("--cells", type=int, default=16)
    parser.add_argument("--perturbations", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spinning", action="store_true", help="OpenMP threads that spin while they wait")
    parser.add_argument("--loop-cells", type=int, default=2, help="cells a round of the loops, which are slow")
    arguments = parser.parse_args()
    options = {"device": "cpu"}
    classifier: TorchClassifier = (
        plugins.load(plugins.MODEL_FOLDER)(arguments.model, **options)
        if arguments.model
        else plugins.find("smearscan.classifiers", "drawn-cells")(**options)
    )
    cells = drawn_crops(classifier, arguments.cells)
    print(f"{classifier.card.name}: {len(cells)} cells of {classifier.card.crop_px} px, {torch.get_num_threads()} threads")
    compare_loops(classifier, cells, arguments)
    time_methods(classifier, cells, arguments)


def drawn_crops(classifier: Classifier, count: int) -> Crops:
    """Return crops of white cells of a drawn smear, as a run would cut them."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "a drawn smear.tif"
        smear = plan_smear(SmearPlan(width=3000, height=2000, mpp=0.25, seed=8, white_cells=max(40, count), blast_fraction=0.5))
        write_smear(smear, path)
        slide = open_slide(path)
        size = (slide.info.width, slide.info.height)
        boxes = np.array([cell.box for cell in smear.truth])[:count]
        return crops.cut(slide.read((0, 0, *size)), (0, 0), boxes, classifier.card, slide_size=size, mpp=slide.info.mpp)


def compare_loops(classifier: TorchClassifier, cells: Crops, arguments: argparse.Namespace) -> None:
    """Print how many times as fast LIME in full batches is as loops over single perturbations."""
    chosen = classifier.card.positive_class
    some = cells[: arguments.loop_cells]
    batched = build_explainer("lime", classifier, perturbations=arguments.perturbations)
    looped = build_explainer("lime", OneByOne(classifier), perturbations=arguments.perturbations)
    unfilled = build_explainer("lime", Unfilled(classifier), perturbations=arguments.perturbations)
    ways: dict[str, tuple[Callable[[], object], int]] = {
        "full batches": (lambda: batched.explain(cells, chosen), len(cells)),
        "predict, one at a time": (lambda: looped.explain(some, chosen), len(some)),
        "network, one at a time": (lambda: unfilled.explain(some, chosen), len(some)),
        "captum.attr.Lime": (lambda: captum_lime(classifier, some, arguments.perturbations), len(some)),
    }
    unlike = float(np.abs(batched.explain(cells, chosen)[: len(some)] - looped.explain(some, chosen)).max())
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, (explain, count) in ways.items():
            started = time.perf_counter()
            explain()
            seconds[name].append((time.perf_counter() - started) / count)
    print(f"LIME with {arguments.perturbations} perturbations; batched and looped maps differ by {unlike:g}")
    print(f"{'':26} {'ms a cell':>10} {'batches are so many times as fast (range)':>45}")
    for name, each in seconds.items():
        ratios = [slow / fast for slow, fast in zip(each, seconds["full batches"], strict=True)]
        ratio = "" if name == "full batches" else f"{statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})"
        print(f"{name:26} {1e3 * statistics.median(each):10.1f} {ratio:>45}")


def captum_lime(classifier: TorchClassifier, cells: Crops, perturbations: int) -> None:
    """Explain cells as captum's own class does, one after the other."""
    column = classifier.card.classes.index(classifier.card.positive_class)
    network = quicken(classifier.network)
    method = Lime(lambda inputs: as_probabilities(network(inputs) / classifier.card.temperature)[:, column])
    for cell in cells:
        labels = torch.from_numpy(segment(cell).astype(np.int64))[None, None]
        prepared = classifier.prepare(cell[None])
        if prepared.shape[2:] != labels.shape[2:]:
            labels = torch.nn.functional.interpolate(labels.float(), prepared.shape[2:], mode="nearest").long()
        with torch.no_grad():
            method.attribute(prepared, feature_mask=labels.expand_as(prepared), n_samples=perturbations)


def time_methods(classifier: TorchClassifier, cells: Crops, arguments: argparse.Namespace) -> None:
    """Print the milliseconds a cell of each method, with its usual settings."""
    print(f"{'method':26} {'ms a cell':>10} {'built in s':>12}")
    for name in names():
        started = time.perf_counter()
        explainer = build_explainer(name, classifier)
        built = time.perf_counter() - started
        explainer.explain(cells[:1], classifier.card.positive_class)
        seconds = []
        for _ in range(arguments.rounds):
            started = time.perf_counter()
            explainer.explain(cells, classifier.card.positive_class)
            seconds.append((time.perf_counter() - started) / len(cells))
        print(f"{name:26} {1e3 * statistics.median(seconds):10.1f} {built:12.2f}")


if __name__ == "__main__":
    main()
