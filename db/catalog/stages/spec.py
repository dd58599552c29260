"""What a stage is to planning, validation and the documentation, and the parameters that all have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from db.catalog.architectures import ARCHITECTURES, ArchitectureSpec
from db.catalog.weights import card

ReelNeed = Literal["cuts", "exposure", "motion", "sharpness", "dye", "grain"]
"""What a stage may need to know about the whole reel before it can restore a frame: kinds of ``workers.profiles``."""

_MOST_PIXELS = 10**6
"""Of a side of a region: far beyond any picture."""
_MOST_FRAMES = 10**9
AS_WRITTEN = "as written"
"""Context of a recipe that somebody writes. One in a job was taken before, by an earlier release perhaps."""


def _check_range(frames: tuple[int, int]) -> tuple[int, int]:
    if not 0 <= frames[0] < frames[1] <= _MOST_FRAMES:
        raise ValueError(f"frames are a half-open range such as [0, 48], up to {_MOST_FRAMES}")
    return frames


FrameRange = Annotated[tuple[int, int], AfterValidator(_check_range)]
"""Half-open, counted from 0."""


class Variant(BaseModel):
    """Other parameters for a part of a reel: `frames` or `shot`, and beside it what differs there."""

    model_config = ConfigDict(frozen=True, extra="allow")

    frames: FrameRange | None = Field(None, description="Half-open range of frame numbers.")
    shot: int | None = Field(None, ge=1, description="The n-th shot, counted from 1.")

    @model_validator(mode="after")
    def _check_place(self) -> Variant:
        if (self.frames is None) == (self.shot is None):
            raise ValueError("a variant is for `frames` or for a `shot`")
        if not self.model_extra:
            raise ValueError("a variant says beside its frames or shot what differs there")
        if named := sorted(self.model_extra.keys() & {"variants", "exemptions", "shots"}):
            raise ValueError(f"a variant has no {named[0]} of its own")
        return self

    def is_for(self, number: int, shot: int) -> bool:
        """Whether it is for a frame, which lies in the n-th shot, counted from 1."""
        return self.shot == shot if self.frames is None else self.frames[0] <= number < self.frames[1]


class Exemption(BaseModel):
    """Where a step is left out: its input stays as it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: FrameRange | None = None
    """Half-open range; none means all frames."""
    region: tuple[int, int, int, int] | None = None
    """Left, top, width and height in pixels of the picture; none means all of it."""

    @model_validator(mode="after")
    def _check_place(self) -> Exemption:
        if self.region is not None and not (min(self.region[:2]) >= 0 and min(self.region[2:]) > 0):
            raise ValueError("a region is left, top, width and height in pixels")
        if max(self.region or (0,)) > _MOST_PIXELS:
            raise ValueError(f"a region ends within {_MOST_PIXELS} pixels")
        return self


