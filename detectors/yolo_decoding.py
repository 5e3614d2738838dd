"""From a YOLO's answer about one field to boxes of cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

BoxesAndScores = tuple[NDArray[np.float64], NDArray[np.float64]]


def decode(answer: torch.Tensor, columns: Sequence[int], confidence: float, iou: float, most: int) -> BoxesAndScores:
    """Turn one field's (4 + classes, anchors) into boxes of cells, best first: those anchors whose best class is one of `columns`."""
    import torch
    from torchvision.ops import box_convert, nms

    best, column = answer[4:].max(dim=0)
    kept = (best >= confidence) & torch.isin(column, torch.tensor(columns, device=column.device))
    boxes = box_convert(answer[:4, kept].T, "cxcywh", "xyxy")
    order = nms(boxes, best[kept], iou)[:most]
    return boxes[order].cpu().numpy().astype(np.float64), best[kept][order].cpu().numpy().astype(np.float64)
