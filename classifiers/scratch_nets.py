"""Small networks that are written out here rather than taken from torchvision."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def _block(inputs: int, outputs: int, stride: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class SmallCnn(nn.Module):
    """A few plain convolutions and a global average: for crops of 48 to 128 px, thousands a second on two cores.

    The stem halves twice, because at 64 px nearly all the work would otherwise be at full size. The
    average at the end makes it indifferent to the crop's size.
    """

    def __init__(self, outputs: int, width: int = 16, depths: Sequence[int] = (1, 2, 1)) -> None:
        super().__init__()
        self.stem = nn.Sequential(_block(3, width, 2, kernel=5), _block(width, 2 * width, 2))
        layers: list[nn.Module] = []
        channels = 2 * width
        for stage, depth in enumerate(depths):
            for index in range(depth):
                stride = 2 if index == 0 and stage > 0 else 1
                wider = channels * 2 if stride == 2 else channels
                layers.append(_block(channels, wider, stride))
                channels = wider
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(channels, outputs)

    def forward(self, crops: Tensor) -> Tensor:
        logits: Tensor = self.head(self.pool(self.features(self.stem(crops))).flatten(1))
        return logits
