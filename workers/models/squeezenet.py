"""SqueezeNet 1.0 (Iandola et al. 2016), the classifier that says what is seen in a picture: a judge.

``workers.metrics.semantic`` prepares pictures for it. The small colorizer is made of its modules.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_CLASSES = 1000
_FIRES = ((96, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128), (256, 48, 192), (384, 48, 192), (384, 64, 256),
          (512, 64, 256))  # fmt: skip


def build(name: str) -> nn.Module:
    """Return the network ``squeezenet``: random values, eval mode; it makes logits of prepared pictures.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name != "squeezenet":
        raise ValueError(f"squeezenet is the network of this module, not {name}")
    return SqueezeNet().eval()


class SqueezeNet(nn.Module):
    """SqueezeNet 1.0 of a thousand classes; keys and shapes of torchvision's ``squeezenet1_0``."""

    def __init__(self) -> None:
        super().__init__()
        fires = [Fire(*widths) for widths in _FIRES]
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, 7, stride=2), nn.ReLU(inplace=True), _pool(), *fires[:3], _pool(), *fires[3:7], _pool(),
            fires[7],
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(512, _CLASSES, 1), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, 1000)`` of BGR ``(N, 3, 227, 227)`` less its mean."""
        return torch.as_tensor(self.classifier(self.features(x)).mean(dim=(2, 3)))


class Fire(nn.Module):
    """SqueezeNet's module: a narrow 1x1 convolution, then 1x1 and 3x3 ones side by side."""

    def __init__(self, inputs: int, narrow: int, wide: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, narrow, 1)
        self.expand1x1 = nn.Conv2d(narrow, wide, 1)
        self.expand3x3 = nn.Conv2d(narrow, wide, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, 2 * wide, H, W)``."""
        x = functional.relu(self.squeeze(x))
        return functional.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)
