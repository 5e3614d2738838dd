"""Does a map depend on the model at all? Checks that an explanation must pass before it is shown to anybody.

* It changes when the weights are randomised, layer by layer from the head down (Adebayo and others, "Sanity checks for
  saliency maps", 2018). What does not is a picture of the crop, as an edge detector makes, and says nothing of the model.
* It is the same when it is made twice.
* It moves with the cell: of a crop that is shifted, the map is the shifted map. The shift is about a quarter of the crop and a
  multiple of 32 or 16 px, for networks halve their maps four or five times, and see what is shifted by less with other eyes.

Weights are randomised by shuffling the numbers within each tensor. Each layer keeps the sizes of its weights that way, and
so the sizes of what it hands on: a network of drawn numbers often falls silent, and then no map changes, for there is none.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from classifiers.base import Classifier, ClassifierError, Explainer
from classifiers.explain import build_explainer
from classifiers.explain.agreement import Maps, agree, rank_correlation
from classifiers.torch_classifier import TorchClassifier

DEPTHS: Final = 6  # steps from the head to the first layer at which maps are made; a network may have a hundred layers
DRAWS: Final = 3  # of random weights at each depth: one network may by chance look where the trained one does
STRIDE_PX: Final = 32  # what most networks halve their input to, all in all

Builder = Callable[[Classifier], Explainer]


@dataclass(frozen=True)
class Limits:
    """What a map must reach. All are rank correlations but the first."""

    repeated: float = 1e-5  # greatest difference of a map made twice; a GPU may sum in another order
    randomised: float = 0.7  # at most, of maps by the trained and by the wholly randomised network: half of the variance of the ranks
    moved: float = 0.5  # at least, of the shifted crop's map and the shifted map


@dataclass(frozen=True)
class Depth:
    """How alike maps still are with the network randomised from its head down to a layer."""

    layer: str  # the deepest one that is randomised
    layers: int  # randomised
    rank: float  # mean over cells and draws; a map that has fallen empty counts as 0
    ssim: float


@dataclass(frozen=True)
class SanityReport:
    """What the checks found of one method on one classifier."""

    method: str
    class_name: str
    cells: int  # whose map is not empty; the others have nothing to check
    depths: tuple[Depth, ...]  # from the head down
    repeated: float  # greatest difference of a map made twice
    shift_px: int
    moved: float  # mean rank correlation of the shifted crops' maps with the shifted maps
    stayed: float  # with the maps as they were: what a map that does not move would have alone
    limits: Limits

    @property
    def changes(self) -> bool:
        return self.depths[-1].rank <= self.limits.randomised

    @property
    def repeats(self) -> bool:
        return self.repeated <= self.limits.repeated

    @property
    def moves(self) -> bool:
        return self.moved >= self.limits.moved and self.moved > self.stayed

    @property
    def passed(self) -> bool:
        return self.changes and self.repeats and self.moves

    def sentences(self) -> tuple[str, ...]:
        """Say each result with its number and its limit."""
        last, limits = self.depths[-1], self.limits
        return (
            f"{'passed' if self.changes else 'FAILED'}: with all {last.layers} layers randomised its maps correlate by {last.rank:.2f} "
            f"with those of the trained network (at most {limits.randomised:g})",
            f"{'passed' if self.repeats else 'FAILED'}: made twice a map differs by {self.repeated:.1g} (at most {limits.repeated:g})",
            f"{'passed' if self.moves else 'FAILED'}: shifted by {self.shift_px} px, maps correlate by {self.moved:.2f} with those shifted "
            f"(at least {limits.moved:g}) and by {self.stayed:.2f} with those left as they were (less)",
        )


def check(
    method: str | Builder,
    classifier: Classifier,
    crops: NDArray[np.uint8],
    class_name: str | None = None,
    *,
    limits: Limits | None = None,
    depths: int = DEPTHS,
    draws: int = DRAWS,
    seed: int = 0,
) -> SanityReport:
    """Check a method by its name, or whatever makes an explainer of a classifier; without `class_name` the card's positive class.

    A dozen crops are enough. Cells in which nothing speaks for the class have an empty map and are left out.
    """
    if not has_weights(classifier):
        raise ClassifierError(f"{classifier.card.name!r} has no weights to randomise. Check the methods on a model folder.")
    builder: Builder = (lambda made: build_explainer(method, made)) if isinstance(method, str) else method
    name = class_name or classifier.card.positive_class
    maps = builder(classifier).explain(crops, name)
    again = builder(classifier).explain(crops, name)
    told = np.ptp(maps, axis=(1, 2)) > 0
    if not told.any():
        raise ClassifierError(f"No map shows anything that speaks for {name!r} in the {len(crops)} crops. Give crops of that class.")
    seen, maps_seen = crops[told], maps[told]
    shift = choose_shift(crops.shape[1])
    moved, stayed = _follow(builder(classifier), seen, maps_seen, name, shift)
    return SanityReport(
        method=method if isinstance(method, str) else getattr(method, "__name__", "unnamed"),
        class_name=name,
        cells=int(told.sum()),
        depths=_randomise(builder, classifier, seen, maps_seen, name, steps=depths, draws=draws, seed=seed),
        repeated=float(np.abs(maps - again).max(initial=0)),
        shift_px=shift,
        moved=moved,
        stayed=stayed,
        limits=limits or Limits(),
    )


def has_weights(classifier: Classifier) -> TypeGuard[TorchClassifier]:
    """Return whether a classifier can be checked: whether it has weights of its own to randomise."""
    return isinstance(classifier, TorchClassifier)


def randomised(classifier: TorchClassifier, layers: int, seed: int) -> TorchClassifier:
    """Return the classifier with the weights of so many layers shuffled, counted from the head; 0 changes nothing."""
    network = copy.deepcopy(classifier.network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, layer in weighted_layers(network)[:layers]:
            for weights in layer.parameters(recurse=False):
                order = torch.randperm(weights.numel(), generator=generator)
                weights.copy_(weights.flatten()[order.to(weights.device)].view_as(weights))
    first = classifier.compute.device.split(",")[0]
    return TorchClassifier(classifier.card, network, first, precision=classifier.compute.precision)


def weighted_layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the layers that have weights of their own, with their names, the head first."""
    found = [(name, module) for name, module in network.named_modules() if any(True for _ in module.parameters(recurse=False))]
    return found[::-1]


