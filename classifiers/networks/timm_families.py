"""Networks of timm, by its names: MobileNet v1 as a chain of blocks like torchvision's, every other one as one whole body.

timm is large and is loaded when one of its networks is built.
"""

from __future__ import annotations

import difflib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from classifiers.base import ClassifierError
from classifiers.networks.assembly import leave_off, put_together
from classifiers.networks.blocks import BlockNetwork, feature_shape, make_stem, name_origin
from classifiers.networks.heads import check_outputs, is_native, make_head, needs_input_px

MOBILENET_V1 = "mobilenetv1_100"


def build_mobilenet_v1(
    outputs: int,
    *,
    stem: str | None = None,
    without_last_block: bool = False,
    head: Mapping[str, Any] | None = None,
    input_px: int | None = None,
) -> BlockNetwork:
    """Return MobileNet v1, of width 1, its weights random.

    Its blocks are entry, the first convolution, and block1 to block5, the depthwise separable convolutions between two
    halvings. Without block5, 224 px become 14 x 14 x 512.
    """
    net = _create(MOBILENET_V1, num_classes=check_outputs(outputs))
    original = net.state_dict(keep_vars=True)
    blocks = {"entry": nn.Sequential(OrderedDict({"conv": net.conv_stem, **_norm_and_act("norm", net.bn1)}))}
    for index, stage in enumerate(net.blocks, start=1):
        blocks[f"block{index}"] = nn.Sequential(*(_separable(layer) for layer in stage))
    own_head = {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "output": net.classifier}
    network = put_together(leave_off(blocks, 1, without_last_block), own_head, outputs, stem=stem, head=head, input_px=input_px)
    name_origin(network, original, "timm", MOBILENET_V1)
    return network


def _separable(layer: Any) -> nn.Sequential:
    """Return a depthwise separable convolution in plain layers: a norm of timm's, which holds its ReLU, cannot be folded."""
    depthwise = {"conv_dw": layer.conv_dw, **_norm_and_act("norm1", layer.bn1)}
    pointwise = {"conv_pw": layer.conv_pw, **_norm_and_act("norm2", layer.bn2)}
    return nn.Sequential(OrderedDict({**depthwise, **pointwise}))


def _norm_and_act(name: str, norm: Any) -> dict[str, nn.Module]:
    plain = nn.BatchNorm2d(norm.num_features, eps=norm.eps, momentum=norm.momentum)
    plain.weight, plain.bias = norm.weight, norm.bias
    for buffer in ("running_mean", "running_var", "num_batches_tracked"):
        setattr(plain, buffer, getattr(norm, buffer))
    return {name: plain, f"{name}_act": norm.act}


class TimmNetwork(BlockNetwork):
    """A network of timm's as one body that is no chain; its blocks, block1 on, are the groups of layers that timm makes."""

    def __init__(self, net: Any, head: nn.Sequential, cam_layer: str, stem: str | None) -> None:
        super().__init__({"body": nn.Sequential(OrderedDict({"timm": net}))}, head, cam_layer, stem)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        import timm

        net: Any = self.get_submodule("body.body.timm")
        grouped = timm.models.group_parameters(net, net.group_matcher(coarse=True))
        return {f"block{index}": [net.get_parameter(name) for name in names] for index, names in enumerate(grouped.values(), start=1)}


def build(
    name: str,
    outputs: int,
    *,
    stem: str | None = None,
    without_last_block: bool = False,
    head: Mapping[str, Any] | None = None,
    input_px: int | None = None,
) -> BlockNetwork:
    """Return the network that timm calls `name`, its weights random.

    Its own head is timm's without dropout, with one dense layer at the end. A head of ours needs features that have places,
    which a transformer's are not. A network that is made for one size of pictures is made for `input_px`, where timm can.
    """
    if without_last_block:
        raise ClassifierError(
            f"timm:{name} comes as one body, so without_last_block {without_last_block!r} cannot be done. Take one by its own name."
        )
    if needs_input_px(head) and input_px is None:
        raise ClassifierError("A head that flattens hangs on the size of the pictures. Give the network input_px, their side in pixels.")
    native = is_native(head)
    net, side = _create_body(name, {} if native else {"global_pool": ""}, input_px, stem)
    original = net.state_dict(keep_vars=True)
    shape = feature_shape(nn.Sequential(make_stem(stem), net), side)
    if native or head is None:
        decider = nn.Sequential(OrderedDict({"output": nn.Linear(shape[0], check_outputs(outputs))}))
    elif len(shape) != 3 or not _channels_first(net):
        raise ClassifierError(f"timm:{name} gives features of shape {shape}, not (channels, height, width). Leave it its own head.")
    else:
        decider = make_head(head, shape, check_outputs(outputs))
    network = TimmNetwork(net, decider, _cam_layer(net), stem)
    name_origin(network, original, "timm", name, _classifier_keys(net))
    return network


def _create_body(name: str, options: Mapping[str, Any], input_px: int | None, stem: str | None) -> tuple[Any, int]:
    """Return timm's network without its classifier, and the side of the pictures that it is given."""
    net = _create(name, num_classes=0, **options)
    stride = 1 if stem is None else 2
    made_for = int(net.pretrained_cfg["input_size"][-1])
    if input_px is None:
        return net, made_for * stride
    if net.pretrained_cfg.get("fixed_input_size") and isinstance(input_px, int) and input_px // stride != made_for:
        net = _create(name, num_classes=0, img_size=input_px // stride, **options)
    return net, input_px


def _classifier_keys(net: Any) -> tuple[str, ...]:
    """Return what timm's files hold of the classifier that this body was built without."""
    layers = net.pretrained_cfg.get("classifier") or ()
    names = (layers,) if isinstance(layers, str) else tuple(layers)
    return tuple(f"{layer}.{kind}" for layer in names for kind in ("weight", "bias"))


def _channels_first(net: Any) -> bool:
    return str(getattr(net, "output_fmt", "NCHW")).endswith("NCHW")


def _cam_layer(net: Any) -> str:
    """Return the last of the stages that timm lists, where it has places; "" where it has none, as in a transformer."""
    stages = getattr(net, "feature_info", None) or []
    convolutions = any(isinstance(module, nn.Conv2d) and module.groups == 1 for module in list(net.modules())[2:])
    places = stages and convolutions and _channels_first(net) and not hasattr(net, "pos_embed")
    return f"body.body.timm.{stages[-1]['module']}" if places else ""


def published_weights(name: str) -> dict[str, Tensor]:
    """Return the weights that timm offers with a network, downloading them where they are not kept yet."""
    import timm

    state: dict[str, Tensor] = timm.create_model(name, pretrained=True).state_dict()
    return state


def normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the deviation that timm's weights of a network were trained with."""
    import timm

    config: Any = timm.get_pretrained_cfg(name)
    return tuple(config.mean), tuple(config.std)


def _create(name: str, **options: Any) -> Any:
    import timm

    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=5)
        meant = f"Near it: {', '.join(near)}." if near else "timm.list_models() lists those that there are."
        raise ClassifierError(f"timm has no network named {name!r}. {meant}")
    try:
        return timm.create_model(name, pretrained=False, **options)
    except (TypeError, ValueError, AssertionError) as error:
        raise ClassifierError(f"timm cannot build {name} with {options}: {error}.") from error
