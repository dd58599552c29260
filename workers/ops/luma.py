"""Luma put back after a step on colour, to the last code value.

Luma is the weighted sum of red, green and blue. Where a step moved it, grey is added or taken away until it is as it
was; where the display cannot show the colour that this gives, the nearest one that it can show with that luma takes its
place. Clipping the channels, which is what a file would do to them, would change the luma again.
"""

from __future__ import annotations

import torch
from torch import Tensor

BT601 = (0.299, 0.114)
"""Shares of red and of blue in luma: those of all scores, and of grey and RGB sources."""
_HALVINGS = 44
"""Each halves the interval that holds the answer: from about 100 to less than any code value's share."""


def of(frames: Tensor, shares: tuple[float, float]) -> Tensor:
    """Return the luma ``(T, 1, H, W)`` of frames ``(T, C, H, W)``; one channel is its own luma."""
    if frames.shape[1] == 1:
        return frames
    red, green, blue = (frames[:, channel : channel + 1] for channel in range(3))
    # Written out: a matrix product may sum in another order on another number of threads.
    return red * shares[0] + green * (1 - shares[0] - shares[1]) + blue * shares[1]


def restore_luma(frames: Tensor, source: Tensor, shares: tuple[float, float]) -> Tensor:
    """Return frames with the luma of ``source``, each channel in 0..1 wherever that luma is.

    Args:
        frames: ``(T, 3, H, W)``.
        source: ``(T, C, H, W)``, C 1 or 3, of the same size.
        shares: Of red and of blue in luma.
    """
    target = of(source, shares)
    shifted = frames + (target - of(frames, shares))
    outside = ((shifted < 0) | (shifted > 1)).any(dim=1)
    if not outside.any():
        return shifted
    colors = shifted.movedim(1, -1)[outside].double()
    lumas = target.movedim(1, -1)[outside].double()
    output = shifted.movedim(1, -1).clone()
    output[outside] = _nearest_colors(colors, lumas, shares).to(frames.dtype)
    return output.movedim(-1, 1).contiguous()


def _nearest_colors(colors: Tensor, lumas: Tensor, shares: tuple[float, float]) -> Tensor:
    """Return the colours ``(N, 3)`` in 0..1 that have the lumas ``(N, 1)`` and lie nearest to ``colors``.

    Nearest of all in a plane and a box is ``clip(colour - step * weights)`` for one step, and the luma of that falls as
    the step grows; so halving finds it. A luma outside 0..1 no colour has: there grey has it.
    """
    weights = torch.tensor((shares[0], 1 - shares[0] - shares[1], shares[1]), dtype=torch.float64).to(colors.device)
    reach = (colors.abs().amax(dim=1, keepdim=True) + 1) / weights.min()
    low, high = -reach, reach
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        candidate = (colors - middle * weights).clamp(0, 1)
        bright = (candidate * weights).sum(dim=1, keepdim=True) > lumas
        low, high = torch.where(bright, middle, low), torch.where(bright, high, middle)
    candidate = (colors - (low + high) / 2 * weights).clamp(0, 1)
    return torch.where((lumas < 0) | (lumas > 1), lumas.expand_as(candidate), candidate)
