"""``deinterlace``: whole frames of fields. The probe has done it with ``media.fields`` before any frame comes here."""

from __future__ import annotations

import torch

from db.catalog.stages.steadiness import DeinterlaceParams
from workers.frames import Clip, Reel


def restore(window: Clip, start: int, stop: int, params: DeinterlaceParams, reel: Reel) -> torch.Tensor:
    """Return ``(T, C, H, W)`` frames as they are: a reel's became whole when it was probed, a still has no fields."""
    return window.part(start, stop).frames
