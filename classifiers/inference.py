"""What makes a trained network quick to run, and how many crops it takes at once."""

from __future__ import annotations

import contextlib
import copy
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.fx import symbolic_trace
from torch.fx.experimental.optimization import fuse
from torch.fx.proxy import TraceError

Given = TypeVar("Given")
Made = TypeVar("Made")

LARGEST_PASS = 1024  # rows; a GPU is busy with fewer
CPU_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory")  # the CPU allocator raises a plain RuntimeError


# What torch.fx raises on a forward pass that looks at its input. A real fault of the network comes up again when it is run.
TRACING_FAULTS = (TraceError, RuntimeError, TypeError)


def sum_alike_on_any_threads() -> None:
    """Ask for sums in an order that does not hang on the number of threads; call before the first product of matrices.

    On some processors MKL, which torch multiplies matrices with, parts a long sum over its threads. It reads the wish once.
    """
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")


def quicken(network: nn.Module) -> nn.Module:
    """Return a copy for inference: batch norm folded into the convolutions before it, weights in channels_last order.

    A network whose forward pass branches on its input cannot be traced and keeps its batch norm; it is
    slower and its scores are the same.
    """
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    with contextlib.suppress(*TRACING_FAULTS):
        copied = fuse(symbolic_trace(copied), no_trace=True)
    return copied.to(memory_format=torch.channels_last)


def each_on_one_thread(work: Callable[[Given], Made], items: Iterable[Given]) -> list[Made]:
    """Do `work` on each item, several at once, each on one thread of torch's; returns the results in order."""
    threads = torch.get_num_threads()
    if threads == 1:
        return [work(item) for item in items]
    return list(_single_threads(os.getpid(), threads).map(work, items))  # a forked process has none of its parent's threads


@cache
def _single_threads(_process: int, count: int) -> ThreadPoolExecutor:
    """Return `count` threads on which torch works with one thread each; the caller's own setting stays."""
    all_here = threading.Barrier(count + 1)

    def begin() -> None:
        torch.set_num_threads(1)
        all_here.wait()

    pool = ThreadPoolExecutor(count, "forward-pass", initializer=begin)
    for _ in range(count):
        pool.submit(int)  # each begins another thread, since none is idle before all are here
    all_here.wait()
    torch.set_num_threads(count)  # what threads begin with that are made after these
    return pool


def out_of_memory(error: RuntimeError) -> bool:
    """Tell running out of memory from a fault of the network."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in CPU_OUT_OF_MEMORY)


def rows_that_fit(network: nn.Module, device: torch.device, side: int, half: torch.dtype | None) -> int:
    """Return a power of two of crops that one pass on a CUDA device holds, from what two small passes took."""
    small, large = (_peak_bytes(network, device, side, half, rows) for rows in (16, 32))
    each = max(1, (large - small) / 16)
    free, _ = torch.cuda.mem_get_info(device)
    rows = 1
    while rows < LARGEST_PASS and 2 * rows * each < 0.7 * free:
        rows *= 2
    return rows


def _peak_bytes(network: nn.Module, device: torch.device, side: int, half: torch.dtype | None, rows: int) -> int:
    torch.cuda.reset_peak_memory_stats(device)
    with torch.inference_mode(), torch.autocast(device.type, half, enabled=half is not None):
        crops = torch.zeros(rows, 3, side, side, device=device).contiguous(memory_format=torch.channels_last)
        result: Tensor = network(crops)
    del crops, result
    return torch.cuda.max_memory_allocated(device)
