"""Class activation maps through pytorch-grad-cam, many crops in one backward pass.

What is explained is the logit that `access.find_target` finds, of whatever class is asked for.

A map is one of what the network saw. Where a card's preparation shows it only a part of the crop, as one that cuts out the cell,
the map is laid back on that part, and what was left away, which moved nothing, is zero.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, ScoreCAM, XGradCAM
from pytorch_grad_cam.base_cam import BaseCAM
from torch import Tensor, nn

from classifiers.base import Classifier, ClassifierError, Explainer
from classifiers.explain.access import Target, copy_network, find_target, gradients, require_network
from classifiers.explain.alignment import find_alignment
from classifiers.explain.layers import check_layer, find_layer
from classifiers.preprocess import Preparation

ROWS = 16  # crops in one pass; always as many, the last ones filled up, so that a map's bits do not depend on how many are asked for
MASKED_ROWS = 32  # crops in one pass of Score-CAM, which tries every channel of the layer as a mask


class PlainScoreCam(ScoreCAM):  # type: ignore[misc]  # the library has no types
    """Score-CAM without the library's progress bar, with passes of one size, and without keeping every pass's activations."""

    def get_cam_weights(
        self, input_tensor: Tensor, target_layer: nn.Module, targets: list[Target], activations: NDArray[np.float32], grads: None
    ) -> NDArray[np.float32]:
        masks = nn.functional.interpolate(torch.from_numpy(activations), input_tensor.shape[-2:], mode="bilinear", align_corners=True)
        low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
        masks = (masks - low) / (high - low + 1e-8)
        scores = [self._scores(crop, mask, target) for crop, mask, target in zip(input_tensor, masks, targets, strict=True)]
        return torch.stack(scores).softmax(dim=1).numpy()

    def _scores(self, crop: Tensor, masks: Tensor, target: Target) -> Tensor:
        scores = []
        with torch.no_grad():
            for start in range(0, len(masks), MASKED_ROWS):
                some = masks[start : start + MASKED_ROWS]
                masked = crop.new_zeros(MASKED_ROWS, *crop.shape)
                masked[: len(some)] = crop * some[:, None].to(crop.device)
                outputs = self.activations_and_grads(masked)  # forgets the activations of the pass before
                scores += [target(output).cpu() for output in outputs[: len(some)]]
        return torch.stack(scores)


class SignedEigenCam(EigenCAM):  # type: ignore[misc]  # the library has no types
    """Eigen-CAM whose sign means something: that of a principal component is arbitrary, so its larger side counts as positive.

    It shows what stands out in the layer, whatever the class.
    """

    def get_cam_image(self, *given: Any) -> NDArray[np.float32]:
        maps: NDArray[np.float32] = super().get_cam_image(*given)
        turned = -maps.min(axis=(1, 2), keepdims=True) > maps.max(axis=(1, 2), keepdims=True)
        return np.where(turned, -maps, maps)


METHODS: Mapping[str, type[BaseCAM]] = {
    "gradcam++": GradCAMPlusPlus,
    "gradcam": GradCAM,
    "hirescam": HiResCAM,
    "xgradcam": XGradCAM,
    "layercam": LayerCAM,
    "scorecam": PlainScoreCam,
    "eigencam": SignedEigenCam,
}


class CamExplainer(Explainer):
    """Class activation maps at one layer: the one that is given, or else the one that the classifier's card names."""

    def __init__(self, method: str, classifier: Classifier, layer: str | None = None) -> None:
        self.method = method
        self._classifier = require_network(classifier, method)
        self._preparation = Preparation(classifier.card.preparation)
        with gradients():
            self._network, prepared = copy_network(self._classifier)
            self.layer, self._module = find_layer(self._network, layer or classifier.card.cam_layer)
            check_layer(self._network, (self.layer, self._module), prepared)
            self._alignment, self._features = find_alignment(self._network, self.layer, prepared.shape[-1])

    def explain(self, crops: NDArray[np.uint8], class_name: str, show: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        target = find_target(self._classifier.card, class_name)
        rows = 1 if METHODS[self.method] is PlainScoreCam else ROWS
        maps = np.zeros(crops.shape[:3], np.float32)
        for start in range(0, len(crops), rows):
            some = crops[start : start + rows]
            filled = np.zeros((rows, *crops.shape[1:]), np.uint8)
            filled[: len(some)] = some
            places = [None] * len(some) if self._preparation.keeps_frame else self._preparation.places(some)
            # zip drops the maps of the filling.
            for made, out, place in zip(self._pass(filled, target), maps[start : start + rows], places, strict=False):
                self._alignment.lay(made, self._features, out, place)
            if show is not None:
                show(start + len(some))
        highest = maps.max((1, 2), keepdims=True, initial=0)
        np.divide(maps, highest, out=maps, where=highest > 0)
        if not np.isfinite(maps).all():
            raise ClassifierError(f"{self.method} of {self._classifier.card.name!r} is no number: the network's weights are broken.")
        return maps

    def _pass(self, crops: NDArray[np.uint8], target: Target) -> NDArray[np.float32]:
        with gradients(), _attached(METHODS[self.method], self._network, self._module) as cam:
            maps: NDArray[np.float32] = cam(self._classifier.prepare(crops), [target] * len(crops))
        return maps


@contextlib.contextmanager
def _attached(method: type[BaseCAM], network: nn.Module, layer: nn.Module) -> Iterator[BaseCAM]:
    """Hang a method into the network for one pass.

    The library offers this as a `with` block of its own, which swallows every IndexError. Gradients are cut off below the
    layer, where nobody needs them. What comes after the layer works on a copy, since it may write into what it is given,
    as an in-place ReLU does, and the library keeps no copy.
    """
    cut = layer.register_forward_hook(lambda _module, _inputs, output: output.detach().requires_grad_())
    cam = method(network, [layer])
    copied = layer.register_forward_hook(lambda _module, _inputs, output: output.clone())
    try:
        yield cam
    finally:
        cam.activations_and_grads.release()
        cut.remove()
        copied.remove()