def choose_shift(side: int) -> int:
    """Return by how many pixels crops of that side are shifted."""
    return max(1, min(max(STRIDE_PX // 2, STRIDE_PX * round(side / 4 / STRIDE_PX)), side // 3))


def shift_crops(crops: NDArray[np.uint8], down: int, right: int) -> NDArray[np.uint8]:
    """Return crops whose contents lie so many pixels farther down and right; what comes in repeats the edge."""
    height, width = crops.shape[1:3]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    shifted: NDArray[np.uint8] = crops[:, rows][:, :, columns]
    return shifted


def _randomise(
    builder: Builder,
    classifier: TorchClassifier,
    crops: NDArray[np.uint8],
    maps: Maps,
    name: str,
    *,
    steps: int,
    draws: int,
    seed: int,
) -> tuple[Depth, ...]:
    layers = weighted_layers(classifier.network)
    found = []
    for count in sorted({*np.linspace(1, len(layers), min(steps, len(layers))).round().astype(int).tolist()}):
        others = [builder(randomised(classifier, count, seed + draw)).explain(crops, name) for draw in range(draws)]
        alike = [agree(maps, other) for other in others]
        rank, ssim = (_mean_with_empty_as_0([getattr(each, column) for each in alike]) for column in ("rank", "ssim"))
        found.append(Depth(layers[count - 1][0], count, rank, ssim))
    return tuple(found)


def _follow(explainer: Explainer, crops: NDArray[np.uint8], maps: Maps, name: str, shift: int) -> tuple[float, float]:
    """Return how maps of shifted crops correlate with the shifted maps, and with those that were not, over four directions."""
    moved, stayed = [], []
    height, width = maps.shape[1:]
    for down, right in ((shift, 0), (-shift, 0), (0, shift), (0, -shift)):
        after = explainer.explain(shift_crops(crops, down, right), name)
        # What the shift moved out at one side and what it made up at the other are not compared.
        here = (slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0)))
        there = (slice(max(-down, 0), height + min(-down, 0)), slice(max(-right, 0), width + min(-right, 0)))
        moved.append([rank_correlation(one[here], other[there]) for one, other in zip(after, maps, strict=True)])
        stayed.append([rank_correlation(one[here], other[here]) for one, other in zip(after, maps, strict=True)])
    return _mean_with_empty_as_0(moved), _mean_with_empty_as_0(stayed)


def _mean_with_empty_as_0(values: Sequence[NDArray[np.float64] | list[float]]) -> float:
    return float(np.nan_to_num(np.array(values, np.float64)).mean())
