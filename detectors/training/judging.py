"""A network on labelled pictures, each shown at several sizes, as slides of different scales would show its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from detectors.boxes import clip
from detectors.training.labels import LabelledPicture, Picture, PictureStore
from detectors.training.metrics import Seen
from detectors.training.mosaic import zoomed
from detectors.yolo_decoding import decode

WHITE = 255
STRIDE = 32
LEAST_CONFIDENCE = 0.01  # below it nothing is counted: average precision needs the tail, not all of it
LOOSE_IOU = 0.5
MOST = 300


def look_at(
    network: Any,
    pictures: Sequence[LabelledPicture],
    usual: Mapping[str, float],
    diameter_px: float,
    store: PictureStore,
) -> list[Seen]:
    """Show every picture so that its source's usual cell is `diameter_px` wide; boxes come in the pixels that were shown."""
    import torch

    device = next(network.parameters()).device
    found = []
    with torch.inference_mode():
        for labelled in pictures:
            zoom = diameter_px / usual[labelled.source]
            shown = zoomed(store.pyramid(labelled), (0, 0, labelled.width, labelled.height), zoom)
            height, width = shown.shape[:2]
            scale = np.array([width / labelled.width, height / labelled.height] * 2)
            pixels = torch.from_numpy(filled_up(shown)).to(device).permute(2, 0, 1)[None].float() / 255
            answer = network(pixels.contiguous(memory_format=torch.channels_last))[0][0].float()
            boxes, scores = decode(answer, (0,), LEAST_CONFIDENCE, LOOSE_IOU, MOST)
            found.append(Seen(labelled.cells * scale, clip(boxes, width, height), scores))
    return found


def filled_up(picture: Picture) -> Picture:
    """Return a picture with white at its right and lower edge, up to whole strides."""
    height, width = picture.shape[:2]
    out = np.full((-(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE, 3), WHITE, np.uint8)
    out[:height, :width] = picture
    return out
