"""Small networks that are written out here rather than taken from a library: our own, and those of the papers.

The papers' networks flatten their features, so their size hangs on the picture's: `input_px` is the side of the square picture
that the network is given, after preparation. They begin as torch initialises its layers, by the global seed alone, but for Baldi
and Cioffo's: see `begin_as_keras`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from classifiers.base import ClassifierError
from classifiers.networks.blocks import BlockNetwork, Link, feature_shape
from classifiers.networks.heads import check_dense, check_outputs, check_share, make_head


def _block(inputs: int, outputs: int, stride: int, kernel: int = 3, *, look_free: bool = False) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        HalfInstanceNorm(outputs) if look_free else nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class HalfInstanceNorm(nn.Module):
    """Half of the channels are normalised crop by crop, the others over the batch (Pan et al., IBN-Net, 2018).

    What is normalised crop by crop no longer knows how strong or bright a crop is stained and lit, which is the laboratory's and the
    day's; the other half keeps what in it is the cell's.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.free = channels // 2
        self.crop = nn.InstanceNorm2d(self.free, affine=True)
        self.batch = nn.BatchNorm2d(channels - self.free)

    def forward(self, maps: Tensor) -> Tensor:
        first, second = maps[:, : self.free], maps[:, self.free :]
        return torch.cat([self.crop(first.contiguous()), self.batch(second.contiguous())], 1)


class SmallCnn(nn.Module):
    """A few plain convolutions and a global average: for crops of 48 to 128 px, thousands a second on two cores.

    The stem halves twice, because at 64 px nearly all the work would otherwise be at full size. The
    average at the end makes it indifferent to the crop's size. In the first `look_free` layers half of the channels are
    normalised crop by crop.
    """

    def __init__(self, outputs: int, width: int = 16, depths: Sequence[int] = (1, 2, 1), look_free: int = 0) -> None:
        super().__init__()
        # The last layer before the last stage: of a crop of 64 px, that one keeps only 4 x 4 places.
        self.cam_layer = f"features.{max(sum(depths[:-1]), 1) - 1}"
        self.stem = nn.Sequential(
            _block(3, width, 2, kernel=5, look_free=look_free > 0), _block(width, 2 * width, 2, look_free=look_free > 1)
        )
        layers: list[nn.Module] = []
        channels = 2 * width
        for stage, depth in enumerate(depths):
            for index in range(depth):
                stride = 2 if index == 0 and stage > 0 else 1
                wider = channels * 2 if stride == 2 else channels
                layers.append(_block(channels, wider, stride, look_free=look_free > 2 + len(layers)))
                channels = wider
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(channels, outputs)

    def forward(self, crops: Tensor) -> Tensor:
        logits: Tensor = self.head(self.pool(self.features(self.stem(crops))).flatten(1))
        return logits

    def chain(self) -> list[Link]:
        links = [
            Link(block, f"{block}.{name}", layer) for block in self.groups() for name, layer in self.get_submodule(block).named_children()
        ]
        return [*links, Link("head", "pool", self.pool), Link("head", "flatten", nn.Flatten()), Link("head", "head", self.head)]

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {"stem": list(self.stem.parameters()), "features": list(self.features.parameters())}


def _plain(inputs: int, filters: int, pool: int, padding: int = 1) -> nn.Sequential:
    layers = {"conv": nn.Conv2d(inputs, filters, 3, padding=padding), "relu": nn.ReLU(inplace=True), "pool": nn.MaxPool2d(pool)}
    return nn.Sequential(OrderedDict(layers))


def _on_flattened(body: dict[str, nn.Sequential], cam_layer: str, input_px: int, outputs: int, **head: Any) -> BlockNetwork:
    shape = feature_shape(nn.Sequential(OrderedDict(body)), input_px)
    return BlockNetwork(body, make_head({"pool": "flatten", **head}, shape, outputs), cam_layer)


def cnn5(
    outputs: int, input_px: int, filters: Sequence[int] = (16, 32, 32, 64, 64), dropout: float = 0.2, dense: Sequence[int] = (128,)
) -> BlockNetwork:
    """Five convolutions of Papaioannou et al. (Deep Learning Algorithms for Early Diagnosis of ALL), at 128 px in their best row.

    The paper says: five convolutional layers with a 3 x 3 kernel "and a stride of 2", of "16, 32, and 64 filters respectively",
    each followed by max-pooling; dropout 0.2; flatten; 128 units with ReLU; 2 outputs with softmax. What it leaves open:

    - Five layers have three numbers of filters. We take 16, 32, 32, 64, 64.
    - Where the stride of 2 is. It cannot be in the convolutions as well as in the poolings: 128 px would be halved ten times.
      The paper explains strides in its section on max-pooling, so we take convolutions of stride 1 and 2 x 2 poolings of stride 2.
    - Padding. The paper also trained on 64 px, of which five unpadded convolutions and poolings leave nothing, so we pad.
      It leaves 4 x 4 x 64 of 128 px.
    - Its grey pictures have one channel; ours stay three equal ones, which is the same sum.
    """
    inputs = (3, *check_dense(filters))
    body = {f"block{index}": _plain(inputs[index - 1], inputs[index], 2) for index in range(1, len(inputs))}
    return _on_flattened(body, f"body.block{len(body)}.relu", input_px, outputs, dense=dense, dropout_in=dropout)


