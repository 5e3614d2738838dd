"""One process a device: each works on its share of every batch, and gradients are summed before a step.

A training on several devices so computes what one device would, but for the order in which floats are added, for dropout,
which every process draws by itself, and for batch normalisation, which goes by each process's share of a batch.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from classifiers import devices
from classifiers.base import ClassifierError

PATIENCE = timedelta(minutes=30)  # one process may be calibrating or writing a large checkpoint while the others wait


def choose_devices(wanted: str) -> tuple[torch.device, ...]:
    """Turn what `devices.choose` takes into devices; besides `cuda:0,cuda:1`, and `cpu,cpu` for two processes on the CPU."""
    names = wanted.split(",")
    if len(names) > 1 and set(names) == {"cpu"}:
        return tuple(torch.device("cpu") for _ in names)
    if len(names) > 1 and all(name.startswith("cuda:") for name in names):
        wanted = "cuda:" + ",".join(name.removeprefix("cuda:") for name in names)
    return devices.choose(wanted)


class Alone:
    """The one process of a training on one device."""

    number = 0
    count = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def sum(self, tensor: Tensor) -> None:
        """Add the tensors of all processes, in place."""

    def sum_gradients(self, network: nn.Module, stopping: bool) -> bool:
        """Sum the gradients of all processes; return whether any of them is to stop."""
        return stopping


class Team(Alone):
    """One of several processes."""

    def __init__(self, device: torch.device, number: int, count: int) -> None:
        super().__init__(device)
        self.number = number
        self.count = count

    def sum(self, tensor: Tensor) -> None:
        with _peer_errors():
            distributed.all_reduce(tensor)

    def sum_gradients(self, network: nn.Module, stopping: bool) -> bool:
        parameters = [each for each in network.parameters() if each.requires_grad]
        for each in parameters:
            if each.grad is None:  # this process had no cell of the batch
                each.grad = torch.zeros_like(each)
        gradients = [each.grad for each in parameters if each.grad is not None]
        flag = torch.full((1,), float(stopping), device=gradients[0].device)
        flat = torch.cat([*(each.reshape(-1) for each in gradients), flag])
        self.sum(flat)
        for gradient, summed in zip(gradients, torch.split(flat[:-1], [each.numel() for each in gradients]), strict=True):
            gradient.copy_(summed.view(gradient.shape))
        return bool(flat[-1].item() > 0)


@contextlib.contextmanager
def _peer_errors() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ClassifierError(
            f"Another process of this training ended ({error}). The same command goes on from the last checkpoint."
        ) from error


Worker = Callable[[Alone, Any], None]


@contextlib.contextmanager
def team(targets: Sequence[torch.device], worker: Worker, order: Any) -> Iterator[Alone]:
    """Start one process for each device but the first, running `worker(team, order)`, and be the first of them."""
    if len(targets) == 1:
        yield Alone(targets[0])
        return
    backend = "nccl" if targets[0].type == "cuda" else "gloo"
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="training-") as folder:
        meeting = _Meeting(len(targets), backend, str(Path(folder) / "meeting"))
        others: list[BaseProcess] = [
            context.Process(target=_follow, args=(number, meeting, str(device), worker, order), daemon=True)
            for number, device in enumerate(targets)
            if number
        ]
        for each in others:
            each.start()
        try:
            meeting.join(0, targets[0])
            yield Team(targets[0], 0, len(targets))
        finally:
            if distributed.is_initialized():
                distributed.destroy_process_group()
            for each in others:
                each.join(10)
                if each.is_alive():
                    each.kill()


@dataclass(frozen=True)
class _Meeting:
    """Where the processes find each other, and how they talk."""

    count: int
    backend: str
    file: str

    def join(self, number: int, device: torch.device) -> None:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        with _peer_errors():
            distributed.init_process_group(
                self.backend, init_method=f"file://{self.file}", rank=number, world_size=self.count, timeout=PATIENCE
            )


def _follow(number: int, meeting: _Meeting, device: str, worker: Worker, order: Any) -> None:
    """Be one of the others: signals are the first process's, which tells when to stop."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    target = torch.device(device)
    meeting.join(number, target)
    try:
        worker(Team(target, number, meeting.count), order)
    except ClassifierError:
        return  # the first process says why
    finally:
        distributed.destroy_process_group()
