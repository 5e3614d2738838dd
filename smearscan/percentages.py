"""How a fraction is said to a person, everywhere alike: two significant digits below 10 %, none after the point above."""

from __future__ import annotations


def percent(fraction: float) -> str:
    """Return a fraction in percent, without the sign."""
    value = 100 * fraction
    if value == 0:
        return "0"
    if round(value, 1) >= 10:
        return f"{value:.0f}"
    return f"{value:.1f}" if round(value, 2) >= 1 else f"{value:.2g}"