def baldi(outputs: int, input_px: int, dense: Sequence[int] = (256,), first_dropout: bool = False, dropout: float = 0.5) -> BlockNetwork:
    """The network from scratch of Baldi and Cioffo, at 300 px: 32, 64, 128, 256 filters, pooled by 2, 2, 3 and 5.

    The paper's four variants are `dense` (256,) without and with `first_dropout`, (128,) and (256, 256). Convolutions are 3 x 3
    of stride 1 with zero padding and ReLU; 5 x 5 x 256 are left of 300 px. What it leaves open:

    - The rate of dropout, for which we take 0.5.
    - Whether 128 units have one dropout, as the title of that section says ("and dropout", not "and two dropout"), or two, as
      its text has it ("the same as above"). `first_dropout` says which.
    - Whether the variant of two dense layers has dropout, and where: here once, before the output layer, as in the first.
    - How its weights begin. As in Keras, in which the authors worked: from torch's own first weights what the last convolution says
      is so faint that nothing was learned within 600 steps.
    """
    if not isinstance(first_dropout, bool):
        raise ClassifierError(f"first_dropout must be true or false, not {first_dropout!r}.")
    before = dropout if first_dropout else 0.0
    widths, pools = (3, 32, 64, 128, 256), (2, 2, 3, 5)
    body = {f"block{index}": _plain(widths[index - 1], widths[index], pool) for index, pool in enumerate(pools, start=1)}
    network = _on_flattened(body, "body.block4.relu", input_px, outputs, dense=dense, dropout_in=before, dropout=dropout)
    begin_as_keras(network)
    return network


def begin_as_keras(network: nn.Module) -> None:
    """Give every convolution and dense layer the first weights that Keras gives: Glorot's uniform ones, and no bias."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def li_sequential(outputs: int, input_px: int = 250, dense: Sequence[int] = (256,), dropout: float = 0.4) -> BlockNetwork:
    """The sequential network of Matek et al. for bone marrow cells, as Li's thesis trained it: 250 px, 21 classes.

    Four pairs of 3 x 3 convolutions of 8, 16, 32 and 64 filters, pooled by 4, 4, 4 and 3; batch norm behind the first
    convolution of the first two pairs and behind both of the others; 256 units; dropout. 0.4 is what the thesis' search over
    0.2, 0.3, 0.4, 0.5 chose; its untuned network's rate it does not print. What it leaves open:

    - Padding. Unpadded convolutions leave nothing of 250 px, so we pad; poolings drop what does not fill a window, as
      Keras does by default. 250 px become 62, 15, 3 and 1: the 64 last features have one place.
    - Whether batch norm stands before or behind ReLU: before, where it can be folded into the convolution.
    """
    body: dict[str, nn.Sequential] = {}
    inputs = 3
    for index, (filters, pool, second_norm) in enumerate(((8, 4, False), (16, 4, False), (32, 4, True), (64, 3, True)), start=1):
        layers = {**_normed(1, inputs, filters, True), **_normed(2, filters, filters, second_norm), "pool": nn.MaxPool2d(pool)}
        body[f"block{index}"] = nn.Sequential(OrderedDict(layers))
        inputs = filters
    return _on_flattened(body, "body.block4.relu2", input_px, outputs, dense=dense, dropout=dropout)


def _normed(index: int, inputs: int, filters: int, norm: bool) -> dict[str, nn.Module]:
    layers: dict[str, nn.Module] = {f"conv{index}": nn.Conv2d(inputs, filters, 3, padding=1)}
    if norm:
        layers[f"norm{index}"] = nn.BatchNorm2d(filters)
    return {**layers, f"relu{index}": nn.ReLU(inplace=True)}


def standard_cnn(outputs: int, input_px: int = 224, dense: Sequence[int] = (512, 256), dropout: float = 0.5) -> BlockNetwork:
    """What Di Giammarco et al. call Standard_CNN, at 224 px; their paper gives no layers.

    We take those of the network of that name in TAMI (https://github.com/Djack1010/tami), the published tool of the same
    institute, which has the paper's other networks too: convolutions of 32, 64 and 128 filters, 3 x 3, unpadded, ReLU, each
    pooled by 2; flatten; dropout; 512 units; dropout; 256 units; dropout. Nobody says that the paper's is the same.
    """
    widths = (3, 32, 64, 128)
    body = {f"block{index}": _plain(widths[index - 1], widths[index], 2, padding=0) for index in range(1, 4)}
    features = math.prod(feature_shape(nn.Sequential(OrderedDict(body)), input_px))
    rate = check_share("dropout", dropout)
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    for index, units in enumerate(check_dense(dense), start=1):
        layers |= {f"dropout{index}": nn.Dropout(rate), f"dense{index}": nn.Linear(features, units), f"relu{index}": nn.ReLU(inplace=True)}
        features = units
    layers |= {"dropout": nn.Dropout(rate), "output": nn.Linear(features, check_outputs(outputs))}
    return BlockNetwork(body, nn.Sequential(OrderedDict(layers)), "body.block3.relu")
