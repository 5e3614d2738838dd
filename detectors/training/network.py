"""The network that is trained: a YOLO of convolutions only, as narrow as white cells allow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from detectors.yolo_folder import build

GAINS = {"box": 7.5, "cls": 0.5, "dfl": 1.5}  # of the three parts of ultralytics' loss: its defaults
DEEPEST_STRIDE = 32


def describe(width: float, depth: float, classes: int = 1) -> dict[str, Any]:
    """Return the layers of YOLOv8 at `width` and `depth` (the nano has 0.25 and 0.33) as a model.yaml holds them.

    Later families put attention behind the backbone, whose answer at a place depends on the whole field. This one is trained on
    canvases of 320 px and shown fields three to five times as wide.
    """
    backbone = [
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "Conv", [128, 3, 2]],
        [-1, 3, "C2f", [128, True]],
        [-1, 1, "Conv", [256, 3, 2]],
        [-1, 6, "C2f", [256, True]],
        [-1, 1, "Conv", [512, 3, 2]],
        [-1, 6, "C2f", [512, True]],
        [-1, 1, "Conv", [1024, 3, 2]],
        [-1, 3, "C2f", [1024, True]],
        [-1, 1, "SPPF", [1024, 5]],
    ]
    head = [
        [-1, 1, "nn.Upsample", ["None", 2, "nearest"]],
        [[-1, 6], 1, "Concat", [1]],
        [-1, 3, "C2f", [512]],
        [-1, 1, "nn.Upsample", ["None", 2, "nearest"]],
        [[-1, 4], 1, "Concat", [1]],
        [-1, 3, "C2f", [256]],
        [-1, 1, "Conv", [256, 3, 2]],
        [[-1, 12], 1, "Concat", [1]],
        [-1, 3, "C2f", [512]],
        [-1, 1, "Conv", [512, 3, 2]],
        [[-1, 9], 1, "Concat", [1]],
        [-1, 3, "C2f", [1024]],
        [[15, 18, 21], 1, "Detect", ["nc"]],
    ]
    return {
        "nc": classes,
        "depth_multiple": depth,
        "width_multiple": width,
        "max_channels": 1024,
        "backbone": backbone,
        "head": head,
    }


def fresh_network(width: float, depth: float, seed: int) -> Any:
    """Return an untrained network whose first weights follow from `seed`."""
    import torch

    with torch.random.fork_rng(devices=[]):  # nobody else's random numbers move for it
        torch.manual_seed(seed)
        network: Any = build(describe(width, depth))
    network.args = SimpleNamespace(**GAINS)
    return network.train()
