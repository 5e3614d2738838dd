"""Which layer of a network a map is made of, and whether one can be made of it."""

from __future__ import annotations

from torch import Tensor, nn

from classifiers.base import ClassifierError

# What follows the last features without making any: never the layer that stands for a stage.
AFTERWARDS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Dropout, nn.Dropout2d, nn.Identity)


def find_layer(network: nn.Module, name: str | None) -> tuple[str, nn.Module]:
    """Return the layer of that name, with dots as in "features.2"; without a name the last convolution."""
    if name is not None:
        try:
            return name, network.get_submodule(name)
        except AttributeError as error:
            known = ", ".join(found for found, _ in network.named_children())
            raise ClassifierError(
                f"The network has no layer {name!r}, whether asked for or named by the card as cam_layer. Its layers begin with {known}."
            ) from error
    convolutions = [(found, module) for found, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    if not convolutions:
        raise ClassifierError("The network has no convolution to make a map of. Name a layer in the card's cam_layer.")
    return convolutions[-1]


def candidate_layers(network: nn.Module, crops: Tensor) -> tuple[str, ...]:
    """Return the last layer of each stage, from the crops' side on: one layer for each size of feature maps.

    `crops` is what the network is tried on. Layers that are used more than once, or that only pool what is already there,
    are left out, and so are maps of a single place. Of a stage that is a module of its own that module is named.
    """
    uses: dict[str, int] = {}
    kinds = dict(network.named_modules())

    def look(name: str, output: object) -> None:
        uses[name] = uses.get(name, 0) + 1
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1 and not isinstance(kinds[name], AFTERWARDS):
            finished.append((tuple(output.shape[2:]), name))

    finished: list[tuple[tuple[int, ...], str]] = []
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: look(name, output))
        for name, module in kinds.items()
        if name
    ]
    try:
        network(crops)
    finally:
        for hook in hooks:
            hook.remove()
    last = {size: name for size, name in finished if uses[name] == 1}  # of a size, what was finished last
    return tuple(sorted(last.values(), key=[name for _, name in finished].index))


def check_layer(network: nn.Module, layer: tuple[str, nn.Module], crops: Tensor) -> None:
    """Raise ClassifierError unless the network uses the layer once, for feature maps that its outputs depend on.

    `crops` is what the network is to be tried on; its weights must not ask for gradients.
    """
    name, module = layer
    seen: list[tuple[int, ...]] = []

    def look(_module: nn.Module, _inputs: object, output: object) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ClassifierError(
                f"The layer {name!r} gives {shape}, not maps of (crops, channels, height, width): it has no places to show."
            )
        seen.append(tuple(output.shape))
        return output.detach().requires_grad_().clone()

    hook = module.register_forward_hook(look)
    try:
        outputs: Tensor = network(crops)
    finally:
        hook.remove()
    if len(seen) != 1:
        raise ClassifierError(f"The network uses the layer {name!r} {len(seen)} times for a crop; a map needs one that is used once.")
    if not outputs.requires_grad:
        raise ClassifierError(f"The network's outputs do not depend on the layer {name!r}: a map of it would mean nothing.")
