"""Stages that repair a part of the picture and touch nothing beside it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from db.catalog.stages.spec import StageParams, StageSpec

_RADIUS = 4
"""Damage is looked for among two frames on either side, which are first cleaned by means of two more."""


class DirtParams(StageParams):
    """Parameters of ``dirt``."""

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

    @model_validator(mode="after")
    def _check_search(self) -> DirtParams:
        fields = type(self).model_fields
        names = ("sensitivity", "least_contrast", "largest_px", "polarity")
        if self.mask == "given":
            for name in names:
                if getattr(self, name) != fields[name].default:
                    raise ValueError(f"{name} is about what is found; mask given looks for nothing")
        return self


def _dirt_radius(params: Any) -> int:
    return _RADIUS


SPECS: tuple[StageSpec, ...] = (
    StageSpec(
        name="dirt",
        summary="Takes out dust, dirt and hairs that are in one frame alone.",
        params=DirtParams,
        order=4,
        temporal_radius=_dirt_radius,
        c2pa_action="c2pa.edited",
        reference="What differs from all neighbours along the motion, as Kokaram's spike detectors (1998), with the "
        "neighbours' disagreement and noise of each level taken into account; filled from the neighbours.",
    ),
)
"""In working order."""
