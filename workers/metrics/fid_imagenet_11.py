"""Frechet distance of two sets of Inception features: ImageNet's Inception fed -1..1 (CT2, ColorMNet)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from workers.ops import frechet
from workers.ops.frechet import Features, MomentsPair
from workers.ops.planes import Planes


def observe(pictures: Sequence[Planes], judge: nn.Module) -> Sequence[Features]:
    """Return what the network sees in each picture."""
    return frechet.features(judge, pictures, "imagenet_11")


def update(features: Features, reference: Features) -> tuple[Features, Features]:
    """Return both, to be accumulated."""
    return features, reference


def accumulate(state: MomentsPair | None, values: Sequence[tuple[Features, Features]]) -> MomentsPair:
    """Add a batch of features to the moments of both sets."""
    return frechet.add_pairs(state, values)


def compute(state: MomentsPair) -> float:
    """Return the distance of the two sets."""
    return frechet.distance(*state)
