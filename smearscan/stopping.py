"""When a run shall stop: at a time of day, or when the system asks."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import FrameType


class StopWish:
    """Asked again and again while a run goes on; gives the reason once there is one."""

    def __init__(self, stop_at: str | None) -> None:
        self._stop_at = stop_at
        self._time = None if stop_at is None else next_time(stop_at, datetime.now().astimezone())
        self._signal: str | None = None

    @property
    def reason(self) -> str | None:
        """A sentence without its full stop, None while the run may go on."""
        if self._signal is not None:
            return f"The run was asked to stop ({self._signal})"
        if self._time is not None and datetime.now().astimezone() >= self._time:
            return f"The run stopped at {self._stop_at} as told"
        return None

    def wait_for_signals(self, number: int, frame: FrameType | None) -> None:
        """Note a signal; a second one is not waited for."""
        if self._signal is not None:
            raise KeyboardInterrupt
        self._signal = signal.Signals(number).name


@contextmanager
def stop_wish(stop_at: str | None) -> Iterator[StopWish]:
    """Watch the clock and the signals SIGTERM and SIGINT while the block runs."""
    wish = StopWish(stop_at)
    before = {number: signal.signal(number, wish.wait_for_signals) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def next_time(clock: str, now: datetime) -> datetime:
    """Return when it is next that time of day, which may be tomorrow."""
    hour, minute = map(int, clock.split(":"))
    today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)