class StageParams(BaseModel):
    """Parameters that every stage has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    RENAMED: ClassVar[Mapping[str, str]] = {}
    """What parameters were called in the release before, and are called now; old names are read for one release."""
    USED_WITH: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {}
    """Parameters that do something only under some values of another one: that one's name, and the values."""

    strength: float = Field(
        1.0, ge=0, le=1, description="How much of the stage's change is kept; 0 leaves frames untouched."
    )
    shots: list[FrameRange] | None = Field(
        None,
        max_length=1000,
        description="Half-open frame ranges to which the stage is limited; none means the whole reel.",
    )
    variants: list[Variant] | None = Field(
        None,
        max_length=100,
        exclude_if=lambda variants: variants is None,
        description="Other parameters for a range of frames or for the n-th shot: `{frames: [0, 48], strength: 0.5}`, "
        "`{shot: 2, strength: 0}`. The first that fits a frame counts.",
    )

    exemptions: list[Exemption] | None = Field(
        None,
        max_length=1000,
        exclude_if=lambda exemptions: exemptions is None,
        description="Where the step is left out: `{frames: [100, 141]}`, `{region: [left, top, width, height]}`, both, "
        "or neither for all. `reelwright rerun --without` writes them.",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, values: Any) -> Any:
        return cls.rename(values) if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _check_variants(self, info: ValidationInfo) -> StageParams:
        for number, variant in enumerate(self.variants or (), start=1):
            try:
                idle = self.varied(variant).idle_names & self.rename(variant.model_extra or {}).keys()
                if idle and info.context == AS_WRITTEN:
                    raise ValueError(f"variant {number}: its method does not use {', '.join(sorted(idle))}")
            except ValidationError as error:
                first = error.errors()[0]
                field = ".".join(str(part) for part in first["loc"])
                raise ValueError(f"variant {number}, {field}: {first['msg'].removeprefix('Value error, ')}") from error
        return self

    @model_validator(mode="after")
    def _check_all_used(self, info: ValidationInfo) -> StageParams:
        """Refuse what would do nothing anywhere; of what a variant takes over, some may stand idle."""
        if info.context == AS_WRITTEN:
            idle = frozenset.intersection(*(each.idle_names for each in self.in_force))
            for name in sorted(idle):
                chooser = self.USED_WITH[name][0]
                raise ValueError(f"{chooser} {getattr(self, chooser)} does not use {name}")
        return self

    @property
    def idle_names(self) -> frozenset[str]:
        """Names of parameters that are given, other than by default or none, and do nothing under the others."""
        return frozenset(
            name
            for name, (chooser, values) in self.USED_WITH.items()
            if getattr(self, chooser) not in values
            and getattr(self, name) not in (None, type(self).model_fields[name].default)
        )

    def varied(self, variant: Variant) -> Self:
        """Return the parameters that are in force where a variant is."""
        values = {name: getattr(self, name) for name in self.model_fields_set - {"variants", "exemptions"}}
        return type(self).model_validate(values | self.rename(variant.model_extra or {}))

    @property
    def in_force(self) -> tuple[Self, ...]:
        """All parameters that may be in force somewhere: these, and those of each variant."""
        return (self, *(self.varied(variant) for variant in self.variants or ()))

    @classmethod
    def rename(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters under the names of today."""
        return {cls.RENAMED.get(name, name): value for name, value in values.items()}


class ColorParams(StageParams):
    """Parameters of stages that are about colour."""

    keep_luma: bool = Field(
        False, description="Put the luma of what the step was given back, to the last code value; only colour changes."
    )


def check_task(weights: str, task: str, otherwise: str) -> ArchitectureSpec:
    """Return what is known of the network of some weights; a ``ValueError`` says that it is for another task."""
    spec = ARCHITECTURES[card(weights).architecture]
    if spec.task != task:
        raise ValueError(f"{weights} {otherwise}: it is one of the {spec.task}s")
    return spec


def _no_radius(params: Any) -> int:
    return 0


def _no_weights(params: Any) -> tuple[str, ...]:
    return ()


def _never(params: Any) -> bool:
    return False


def _same_size(params: Any) -> int:
    return 1


def _whole_still(params: Any, is_marked: bool) -> int | None:
    return None


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
    still_radius: Callable[[Any, bool], int | None] = _whole_still
    """Rows above and below that a row of a still depends on, from the parameters and whether the manifest marks damage;
    none where that is the whole picture. Where it is a number, stills are restored in strips, and the stage is told
    nothing of a profile: what it must know of the whole picture its module's ``measure`` says."""
    reel_needs: frozenset[ReelNeed] = frozenset()
    """What must be known of the whole reel first; anything here brings in ``inspect`` and ``merge`` tasks."""
    weights: Callable[[Any], tuple[str, ...]] = _no_weights
    """Cards of the weights that it runs with, from the parameters."""
    stills_only: Callable[[Any], bool] = _never
    """Whether it uses its weights on stills alone, from the parameters."""
    repairs: bool = False
    """Whether it repairs parts of the picture, and says with a mask which."""
    makes_color: bool = False
    """Whether a single-channel source comes out with colour."""
    lists_places: bool = False
    """Whether the report names the places of a still that it repaired one by one, and how much each changed."""
    when_unchanged: str = ""
    """What a person is told where it changed nothing of an item: why that may be. Empty says nothing."""
    when_still_unchanged: str = ""
    """What is said of a still besides."""
    invents: str = ""
    """What a network of it invents, for the marks of outputs: ``colour``, ``faces``, ``parts``; empty for nothing."""
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
