"""The families of torchvision as chains of named blocks: VGG, ResNet, DenseNet, MobileNet, EfficientNet, Inception.

What a block is, for freezing and for `without_last_block`:

- VGG: block1 to block5, the convolutions between two poolings and the pooling behind them, as in the drawings of the papers.
  Without block5, 224 px become 14 x 14 x 512.
- ResNet: block1 is the first convolution with its pooling, block2 to block5 are layer1 to layer4. Without block5, 224 px become
  14 x 14 x 1024 in a ResNet-50, the size that Baldi and Cioffo give. A step inside is named too: block5.2 is the last bottleneck.
- DenseNet: block1 is the first convolution with its pooling, block2 to block5 are the dense blocks, each with the transition
  behind it; the last has the final norm and ReLU instead. Without block5, 224 px become 7 x 7 x 512 in a DenseNet-121.
- MobileNetV2: entry, bottleneck1 to bottleneck17, exit (the 1 x 1 convolution to 1280 features). Its last stage is the single
  bottleneck17; since exit takes that one's output, `without_last_block` leaves both off: 224 px become 7 x 7 x 160. Keras counts
  its blocks from 0: its block_10 is our bottleneck11.
- MobileNetV3, EfficientNet: block1 to blockN are torchvision's features.0 to features.N-1, of which the last is the exit;
  `without_last_block` leaves off the exit and the stage before it.
- Inception-v3: block1 and block2 are the plain convolutions up to the first and the second pooling, block3 to block5 are
  Mixed_5, Mixed_6 and Mixed_7. The auxiliary output is not built. Pictures must have 75 px or more.

A head that is not given is the family's own classifier, with a last layer for our classes: one dense layer behind the average,
or, in VGG, 7 x 7 pooling and two dense layers of 4096 with dropout. Without its last block a VGG keeps the size of that classifier.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from classifiers.networks.assembly import Blocks, leave_off, put_together
from classifiers.networks.blocks import BlockNetwork, name_origin
from classifiers.networks.heads import check_outputs


def _vgg(net: Any) -> Blocks:
    blocks: Blocks = {}
    layers: dict[str, nn.Module] = {}
    for layer in net.features:
        layers[str(len(layers))] = layer
        if isinstance(layer, nn.MaxPool2d):
            blocks[f"block{len(blocks) + 1}"] = nn.Sequential(OrderedDict(layers))
            layers = {}
    return blocks


def _resnet(net: Any) -> Blocks:
    first = {"conv1": net.conv1, "bn1": net.bn1, "relu": net.relu, "maxpool": net.maxpool}
    stages = (net.layer1, net.layer2, net.layer3, net.layer4)
    return {"block1": nn.Sequential(OrderedDict(first))} | {f"block{index}": stage for index, stage in enumerate(stages, start=2)}


def _densenet(net: Any) -> Blocks:
    layers = dict(net.features.named_children())
    first = {name: layers.pop(name) for name in ("conv0", "norm0", "relu0", "pool0")}
    blocks = {"block1": nn.Sequential(OrderedDict(first))}
    for index in range(1, 5):
        behind = {"norm5": layers["norm5"], "relu5": nn.ReLU(inplace=True)} if index == 4 else {"transition": layers[f"transition{index}"]}
        blocks[f"block{index + 1}"] = nn.Sequential(OrderedDict({"dense": layers[f"denseblock{index}"], **behind}))
    return blocks


def _features(net: Any) -> Blocks:
    return {f"block{index}": nn.Sequential(stage) for index, stage in enumerate(net.features, start=1)}


def _mobilenet_v2(net: Any) -> Blocks:
    names = ["entry", *(f"bottleneck{index}" for index in range(1, len(net.features) - 1)), "exit"]
    return {name: nn.Sequential(stage) for name, stage in zip(names, net.features, strict=True)}


def _inception(net: Any) -> Blocks:
    layers = {name: layer for name, layer in net.named_children() if name not in {"avgpool", "dropout", "fc"}}
    blocks: Blocks = {}
    starts = ("Conv2d_1a_3x3", "Conv2d_3b_1x1", "Mixed_5b", "Mixed_6a", "Mixed_7a")
    names = list(layers)
    ends = [*(names.index(start) for start in starts[1:]), len(names)]
    for index, (start, end) in enumerate(zip(starts, ends, strict=True), start=1):
        blocks[f"block{index}"] = nn.Sequential(OrderedDict((name, layers[name]) for name in names[names.index(start) : end]))
    return blocks


def _own_vgg(net: Any) -> dict[str, nn.Module]:
    return {"pool": net.avgpool, "flatten": nn.Flatten(), **{f"dense{index}": layer for index, layer in enumerate(net.classifier)}}


def _own_fc(net: Any) -> dict[str, nn.Module]:
    dropout = {"dropout": net.dropout} if hasattr(net, "dropout") else {}
    return {"pool": net.avgpool, "flatten": nn.Flatten(), **dropout, "output": net.fc}


def _own_densenet(net: Any) -> dict[str, nn.Module]:
    return {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "output": net.classifier}


def _own_classifier(net: Any) -> dict[str, nn.Module]:
    layers = {f"dense{index}": layer for index, layer in enumerate(net.classifier)}
    return {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), **layers}


Division = tuple[Callable[[Any], Blocks], Callable[[Any], dict[str, nn.Module]], int]  # ..., blocks that without_last_block leaves off
VGG: Division = (_vgg, _own_vgg, 1)
RESNET: Division = (_resnet, _own_fc, 1)
DENSENET: Division = (_densenet, _own_densenet, 1)
MOBILENET_V2: Division = (_mobilenet_v2, _own_classifier, 2)
FEATURES: Division = (_features, _own_classifier, 2)
INCEPTION: Division = (_inception, _own_fc, 1)

FAMILIES: Mapping[str, tuple[str, Division]] = {  # our name -> torchvision's, and how it is taken apart
    "vgg11": ("vgg11", VGG),
    "vgg11-bn": ("vgg11_bn", VGG),
    "vgg13": ("vgg13", VGG),
    "vgg16": ("vgg16", VGG),
    "vgg16-bn": ("vgg16_bn", VGG),
    "vgg19": ("vgg19", VGG),
    "vgg19-bn": ("vgg19_bn", VGG),
    "resnet18": ("resnet18", RESNET),
    "resnet34": ("resnet34", RESNET),
    "resnet50": ("resnet50", RESNET),
    "resnet101": ("resnet101", RESNET),
    "resnext50": ("resnext50_32x4d", RESNET),
    "densenet121": ("densenet121", DENSENET),
    "densenet161": ("densenet161", DENSENET),
    "densenet169": ("densenet169", DENSENET),
    "mobilenet-v2": ("mobilenet_v2", MOBILENET_V2),
    "mobilenet-v3-small": ("mobilenet_v3_small", FEATURES),
    "mobilenet-v3-large": ("mobilenet_v3_large", FEATURES),
    "efficientnet-b0": ("efficientnet_b0", FEATURES),
    "efficientnet-b1": ("efficientnet_b1", FEATURES),
    "inception-v3": ("inception_v3", INCEPTION),
}

# torchvision's own default of Inception would normalise the input anew, and of its initialisation would warn.
EXTRA: Mapping[str, Mapping[str, Any]] = {"inception-v3": {"aux_logits": False, "init_weights": True, "transform_input": False}}


def build(
    name: str,
    outputs: int,
    *,
    stem: str | None = None,
    without_last_block: bool = False,
    head: Mapping[str, Any] | None = None,
    input_px: int | None = None,
) -> BlockNetwork:
    """Return a network of torchvision's, its weights random.

    `input_px`, the side of the square picture that the network is given, must be there where the head flattens; given
    elsewhere, it is only checked.
    """
    from torchvision import models

    theirs, (divide, own_head, last_blocks) = FAMILIES[name]
    net = models.get_model(theirs, weights=None, num_classes=check_outputs(outputs), **EXTRA.get(name, {}))
    original = net.state_dict(keep_vars=True)
    blocks = leave_off(divide(net), last_blocks, without_last_block)
    network = put_together(blocks, own_head(net), outputs, stem=stem, head=head, input_px=input_px)
    name_origin(network, original, "torchvision", theirs)
    return network


BUILDERS: Mapping[str, Callable[..., BlockNetwork]] = {name: partial(build, name) for name in FAMILIES}
