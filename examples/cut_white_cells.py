"""Cut the white cells out of annotated smear fields, to compose slides of them.

    python examples/cut_white_cells.py SET OUT [--mpp 0.07]
    smearscan smear slide.tif --cells OUT --backgrounds FIELDS

SET holds images/ and annotations/*.xml (Pascal VOC, class WBC) or labels/*.txt (YOLO, class 0). Without SET it shows on a
drawn field what it does.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2

from smearscan.smears import SmearPlan, plan_smear
from smearscan.smears.cutting import cut_white_cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path, nargs="?", help="folder of annotated fields")
    parser.add_argument("out", type=Path, nargs="?", help="folder for the cut-outs")
    parser.add_argument("--mpp", type=float, help="microns per pixel of the fields; default: by the size of their red cells")
    parser.add_argument("--label", default="other", help="what the cells are called in the manifest")
    chosen = parser.parse_args()
    if chosen.set is None or chosen.out is None:
        with tempfile.TemporaryDirectory() as folder:
            root = draw_set(Path(folder))
            print(f"{cut_white_cells(root, root / 'cut', mpp=0.1)} of 6 drawn cells cut out; give SET and OUT to cut real ones")
        return
    print(f"{cut_white_cells(chosen.set, chosen.out, mpp=chosen.mpp, label=chosen.label)} white cells in {chosen.out}")


def draw_set(root: Path) -> Path:
    """Make an annotated set of one drawn field."""
    smear = plan_smear(SmearPlan(1300, 1000, 0.1, seed=3, white_cells=6, smudge_fraction=0, debris_per_mm2=0))
    for name in ("images", "labels"):
        (root / name).mkdir()
    cv2.imwrite(str(root / "images" / "drawn.png"), cv2.cvtColor(smear.picture(), cv2.COLOR_RGB2BGR))
    lines = [f"0 {c.x / 1300:.5f} {c.y / 1000:.5f} {c.diameter / 1300:.5f} {c.diameter / 1000:.5f}" for c in smear.truth]
    (root / "labels" / "drawn.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


if __name__ == "__main__":
    main()
