"""The stages: name, parameters, and what planning must know about each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from db.catalog.architectures import ARCHITECTURES, ArchitectureSpec
from db.catalog.entry_points import Catalog, with_outside
from db.catalog.weights import Card, card, find, resolve

GROUP = "reelwright.stages"
"""Entry points of this group name a ``StageSpec``; its ``module`` holds the code."""

ReelNeed = Literal["exposure"]
"""What a stage may need to know about the whole reel before it can restore a single frame."""


class StageParams(BaseModel):
    """Parameters that every stage has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    RENAMED: ClassVar[Mapping[str, str]] = {}
    """What parameters were called in the release before, and are called now; old names are read for one release."""

    strength: float = Field(
        1.0, ge=0, le=1, description="How much of the stage's change is kept; 0 leaves frames untouched."
    )
    shots: list[tuple[int, int]] | None = Field(
        None, description="Half-open frame ranges to which the stage is limited; none means the whole reel."
    )

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, values: Any) -> Any:
        return cls.rename(values) if isinstance(values, Mapping) else values

    @classmethod
    def rename(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters under the names of today."""
        return {cls.RENAMED.get(name, name): value for name, value in values.items()}


class ColorParams(StageParams):
    """Parameters of stages that are about colour."""

    keep_luma: bool = Field(
        False, description="Put the luma of what the step was given back, to the last code value; only colour changes."
    )


def _check_task(weights: str, task: str, otherwise: str) -> ArchitectureSpec:
    """Return what is known of the network of some weights; a ``ValueError`` says that it is for another task."""
    spec = ARCHITECTURES[card(weights).architecture]
    if spec.task != task:
        raise ValueError(f"{weights} {otherwise}: it is one of the {spec.task}s")
    return spec


class DeinterlaceParams(StageParams):
    """Parameters of ``deinterlace``: it makes frames, so it is done to a whole reel or not at all."""

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


class DenoiseParams(StageParams):
    """Parameters of ``denoise``."""

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
        spec = _check_task(self.cards[0], "denoiser", "takes out no noise")
        if self.sigma is not None and "sigma" not in spec.options:
            raise ValueError(f"{spec.title} has no option sigma: its weights are for one level of noise")
        return self

    @property
    def cards(self) -> tuple[str, ...]:
        """Weights that the step may run with."""
        return (self.weights,) if self.weights and self.method in ("auto", "network") else ()


class DeflickerParams(StageParams):
    """Parameters of ``deflicker``."""

    window: int = Field(15, ge=3, le=121, description="Frames over which exposure is smoothed.")


class ColorEnhanceParams(ColorParams):
    """Parameters of ``color_enhance``."""

    contrast: float = Field(0.5, ge=0, le=1, description="How far local contrast is raised.")
    saturation: float = Field(1.1, ge=0, le=3, description="Factor on colour; grey stays grey.")
    white_balance: float = Field(0.5, ge=0, le=1, description="How far a colour cast is taken out.")


class UpscaleParams(StageParams):
    """Parameters of ``upscale``."""

    scale: int = Field(
        2, ge=2, le=4, description="Factor on width and height; with a network the weights' own unless given."
    )
    method: Literal["lanczos", "network"] = Field("lanczos", description="How new pixels are made.")
    weights: str = Field("reelwright-upscale-x2", description="The network's weights by name.")

    @model_validator(mode="before")
    @classmethod
    def _fill_in_scale(cls, values: Any) -> Any:
        """Take the weights' scale where none is given."""
        if not isinstance(values, dict) or values.get("method") != "network" or "scale" in values:
            return values
        weights_card = find(str(values.get("weights", cls.model_fields["weights"].default)))
        return values | {"scale": weights_card.scale} if weights_card and weights_card.scale > 1 else values

    @model_validator(mode="after")
    def _check_network(self) -> UpscaleParams:
        if self.method == "network":
            _check_task(self.weights, "upscaler", "enlarges nothing")
            scale = card(self.weights).scale
            if scale != self.scale:
                raise ValueError(f"{self.weights} enlarges {scale} times, not {self.scale} times")
        return self


class ColorizeParams(ColorParams):
    """Parameters of ``colorize``. Those that not every system has are none unless given: then the published default."""

    RENAMED = {"already_coloured": "already_colored"}

    model: str | None = Field(
        None, description="Architecture, or weights by name; see `reelwright models list`. None takes reelwright-color."
    )
    weights: str | None = Field(None, description="Weights by name; none takes those that stand for the model.")
    already_colored: Literal["keep", "recolor"] = Field(
        "keep", description="Sources that have colour of their own are left as they are, or coloured anew."
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
    def _check_options(self) -> ColorizeParams:
        spec = _check_task(self.card.name, "colorizer", "colours nothing")
        for name in _OPTIONS:
            if getattr(self, name) is not None and name not in spec.options:
                has = ", ".join(spec.options) or "none"
                raise ValueError(f"{spec.title} has no option {name}; its options: {has}")
        if self.detector is not None and ARCHITECTURES[card(self.detector).architecture].task != "detector":
            raise ValueError(f"{self.detector} finds no objects")
        if spec.name == "gcp" and self.imagenet_class is None:
            raise ValueError("GCP must be told what the picture shows: give imagenet_class")
        return self

    @property
    def card(self) -> Card:
        """The weights that are meant."""
        return resolve(self.model or (None if self.weights else "reelwright-color"), self.weights)

    @property
    def options(self) -> dict[str, Any]:
        """What is given for the network, by the names of its options; the detector's part is not the network's."""
        values = {name: getattr(self, name) for name in _OPTIONS if name != "detector"}
        return dict(self.card.defaults) | {name: value for name, value in values.items() if value is not None}


_CHOICE = {*ColorParams.model_fields, "model", "weights", "already_colored"}
_OPTIONS = tuple(name for name in ColorizeParams.model_fields if name not in _CHOICE)
"""Parameters that only some systems have."""


class StabilizeColorParams(ColorParams):
    """Parameters of ``stabilize_color``."""

    radius: int = Field(4, ge=1, le=15, description="Frames before and after that colour is averaged over.")


def _no_radius(params: Any) -> int:
    return 0


def _no_weights(params: Any) -> tuple[str, ...]:
    return ()


def _never(params: Any) -> bool:
    return False


def _same_size(params: Any) -> int:
    return 1


@dataclass(frozen=True)
class StageSpec:
    """What planning, validation and the documentation must know about a stage."""

    name: str
    """Name in recipes."""
    summary: str
    """One sentence for people."""
    params: type[StageParams]
    """Its parameters."""
    order: int
    """Place in the usual working order; a recipe may differ."""
    module: str = ""
    """Where the code is; empty means ``workers.stages.<name>``."""
    temporal_radius: Callable[[Any], int] = _no_radius
    """Frames before and after that one output frame depends on, from the parameters."""
    scale: Callable[[Any], int] = _same_size
    """Factor on width and height, from the parameters."""
    reel_needs: frozenset[ReelNeed] = frozenset()
    """What must be known of the whole reel first; anything here brings in ``inspect`` and ``merge`` tasks."""
    weights: Callable[[Any], tuple[str, ...]] = _no_weights
    """Cards of the weights that it runs with, from the parameters."""
    stills_only: Callable[[Any], bool] = _never
    """Whether it uses its weights on stills alone, from the parameters."""
    makes_color: bool = False
    """Whether a single-channel source comes out with colour."""
    done_by_probe: bool = False
    """Whether the probe does it, once over the whole reel, since it makes other frames: such steps stand first."""
    keeps_blank: bool = True
    """Whether frames of one value stay as they are; a stage that is to change even these, an inversion, says no."""
    c2pa_action: str = "c2pa.edited"
    """C2PA's name of what it does, for the sidecars that are signed."""
    reference: str = ""
    """Paper or method that it follows."""

    @property
    def module_name(self) -> str:
        """The module that holds the stage's code."""
        return self.module or f"workers.stages.{self.name}"


def _colorizer_weights(params: Any) -> tuple[str, ...]:
    colorize = ColorizeParams.model_validate(params)
    return (colorize.card.name,) if colorize.detector is None else (colorize.card.name, colorize.detector)


def _denoise_radius(params: Any) -> int:
    return int(params["radius"]) if params["method"] in ("auto", "temporal") else 0


def _denoise_weights(params: Any) -> tuple[str, ...]:
    # What was submitted before there was a network names no weights, and goes on without.
    return DenoiseParams.model_validate({"weights": None, **params}).cards


def _upscale_weights(params: Any) -> tuple[str, ...]:
    return (params["weights"],) if params.get("method") == "network" else ()


_SHIPPED = (
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
        name="deflicker",
        summary="Evens out exposure that jumps from frame to frame.",
        params=DeflickerParams,
        order=3,
        reel_needs=frozenset({"exposure"}),
        c2pa_action="c2pa.color_adjustments",
        reference="Luma percentiles per frame, brought onto a line fitted to those of the frames around it in the "
        "shot.",
    ),
    StageSpec(
        name="denoise",
        summary="Takes out grain and noise: by a network, by non-local means in space, or along motion in time.",
        params=DenoiseParams,
        order=7,
        temporal_radius=_denoise_radius,
        weights=_denoise_weights,
        stills_only=lambda params: params["method"] == "auto",
        c2pa_action="c2pa.filtered",
        reference="Buades, Coll, Morel 2005 (non-local means); dense inverse search (Kroeger et al. 2016) for "
        "alignment; the network's own page.",
    ),
    StageSpec(
        name="colorize",
        summary="Gives colour to black-and-white pictures, by our own network or a published system.",
        params=ColorizeParams,
        order=11,
        weights=_colorizer_weights,
        makes_color=True,
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


def _in_working_order() -> list[StageSpec]:
    return sorted(with_outside(GROUP, StageSpec, _SHIPPED), key=lambda spec: (spec.order, spec.name))


STAGES: Mapping[str, StageSpec] = Catalog(_in_working_order)
"""All stages by name, in working order: the shipped ones and those of outside packages."""
