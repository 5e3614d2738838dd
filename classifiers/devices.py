"""Which device computes: what the user wrote, against what the machine has."""

from __future__ import annotations

import re

import torch

from classifiers.base import ClassifierError

PRECISIONS = ("auto", "fp32", "mixed")


def available() -> list[str]:
    """Return the devices of this machine by the names that `choose` takes."""
    found = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*found, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def choose(wanted: str) -> tuple[torch.device, ...]:
    """Turn `auto`, `cpu`, `mps`, `cuda`, `cuda:1` or `cuda:0,1` into devices; `auto` takes the first that is there."""
    here = available()
    if wanted == "auto":
        return (torch.device(here[0]),)
    if wanted == "cuda":
        names = ["cuda:0"]
    elif re.fullmatch(r"cuda:\d+(,\d+)*", wanted):
        indices = wanted.removeprefix("cuda:").split(",")
        names = [f"cuda:{int(index)}" for index in dict.fromkeys(indices)]
    elif wanted in {"cpu", "mps"}:
        names = [wanted]
    else:
        raise ClassifierError(f"Device {wanted!r} is not understood. Write auto, cpu, mps, cuda, cuda:N or cuda:N,M.")
    missing = [name for name in names if name not in here]
    if missing:
        raise ClassifierError(f"Device {', '.join(missing)} is not available here. Available: {', '.join(here)}.")
    return tuple(torch.device(name) for name in names)


def choose_precision(wanted: str, device: torch.device) -> str:
    """Turn `auto` into `mixed` where half precision has units of its own (CUDA from compute capability 7.0), else `fp32`."""
    if wanted not in PRECISIONS:
        raise ClassifierError(f"Precision {wanted!r} is not understood. Write one of {', '.join(PRECISIONS)}.")
    if wanted != "auto":
        return wanted
    return "mixed" if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (7, 0) else "fp32"
