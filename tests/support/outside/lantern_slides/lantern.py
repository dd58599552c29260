"""The stage: brighter by a factor."""

from __future__ import annotations

import torch

from lantern_slides import LanternParams
from reelwright import Clip, Reel


def restore(window: Clip, start: int, stop: int, params: LanternParams, reel: Reel) -> torch.Tensor:
    """Return frames ``[start, stop)`` times the gain."""
    return torch.stack([window.frame(number) for number in range(start, stop)]) * params.gain
