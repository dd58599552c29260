"""A small upscaler of this project: convolutions at the small size say what bicubic enlarging lacks.

All work is done before the last layer unfolds channels to pixels (Shi et al. 2016). Grey pictures go through as three
equal channels.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from workers.models.parts import batches
from workers.models.parts.residual_pair import ResidualPair

SCALE = 2
"""Factor on width and height."""
_CHANNELS = 48
_BLOCKS = 4


# -- the contract of a restorer


def build(name: str) -> nn.Module:
    """Return the network ``subpixel-cnn``: random values, eval mode.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name != "subpixel-cnn":
        raise ValueError(f"subpixel-cnn is the network of this module, not {name}")
    return SubpixelCnn().eval()


def restore(network: nn.Module, pictures: Tensor) -> Tensor:
    """Return pictures ``(N, C, 2 * H, 2 * W)`` for ``(N, C, H, W)`` float32 0..1, clipped to 0..1; ``C`` is 1 or 3."""
    return batches.predict(network, [[one[None]] for one in pictures.float()], network).clamp(0, 1)


# -- the network


class SubpixelCnn(nn.Module):
    """Pairs of convolutions with short cuts, then pixels out of channels, over a bicubic enlargement."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, _CHANNELS, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualPair(_CHANNELS) for _ in range(_BLOCKS))
        self.last = nn.Conv2d(_CHANNELS, 3 * SCALE**2, 3, padding=1)

    def forward(self, small: Tensor) -> Tensor:
        """Return ``(N, C, 2 * H, 2 * W)`` for ``(N, C, H, W)``, C 1 or 3."""
        start = x = self.first(small.expand(-1, 3, -1, -1))
        for block in self.blocks:
            x = block(x)
        detail = functional.pixel_shuffle(self.last(x + start), SCALE)
        if small.shape[1] == 1:
            detail = detail.mean(dim=1, keepdim=True)
        return functional.interpolate(small, scale_factor=SCALE, mode="bicubic", align_corners=False) + detail
