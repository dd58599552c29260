"""Stages that make a reel even from frame to frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from db.catalog.stages.spec import StageParams, StageSpec


class DeinterlaceParams(StageParams):
    """Parameters of ``deinterlace``: it makes frames, so it is done to a whole reel or not at all."""

    USED_WITH: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {"double_rate": ("method", ("auto", "video"))}

    method: Literal["auto", "film", "video"] = Field(
        "auto",
        description="`film`: put together again the fields of one film frame, and take out frames that pulldown "
        "repeated; `video`: make up the other lines of each field; `auto` looks which of them the reel needs.",
    )
    field_order: Literal["auto", "top", "bottom"] = Field(
        "auto", description="Which field comes first; `auto` looks at how they move."
    )
    double_rate: bool = Field(False, description="`video` alone: make a frame of every field, at twice the rate.")

    @model_validator(mode="after")
    def _check_whole_reel(self) -> DeinterlaceParams:
        if self.strength not in (0, 1) or self.shots is not None:
            raise ValueError("it is done to a whole reel: strength is 0 or 1, and there are no shots")
        return self


class StabilizeParams(StageParams):
    """Parameters of ``stabilize``."""

    reference: Literal["picture", "gate"] = Field(
        "picture",
        description="What is held still: what the picture shows, or the dark edges of the camera's gate where the scan "
        "shows them (in directions where no edge is seen, the picture).",
    )
    smoothness: float = Field(
        5.0,
        ge=1,
        le=1000,
        description="How straight the path is that the picture keeps: higher also takes out slower movement.",
    )
    max_shift: float = Field(
        0.015, ge=0, le=0.1, description="The farthest that a frame is moved, as a share of the picture's width."
    )
    max_angle: float = Field(0.5, ge=0, le=5, description="The farthest that a frame is turned, in degrees.")
    border: Literal["replicate", "neighbours"] = Field(
        "replicate",
        description="What fills the rim that a moved frame leaves: its own edge, drawn on, or what frames before and "
        "after show there.",
    )


class DeflickerParams(StageParams):
    """Parameters of ``deflicker``."""

    window: int = Field(15, ge=3, le=121, description="Frames over which exposure is smoothed.")


class MissingFramesParams(StageParams):
    """Parameters of ``missing_frames``."""

    max_gap: int = Field(
        4,
        ge=1,
        le=8,
        description="The most frames in a row that are made up; in a longer gap the nearest good frame is held.",
    )
    odd: bool = Field(
        False,
        description="Also replace frames that do not belong where they stand: black, torn or foreign ones.",
    )
    repeats: bool = Field(
        False,
        description="Also replace exact repeats of the frame before. Old films shown at another speed have some on "
        "purpose.",
    )


def _missing_frames_radius(params: Any) -> int:
    # Whether the farthest frame repeats the one before it must be seen too.
    return int(params["max_gap"]) + bool(params["repeats"])


def _stabilize_radius(params: Any) -> int:
    return 4 if params["border"] == "neighbours" else 0


def _still_alone(params: Any, is_marked: bool) -> int:
    """Of a stage that compares frames: a still comes back as it is."""
    return 0


SPECS = (
    StageSpec(
        name="deinterlace",
        summary="Makes whole frames of fields: undoes pulldown, or fills in the missing lines of video.",
        params=DeinterlaceParams,
        order=1,
        done_by_probe=True,
        reference="Fields matched by how little they comb and repeated frames dropped from each five, sample for "
        "sample; FFmpeg's bwdif (BBC's w3fdif filter with motion-adaptive yadif) for video.",
    ),
    StageSpec(
        name="stabilize",
        summary="Holds a picture still that weaves in the gate or shakes; pans stay pans.",
        params=StabilizeParams,
        order=2,
        still_radius=_still_alone,
        temporal_radius=_stabilize_radius,
        reel_needs=frozenset({"cuts", "motion"}),
        c2pa_action="c2pa.edited",
        reference="Corners followed by Lucas and Kanade's method, there and back; one similarity per pair of frames; "
        "the path of each shot by l1 trend filtering (Kim, Koh, Boyd, Gorinevsky 2009).",
    ),
    StageSpec(
        name="deflicker",
        summary="Evens out exposure that jumps from frame to frame.",
        params=DeflickerParams,
        order=3,
        still_radius=_still_alone,
        reel_needs=frozenset({"exposure"}),
        c2pa_action="c2pa.color_adjustments",
        reference="Luma percentiles per frame, brought onto a line fitted to those of the frames around it in the "
        "shot.",
    ),
    StageSpec(
        name="missing_frames",
        summary="Makes up frames that could not be read or do not belong, from those before and behind.",
        params=MissingFramesParams,
        order=6,
        still_radius=_still_alone,
        when_unchanged="no frame is missing",
        temporal_radius=_missing_frames_radius,
        repairs=True,
        reel_needs=frozenset({"cuts"}),
        c2pa_action="c2pa.edited",
        reference="Motion-compensated frame interpolation: dense inverse search both ways (Kroeger et al. 2016), "
        "vectors carried to the middle, ends weighted by where they are seen.",
    ),
)
