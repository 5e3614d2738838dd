"""What a report writer is given, and the one thing it does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from classifiers.card import ModelCard
from detectors import boxes
from smearscan.results import Scanned, SlideOutcome


@dataclass(frozen=True)
class DetectorFacts:
    """Which detector proposed the cells."""

    name: str
    sha256: str = ""  # of its weights, empty where it has none
    settings: Mapping[str, object] = field(default_factory=dict)  # every one that changes what is proposed


@dataclass(frozen=True)
class SlideReport:
    """Everything that may be said of one slide, scanned or not; the same in every run, so it holds no times."""

    key: str  # the slide's path below the input, with "/"
    specimen: str
    outcome: SlideOutcome
    card: ModelCard  # as used: with the run's threshold in place of its own
    detector: DetectorFacts
    science: Mapping[str, object]  # the settings that change what is counted, as JSON values
    input_digest: str  # "" where the file could not even be read
    overlays: Mapping[str, str] = field(default_factory=dict)  # cell's id -> file in the slide's folder
    reports: tuple[str, ...] = ()  # the writers that were asked for
    card_pages: Mapping[str, str] = field(default_factory=dict)  # of "classifier" and "detector", from the report's folder

    @cached_property
    def cell_ids(self) -> tuple[str, ...]:
        """The id of every cell, in the cells' order."""
        return cell_ids(self.outcome.cells.boxes) if isinstance(self.outcome, Scanned) else ()


class ReportWriter(ABC):
    """Writes one kind of file into the folder of one slide.

    What it writes is a function of the report alone: the same bytes in every run, so no time, no machine, no absolute
    path, no random id. It is called for slides that were not scanned, too, and may then write nothing. An OSError
    stops the run (the disk is full); any other exception is a bug.
    """

    name: str  # as in --reports and in the entry-point group smearscan.reports

    @abstractmethod
    def write(self, slide: SlideReport, folder: Path) -> None:
        """Write files into `folder`, which exists and belongs to this slide."""


def cell_ids(cell_boxes: ArrayLike) -> tuple[str, ...]:
    """Name cells by where they are: "x012345y006789" has its centre in that level-0 pixel.

    A running number would change for all later cells when one cell more is found. This name stays with its cell
    across tile sizes, detectors and runs, so that a decision, an overlay or a comparison can refer to it. Cells that
    share a centre pixel are told apart by "-2", "-3" in the order of the table.
    """
    seen: Counter[str] = Counter()
    names = []
    for x, y in np.floor(boxes.centres(cell_boxes)).astype(np.int64).tolist():
        name = f"x{x:06d}y{y:06d}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return tuple(names)
