"""When a run shall stop."""

from __future__ import annotations

import os
import signal
from datetime import datetime

import pytest

from smearscan.stopping import StopWish, next_time, stop_wish


@pytest.mark.parametrize(
    ("clock", "now", "then"),
    [
        ("06:30", "2026-03-01 22:00", "2026-03-02 06:30"),
        ("23:10", "2026-03-01 22:00", "2026-03-01 23:10"),
        ("22:00", "2026-03-01 22:00", "2026-03-02 22:00"),
        ("0:05", "2026-12-31 23:59", "2027-01-01 00:05"),
    ],
)
def test_a_time_of_day_is_its_next_occurrence(clock: str, now: str, then: str) -> None:
    assert next_time(clock, datetime.fromisoformat(now)) == datetime.fromisoformat(then)


def test_without_a_wish_a_run_goes_on() -> None:
    assert StopWish(None).reason is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noted_once_and_a_second_one_interrupts(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_wish(None) as wish:
        os.kill(os.getpid(), number)
        assert wish.reason == f"The run was asked to stop ({number.name})"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before
