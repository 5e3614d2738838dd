"""Names what differs between the settings of an earlier run and of this one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

DIGEST = re.compile(r"([a-z0-9-]+:)?[0-9a-f]{32,}")
SHOWN = 40  # characters of a value in a message


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Return one phrase for each field that differs, such as "threshold changed from 0.5 to 0.6", sorted by field."""
    old, new = dict(_leaves(_as_json(before))), dict(_leaves(_as_json(now)))
    phrases = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            phrases.append(f"{name} is new: {shortened(new[name])}")
        elif name not in new:
            phrases.append(f"{name} is gone, it was {shortened(old[name])}")
        elif json.dumps(old[name]) != json.dumps(new[name]):
            phrases.append(f"{name} changed from {shortened(old[name])} to {shortened(new[name])}")
    return phrases


def shortened(value: object) -> str:
    """Return a value as a person wants to read it in a sentence; of a digest the first digits."""
    if isinstance(value, str) and DIGEST.fullmatch(value):
        kind, colon, digits = value.rpartition(":")
        return f"{kind}{colon}{digits[:8]}…"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _as_json(value: Mapping[str, object]) -> object:
    """A record that was read back has lists for tuples and strings for keys: compare what a file would hold."""
    return json.loads(json.dumps(value, sort_keys=True))


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and (value or not name):
        for key, below in value.items():
            yield from _leaves(below, f"{name}.{key}" if name else key)
    else:
        yield name, value
