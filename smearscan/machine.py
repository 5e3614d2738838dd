"""What a run ran on and with: facts for run.json, none of which may change a result."""

from __future__ import annotations

import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from smearscan import __version__
from smearscan.workers import usable_cores

PACKAGES = (
    *("torch", "torchvision", "ultralytics-opencv-headless", "numpy", "scipy", "scikit-image", "opencv-python-headless"),
    *("openslide-python", "openslide-bin", "tifffile", "imagecodecs", "zarr", "dask"),
)


def versions() -> dict[str, str]:
    """Return the versions of what the numbers rest on."""
    found = {"smearscan": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine() -> dict[str, Any]:
    """Return what kind of machine this is; not its name, nor its user's."""
    return {
        "system": platform.platform(),
        "processor": platform.machine(),
        "usable_cores": usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
    }


def peak_memory_bytes() -> int | None:
    """Return the most memory that this process has held, None where the system does not say.

    Linux's ru_maxrss begins with what the process held that started this one, which may be far more.
    """
    status = Path("/proc/self/status")
    if status.is_file() and (found := re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii", errors="replace"), re.MULTILINE)):
        return int(found[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024
