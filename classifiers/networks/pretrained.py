"""Weights that a network starts from: ImageNet's by the name a library gives them, or any file of them.

A library's file names its tensors as the library does; `BlockNetwork.origin` knows what they are called here. A file of this
package's own (`weights.safetensors` of a model folder) is taken as well, to train on from another model.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from classifiers.base import ClassifierError
from classifiers.networks import timm_families
from classifiers.networks.blocks import BlockNetwork, Origin, divided

FILES = (".pth", ".pt", ".safetensors")
SHOWN = 6  # keys in a message
# How torchvision's DenseNet files of 2017 name what is norm1, conv1, norm2, conv2 today.
OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12])\.(weight|bias|running_mean|running_var)$")


@dataclass(frozen=True)
class Loaded:
    """What became of the tensors of a network and of a file."""

    loaded: tuple[str, ...]  # our names of what was filled
    fresh: tuple[str, ...]  # our names of what keeps its own initialisation
    unused: tuple[str, ...]  # the file's names of what the network has no place for

    def __str__(self) -> str:
        fresh = f"; not in it, so random: {_few(self.fresh)}" if self.fresh else ""
        unused = f"; not used of it: {_few(self.unused)}" if self.unused else ""
        return f"{len(self.loaded)} tensors loaded{fresh}{unused}"


def load_imagenet(network: nn.Module, name: str, weights: str | Path) -> Loaded:
    """Fill `network`, built as `name`, with `weights`, and return what was loaded.

    `weights` is a file (.pth, .pt, .safetensors), or torchvision's name of them ("IMAGENET1K_V1", "DEFAULT"), or "timm" for those
    that timm offers with its network; the latter two may be downloaded. The last layer of the head stays as it is where it does
    not fit, as does a head that the library does not have, and what a body without its last block leaves unused is returned.
    Anything else that is missing or of another shape is refused.
    """
    origin = network.origin if isinstance(network, BlockNetwork) else None
    state = _renamed(_read_file(Path(weights)) if str(weights).endswith(FILES) else _fetch(origin, name, str(weights)))
    title = f"{weights} does not fit the network {name!r}"
    own = {key: key for key in network.state_dict()}
    theirs = dict(origin.keys) if origin else {}
    if sum(key in state for key in own) >= sum(key in state for key in theirs.values()):
        allowed = {key for key in state if key.startswith(("body.", "head."))}
        return _fill(network, title, state, keys=own, allowed=allowed)
    dropped = set(origin.dropped if origin else ()) | {key for key in state if key.startswith("AuxLogits.")}
    return _fill(network, title, state, keys=theirs, allowed=dropped)


def normalisation(network: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the deviation of RGB in [0, 1] that a network's ImageNet weights were trained with.

    Inception's came from Google with 0.5 and 0.5; torchvision hides that in a step of its network which is not built here.
    """
    origin = network.origin if isinstance(network, BlockNetwork) else None
    if origin is None:
        raise ClassifierError("A network that comes from no library has no ImageNet weights, nor their mean.")
    if origin.library == "timm":
        return timm_families.normalisation(origin.name)
    if origin.name == "inception_v3":
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _fill(network: nn.Module, title: str, state: Mapping[str, Tensor], *, keys: Mapping[str, str], allowed: set[str]) -> Loaded:
    """Copy the tensors of `state`, called there what `keys` says for each of ours; refuses what does not fit."""
    current = network.state_dict()
    last = _last_layer(network)
    fitting = {ours: state[key] for ours, key in keys.items() if key in state and state[key].shape == current[ours].shape}
    counters = {key for key in current if key.endswith("num_batches_tracked")}  # older files have none, and nobody reads them
    missing = [ours for ours, key in keys.items() if key not in state and ours not in last | counters]
    other = [ours for ours, key in keys.items() if key in state and ours not in fitting and ours not in last]
    unknown = [key for key in state if key not in set(keys.values()) | allowed]
    faults = [
        f"not in it: {_few([keys[ours] for ours in missing])}" if missing else "",
        f"of another shape: {_few([f'{keys[each]} {_sizes(state[keys[each]])} for {_sizes(current[each])}' for each in other])}"
        if other
        else "",
        f"unknown: {_few(unknown)}" if unknown else "",
    ]
    if any(faults):
        raise ClassifierError(f"{title}. {'; '.join(fault for fault in faults if fault)}.")
    network.load_state_dict(fitting, strict=False)
    fresh = tuple(key for key in current if key not in fitting and key not in counters)
    used = {keys[ours] for ours in fitting}
    return Loaded(tuple(fitting), fresh, tuple(sorted(key for key in state if key not in used)))


def _last_layer(network: nn.Module) -> set[str]:
    parameters = {id(parameter) for parameter in divided(network).chain()[-1].module.parameters()}
    return {key for key, parameter in network.named_parameters() if id(parameter) in parameters}


def _fetch(origin: Origin | None, name: str, weights: str) -> dict[str, Tensor]:
    if origin is None:
        raise ClassifierError(
            f"{name!r} comes from no library, so there are no weights {weights!r} of it. Give a file: {', '.join(FILES)}."
        )
    if (origin.library == "timm") != (weights == "timm"):
        offered = '"timm"' if origin.library == "timm" else f"torchvision's names: {', '.join(_offered(origin))}"
        raise ClassifierError(f"The weights of {name!r} are called {offered}, not {weights!r}; or give a file: {', '.join(FILES)}.")
    try:
        return timm_families.published_weights(origin.name) if origin.library == "timm" else _from_torchvision(origin, name, weights)
    except (OSError, RuntimeError) as error:
        raise ClassifierError(
            f"The weights {weights!r} of {name!r} could not be had from {origin.library}: {error}. "
            f"Download them elsewhere and give the file ({', '.join(FILES)}) instead of their name."
        ) from error


def _offered(origin: Origin) -> list[str]:
    from torchvision import models

    return [*(each.name for each in models.get_model_weights(origin.name)), "DEFAULT"]


def _from_torchvision(origin: Origin, name: str, weights: str) -> dict[str, Tensor]:
    from torchvision import models

    if weights not in _offered(origin):
        raise ClassifierError(f"{name!r} has no weights {weights!r}. torchvision offers {', '.join(_offered(origin))}; or give a file.")
    state: dict[str, Tensor] = models.get_model_weights(origin.name)[weights].get_state_dict(progress=False, check_hash=True)
    return state


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        content: Any = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError, SafetensorError) as error:
        raise ClassifierError(f"The weights {path} cannot be read: {error}") from error
    for wrapping in ("state_dict", "model"):  # as training scripts save them, with optimiser and all
        if isinstance(content, Mapping) and isinstance(content.get(wrapping), Mapping):
            content = content[wrapping]
    if not isinstance(content, Mapping) or not content or not all(isinstance(each, Tensor) for each in content.values()):
        raise ClassifierError(f"{path} holds no weights by name, but {type(content).__name__}. Save a network's state_dict.")
    return {str(key).removeprefix("module."): tensor for key, tensor in content.items()}


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {OLD_DENSENET.sub(r"\1\2.\3", key): tensor for key, tensor in state.items()}


def _sizes(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "one number"


def _few(keys: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more
