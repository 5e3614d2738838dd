"""Slides can be looked for without loading what reads them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = ("openslide", "tifffile", "imagecodecs", "zarr", "dask", "PIL", "cv2", "torch")


def test_finding_loads_no_reader(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"")
    code = (
        "import sys; from pathlib import Path; from smearscan.slides import find_slides; "
        f"assert find_slides([Path({str(tmp_path)!r})]).slides; print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
