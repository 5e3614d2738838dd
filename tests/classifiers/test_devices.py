from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from classifiers import devices
from classifiers.base import ClassifierError


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (6, 1) if torch.device(device).index == 1 else (8, 0))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("auto", ["cuda:0"]),
        ("cuda", ["cuda:0"]),
        ("cuda:1", ["cuda:1"]),
        ("cuda:0,1", ["cuda:0", "cuda:1"]),
        ("cuda:1,1", ["cuda:1"]),
        ("cpu", ["cpu"]),
    ],
)
@pytest.mark.usefixtures("two_gpus")
def test_devices_are_chosen_by_name(wanted: str, expected: list[str]) -> None:
    assert [str(device) for device in devices.choose(wanted)] == expected


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("cuda:1,2", r"cuda:2 is not available here. Available: cuda:0, cuda:1, cpu"), ("mps", "mps is not available")],
)
@pytest.mark.usefixtures("two_gpus")
def test_a_device_that_is_not_there_is_named_with_those_that_are(wanted: str, message: str) -> None:
    with pytest.raises(ClassifierError, match=message):
        devices.choose(wanted)


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_auto_is_the_cpu_and_cuda_is_refused() -> None:
    assert devices.choose("auto") == (torch.device("cpu"),)
    with pytest.raises(ClassifierError, match="Available: cpu"):
        devices.choose("cuda")


@pytest.mark.parametrize("wanted", ["gpu", "cuda:", "cuda:a", "cuda:0;1", "", "CPU"])
def test_a_device_that_means_nothing_is_refused(wanted: str) -> None:
    with pytest.raises(ClassifierError, match="not understood"):
        devices.choose(wanted)


@pytest.mark.usefixtures("two_gpus")
def test_half_precision_is_taken_where_it_gains() -> None:
    assert devices.choose_precision("auto", torch.device("cuda:0")) == "mixed"
    assert devices.choose_precision("auto", torch.device("cuda:1")) == "fp32"
    assert devices.choose_precision("fp32", torch.device("cuda:0")) == "fp32"
    assert devices.choose_precision("auto", torch.device("cpu")) == "fp32"
    with pytest.raises(ClassifierError, match="Precision"):
        devices.choose_precision("fp8", torch.device("cpu"))


def test_malloc_is_set_where_there_is_a_glibc() -> None:
    """In a process of its own: the setting stays until the process ends."""
    code = "from classifiers.allocator import keep_freed_memory as keep; import platform; print(keep(), platform.libc_ver()[0] == 'glibc')"
    done, is_glibc = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert done == is_glibc


def test_malloc_is_left_alone_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    from classifiers.allocator import keep_freed_memory

    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
