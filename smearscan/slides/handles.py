"""Open files that belong to one thread of one process.

A handle that failed is thrown away and opened anew by whoever reads next: an OpenSlide handle, for one, answers every
call after a first error with that same error. Nothing here travels through a pickle.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any


class ThreadHandles:
    """One handle for each thread that reads, opened when it first does, closed at the latest with this object."""

    def __init__(self, open_handle: Callable[[], Any], close_handle: Callable[[Any], None]) -> None:
        self._open = open_handle
        self._close = close_handle
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._by_thread: dict[threading.Thread, Any] = {}
        # Whoever forgets to close a slide loses it to the garbage collector, and its open files with it, in silence.
        weakref.finalize(self, _close_all, self._by_thread, self._close, self._pid)

    def get(self) -> Any:
        """Return this thread's handle."""
        if self._pid != os.getpid():
            # A forked child shares its parent's file positions, and its lock may be one that nobody opens any more.
            self._start()
        thread = threading.current_thread()
        with self._lock:
            handle = self._by_thread.get(thread)
        if handle is None:
            handle = self._open()
            with self._lock:
                ended = {other: self._by_thread.pop(other) for other in list(self._by_thread) if not other.is_alive()}
                self._by_thread[thread] = handle
            _close_all(ended, self._close, self._pid)
        return handle

    def drop(self) -> None:
        """Close this thread's handle, if it has one; the next `get` opens another."""
        with self._lock:
            handle = self._by_thread.pop(threading.current_thread(), None)
        if handle is not None:
            self._close(handle)

    def close(self) -> None:
        """Close the handles of all threads."""
        _close_all(self._by_thread, self._close, self._pid)


def _close_all(by_thread: dict[threading.Thread, Any], close: Callable[[Any], None], pid: int) -> None:
    if pid != os.getpid():
        return  # they are another process's
    while by_thread:
        try:
            _, handle = by_thread.popitem()
        except KeyError:  # another thread took the last one
            return
        close(handle)
