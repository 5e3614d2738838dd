"""A YOLO that really detects, without training: its weights are set by hand, so that the tests are quick and exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

DISC_PX = 32  # across, at the scale the network looks at
PURPLE, RED, GLASS = (110, 70, 150), (215, 150, 150), (235, 225, 228)


DrawDiscs = Callable[..., NDArray[np.uint8]]


@pytest.fixture(scope="session")
def draw_discs() -> DrawDiscs:
    """Draws discs of DISC_PX: `draw_discs(width, height, purple centres, red centres)`."""
    return _draw_discs


def _draw_discs(width: int, height: int, purple: Iterable[tuple[int, int]], red: Iterable[tuple[int, int]] = ()) -> NDArray[np.uint8]:
    picture = np.full((height, width, 3), GLASS, np.uint8)
    for centres, colour in ((red, RED), (purple, PURPLE)):
        for centre in centres:
            cv2.circle(picture, centre, DISC_PX // 2, colour, -1)
    return picture


@pytest.fixture(scope="session")
def disc_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector folder that boxes purple discs of DISC_PX and tells red ones apart."""
    from detectors.yolo_folder import DetectorCard, build, save_folder

    layers = {
        "nc": 2,
        "reg_max": 1,  # box sides come out as they are
        "activation": "nn.Identity()",  # so that the network is one linear filter
        "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [8, 3, 2]]],
        "head": [[[2], 1, "Detect", ["nc"]]],
    }
    card = DetectorCard(
        name="discs",
        summary="Boxes purple discs; set by hand, for tests only.",
        classes=("disc", "red"),
        roles={"disc": "cell", "red": "ignored"},
        input_px=256,
        margin_px=48,
        confidence=0.5,
        iou=0.3,
        licence="AGPL-3.0-or-later",
    )
    folder = tmp_path_factory.mktemp("discs")
    save_folder(_set_by_hand(build(layers)), folder, card)
    return folder


def _set_by_hand(network: Any) -> Any:
    """Channel 0: how little green there is, averaged over a disc. Channel 1: how much more red than green."""
    import torch

    mean = torch.full((3, 3), 1 / 9)
    with torch.no_grad():
        for block in (module for module in network.modules() if hasattr(module, "bn")):
            block.conv.weight.zero_()
            block.bn.weight.fill_((1 + block.bn.eps) ** 0.5)
            block.bn.bias.zero_()
        stem, *others = network.model[:3]
        stem.conv.weight[0, 1] = -mean
        stem.bn.bias[0] = 1.0
        stem.conv.weight[1, 0], stem.conv.weight[1, 1] = mean, -mean
        head = network.model[3]
        for block in (*others, head.cv3[0][0]):
            for channel in range(2):
                block.conv.weight[channel, channel] = mean
        for channel in range(2):
            head.cv3[0][1].conv.weight[channel, channel, 1, 1] = 1.0
        # Over the middle of a purple disc the channels are 0.61 to 0.69 and 0.13 to 0.15, of a red one 0.36 to 0.39 and 0.22
        # to 0.24, on glass 0.12 and 0.04: half way between them is "cell" and "red".
        last = head.cv3[0][2]
        last.weight.zero_()
        last.weight[0, 0], last.bias[0] = 20.0, -20.0 * 0.48
        last.weight[1, 1], last.bias[1] = 20.0, -20.0 * 0.18
        head.cv2[0][2].weight.zero_()
        # Half a disc in every direction, in strides of 8 px. The filters look 3.5 px up and left of the point that a place in
        # the grid stands for, since each of the three steps of 2 px is centred on its first pixel.
        half, off = DISC_PX / 2 / 8, 3.5 / 8
        head.cv2[0][2].bias.copy_(torch.tensor([half + off, half + off, half - off, half - off]))
    return network
