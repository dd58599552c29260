"""The stages: name, parameters, and what planning must know about each. Anybody may import this."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

GROUP = "reelwright.stages"
"""Entry points of this group name a ``StageSpec``; its ``module`` holds the code."""

ReelNeed = Literal["exposure"]
"""What a stage may need to know about the whole reel before it can restore a single frame."""


class StageParams(BaseModel):
    """Parameters that every stage has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strength: float = Field(
        1.0, ge=0, le=1, description="How much of the stage's change is kept; 0 leaves frames untouched."
    )
    shots: list[tuple[int, int]] | None = Field(
        None, description="Half-open frame ranges to which the stage is limited; none means the whole reel."
    )


class DenoiseParams(StageParams):
    """Parameters of ``denoise``."""

    method: Literal["auto", "spatial", "temporal"] = Field(
        "auto", description="`spatial` non-local means, `temporal` flow-aligned averaging; `auto`: temporal on reels."
    )
    sigma: float | None = Field(
        None, ge=0, le=0.5, description="Noise level as a share of full scale; none estimates it from the picture."
    )
    radius: int = Field(2, ge=1, le=4, description="Frames before and after that temporal averaging looks at.")


class DeflickerParams(StageParams):
    """Parameters of ``deflicker``."""

    window: int = Field(15, ge=3, le=121, description="Frames over which exposure is smoothed.")


class ColorEnhanceParams(StageParams):
    """Parameters of ``color_enhance``."""

    contrast: float = Field(0.5, ge=0, le=1, description="How far local contrast is raised.")
    saturation: float = Field(1.1, ge=0, le=3, description="Factor on colour; grey stays grey.")
    white_balance: float = Field(0.5, ge=0, le=1, description="How far a colour cast is taken out.")


class UpscaleParams(StageParams):
    """Parameters of ``upscale``."""

    scale: int = Field(2, ge=2, le=4, description="Factor on width and height.")
    method: Literal["lanczos"] = Field("lanczos", description="How new pixels are made.")


def _no_radius(params: Any) -> int:
    return 0


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
    makes_colour: bool = False
    """Whether a single-channel source comes out with colour."""
    source: str = ""
    """Paper or method that it follows."""

    @property
    def module_name(self) -> str:
        """The module that holds the stage's code."""
        return self.module or f"workers.stages.{self.name}"


def _denoise_radius(params: Any) -> int:
    return 0 if params["method"] == "spatial" else int(params["radius"])


_SHIPPED = (
    StageSpec(
        name="deflicker",
        summary="Evens out exposure that jumps from frame to frame.",
        params=DeflickerParams,
        order=3,
        reel_needs=frozenset({"exposure"}),
        source="Luma percentiles per frame, brought onto a line fitted to those of the frames around it in the shot.",
    ),
    StageSpec(
        name="denoise",
        summary="Takes out grain and noise, by non-local means in space or along motion in time.",
        params=DenoiseParams,
        order=7,
        temporal_radius=_denoise_radius,
        source="Buades, Coll, Morel 2005 (non-local means); dense inverse search (Kroeger et al. 2016) for alignment.",
    ),
    StageSpec(
        name="upscale",
        summary="Enlarges the picture.",
        params=UpscaleParams,
        order=14,
        scale=lambda params: int(params["scale"]),
        source="Sinc windowed by Lanczos, four lobes, held between the neighbours of each pixel.",
    ),
    StageSpec(
        name="color_enhance",
        summary="Raises contrast and colour and takes out a cast.",
        params=ColorEnhanceParams,
        order=15,
        reel_needs=frozenset({"exposure"}),
        source="CLAHE (Zuiderveld 1994) on BT.601 luma; grey-world cast of the whole shot; chroma scaled about luma.",
    ),
)


def _load() -> dict[str, StageSpec]:
    found = {spec.name: spec for spec in _SHIPPED}
    for point in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            spec = point.load()
        except Exception as error:  # an outside package must not take the house down with it
            logging.getLogger(__name__).warning(
                "stage %s of an outside package cannot be loaded: %s", point.name, error
            )
            continue
        if isinstance(spec, StageSpec) and spec.name == point.name and spec.name not in found:
            found[spec.name] = spec
    return dict(sorted(found.items(), key=lambda pair: (pair[1].order, pair[0])))


STAGES: Mapping[str, StageSpec] = _load()
"""All stages by name, in working order: the shipped ones and those of outside packages."""
