"""Class activation maps through pytorch-grad-cam, many crops in one backward pass.

What is explained is a logit, before softmax, sigmoid and temperature. A network with one output has one logit, that of
the positive class; the negative class is explained by minus that logit. (The library's `ClassifierOutputTarget(0)` would
show the positive class whichever was meant.)

A card's preparation must keep the crop's frame, as `resize` does: the map of what the network saw is laid on the crop as it is.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, ScoreCAM, XGradCAM
from pytorch_grad_cam.base_cam import BaseCAM
from torch import Tensor, nn

from classifiers.base import Classifier, ClassifierError, Explainer
from classifiers.card import ModelCard
from classifiers.explain.alignment import find_alignment
from classifiers.explain.layers import check_layer, find_layer

ROWS = 16  # crops in one pass; always as many, the last ones filled up, so that a map's bits do not depend on how many are asked for
MASKED_ROWS = 32  # crops in one pass of Score-CAM, which tries every channel of the layer as a mask

Target = Callable[[Tensor], Tensor]  # from one crop's outputs to the logit that is explained


@runtime_checkable
class Explainable(Protocol):
    """A classifier that lets its network be looked into."""

    card: ModelCard
    network: nn.Module  # in its own layers, not folded; called on what `prepare` returns it gives the logits

    def prepare(self, crops: NDArray[np.uint8]) -> Tensor: ...


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
    """Class activation maps at the layer that the classifier's card names."""

    def __init__(self, method: str, classifier: Classifier) -> None:
        if not isinstance(classifier, Explainable):
            raise ClassifierError(
                f"{classifier.card.name!r} has no network to look into, which {method} needs. Take a model folder, or no heat maps."
            )
        self.method = method
        self._classifier = classifier
        px = classifier.card.crop_px
        with _gradients():
            prepared = classifier.prepare(np.zeros((1, px, px, 3), np.uint8))
            network = copy.deepcopy(classifier.network).eval().requires_grad_(False)
            self._network = network.to(memory_format=torch.channels_last).to(prepared.device)
            self.layer, self._module = find_layer(self._network, classifier.card.cam_layer)
            check_layer(self._network, (self.layer, self._module), prepared)
            self._alignment, self._features = find_alignment(self._network, self.layer, prepared.shape[-1])

    def explain(self, crops: NDArray[np.uint8], class_name: str) -> NDArray[np.float32]:
        target = self._target(class_name)
        rows = 1 if METHODS[self.method] is PlainScoreCam else ROWS
        maps = np.zeros(crops.shape[:3], np.float32)
        for start in range(0, len(crops), rows):
            some = crops[start : start + rows]
            filled = np.zeros((rows, *crops.shape[1:]), np.uint8)
            filled[: len(some)] = some
            for made, out in zip(self._pass(filled, target), maps[start : start + rows], strict=False):  # those of the filling are dropped
                self._alignment.lay(made, self._features, out)
        highest = maps.max((1, 2), keepdims=True, initial=0)
        np.divide(maps, highest, out=maps, where=highest > 0)
        if not np.isfinite(maps).all():
            raise ClassifierError(f"{self.method} of {self._classifier.card.name!r} is no number: the network's weights are broken.")
        return maps

    def _target(self, class_name: str) -> Target:
        card = self._classifier.card
        if class_name not in card.classes:
            raise ClassifierError(f"{card.name!r} has no class {class_name!r} to explain. Its classes are {', '.join(card.classes)}.")
        column = card.classes.index(class_name)
        if card.activation == "sigmoid":
            sign = 1 if column == 1 else -1
            return lambda outputs: sign * outputs[0]
        return lambda outputs: outputs[column]

    def _pass(self, crops: NDArray[np.uint8], target: Target) -> NDArray[np.float32]:
        with _gradients(), _attached(METHODS[self.method], self._network, self._module) as cam:
            maps: NDArray[np.float32] = cam(self._classifier.prepare(crops), [target] * len(crops))
        return maps


@contextlib.contextmanager
def _gradients() -> Iterator[None]:
    """Let gradients be computed, whatever the caller switched off, and by the same arithmetic as the classifier's in fp32."""
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
    ):
        yield


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
