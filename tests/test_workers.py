"""Workers: a task that raises, hangs or crashes costs its own result and nothing else."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from smearscan.errors import UnreadableSlide
from smearscan.workers import Failure, Workers, usable_cores


@dataclass(frozen=True)
class Square:
    number: int

    def __call__(self) -> int:
        return self.number**2


@dataclass(frozen=True)
class Large:
    def __call__(self) -> bytes:
        return b"x" * 5_000_000


@dataclass(frozen=True)
class Refuse:
    def __call__(self) -> None:
        raise UnreadableSlide("blood.tif is no slide.")


@dataclass(frozen=True)
class Stumble:
    def __call__(self) -> float:
        return 1 / 0


@dataclass(frozen=True)
class Crash:
    def __call__(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Hang:
    sign: Path

    def __call__(self) -> None:
        self.sign.write_text(str(os.getpid()))
        time.sleep(3600)


@pytest.fixture
def workers() -> Iterator[Workers]:
    with Workers(2) as running:
        yield running


def run_all(workers: Workers, tasks: list[Any]) -> dict[Any, Any]:
    done: dict[Any, Any] = {}
    waiting = list(tasks)
    while len(done) < len(tasks):
        while waiting and workers.free:
            workers.submit(waiting.pop(0))
        done.update(workers.collect(1.0))
    return done


def test_results_come_back_each_once(workers: Workers) -> None:
    tasks: list[Any] = [Square(number) for number in range(20)]
    assert run_all(workers, tasks) == {task: task.number**2 for task in tasks}
    assert workers.busy == 0


def test_results_larger_than_a_pipe_do_not_lock_up(workers: Workers) -> None:
    for _ in range(4):
        workers.submit(Large())
    received = 0
    while received < 4:
        received += len(workers.collect(1.0))
    assert workers.busy == 0


def test_a_slide_error_and_a_bug_come_back_as_failures(workers: Workers) -> None:
    done = run_all(workers, [Refuse(), Stumble(), Square(3)])
    assert done[Square(3)] == 9
    refused, stumbled = done[Refuse()], done[Stumble()]
    assert isinstance(refused, Failure)
    assert (refused.kind, refused.reason, type(refused.error)) == ("slide", "blood.tif is no slide.", UnreadableSlide)
    assert isinstance(stumbled, Failure)
    assert stumbled.kind == "bug"
    assert stumbled.traceback is not None
    assert "1 / 0" in stumbled.traceback


def test_a_crash_costs_only_its_own_task(workers: Workers) -> None:
    done = run_all(workers, [Square(1), Crash(), Square(2), Square(3), Square(4)])
    assert {task: result for task, result in done.items() if isinstance(task, Square)} == {Square(n): n**2 for n in (1, 2, 3, 4)}
    assert done[Crash()].kind == "died"
    assert "SIGKILL" in done[Crash()].reason
    assert workers.died == 1


def test_a_hung_task_is_really_ended_and_the_others_go_on(workers: Workers, tmp_path: Path) -> None:
    sign = tmp_path / "hangs"
    workers.submit(Hang(sign))
    workers.submit(Square(5))
    workers.submit(Square(6))
    workers.submit(Square(7))
    while not sign.exists() or not sign.read_text():
        time.sleep(0.01)
    workers.end(lambda task: isinstance(task, Hang))
    done: dict[Any, Any] = {}
    while len(done) < 3:
        done.update(workers.collect(1.0))
    assert done == {Square(5): 25, Square(6): 36, Square(7): 49}
    with pytest.raises(ProcessLookupError):
        os.kill(int(sign.read_text()), 0)


def test_usable_cores_follows_the_affinity_mask() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity mask")
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Exchange:
    """A large task with a large result."""

    content: bytes

    def __call__(self) -> bytes:
        return self.content


def test_large_tasks_and_large_results_do_not_wait_for_each_other() -> None:
    with Workers(1) as one:
        content = b"x" * 5_000_000
        one.submit(Exchange(content))
        time.sleep(2)  # by now the worker sends its result, and nobody takes it in
        one.submit(Exchange(content))
        received: list[Any] = []
        while len(received) < 2:
            received += [result for _, result in one.collect(1.0)]
    assert received == [content, content]


@dataclass(frozen=True)
class Gorge:
    def __call__(self) -> None:
        raise MemoryError


def test_a_task_that_runs_out_of_memory_is_no_bug(workers: Workers) -> None:
    failure = run_all(workers, [Gorge()])[Gorge()]
    assert failure.kind == "died"
    assert failure.reason == "memory ran out while it was read"


@dataclass(frozen=True)
class Secret:
    """Its result cannot be sent."""

    def __call__(self) -> Any:
        return lambda: None


def test_a_result_that_cannot_be_pickled_is_a_bug_with_its_traceback(workers: Workers) -> None:
    failure = run_all(workers, [Secret()])[Secret()]
    assert failure.kind == "bug"
    assert "pickle" in failure.traceback


def test_what_is_at_work_is_told_from_what_waits(workers: Workers, tmp_path: Path) -> None:
    hung = [Hang(tmp_path / name) for name in ("first", "second")]
    for task in hung:
        workers.submit(task)
    for number in (1, 2):
        workers.submit(Square(number))
    assert workers.at_work == hung
