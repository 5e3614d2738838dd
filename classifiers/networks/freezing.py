"""Freezing a body, or the blocks of it that lie in front of a named one, for a head to be trained on what it already sees.

What is frozen is said by `requires_grad` alone, so it survives copies and needs no list beside the network.
"""

from __future__ import annotations

from torch import nn

from classifiers.base import ClassifierError
from classifiers.networks.blocks import Link, divided


def block_names(network: nn.Module) -> list[str]:
    """Return the names of the blocks of the body, from the picture on."""
    return list(divided(network).groups())


def step_names(network: nn.Module) -> list[str]:
    """Return the names of all layers inside blocks that `freeze` takes too, as "block5.2"."""
    blocks = set(block_names(network))
    return [link.name for link in divided(network).chain() if link.block in blocks and any(True for _ in link.module.parameters())]


def freeze(network: nn.Module, unfreeze_from: str | None) -> None:
    """Freeze the body in front of the block or the step `unfreeze_from`; without a name the whole body. All else is trained.

    The name of the first block freezes nothing.
    """
    frozen = _in_front_of(network, unfreeze_from)
    network.requires_grad_(True)
    for parameter in frozen:
        parameter.requires_grad_(False)


def _in_front_of(network: nn.Module, unfreeze_from: str | None) -> list[nn.Parameter]:
    groups = divided(network).groups()
    if unfreeze_from is None or unfreeze_from in groups:
        blocks = list(groups)[: None if unfreeze_from is None else list(groups).index(unfreeze_from)]
        return [parameter for block in blocks for parameter in groups[block]]
    if unfreeze_from not in step_names(network):
        within = unfreeze_from.partition(".")[0]
        steps = [name for name in step_names(network) if name.startswith(f"{within}.")]
        known = f"Steps of {within}: {', '.join(steps)}." if steps else f"Its blocks: {', '.join(groups)}."
        raise ClassifierError(f"The network has no block {unfreeze_from!r} to unfreeze from. {known}")
    links = divided(network).chain()
    index = next(index for index, link in enumerate(links) if link.name == unfreeze_from)
    return [parameter for link in links[:index] for parameter in link.module.parameters()]


def train_mode(network: nn.Module) -> None:
    """Switch to training, but leave what is frozen as in use: its batch norms keep their means, its dropouts drop nothing."""
    network.train()
    for module in network.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


def frozen_prefix(network: nn.Module) -> tuple[nn.Module | None, nn.Module]:
    """Return what is frozen in front and the rest: the rest of what the prefix gives is what the network gives.

    The prefix holds no dropout and gives the same whenever it sees the same picture, so it need be asked only once for each
    that is not augmented. It ends as late as it can, behind the pooling where the whole body is frozen, to give little to
    keep. None where nothing in front is frozen. Both share their layers with the network; the prefix is in evaluation mode.
    """
    links = divided(network).chain()
    last = max((index for index, link in enumerate(links) if _is_frozen(link)), default=-1)
    trained = next((index for index, link in enumerate(links) if _is_trained(link)), len(links))
    if last < 0 or trained < last:
        return None, network
    end = next((index for index in range(last + 1, trained) if isinstance(links[index].module, nn.Dropout)), trained)
    prefix = nn.Sequential(*(link.module for link in links[:end])).eval()
    return prefix, nn.Sequential(*(link.module for link in links[end:]))


def _is_frozen(link: Link) -> bool:
    parameters = list(link.module.parameters())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)


def _is_trained(link: Link) -> bool:
    return any(parameter.requires_grad for parameter in link.module.parameters())
