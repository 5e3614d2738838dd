"""A detector of your own in a few lines: every spot darker than a threshold is a proposal.

    python examples/own_detector.py

To let `smearscan run --proposals dark` find it, name it in your package's pyproject.toml:

    [project.entry-points."smearscan.detectors"]
    dark = "my_package:DarkDetector"

`smearscan.testing.detectors.DetectorContract` holds the tests that a detector must pass; tests/test_examples.py uses it on this one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detectors import Detector, Proposals
from smearscan.smears import SmearPlan, plan_smear


class DarkDetector(Detector):
    """Proposes every dark spot whose box holds at least 200 pixels."""

    name = "dark"

    def propose(self, picture: NDArray[np.uint8], mpp: float | None = None, origin: tuple[int, int] = (0, 0)) -> Proposals:
        if picture.size == 0:
            return Proposals.none()
        labels, _ = ndimage.label(picture[..., 1] < 110)
        spots = [spot for spot in ndimage.find_objects(labels) if (spot[0].stop - spot[0].start) * (spot[1].stop - spot[1].start) >= 200]
        boxes = np.array([[x.start, y.start, x.stop, y.stop] for y, x in spots], np.float32).reshape(-1, 4)
        return Proposals(boxes, np.ones(len(boxes), np.float32))

    def reach(self, mpp: float | None) -> int:
        return 100  # pixels around a cell that it needs to see

    def settings(self) -> Mapping[str, object]:
        return {"darker_than": 110}


def main() -> None:
    smear = plan_smear(SmearPlan(width=1600, height=1200, seed=5, white_cells=12))
    found = DarkDetector().propose(smear.picture())
    print(f"{len(found)} dark spots in a field of {sum(cell.is_white_cell for cell in smear.truth)} white cells")


if __name__ == "__main__":
    main()
