"""Whether a picture is still seen as what it is: a classifier's first choice on both. Evaluation and training use it.

The idea is of Zhang, Isola and Efros (2016): a network that knows colour photographs is asked what it sees in the
picture that was made. The classifier is SqueezeNet 1.0 (Iandola et al. 2016) with the names of torchvision's
``squeezenet1_0``. It takes BGR of 0..255 less ``(104, 117, 123)``, 227 pixels a side, stretched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

Levels = NDArray[np.uint8]

SIDE_PX = 227
_MEAN_BGR = (104.0, 117.0, 123.0)
_CLASSES = 1000
_FIRES = ((96, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128), (256, 48, 192), (384, 48, 192), (384, 64, 256),
          (512, 64, 256))  # fmt: skip


class SqueezeNet(nn.Module):
    """SqueezeNet 1.0 of a thousand classes; keys and shapes of torchvision's ``squeezenet1_0``."""

    def __init__(self) -> None:
        super().__init__()
        fires = [_Fire(*widths) for widths in _FIRES]
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, 7, stride=2), nn.ReLU(inplace=True), _pool(), *fires[:3], _pool(), *fires[3:7], _pool(),
            fires[7],
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(512, _CLASSES, 1), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, 1000)`` of BGR ``(N, 3, 227, 227)`` less its mean."""
        return torch.as_tensor(self.classifier(self.features(x)).mean(dim=(2, 3)))


def build() -> SqueezeNet:
    """Return the classifier with random values, in eval mode."""
    return SqueezeNet().eval()


def filled(state: Mapping[str, Tensor]) -> SqueezeNet:
    """Return the classifier with the tensors of a file, complete and strict."""
    network = build()
    network.load_state_dict(dict(state))
    return network


@torch.inference_mode()
def choices(network: nn.Module, pictures: Sequence[Levels]) -> list[int]:
    """Return the first choice (0 to 999) for each 8-bit sRGB picture ``(H, W, 3)``, whatever their sizes."""
    device = next(network.parameters()).device
    planes = torch.stack([prepared(picture) for picture in pictures]).to(device)
    return [int(choice) for choice in network(planes).argmax(dim=1).cpu()]


def prepared(picture: Levels) -> Tensor:
    """Return what the classifier takes of an 8-bit sRGB picture ``(H, W, 3)``: BGR ``(3, 227, 227)`` less its mean."""
    if picture.shape[:2] != (SIDE_PX, SIDE_PX):
        shrinks = min(picture.shape[:2]) > SIDE_PX
        picture = np.asarray(
            cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        )
    centred = picture[..., ::-1].astype(np.float32) - np.array(_MEAN_BGR, np.float32)
    return torch.from_numpy(centred.transpose(2, 0, 1).copy())


def agreement(made: Iterable[int], true: Iterable[int]) -> float:
    """Return the share of pictures whose first choice equals that of the colour original, 0..1."""
    same = [one == other for one, other in zip(made, true, strict=True)]
    return sum(same) / max(1, len(same))


class _Fire(nn.Module):
    def __init__(self, inputs: int, narrow: int, wide: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, narrow, 1)
        self.expand1x1 = nn.Conv2d(narrow, wide, 1)
        self.expand3x3 = nn.Conv2d(narrow, wide, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.squeeze(x))
        return functional.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, ceil_mode=True)
