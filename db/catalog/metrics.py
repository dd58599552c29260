"""The metrics: name, unit, range and direction of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MetricSpec:
    """What a reader of scores must know about a metric. The code is ``workers/metrics/<name>.py``."""

    name: str
    summary: str
    unit: str
    low: float
    high: float
    higher_is_better: bool | None
    """None where neither direction is better by itself."""
    needs_source: bool
    """Whether it compares with the source's frame."""
    scope: Literal["frame", "reel", "pair"]
    """``frame``: one value a frame, and their mean; ``reel``: per-frame values reduced once over the reel; ``pair``:
    one value for each pair of neighbouring frames of a finished film in colour, and their mean."""
    source: str
    """Paper or definition."""


_SHIPPED = (
    MetricSpec(
        "luma_psnr",
        "Likeness of luma to the source.",
        "dB",
        0,
        100,
        True,
        True,
        "frame",
        "10 log10(1 / MSE) on BT.601 luma of 0..1, capped at 100 dB.",
    ),
    MetricSpec(
        "luma_ssim",
        "Likeness of structure to the source.",
        "1",
        -1,
        1,
        True,
        True,
        "frame",
        "Wang et al. 2004: Gaussian window 11, sigma 1.5, on BT.601 luma.",
    ),
    MetricSpec(
        "colorfulness",
        "How colourful the picture is.",
        "1",
        0,
        200,
        None,
        False,
        "frame",
        "Hasler and Suesstrunk 2003, on 0..255, signed opponent axes.",
    ),
    MetricSpec(
        "sharpness",
        "Energy of fine detail.",
        "1",
        0,
        4,
        None,
        False,
        "frame",
        "Variance of the Laplacian of luma of 0..1, times 100 (Pech-Pacheco et al. 2000).",
    ),
    MetricSpec(
        "noise_sigma",
        "Estimated noise as a share of full scale.",
        "1",
        0,
        1,
        False,
        False,
        "frame",
        "Immerkaer 1996, on luma.",
    ),
    MetricSpec(
        "flicker",
        "Jumps of mean luma from frame to frame.",
        "1",
        0,
        1,
        False,
        False,
        "reel",
        "Root mean square of the second difference of mean luma within shots: steps at cuts are left out.",
    ),
    MetricSpec(
        "color_consistency",
        "How much the colours of neighbouring frames differ.",
        "1",
        0,
        0.6932,
        False,
        False,
        "pair",
        "CDC (Liu et al. 2021): Jensen-Shannon divergence of 256-bin histograms 1, 2 and 4 frames apart, within shots.",
    ),
    MetricSpec(
        "warp_error",
        "How far a frame is from the one before it, moved along.",
        "1",
        0,
        1,
        False,
        False,
        "pair",
        "Lai et al. 2018: mean square along optical flow where nothing is hidden, at most 480 pixels a side.",
    ),
)

METRICS: Mapping[str, MetricSpec] = {spec.name: spec for spec in _SHIPPED}
"""All metrics by name."""
