"""One run at a time in a report folder, whatever happened to the run before."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from smearscan.errors import OutputError
from smearscan.ledger.disk import output_errors, read_json, to_json, write_durably


class ReportLock:
    """A lock of the operating system, which ends with its process: a killed run leaves none behind.

    Processes that are started while it is held must be spawned, not forked: a forked one would keep it.
    """

    def __init__(self, out: Path, hidden: Path) -> None:
        from filelock import FileLock

        self._out = out
        self._hidden = hidden
        # Not per thread: a signal handler or a stopping thread may be the one that lets go.
        self._lock = FileLock(hidden / "lock", blocking=False, thread_local=False)

    def take(self) -> None:
        """Take the lock, or say who holds it."""
        from filelock import Timeout

        with output_errors("lock", self._hidden / "lock"):
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                raise OutputError(
                    f"Another run is writing to {self._out}: {_holder(self._hidden)}. Wait for it to end, stop it, or choose another --out."
                ) from None

    def sign(self, staging: Path) -> None:
        """Leave word of who holds the lock, for the message another run prints."""
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
        write_durably(self._hidden / "holder.json", to_json(holder), staging)

    def release(self) -> None:
        """Let go; harmless where it is not held."""
        if self._lock.is_locked:
            try:
                (self._hidden / "holder.json").unlink(missing_ok=True)
            finally:
                self._lock.release()


def _holder(hidden: Path) -> str:
    try:
        holder: Mapping[str, Any] = read_json(hidden / "holder.json") or {}
        return f"process {holder['pid']} on {holder['host']}, since {holder['started']}"
    except (OSError, KeyError):
        return "it has not said which process it is"
