"""A small denoiser of this project: convolutions on the picture folded to half its size, told the noise level.

Folding (pixel unshuffle) and a map of the noise level are the idea of FFDNet (Zhang, Zuo, Zhang 2018): four times fewer
places to compute, and one network for all levels. Grey pictures go through as three equal channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.models.parts import batches
from workers.models.parts.residual_pair import ResidualPair

_CHANNELS = 64
_BLOCKS = 4


# -- the contract of a restorer


def build(name: str) -> nn.Module:
    """Return the network ``folded-cnn``: random values, eval mode.

    Raises:
        ValueError: There is no network of this name here.
    """
    if name != "folded-cnn":
        raise ValueError(f"folded-cnn is the network of this module, not {name}")
    return FoldedCnn().eval()


def restore(network: nn.Module, pictures: Tensor, *, sigma: float) -> Tensor:
    """Return pictures ``(N, C, H, W)`` float32 0..1 without noise; ``C`` is 1 or 3, as it came in.

    Args:
        network: From :func:`build`.
        pictures: ``(N, C, H, W)`` float32, nominally 0..1; noise may reach beyond.
        sigma: Standard deviation of the noise as a share of full scale.
    """
    level = torch.full((1, 1, 1, 1), sigma)
    return batches.predict(network, [[one[None], level] for one in pictures.float()], network)


# -- the network


class FoldedCnn(nn.Module):
    """A noisy picture and its noise level in, the picture out."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3 * 4 + 1, _CHANNELS, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualPair(_CHANNELS) for _ in range(_BLOCKS))
        self.last = nn.Conv2d(_CHANNELS, 3 * 4, 3, padding=1)

    def forward(self, noisy: Tensor, level: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` for ``noisy`` ``(N, C, H, W)``, C 1 or 3, and ``level`` ``(N, 1, 1, 1)`` 0..1."""
        channels, height, width = noisy.shape[-3:]
        even = functional.pad(noisy.expand(-1, 3, -1, -1), (0, width % 2, 0, height % 2), mode="replicate")
        folded = functional.pixel_unshuffle(even, 2)
        level_map = level.expand(len(folded), 1, *folded.shape[-2:])
        start = x = self.first(torch.cat([folded, level_map], dim=1))
        for block in self.blocks:
            x = block(x)
        noise = functional.pixel_shuffle(self.last(x + start), 2)[..., :height, :width]
        if channels == 1:
            noise = noise.mean(dim=1, keepdim=True)
        return noisy - noise
