"""A few processes that do the risky part of the work: open slides, decode them, look for cells.

Processes, not threads, because a night brings reads that hang for ever and files that crash their decoder:
a process can be ended and replaced, and takes nothing else with it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
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
    kind: str  # "slide" (a SlideError) | "bug" (any other exception) | "died" (the process is gone, or had no memory left)
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

    @property
    def at_work(self) -> list[Any]:
        """The tasks that are being done now; the others wait behind them."""
        return [worker.tasks[0] for worker in self._workers if worker.tasks]

    def submit(self, task: Task) -> None:
        """Hand a task to the worker with the fewest."""
        _give(min(self._workers, key=lambda each: len(each.tasks)), task)

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
                    _give(self._workers[index], task)

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
            _give(self._workers[index], task)
        return [(suspect, Failure(f"the process that read it ended ({how}), so the file is damaged or memory ran out", "died"))]

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


def _give(worker: _Worker, task: Task) -> None:
    worker.tasks.append(task)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has died: `collect` will say so
        worker.connection.send(task)


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
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
    with contextlib.suppress(OSError):
        while True:
            connection.send_bytes(_attempt(tasks.get()))


def _receive(connection: Connection, tasks: queue.SimpleQueue[Task]) -> None:
    """Take in tasks while one is done, and end this process when the parent is gone, also while a read hangs.

    Were tasks left in the pipe, a parent that sends a large one and a worker that sends a large result would wait for
    each other for ever.
    """
    try:
        while True:
            tasks.put(connection.recv())
    except (EOFError, OSError):
        os._exit(1)
    except Exception:  # noqa: BLE001 - a task that cannot be unpickled here: with no one to receive, the process would wait for ever
        traceback.print_exc()
        os._exit(1)


def _attempt(task: Task) -> memoryview:
    """Do a task; return its result, or why there is none, pickled."""
    try:
        return ForkingPickler.dumps(task())
    except MemoryError:
        failure = Failure("memory ran out while it was read", "died")
    except SlideError as error:
        failure = Failure(str(error), "slide", error)
    except Exception as error:  # noqa: BLE001 - a bug on one slide must not end the night; its traceback goes to the report
        failure = Failure(f"{type(error).__name__}: {error}", "bug", traceback=traceback.format_exc())
    return ForkingPickler.dumps(failure)


def usable_cores() -> int:
    """Return how many cores this process may use, which a scheduler may have limited."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1
