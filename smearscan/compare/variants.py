"""The reports of several ways to scan the same slides, made by the same driver as `smearscan run`, one after the other.

Each way opens and reads the slides anew. To read them once, the readers of `smearscan.scan` would have to hand one tile
to several detectors and keep their crops apart; the results could not differ, for a report depends on nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from smearscan import plugins
from smearscan.config import ScanConfig
from smearscan.errors import ConfigError
from smearscan.ledger.folders import safe_name


@dataclass(frozen=True)
class Variant:
    """One way to scan the slides."""

    name: str  # of its folder
    config: ScanConfig


def variants(config: ScanConfig, modes: Sequence[str], classifiers: Sequence[str], thresholds: Sequence[float]) -> list[Variant]:
    """Return every combination of what was given more than once; an empty list leaves that to `config`."""
    known = plugins.names("smearscan.detectors")
    if unknown := [mode for mode in modes if mode not in known]:
        raise ConfigError(f"There is no detector {', '.join(unknown)} for --modes; there are {', '.join(sorted(known))}.")
    found: dict[str, ScanConfig] = {}
    cuts: list[float | None] = [*thresholds] or [None]
    for mode, classifier, threshold in product(modes or [""], classifiers or [""], cuts):
        parts = [mode, _short(classifier), "" if threshold is None else f"threshold-{threshold:g}"]
        name = safe_name("-".join(part for part in parts if part))
        if name in found:
            raise ConfigError(f"Two of the reports would be called {name}: name each of --modes, --classifiers and --thresholds once.")
        found[name] = dataclasses.replace(
            config,
            proposals=mode or config.proposals,
            classifier=classifier or config.classifier,
            threshold=config.threshold if threshold is None else threshold,
        )
    if len(found) < 2:
        raise ConfigError("There is nothing to compare: give at least two of --modes, --classifiers or --thresholds, as window,nuclei.")
    return [Variant(name, config) for name, config in found.items()]


def _short(classifier: str) -> str:
    return classifier.replace("\\", "/").rstrip("/").rpartition("/")[2]
