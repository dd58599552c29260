"""Frechet distance of two sets of Inception features: torch's bilinear without antialiasing, as pytorch-fid has it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from workers.ops import frechet
from workers.ops.frechet import Features, accumulate, compute, update
from workers.ops.planes import Planes

__all__ = ["accumulate", "compute", "observe", "update"]


def observe(pictures: Sequence[Planes], judge: nn.Module) -> Sequence[Features]:
    """Return what the network sees in each picture."""
    return frechet.features(judge, pictures, "pytorch_fid")
