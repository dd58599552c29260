"""Stages about colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, model_validator

from db.catalog.architectures import ARCHITECTURES
from db.catalog.stages.spec import AS_WRITTEN, ColorParams, StageParams, StageSpec, check_task
from db.catalog.weights import Card, card, resolve


class ColorizeParams(ColorParams):
    """Parameters of ``colorize``. Those that not every system has are none unless given: then the published default."""

    RENAMED: ClassVar[Mapping[str, str]] = {"already_coloured": "already_colored"}

    model: str | None = Field(
        None, description="Architecture, or weights by name; see `reelwright models list`. None takes reelwright-color."
    )
    weights: str | None = Field(None, description="Weights by name; none takes those that stand for the model.")
    already_colored: Literal["keep", "recolor"] = Field(
        "keep", description="Sources that have colour of their own are left as they are, or coloured anew."
    )
    chroma_smoothing: int | None = Field(
        None,
        ge=0,
        le=64,
        description="Radius over which colour is smoothed, in pixels of the network's own picture; it "
        "stops at edges of lightness. 0 smooths nothing; none takes what suits the weights.",
    )
    chroma_limit: float | None = Field(
        None,
        ge=0,
        le=180,
        description="Chroma of CIE Lab that no colour exceeds: what is above half of it is bent "
        "towards it. 0 bends nothing; none takes what suits the weights.",
    )
    input_size: int | None = Field(
        None, ge=64, le=2048, multiple_of=32, description="Side of the square that the network sees, in pixels."
    )
    render_factor: int | None = Field(
        None, ge=7, le=45, description="Side of that square in steps of 16 pixels: small is bold, large is fine."
    )
    sampling: Literal["greedy", "random"] | None = Field(
        None, description="Take the likeliest colour everywhere, or draw by likelihood."
    )
    seed: int | None = Field(None, ge=0, lt=2**32, description="Of all drawing; the same seed gives the same picture.")
    imagenet_class: int | None = Field(None, ge=0, le=999, description="What the picture shows, by ImageNet's number.")
    direction: int | None = Field(None, ge=0, le=118, description="Way in which colours depart from the likeliest.")
    amount: float | None = Field(None, ge=-16, le=16, description="How far they depart.")
    hints: list[tuple[float, float, int, int, int] | tuple[float, float, int, int, int, int]] | None = Field(
        None, max_length=1000, description="Known colours: x, y, red, green, blue (0..255) and, if wanted, a radius."
    )
    boxes: list[tuple[float, float, float, float]] | None = Field(
        None, max_length=1000, description="Objects: left, top, right, bottom in pixels of the source."
    )
    detector: str | None = Field(None, description="Weights that find the boxes; none looks for no objects.")

    @model_validator(mode="after")
    def _check_options(self, info: ValidationInfo) -> ColorizeParams:
        spec = check_task(self.card.name, "colorizer", "colours nothing")
        for name in _OPTIONS:
            if getattr(self, name) is not None and name not in spec.options:
                has = ", ".join(spec.options) or "none"
                raise ValueError(f"{spec.title} has no option {name}; its options: {has}")
        if self.detector is not None and ARCHITECTURES[card(self.detector).architecture].task != "detector":
            raise ValueError(f"{self.detector} finds no objects")
        if info.context == AS_WRITTEN:
            self._refuse_idle()
        if spec.name == "gcp" and self.imagenet_class is None:
            raise ValueError("GCP must be told what the picture shows: give imagenet_class")
        return self

    def _refuse_idle(self) -> None:
        if self.sampling == "greedy" and self.seed is not None:
            raise ValueError("sampling greedy does not use seed")
        if self.amount is not None and self.direction is None:
            raise ValueError("amount does nothing without direction")

    @property
    def card(self) -> Card:
        """The weights that are meant."""
        return resolve(self.model or (None if self.weights else "reelwright-color"), self.weights)

    @property
    def softening(self) -> tuple[int, float]:
        """Radius of smoothing and limit of chroma, given or those that suit the weights; 0 for none."""
        smoothing, limit = self.chroma_smoothing, self.chroma_limit
        return (
            self.card.chroma_smoothing if smoothing is None else smoothing,
            self.card.chroma_limit if limit is None else limit,
        )

    @property
    def options(self) -> dict[str, Any]:
        """What is given for the network, by the names of its options; the detector's part is not the network's."""
        values = {name: getattr(self, name) for name in _OPTIONS if name != "detector"}
        return dict(self.card.defaults) | {name: value for name, value in values.items() if value is not None}


_CHOICE = {
    *ColorParams.model_fields, "model", "weights", "already_colored", "chroma_smoothing", "chroma_limit",
}  # fmt: skip
_OPTIONS = tuple(name for name in ColorizeParams.model_fields if name not in _CHOICE)
"""Parameters that only some systems have."""


class FadingParams(StageParams):
    """Parameters of ``fading``."""

    amount: float | None = Field(
        None, ge=0, le=1, description="How much of the fading is undone; none decides it by how plainly it shows."
    )
    crosstalk: float = Field(
        0.06, ge=0, le=0.3, description="Share of each dye layer that shows in the channels of the other two."
    )


class StabilizeColorParams(ColorParams):
    """Parameters of ``stabilize_color``."""

    radius: int = Field(4, ge=1, le=15, description="Frames before and after that colour is averaged over.")


class ColorEnhanceParams(ColorParams):
    """Parameters of ``color_enhance``."""

    contrast: float = Field(0.5, ge=0, le=1, description="How far local contrast is raised.")
    saturation: float = Field(1.1, ge=0, le=3, description="Factor on colour; grey stays grey.")
    white_balance: float = Field(0.5, ge=0, le=1, description="How far a colour cast is taken out.")


def _colorizer_weights(params: Any) -> tuple[str, ...]:
    colorize = ColorizeParams.model_validate(params)
    return (colorize.card.name,) if colorize.detector is None else (colorize.card.name, colorize.detector)


SPECS = (
    StageSpec(
        name="fading",
        summary="Brings faded dyes of colour film and prints back; grey and toned pictures stay as they are.",
        params=FadingParams,
        order=9,
        when_unchanged="the dyes have their ranges, or the picture is grey or toned",
        reel_needs=frozenset({"dye"}),
        c2pa_action="c2pa.color_adjustments",
        reference="Density of each dye layer scaled and moved in linear light, after Trumpy, Chatterjee, Ruedel 2023; "
        "by the darkest and clearest places of the shot.",
    ),
    StageSpec(
        name="colorize",
        summary="Gives colour to black-and-white pictures, by our own network or a published system.",
        params=ColorizeParams,
        order=11,
        weights=_colorizer_weights,
        makes_color=True,
        invents="colour",
        c2pa_action="c2pa.color_adjustments",
        reference="The network predicts a and b of CIE Lab at its own size; they join the source's own L at full size.",
    ),
    StageSpec(
        name="stabilize_color",
        summary="Takes out colour that flickers from frame to frame, along the motion of what is seen.",
        params=StabilizeColorParams,
        order=12,
        temporal_radius=lambda params: int(params["radius"]),
        reel_needs=frozenset({"exposure"}),
        c2pa_action="c2pa.color_adjustments",
        reference="Chroma averaged along optical flow of luma (dense inverse search, Kroeger et al. 2016) where going "
        "there and back agrees, within the shot.",
    ),
    StageSpec(
        name="color_enhance",
        summary="Raises contrast and colour and takes out a cast.",
        params=ColorEnhanceParams,
        order=15,
        reel_needs=frozenset({"exposure"}),
        c2pa_action="c2pa.color_adjustments",
        reference="CLAHE (Zuiderveld 1994) on BT.601 luma; grey-world cast of the whole shot; chroma scaled about "
        "luma.",
    ),
)
