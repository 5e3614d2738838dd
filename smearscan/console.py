"""What a person sees of a command: live on a terminal, plain dated lines in a log, JSON when asked for.

Messages, tables and progress go to stderr; only `emit_json` writes to stdout. This is the only file that knows rich,
and it loads it late, so that `--help` stays quick.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live

PLAIN_EVERY_S = 30.0  # a log grows by one line of progress in this time at most


def is_live() -> bool:
    """Whether stderr is a terminal that can be redrawn."""
    return sys.stderr.isatty()


@lru_cache(maxsize=2)  # one for all: what is said while progress is live must go through the same console
def _rich(width: int | None = None) -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False, width=width, soft_wrap=False)


def width() -> int:
    """Return how many characters fit on a line of the terminal; 100 where there is none."""
    return shutil.get_terminal_size((100, 24)).columns


def say(message: str) -> None:
    """Tell the reader something; in a log the line carries its time."""
    if is_live():
        _rich().print(message, markup=False)
    else:
        sys.stderr.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {message}\n")
        sys.stderr.flush()


def warn(message: str) -> None:
    """Tell the reader of something that may matter."""
    say(f"warning: {message}")


def emit_json(value: object) -> None:
    """Write a result to stdout for another program, in ASCII: no encoding of stdout and no name of a file can break that."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")
    sys.stdout.flush()


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None, right: Sequence[str] = ()) -> None:
    """Show a table; the columns named in `right` are numbers and align right. Nothing is cut off in a log."""
    from rich import box
    from rich.table import Table

    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for index, name in enumerate(columns):
        number = name in right
        shown.add_column(name, justify="right" if number else "left", overflow="fold", no_wrap=number or (index == 0 and is_live()))
    for row in rows:
        shown.add_row(*(_cell(value) for value in row))
    _rich(None if is_live() else 160).print(shown)


def _cell(value: object) -> str:
    from rich.markup import escape

    return "-" if value is None or value == "" else escape(str(value))


class Progress:
    """Progress over work that is counted in parts of known weight, with the time left."""

    def __init__(self, label: str, total: float) -> None:
        self.label = label
        self.total = total
        self.done = 0.0
        self._details: Mapping[str, str] = {}
        self._started = time.monotonic()
        self._said = self._started
        self._live: Live | None = None
        self._seconds_left: float | None = None

    def start(self) -> None:
        self._started = self._said = time.monotonic()
        if is_live():
            from rich.live import Live

            self._live = Live(console=_rich(), transient=True, refresh_per_second=4, get_renderable=self._drawn)
            self._live.start()

    def stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(self, done: float, total: float, details: Mapping[str, str], seconds_left: float | None = None) -> None:
        """Show `done` of `total`, and one line for each part in work: its name and what it is at.

        `seconds_left` is said by work that knows better than its share, as what goes on where an earlier call stopped.
        """
        self.done, self.total, self._details, self._seconds_left = done, total, dict(details), seconds_left
        if self._live is None and time.monotonic() - self._said >= PLAIN_EVERY_S:
            self._said = time.monotonic()
            say(f"{self.label}: {self._share():.0f} %{self._left()}" + "".join(f"; {name}: {text}" for name, text in details.items()))

    def _drawn(self) -> Group:
        """Return one line for each part in work, and the one bar."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        lines = [Text(f"  {_shorten(name, 28)}  {text}", no_wrap=True, overflow="ellipsis") for name, text in self._details.items()]
        whole = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=self.total or 1, completed=self.done, width=24)
        whole.add_row(self.label, bar, f"{self._share():.0f} %{self._left()}")
        return Group(*lines, whole)

    def _share(self) -> float:
        return 100 * self.done / self.total if self.total else 0.0

    def _left(self) -> str:
        if self._seconds_left is not None:
            return f", about {format_seconds(self._seconds_left)} left"
        passed = time.monotonic() - self._started
        if self.done <= 0 or passed < 1:
            return ""
        return f", about {format_seconds(passed * (self.total - self.done) / self.done)} left"


@contextmanager
def progress(label: str, total: float = 0.0) -> Iterator[Progress]:
    """Show progress while the block runs."""
    shown = Progress(label, total)
    shown.start()
    try:
        yield shown
    finally:
        shown.stop()


def format_seconds(seconds: float) -> str:
    """Return a duration as a person says it: 42 s, 3 min, 2 h 05 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def format_bytes(count: float) -> str:
    """Return a size as a person says it: 512 B, 1.9 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def counted(number: int, thing: str) -> str:
    """Return how many there are: 1 slide, 2 slides."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else "…" + text[1 - width :]
