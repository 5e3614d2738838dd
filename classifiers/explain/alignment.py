"""Where on the crop the features of a layer look.

A map has one value a feature, say 8 x 8 of a crop of 64 pixels, and is usually stretched over the crop as if each feature
looked at the middle of its 8 x 8 pixels. With the usual padding it does not: after three strided convolutions padded by half
their width, the first feature looks at the crop's very first pixel, and a stretched map lies 3.5 pixels too far to the lower
right. So we find out where features look, and lay the map there.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

SURE = 0.25  # px; a step or a start that is farther from what strides and paddings can give is not believed


@dataclass(frozen=True)
class Alignment:
    """The feature at index i looks at the network input's pixel start + i * step, alike in both directions."""

    start: float
    step: float

    @classmethod
    def stretched(cls, side: int, features: int) -> Alignment:
        """Return what stretching a map over the input takes for granted."""
        return cls((side / features - 1) / 2, side / features)

    def lay(
        self, stretched: NDArray[np.float32], features: int, out: NDArray[np.float32], place: NDArray[np.float64] | None = None
    ) -> None:
        """Lay a map, which was stretched over the network's input, where it belongs on a crop of the size of `out`.

        `place` is the affine map, (2, 3), from the input's pixels to the crop's; without one the input is the whole crop. Where
        the network saw nothing of the crop, `out` becomes zero.
        """
        if place is not None:
            self._lay_at(place, stretched, features, out)
            return
        side = stretched.shape[0]
        ratio = side / features
        crop_to_input = side / out.shape[0]
        # From the crop's pixel to the input's, to the feature's index, to where that index stands in the stretched map.
        factor = crop_to_input / self.step * ratio
        shift = (((crop_to_input - 1) / 2 - self.start) / self.step + 0.5) * ratio - 0.5
        matrix = np.array([[factor, 0, shift], [0, factor, shift]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cv2.warpAffine(stretched, matrix, out.shape[::-1], dst=out, flags=flags, borderMode=cv2.BORDER_REPLICATE)

    def _lay_at(self, place: NDArray[np.float64], stretched: NDArray[np.float32], features: int, out: NDArray[np.float32]) -> None:
        side = stretched.shape[0]
        ratio = side / features
        to_input = np.linalg.inv(np.vstack([place, [0, 0, 1]]))[:2]
        matrix = to_input / self.step * ratio
        matrix[:, 2] = ((to_input[:, 2] - self.start) / self.step + 0.5) * ratio - 0.5
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cv2.warpAffine(stretched, matrix, out.shape[::-1], dst=out, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        down, across = np.indices(out.shape, np.float64)
        x, y = (row[0] * across + row[1] * down + row[2] for row in to_input)
        out[(np.minimum(x, y) < -0.5) | (np.maximum(x, y) > side - 0.5)] = 0


def find_alignment(network: nn.Module, layer: str, side: int) -> tuple[Alignment, int]:
    """Return where the features of a layer look in an input of `side` pixels, and how many there are along one.

    Each convolution is made to look at its own middle alone, so that the gradient of a feature is where it looks, and is not
    cut off at the edges as the whole of what a deep feature sees would be. Where that gives no believable answer, what
    stretching takes for granted is returned.
    """
    crops = torch.ones(1, 3, side, side, requires_grad=True)
    seen = _features(_looking_straight(network), layer, crops)
    features = seen.shape[-1]
    if features < 2:
        return Alignment.stretched(side, features), features
    middle = features // 2
    before, first = (_centre(seen[0, :, middle, index].sum(), crops) for index in (middle - 1, middle))
    step, start = first - before, first - middle * (first - before)
    believable = math.isfinite(start) and abs(step - round(step)) < SURE and round(step) > 0
    if not believable or abs(2 * start - round(2 * start)) > SURE:
        return Alignment.stretched(side, features), features
    step = round(step)
    return Alignment(round(2 * (first - middle * step)) / 2, step), features


class _Reached(Exception):
    """The layer has been computed; what comes after it is not needed."""


def _features(network: nn.Module, layer: str, crops: Tensor) -> Tensor:
    device = next(network.parameters()).device
    found: list[Tensor] = []

    def stop(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        found.append(output)
        raise _Reached

    hook = network.get_submodule(layer).register_forward_hook(stop)
    try:
        with _PoolingEvenly():
            network(crops.to(device))
    except _Reached:
        pass
    finally:
        hook.remove()
    return found[0]


def _centre(feature: Tensor, crops: Tensor) -> float:
    """Return the column around which what a feature sees lies; not a number where it sees nothing."""
    if not feature.requires_grad:
        return math.nan
    (gradient,) = torch.autograd.grad(feature, crops, retain_graph=True)
    columns = gradient.abs().sum((0, 1, 2)).double().cpu().numpy()
    return float((columns * np.arange(len(columns))).sum() / columns.sum()) if columns.sum() > 0 else math.nan


class _PoolingEvenly(TorchFunctionMode):
    """Pools by the mean in place of the maximum, which among equal values would always be the upper left one."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if func is nn.functional.max_pool2d:  # what nn.MaxPool2d calls as well
            shape = {name: given[name] for name in ("stride", "padding", "ceil_mode") if name in given}
            return nn.functional.avg_pool2d(*args, **shape)
        return func(*args, **given)


class _Detached(nn.Module):
    """A pooling of everything, which sees all places alike and so says nothing of where a feature looks."""

    def __init__(self, pooling: nn.Module) -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, maps: Tensor) -> Tensor:
        pooled: Tensor = self.pooling(maps).detach()
        return pooled


def _looking_straight(network: nn.Module) -> nn.Module:
    copied = copy.deepcopy(network).eval()
    for parent in list(copied.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
                setattr(parent, name, _Detached(child))
            elif isinstance(child, nn.Conv2d):
                _look_straight(child.weight.data)
                if child.bias is not None:
                    child.bias.data.zero_()
            elif isinstance(child, nn.BatchNorm2d):
                child.reset_running_stats()
                if child.affine:
                    child.weight.data.fill_(1)
                    child.bias.data.zero_()
    return copied


def _look_straight(weight: Tensor) -> None:
    """Make a kernel the average of its channels at its middle; an even kernel's middle lies between two places."""
    weight.zero_()
    rows, columns = (slice((size - 1) // 2, size // 2 + 1) for size in weight.shape[2:])
    weight[:, :, rows, columns] = 1 / weight[0, :, rows, columns].numel()
