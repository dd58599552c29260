"""The Inception network of 2015-12-05 in whose features FID is measured.

It is torchvision's Inception v3 but for three things that TensorFlow's had: 1008 classes, means that leave the padding
out, and a maximum in place of the mean in the last block. Keys are those of the file that pytorch-fid and
torch-fidelity publish.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import inception

_CLASSES = 1008


def build(name: str) -> nn.Module:
    """Return the network ``inception-fid``: random values, eval mode; it makes 2048 features of prepared pictures.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name != "inception-fid":
        raise ValueError(f"inception-fid is the network of this module, not {name}")
    network: nn.Module = FidInception()
    return network.eval()


class FidInception(inception.Inception3):  # type: ignore[misc]  # torchvision ships no types
    """Features ``(N, 2048)`` of pictures ``(N, 3, 299, 299)`` in -1..1."""

    def __init__(self) -> None:
        super().__init__(num_classes=_CLASSES, aux_logits=False, init_weights=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _A(192, 32), _A(256, 64), _A(288, 64)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (_C(768, width) for width in (128, 160, 160, 192))
        self.Mixed_7b, self.Mixed_7c = _E(1280), _E(2048)
        self.Mixed_7c.pool = partial(functional.max_pool2d, kernel_size=3, stride=1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``(N, 2048)``."""
        return pool_features(self, x)


def pool_features(network: inception.Inception3, x: Tensor) -> Tensor:
    """Return the mean over places of the last block ``(N, 2048)``."""
    for name, layer in network.named_children():
        if name == "avgpool":
            break
        if name != "AuxLogits":
            x = layer(x)
    return x.mean(dim=(2, 3))


_mean = partial(functional.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)


class _A(inception.InceptionA):  # type: ignore[misc]
    def _forward(self, x: Tensor) -> list[Tensor]:
        fives = self.branch5x5_2(self.branch5x5_1(x))
        threes = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return [self.branch1x1(x), fives, threes, self.branch_pool(_mean(x))]


class _C(inception.InceptionC):  # type: ignore[misc]
    def _forward(self, x: Tensor) -> list[Tensor]:
        sevens = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_1(x)
        for layer in (self.branch7x7dbl_2, self.branch7x7dbl_3, self.branch7x7dbl_4, self.branch7x7dbl_5):
            double = layer(double)
        return [self.branch1x1(x), sevens, double, self.branch_pool(_mean(x))]


class _E(inception.InceptionE):  # type: ignore[misc]
    pool = staticmethod(_mean)

    def _forward(self, x: Tensor) -> list[Tensor]:
        threes = self.branch3x3_1(x)
        threes = torch.cat([self.branch3x3_2a(threes), self.branch3x3_2b(threes)], dim=1)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        double = torch.cat([self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)], dim=1)
        return [self.branch1x1(x), threes, double, self.branch_pool(self.pool(x))]
