"""Stages that make up picture where none is left."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from db.catalog.stages.spec import StageParams, StageSpec, check_task


class InpaintParams(StageParams):
    """Parameters of ``inpaint``."""

    method: Literal["auto", "navier_stokes", "patches", "network"] = Field(
        "auto",
        description="`navier_stokes` lets the edge flow in, `patches` copies from the picture around; `auto`: the "
        "first for marks of up to 4 pixels, the second for thicker ones. `network`: a network for thicker ones.",
    )
    weights: str | None = Field(None, description="The network's weights by name: `spandrel-inpaint:LABEL`.")
    dilate_px: int = Field(1, ge=0, le=16, description="Pixels by which the mask is widened: damage has soft edges.")
    radius: int = Field(
        2, ge=0, le=4, description="Frames before and after that are asked first what the place looks like."
    )
    largest_px: int = Field(
        256, ge=1, le=2048, description="Parts of the mask thicker than so many pixels are left as they are."
    )

    @model_validator(mode="after")
    def _check_network(self) -> InpaintParams:
        if (self.method == "network") != (self.weights is not None):
            raise ValueError("method network and weights go together")
        if self.weights is not None:
            check_task(self.weights, "inpainter", "fills no holes")
        return self


class FaceParams(StageParams):
    """Parameters of ``face``."""

    strength: float = Field(
        0.5, ge=0, le=1, description="How much of the stage's change is kept; 0 leaves frames untouched."
    )
    least_px: int = Field(40, ge=16, le=2048, description="Faces smaller than so many pixels are left as they are.")
    contrast: float | None = Field(
        None, ge=0, le=1, description="How far eyes, mouth and nose are raised where no network does it; none: 0.5."
    )
    weights: str | None = Field(
        None, description="Weights of a network that makes faces anew: `spandrel-face:LABEL`; none invents nothing."
    )

    @model_validator(mode="after")
    def _check_network(self) -> FaceParams:
        if self.weights is not None:
            check_task(self.weights, "face restorer", "restores no faces")
            if self.contrast is not None:
                raise ValueError("contrast is of the method without weights")
        return self


def _weights(params: Any) -> tuple[str, ...]:
    return (params["weights"],) if params.get("weights") else ()


def _radius(params: Any) -> int:
    return int(params["radius"])


SPECS: tuple[StageSpec, ...] = (
    StageSpec(
        name="inpaint",
        summary="Fills in what a mask marks as lost: from frames beside it, from its edge, or with patches.",
        params=InpaintParams,
        order=10,
        when_unchanged="no mask (`mask_uri`) marks anything, or what it marks is too thick to fill",
        repairs=True,
        invents="parts",
        temporal_radius=_radius,
        weights=_weights,
        reference="Bertalmio, Bertozzi, Sapiro 2001 (Navier-Stokes); patches after Wexler, Shechtman, Irani 2007, "
        "found by PatchMatch (Barnes et al. 2009); neighbours along dense inverse search (Kroeger et al. 2016).",
    ),
    StageSpec(
        name="face",
        summary="Makes soft faces clearer, each by itself; invents nothing unless a network is asked for.",
        params=FaceParams,
        order=13,
        when_unchanged="no face was found, or those that were are sharp",
        weights=_weights,
        repairs=True,
        invents="faces",
        lists_places=True,
        reference="YuNet (Wu, Peng, Yu 2023) finds faces; blur measured in each is taken back with sparse gradients "
        "(Krishnan and Fergus 2009), tone, colour and grain held.",
    ),
)
