"""Stages that repair a part of the picture and touch nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from db.catalog.stages.spec import StageParams, StageSpec

_RADIUS = 4
"""Damage is looked for among two frames on either side, which are first cleaned by means of two more."""

_FILL = (
    "What is filled: `always` all that was found, what no neighbouring frame shows from what lies around it; "
    "`neighbours`: that alone which a neighbouring frame shows, so that nothing is made up; the rest stays as it is, "
    "and out of the mask. What the manifest's mask marks is always filled."
)


class DirtParams(StageParams):
    """Parameters of ``dirt``."""

    USED_WITH: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = dict.fromkeys(
        ("sensitivity", "least_contrast", "largest_px", "polarity"), ("mask", ("found", "both"))
    )

    mask: Literal["found", "given", "both"] = Field(
        "found",
        description="What is repaired: what is `found`, what the manifest's mask marks (`given`), such as one made of "
        "an infrared scan, or `both`.",
    )
    sensitivity: float = Field(
        1.0, ge=0.5, le=2, description="How readily something is taken for dirt: more finds fainter specks."
    )
    least_contrast: float = Field(
        0.05,
        ge=0.01,
        le=0.5,
        description="How much a speck must differ from what neighbouring frames show, as a share of full scale.",
    )
    largest_px: int = Field(4000, ge=2, le=1_000_000, description="Pixels of one speck; what is larger is left alone.")
    polarity: Literal["both", "bright", "dark"] = Field(
        "both", description="Whether bright specks, dark ones or both are looked for."
    )
    fill: Literal["always", "neighbours"] = Field("always", description=_FILL)


class ScratchParams(StageParams):
    """Parameters of ``scratch``."""

    USED_WITH: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {
        **dict.fromkeys(("sensitivity", "least_contrast", "polarity"), ("method", ("auto", "film", "propose"))),
        **dict.fromkeys(("widest_px", "keep_detail"), ("method", ("auto", "film"))),
    }

    method: Literal["auto", "film", "mask", "propose"] = Field(
        "auto",
        description="`film`: lines down the film that neighbouring frames have not, or that run down the whole "
        "picture; `mask`: what the manifest's mask marks, and nothing else; `propose`: thin marks of any direction, "
        "found in each picture alone, which may well be lips, hair or the bridge of a nose: look at the mask that "
        "comes out before you keep it; `auto`: film on reels, mask on stills.",
    )
    sensitivity: float = Field(
        1.0, ge=0.5, le=2, description="How readily a line is taken for a scratch: more finds fainter ones."
    )
    least_contrast: float = Field(
        0.05,
        ge=0.01,
        le=0.5,
        description="How much a scratch must differ from what should be there, as a share of full scale.",
    )
    widest_px: int | None = Field(
        None, ge=1, le=16, description="`film` alone: the widest line looked for; none goes by the picture's width."
    )
    polarity: Literal["both", "bright", "dark"] = Field(
        "both", description="Whether bright lines, dark ones or both are looked for."
    )
    fill: Literal["always", "neighbours"] = Field("always", description=_FILL)
    keep_detail: bool = Field(
        False,
        description="`film` alone: where a scratch lets the picture through, take out its own profile in place of "
        "filling it.",
    )

    def method_of(self, frame_count: int) -> str:
        """Return the method for a reel of so many frames; a still has one."""
        if self.method != "auto":
            return self.method
        return "mask" if frame_count == 1 else "film"


def _radius(params: Any) -> int:
    return _RADIUS


def _dirt_still_radius(params: Any, is_marked: bool) -> int | None:
    # A still has no neighbours that could show dirt: what is not marked stays.
    return None if is_marked and params["mask"] != "found" else 0


def _scratch_still_radius(params: Any, is_marked: bool) -> int | None:
    by_mask = ScratchParams.model_validate(params).method_of(1) == "mask"
    return 0 if by_mask and not is_marked else None


SPECS: tuple[StageSpec, ...] = (
    StageSpec(
        name="dirt",
        summary="Takes out dust, dirt and hairs that are in one frame alone; upright lines it leaves to `scratch`.",
        params=DirtParams,
        order=4,
        when_unchanged="none was found",
        when_still_unchanged="a still has no neighbours that could show it",
        repairs=True,
        temporal_radius=_radius,
        still_radius=_dirt_still_radius,
        c2pa_action="c2pa.edited",
        reference="What differs from all neighbours along the motion, as Kokaram's spike detectors (1998), with the "
        "neighbours' disagreement and noise of each level taken into account; filled from the neighbours.",
    ),
    StageSpec(
        name="scratch",
        summary="Takes out scratches down the film, and what a mask marks.",
        params=ScratchParams,
        order=5,
        when_unchanged="none was found",
        when_still_unchanged="of a still, scratches are what a mask marks (`mask_uri`)",
        repairs=True,
        temporal_radius=_radius,
        still_radius=_scratch_still_radius,
        c2pa_action="c2pa.edited",
        reference="Lines by their profile across (Bruni and Vitulano 2004), gathered down the picture and held against "
        "the frames around, as Newson and others 2014 reject what moves with the scene; filled from neighbours that "
        "are whole, or from both sides (Bertalmio and others 2001).",
    ),
)
"""In working order."""
