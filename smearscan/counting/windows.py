"""Window mode's own numbers: windows overlap, so their share is no fraction of cells (D13)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smearscan.counting.calling import Called
from smearscan.intervals import overlap_factor
from smearscan.results import Cells, WindowCount


def count_windows(
    windows: Cells, called: Called, holds_nucleus: NDArray[np.bool_], size: int, step: int, *, on_slide: int | None = None
) -> WindowCount:
    """Count windows, those of an excluded class among them; no interval: they are not independent.

    `windows` are those that were scored. Of `on_slide`, all that the grid has, the others were left out by the gate, for
    they hold nothing: they count as windows that are not called blast.
    """
    if not len(windows) == len(called.blast) == len(holds_nucleus):
        raise ValueError(
            f"{len(windows)} windows, {len(called.blast)} calls and {len(holds_nucleus)} nucleus marks do not belong together."
        )
    both = int((called.blast & holds_nucleus).sum())
    return _state(
        size,
        step,
        windows=len(windows) if on_slide is None else on_slide,
        blasts=int(called.blast.sum()),
        nuclei=int(holds_nucleus.sum()),
        both=both,
    )


def add_windows(counts: Sequence[WindowCount | None]) -> WindowCount | None:
    """Add the windows of a specimen's slides; None where a slide has none, or they differ in size or step."""
    present = [each for each in counts if each is not None]
    if not present or len(present) < len(counts) or len({(each.size, each.step) for each in present}) > 1:
        return None
    return _state(
        present[0].size,
        present[0].step,
        windows=sum(each.windows for each in present),
        blasts=sum(each.blast_windows for each in present),
        nuclei=sum(each.nucleus_windows for each in present),
        both=sum(each.blast_nucleus_windows for each in present),
    )


def _state(size: int, step: int, *, windows: int, blasts: int, nuclei: int, both: int) -> WindowCount:
    return WindowCount(
        size=size,
        step=step,
        windows=windows,
        blast_windows=blasts,
        nucleus_windows=nuclei,
        blast_nucleus_windows=both,
        window_fraction=blasts / windows if windows else None,
        nucleus_window_fraction=both / nuclei if nuclei else None,
        overlap_factor=overlap_factor(size, step),
    )
