"""What the package brings, as entries of the catalogue; the code lies beside it and is imported when it is used."""

from __future__ import annotations

from pydantic import Field

from reelwright import ArchitectureSpec, Card, MetricSpec, StageParams, StageSpec, WeightsFile


class LanternParams(StageParams):
    """How bright the lamp is."""

    gain: float = Field(1.2, ge=0, le=4, description="Factor on every channel.")


LANTERN = StageSpec(
    name="lantern",
    summary="Shows the picture as a brighter lamp would.",
    params=LanternParams,
    order=15,
    module="lantern_slides.lantern",
)
HIGHLIGHT_SHARE = MetricSpec(
    name="highlight_share",
    summary="Share of pixels that are nearly white.",
    convention="BT.601 luma of 0..1 above 0.9.",
    high=1,
    module="lantern_slides.highlight_share",
)
LUMA_STEP = MetricSpec(
    name="luma_step",
    summary="How far mean luma moves from a frame to the next but one.",
    convention="Mean absolute difference of mean luma, two frames apart.",
    high=1,
    compares="previous",
    reduces="reel",
    module="lantern_slides.luma_step",
)
HAND_TINT = ArchitectureSpec(
    name="hand_tint",
    task="colorizer",
    title="Hand tint",
    reference="none",
    idea="Every place gets the colour that its light asks for.",
    choose="In examples.",
    default="hand-tint",
    size="8 x 8",
    module="lantern_slides.hand_tint",
    cards=(
        Card(
            "hand-tint", "hand_tint", "hand-tint", "One colour a light.", (WeightsFile("hand_tint.pth"),),
            "nowhere", "Apache-2.0",
        ),
    ),
)  # fmt: skip
