"""A few processes that do the risky part of the work: open slides, decode them, look for cells.

Processes, not threads, because a night brings reads that hang for ever and files that crash their decoder:
a process can be ended and replaced, and takes nothing else with it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import cv2

from smearscan.errors import SlideError

AHEAD = 2  # tasks a worker holds, so that it has the next one at hand while its result is fetched
SINGLE_THREADED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Task(Protocol):
    """What a worker is asked to do; it is pickled to the worker."""

    def __call__(self) -> Any: ...


@dataclass(frozen=True)
class Failure:
    """Why a task gave no result."""

    reason: str
    kind: str  # "slide" (a SlideError) | "bug" (any other exception) | "died" (the process is gone)
    error: SlideError | None = None
    traceback: str | None = None


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    tasks: deque[Any] = field(default_factory=deque)


class Workers:
    """Runs tasks in `count` processes; every task submitted comes back from `collect` exactly once, or was ended."""

    def __init__(self, count: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._workers = [self._start() for _ in range(count)]
        self.died = 0

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def free(self) -> int:
        """How many more tasks can be submitted now."""
        return sum(AHEAD - len(worker.tasks) for worker in self._workers)

    @property
    def busy(self) -> int:
        """How many tasks are with the workers."""
        return sum(len(worker.tasks) for worker in self._workers)

    def submit(self, task: Task) -> None:
        """Hand a task to the worker with the fewest."""
        worker = min(self._workers, key=lambda each: len(each.tasks))
        worker.tasks.append(task)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has died: `collect` will say so
            worker.connection.send(task)

    def collect(self, timeout: float) -> list[tuple[Any, Any]]:
        """Wait for results; return (task, result or Failure) of what has ended."""
        ready = wait([each for worker in self._workers for each in (worker.connection, worker.process.sentinel)], timeout)
        done = []
        for index, worker in enumerate(self._workers):
            if worker.connection in ready or worker.process.sentinel in ready:
                try:
                    result = worker.connection.recv()
                except (EOFError, OSError):
                    done += self._bury(index)
                else:
                    done.append((worker.tasks.popleft(), result))
        return done

    def end(self, hopeless: Callable[[Any], bool]) -> None:
        """Forget every task that is hopeless; a worker that is at one is killed and replaced."""
        for index, worker in enumerate(self._workers):
            if any(hopeless(task) for task in worker.tasks):
                kept = [task for task in worker.tasks if not hopeless(task)]
                self._replace(index)
                for task in kept:
                    self._workers[index].tasks.append(task)
                    self._workers[index].connection.send(task)

    def close(self) -> None:
        """End all workers, whatever they are at."""
        for worker in self._workers:
            _kill(worker)

    def _bury(self, index: int) -> list[tuple[Any, Failure]]:
        """Replace a worker that died. The task it was at is the suspect; those behind it are handed out again."""
        worker = self._workers[index]
        worker.process.join(5)
        code = worker.process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        self.died += 1
        self._replace(index)
        if not worker.tasks:
            return []
        suspect, *others = worker.tasks
        for task in others:
            self._workers[index].tasks.append(task)
            self._workers[index].connection.send(task)
        return [(suspect, Failure(f"the process that read it ended ({how})", "died"))]

    def _replace(self, index: int) -> None:
        _kill(self._workers[index])
        self._workers[index] = self._start()

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs,), daemon=True)
        with _environment(dict.fromkeys(SINGLE_THREADED, "1")):
            process.start()
        theirs.close()
        return _Worker(process, ours)


def _kill(worker: _Worker) -> None:
    if worker.process.is_alive():
        worker.process.kill()
    worker.process.join(5)
    worker.connection.close()


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Any:
    """Set environment variables for a child: several workers with many threads each would only fight for the cores."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(connection: Connection) -> None:
    """Do tasks until the parent hangs up."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent decides when to stop; tasks in flight are finished
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            task = connection.recv()
            connection.send(_attempt(task))


def _end_with_parent(parent: int) -> None:
    """End this process when its parent is gone, also while a read hangs."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _attempt(task: Task) -> Any:
    try:
        return task()
    except SlideError as error:
        return Failure(str(error), "slide", error)
    except Exception as error:  # noqa: BLE001 - a bug on one slide must not end the night; its traceback goes to the report
        return Failure(f"{type(error).__name__}: {error}", "bug", traceback=traceback.format_exc())


def usable_cores() -> int:
    """Return how many cores this process may use, which a scheduler may have limited."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1
