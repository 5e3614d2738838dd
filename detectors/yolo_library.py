"""ultralytics, made quiet: it asks no network, installs nothing, prints nothing and leaves the home folder alone."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from types import ModuleType

import cv2
import numpy as np
from PIL import Image

QUIET = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
# What the import itself sets for the whole process and its children. OMP_NUM_THREADS=1 would slow all that starts later.
SET_BY_IMPORT = ("OMP_NUM_THREADS", "NUMEXPR_MAX_THREADS", "TF_CPP_MIN_LOG_LEVEL", "TORCH_CPP_LOG_LEVEL", "KINETO_LOG_LEVEL")

CV2_FILES = ("imread", "imwrite", "imshow")


def load_tasks() -> ModuleType:
    """Return `ultralytics.nn.tasks`, where the networks are; the first call imports it and leaves the process as it was."""
    if "ultralytics" not in sys.modules:
        _import_quietly()
    from ultralytics.nn import tasks

    return tasks


def _import_quietly() -> None:
    import torch  # before ultralytics: it reads OMP_NUM_THREADS once, while loading

    threads = torch.get_num_threads()
    # It also puts its own functions in place of other libraries': its Image.open asks for one more package on a damaged file.
    patched = [
        (module, name, getattr(module, name)) for module, name in ((Image, "open"), (torch, "save"), *((cv2, name) for name in CV2_FILES))
    ]
    before = {name: os.environ.get(name) for name in (*QUIET, *SET_BY_IMPORT, "YOLO_CONFIG_DIR")}
    os.environ.update(QUIET)
    if before["YOLO_CONFIG_DIR"] is None:
        # The settings file is written at import. Whoever wants to keep it names a folder in YOLO_CONFIG_DIR.
        os.environ["YOLO_CONFIG_DIR"] = folder = tempfile.mkdtemp(prefix="smearscan-ultralytics-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        with np.printoptions():
            import ultralytics.nn.tasks  # noqa: F401
    finally:
        for module, name, function in patched:
            setattr(module, name, function)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        torch.set_num_threads(threads)
