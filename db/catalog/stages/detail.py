"""Stages about noise, sharpness, size and grain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from db.catalog.stages.spec import StageParams, StageSpec, check_task
from db.catalog.weights import card, find

_DENOISE_ROWS = 32
"""Non-local means reach 7 rows at full size and 14 at half size, with those that enlarging looks at; a few to spare."""


class DenoiseParams(StageParams):
    """Parameters of ``denoise``."""

    USED_WITH: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {
        "weights": ("method", ("auto", "network")),
        "radius": ("method", ("auto", "temporal")),
    }

    method: Literal["auto", "spatial", "temporal", "network"] = Field(
        "auto",
        description="`spatial` non-local means, `temporal` flow-aligned averaging, or a `network`; `auto`: the network "
        "on stills, temporal on reels.",
    )
    weights: str | None = Field(
        "reelwright-denoise", description="The network's weights by name; none keeps `auto` from using one."
    )
    sigma: float | None = Field(
        None, ge=0, le=0.5, description="Noise level as a share of full scale; none estimates it from the picture."
    )
    radius: int = Field(2, ge=1, le=4, description="Frames before and after that temporal averaging looks at.")

    @model_validator(mode="after")
    def _check_network(self) -> DenoiseParams:
        if not self.cards:
            if self.method == "network":
                raise ValueError("method network needs weights")
            return self
        spec = check_task(self.cards[0], "denoiser", "takes out no noise")
        if self.sigma is not None and "sigma" not in spec.options:
            raise ValueError(f"{spec.title} has no option sigma: its weights are for one level of noise")
        return self

    @property
    def cards(self) -> tuple[str, ...]:
        """Weights that the step may run with."""
        return (self.weights,) if self.weights and self.method in ("auto", "network") else ()


class DeblurParams(StageParams):
    """Parameters of ``deblur``."""

    sigma: float | None = Field(
        None,
        ge=0,
        le=2.5,
        description="How far the picture is blurred, as the deviation of a Gaussian in pixels; none measures it, once "
        "for each shot, and leaves alone what is blurred by less than 0.6. Too much does harm: rather take less.",
    )


class RegrainParams(StageParams):
    """Parameters of ``regrain``."""

    amount: float = Field(
        1.0,
        ge=0,
        le=2,
        description="How much grain there is in the end, as a share of what the source had; what the picture still has "
        "counts.",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Draws other grain of the same kind.")


class UpscaleParams(StageParams):
    """Parameters of ``upscale``."""

    USED_WITH: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {"weights": ("method", ("network",))}

    scale: int = Field(
        2, ge=2, le=4, description="Factor on width and height; with a network the weights' own unless given."
    )
    method: Literal["lanczos", "network"] = Field(
        "lanczos", description="How new pixels are made; `network` where weights are named and no method is."
    )
    weights: str = Field("reelwright-upscale-x2", description="The network's weights by name.")

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        """Take the network where its weights are named, and the weights' scale where none is given."""
        if isinstance(values, dict) and "weights" in values and "method" not in values:
            values = {**values, "method": "network"}
        if not isinstance(values, dict) or values.get("method") != "network" or "scale" in values:
            return values
        weights_card = find(str(values.get("weights", cls.model_fields["weights"].default)))
        return values | {"scale": weights_card.scale} if weights_card and weights_card.scale > 1 else values

    @model_validator(mode="after")
    def _check_network(self) -> UpscaleParams:
        if self.method == "network":
            check_task(self.weights, "upscaler", "enlarges nothing")
            scale = card(self.weights).scale
            if scale != self.scale:
                raise ValueError(f"{self.weights} enlarges {scale} times, not {self.scale} times")
        return self


def _denoise_radius(params: Any) -> int:
    return int(params["radius"]) if params["method"] in ("auto", "temporal") else 0


def _denoise_weights(params: Any) -> tuple[str, ...]:
    # What was submitted before there was a network names no weights, and goes on without.
    return DenoiseParams.model_validate({"weights": None, **params}).cards


def _denoise_still_radius(params: Any, is_marked: bool) -> int | None:
    return None if _denoise_weights(params) else _DENOISE_ROWS


def _upscale_weights(params: Any) -> tuple[str, ...]:
    return (params["weights"],) if params.get("method") == "network" else ()


SPECS = (
    StageSpec(
        name="denoise",
        summary="Takes out grain and noise: by a network, by non-local means in space, or along motion in time.",
        params=DenoiseParams,
        order=7,
        temporal_radius=_denoise_radius,
        weights=_denoise_weights,
        still_radius=_denoise_still_radius,
        stills_only=lambda params: params["method"] == "auto",
        c2pa_action="c2pa.filtered",
        reference="Buades, Coll, Morel 2005 (non-local means); dense inverse search (Kroeger et al. 2016) for "
        "alignment, neighbours brought to the frame's exposure; the network's own page.",
    ),
    StageSpec(
        name="deblur",
        summary="Takes back a soft focus or a soft scan: blur that is the same all over the picture.",
        params=DeblurParams,
        order=8,
        when_unchanged="no blur was found that could be taken back",
        reel_needs=frozenset({"cuts", "sharpness"}),
        c2pa_action="c2pa.filtered",
        reference="Deconvolution with sparse gradients (Krishnan, Fergus 2009), held near what surrounds each pixel; "
        "blur measured at strong edges against a known one (Zhuo, Sim 2011).",
    ),
    StageSpec(
        name="upscale",
        summary="Enlarges the picture.",
        params=UpscaleParams,
        order=14,
        scale=lambda params: int(params["scale"]),
        weights=_upscale_weights,
        c2pa_action="c2pa.resized",
        reference="Sinc windowed by Lanczos, four lobes, held between the neighbours of each pixel; or the network's "
        "own page.",
    ),
    StageSpec(
        name="regrain",
        summary="Gives back the grain that denoising took, as strong and as coarse as the source's, or less of it.",
        params=RegrainParams,
        order=16,
        temporal_radius=lambda params: 1,
        reel_needs=frozenset({"cuts", "grain"}),
        c2pa_action="c2pa.filtered",
        reference="White noise drawn for each frame by a counter (Philox; Salmon et al. 2011), filtered to the "
        "likeness between pixels that grain has in each shot, and as strong as it is at each level of luma.",
    ),
)
