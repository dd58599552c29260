"""Recipes: ordered steps of restoration, read, checked and fingerprinted."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from db import documents
from db.beneath import read_small
from db.blob import Blob, Rational, Record
from db.bounds import ScoreBound
from db.catalog import stages
from db.catalog.metrics import METRICS
from db.catalog.stages import Exemption
from db.errors import InputError, RecipeError, nearest

DEFAULT = "conservation"
OUTPUTS = ("master", "access", "scores")
"""What is made unless a recipe says otherwise."""
ALL_OUTPUTS = (*OUTPUTS, "sequence", "masks")
"""What can be asked for; ``sequence`` writes an image sequence again as the kind that it is, ``masks`` shows what was
repaired."""
FIELDS = ("recipe", "outputs", "bad_frames", "master", "access", "gates", "name", "description")
MAX_STEPS = 64
MAX_GATES = 64
MAX_SCALE = 16
"""How many times as wide and high a recipe may make a picture: two networks of the largest factor in a row."""
MAX_CHARS = 1 << 16
"""A text of more is no recipe: one with a thousand exemptions has as many."""
_MAX_VALUES = 20_000
_CHROMA = ("source", "full")
ACCESS_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip
"""How much x264 tries, from the least to the most."""
ACCESS_PRESET, ACCESS_CRF = "faster", 18.0
"""Of access copies, unless a recipe says otherwise."""
_MOST_CRF = 51
_ACCESS_FIELDS = ("fps", "preset", "crf")
_LEAST_FPS, _MOST_FPS = 1, 120
_RATE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,17})?|[0-9]{1,9}/[0-9]{1,9}")
"""Looked at before a number is made of it: ``Fraction("1e99999999")`` would count for hours."""


class PinnedFile(Blob):
    """One registered file of weights, in the store."""

    networks: tuple[str, ...] = ()
    """The system's networks that it holds; empty for a system of one."""


class Pin(Record):
    """The registered weights that a step runs with, fixed when its job is submitted."""

    card: str
    """Name of the weights."""
    architecture: str
    build: str
    """What ``workers.models.build`` calls the network."""
    files: tuple[PinnedFile, ...]


class Step(BaseModel):
    """One stage with its parameters, complete: defaults are written out, so a later default changes no old job."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    params: dict[str, Any] = Field(default_factory=dict)
    pins: tuple[Pin, ...] = Field((), exclude_if=lambda pins: not pins)
    """In the order in which the stage's entry names its weights; empty until the job is submitted."""

    @model_validator(mode="after")
    def _rename_params(self) -> Step:
        """Bring steps that were stored by the release before to the names of today."""
        spec = stages.STAGES.get(self.stage)
        if spec is not None and not self.params.keys().isdisjoint(spec.params.RENAMED):
            object.__setattr__(self, "params", spec.params.rename(self.params))
        return self

    @property
    def has_effect(self) -> bool:
        """Whether the step may change anything."""
        variants = self.params.get("variants") or ()
        strengths = (values.get("strength", self.params.get("strength", 1)) for values in variants)
        return bool(self.params.get("strength", 1)) or any(strengths)

    @property
    def scale(self) -> int:
        """How many times as wide and high the step makes a picture."""
        spec = stages.STAGES.get(self.stage)
        return spec.scale(self.params) if spec is not None and self.has_effect else 1

    @property
    def exemptions(self) -> tuple[Exemption, ...]:
        """Where the step is left out."""
        return tuple(Exemption.model_validate(each) for each in self.params.get("exemptions") or ())

    @property
    def temporal_radius(self) -> int:
        """Frames before and after one output frame that the step looks at: the most that it may anywhere."""
        spec = stages.STAGES.get(self.stage)
        if spec is None or not self.has_effect:
            return 0
        params = spec.params.model_validate(self.params)
        return max(
            (spec.temporal_radius(each.model_dump(mode="json")) for each in params.in_force if each.strength), default=0
        )

    def still_radius(self, is_marked: bool) -> int | None:
        """Rows above and below that a row of a still depends on, the most anywhere; none for the whole picture."""
        spec = stages.STAGES.get(self.stage)
        if spec is None or not self.has_effect:
            return None if spec is None else 0
        params = spec.params.model_validate(self.params)
        radii = [
            spec.still_radius(each.model_dump(mode="json"), is_marked) for each in params.in_force if each.strength
        ]
        return None if None in radii else max((radius for radius in radii if radius is not None), default=0)

    def cards(self) -> tuple[str, ...]:
        """Names of the weights that the step needs; none when it has no effect."""
        spec = stages.STAGES.get(self.stage)
        return spec.weights(self.params) if spec and self.has_effect else ()


class Recipe(BaseModel):
    """Ordered steps and the outputs that are wanted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    steps: tuple[Step, ...]
    outputs: tuple[str, ...] = OUTPUTS
    bad_frames: Literal["hold", "black", "fail"] = "hold"
    """What stands in for a frame that kills the worker's process; ``fail`` puts the whole item in quarantine."""
    chroma: Literal["source", "full"] = Field("source", exclude_if=lambda chroma: chroma == "source")
    """Whether the master of a YUV reel keeps the source's thinned out chroma, or gets a sample for every pixel."""
    access_fps: Rational | None = Field(None, exclude_if=lambda fps: fps is None)
    """Frames per second of access copies, made between the master's; none keeps the reel's own."""
    access_preset: str = Field(ACCESS_PRESET, exclude_if=lambda preset: preset == ACCESS_PRESET)
    """How much x264 tries to make access copies small: one of :data:`ACCESS_PRESETS`."""
    access_crf: float = Field(ACCESS_CRF, exclude_if=lambda crf: crf == ACCESS_CRF)
    """What x264 may lose in access copies, 0 to 51 in halves; below 1 it loses nothing."""
    gates: tuple[ScoreBound, ...] = Field((), exclude_if=lambda gates: not gates)
    """What frames, or whole reels, are asked for; a person looks at those that do not meet it."""

    @property
    def has_effect(self) -> bool:
        """Whether any step may change anything."""
        return any(step.has_effect for step in self.steps)

    @property
    def scale(self) -> int:
        """How many times as wide and high the pictures come out."""
        return math.prod(step.scale for step in self.steps)

    def still_radii(self, is_marked: bool) -> tuple[int, ...] | None:
        """Rows that each step looks at above and below in a still; none where one looks at the whole picture."""
        radii = [step.still_radius(is_marked) for step in self.steps]
        known = tuple(radius for radius in radii if radius is not None)
        return known if len(known) == len(radii) else None

    @property
    def needs_weights(self) -> bool:
        """Whether any step runs a network."""
        return any(step.cards() for step in self.steps)

    @property
    def reel_needs(self) -> frozenset[str]:
        """What must be known of a whole reel first: kinds of ``workers.profiles``; a window in time implies cuts."""
        needs: set[str] = set()
        for step in self.steps:
            spec = stages.STAGES.get(step.stage)
            if spec is not None and step.has_effect and not spec.done_by_probe:
                needs |= spec.reel_needs
                by_shot = any(variant.get("shot") for variant in step.params.get("variants") or ())
                if step.temporal_radius > 0 or by_shot:
                    needs.add("cuts")
        if self.access_fps is not None:
            needs.add("cuts")
        return frozenset(needs | {"cuts"}) if needs else frozenset()

    def document(self) -> dict[str, Any]:
        """Return the recipe as :func:`from_document` takes it; fields that say nothing are left out."""
        document: dict[str, Any] = {"recipe": [{step.stage: step.params} for step in self.steps]}
        document |= {"outputs": list(self.outputs), "bad_frames": self.bad_frames}
        document |= {"master": {"chroma": self.chroma}} if self.chroma != "source" else {}
        access: dict[str, Any] = {"fps": str(self.access_fps)} if self.access_fps else {}
        access |= {"preset": self.access_preset} if self.access_preset != ACCESS_PRESET else {}
        access |= {"crf": self.access_crf} if self.access_crf != ACCESS_CRF else {}
        document |= {"access": access} if access else {}
        conditions: dict[str, list[str]] = {}
        for gate in self.gates:
            conditions.setdefault(gate.metric, []).append(gate.condition)
        return document | ({"gates": conditions} if conditions else {})

    def fingerprint(self) -> str:
        """Sha256 hex digest over steps, outputs and gates in one canonical spelling; the name does not count.

        Gates change no pixel, but what is asked of the result: a job with others is another job, not answered by one
        that was judged by these. A recipe without gates has the digest that it had before there were any.
        """
        text = json.dumps(self.model_dump(mode="json", exclude={"name"}), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def parse(text: str, name: str) -> Recipe:
    """Read a recipe from YAML (or JSON, which is YAML).

    Args:
        text: Either a list of steps or a mapping with ``recipe`` and, if wanted, ``outputs``.
        name: What to call it.

    Raises:
        RecipeError: With the step's number and, for an unknown name, the nearest known one.
    """
    try:
        if len(text) > MAX_CHARS:
            raise documents.DocumentError(f"it has more than {MAX_CHARS} characters")
        document = documents.from_text(text)
    except (documents.DocumentError, documents.BrokenDocument) as error:
        raise RecipeError(f"Recipe {name}: {_one_line(error)}") from error
    return from_document(document, name)


def from_document(document: Any, name: str) -> Recipe:
    """Check an already read document; see :func:`parse`."""
    outputs: Any = list(OUTPUTS)
    bad_frames: Any = "hold"
    master: Any = {}
    access: Any = {}
    gates: Any = {}
    try:
        documents.check_extent(document, _MAX_VALUES)
    except documents.DocumentError as error:
        raise RecipeError(f"Recipe {name}: {error}") from error
    if isinstance(document, dict):
        if "recipe" not in document:
            raise RecipeError(f"Recipe {name}: there is no `recipe:` in it")
        for field in document:
            if field not in FIELDS:
                raise RecipeError(f"Recipe {name}: no field {str(field)!r:.60}.{nearest(str(field), FIELDS)}")
        outputs, bad_frames = document.get("outputs", outputs), document.get("bad_frames", bad_frames)
        master, access = document.get("master", master), document.get("access", access)
        gates = document.get("gates", gates)
        document = document["recipe"]
    if document is None:  # an empty file is a mistake; a recipe of no steps says so, as `[]`
        raise RecipeError(f"Recipe {name}: there is nothing in it; a recipe without steps is written `[]`")
    if not isinstance(document, list) or len(document) > MAX_STEPS:
        raise RecipeError(f"Recipe {name}: expected a list of at most {MAX_STEPS} steps")
    steps = tuple(_step(entry, number, name) for number, entry in enumerate(document, start=1))
    _check_order(steps, name)
    _check_scale(steps, name)
    if bad_frames not in ("hold", "black", "fail"):
        raise _bad_field(f"Recipe {name}: bad_frames must be hold, black or fail")
    return Recipe(
        name=name, steps=steps, outputs=_outputs(outputs, name), bad_frames=bad_frames,
        chroma=_master_chroma(master, name), gates=tuple(_gates(gates, name)), **_access_copy(access, name),
    )  # fmt: skip


def resolve(name_or_path: str) -> Recipe:
    """Find a recipe by its shipped name or by the path of a YAML file.

    Raises:
        RecipeError: There is no such name or file, or the recipe is wrong.
    """
    if name_or_path in names():
        resource = resources.files("db").joinpath("recipes", f"{name_or_path}.yaml")
        return parse(resource.read_text(encoding="utf-8"), name_or_path)
    path = Path(name_or_path)
    try:
        if path.suffix in {".yaml", ".yml", ".json"} or path.exists():
            return parse(read_small(path, 4 * MAX_CHARS).decode(), path.stem)
    except (OSError, ValueError) as error:
        raise RecipeError(f"Recipe {name_or_path!r:.300}: {_one_line(error)}") from error
    raise RecipeError(f"No recipe {name_or_path!r:.300}.{nearest(name_or_path, names())}", code="UNKNOWN_RECIPE")


def with_step(recipe: Recipe, stage: str) -> Recipe:
    """Return the recipe with a step of a stage, at its place in the working order, unless it has one."""
    if any(step.stage == stage for step in recipe.steps):
        return recipe
    order = stages.STAGES[stage].order
    place = next(
        (number for number, step in enumerate(recipe.steps) if stages.STAGES[step.stage].order > order),
        len(recipe.steps),
    )
    steps = (*recipe.steps[:place], _step(stage, place + 1, recipe.name), *recipe.steps[place:])
    return recipe.model_copy(update={"steps": steps})


def names() -> list[str]:
    """Names of the recipes that ship with Reelwright."""
    folder = resources.files("db").joinpath("recipes")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def under_its_name(recipe: Recipe) -> Recipe:
    """Return a shipped recipe in place of one that says the same under another name, as texts on pages do; else it."""
    shipped = (resolve(name) for name in names())
    return next((each for each in shipped if each.fingerprint() == recipe.fingerprint()), recipe)


def _step(entry: Any, number: int, name: str) -> Step:
    where = f"Recipe {name}, step {number}"
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, dict) or len(entry) != 1:
        raise RecipeError(f"{where}: expected `stage: {{parameters}}`, found {entry!r:.80}")
    stage, params = next(iter(entry.items()))
    spec = stages.STAGES.get(str(stage))
    if spec is None:
        raise RecipeError(f"{where}: no stage {stage!r:.60}.{nearest(str(stage), stages.STAGES)}", code="UNKNOWN_STAGE")
    if params is not None and not isinstance(params, dict):
        raise RecipeError(f"{where}: the parameters of {stage} must be a mapping", code="BAD_PARAMETER")
    try:
        parameters = spec.params.model_validate(params or {}, context=stages.AS_WRITTEN)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        hint = nearest(field, spec.params.model_fields) if first["type"] == "extra_forbidden" else ""
        fault = f"{stage}{'.' if field else ''}{field}: {first['msg'].removeprefix('Value error, ')}.{hint}"
        raise RecipeError(f"{where}: {fault}", code="BAD_PARAMETER") from error
    except InputError as error:
        raise RecipeError(f"{where}: {stage}: {error.message}", code=error.code, remedy=error.remedy) from error
    step = Step(stage=str(stage), params=parameters.model_dump(mode="json"))
    _check_variants(step, spec, parameters, where)
    _check_exemptions(step, spec, where)
    return step


def _check_variants(step: Step, spec: stages.StageSpec, params: stages.StageParams, where: str) -> None:
    """Refuse variants that would change what holds for a whole reel: its size, and the weights that it is run with."""
    for number, varied in enumerate(params.in_force[1:], start=1):
        values = varied.model_dump(mode="json")
        if spec.done_by_probe or spec.scale(values) != spec.scale(step.params):
            fault = f"{spec.name}, variant {number}: it is done to a whole reel in one way"
        elif not set(spec.weights(values)) <= set(spec.weights(step.params)):
            fault = f"{spec.name}, variant {number}: it runs with other weights than the step"
        else:
            continue
        raise RecipeError(f"{where}: {fault}.", code="BAD_PARAMETER")


def _check_exemptions(step: Step, spec: stages.StageSpec, where: str) -> None:
    """Refuse exemptions that cannot be kept: of what is done to a whole reel, and regions of what enlarges."""
    if step.exemptions and spec.done_by_probe:
        fault = "it is done to a whole reel, and cannot be left out of a part"
    elif spec.scale(step.params) != 1 and any(each.region for each in step.exemptions):
        fault = "it enlarges, and cannot be left out in a region"
    else:
        return
    raise RecipeError(f"{where}: {spec.name}, exemptions: {fault}.", code="BAD_PARAMETER")


def _check_order(steps: tuple[Step, ...], name: str) -> None:
    whole = [stages.STAGES[step.stage].done_by_probe for step in steps]
    for number, step in enumerate(steps, start=1):
        if whole[number - 1] and (number > 1):
            before = "must be the first step" if not whole[number - 2] else "stands twice"
            raise RecipeError(f"Recipe {name}, step {number}: {step.stage} {before}", code="BAD_PARAMETER")


def _check_scale(steps: tuple[Step, ...], name: str) -> None:
    scale = 1
    for number, step in enumerate(steps, start=1):
        scale *= step.scale
        if scale > MAX_SCALE:
            fault = f"with {step.stage} pictures become {scale} times as wide; at most {MAX_SCALE} times is made"
            raise RecipeError(f"Recipe {name}, step {number}: {fault}", code="BAD_PARAMETER")


def _master_chroma(value: Any, name: str) -> Literal["source", "full"]:
    if not isinstance(value, dict) or not value.keys() <= {"chroma"} or value.get("chroma") not in (None, *_CHROMA):
        raise _bad_field(f"Recipe {name}: master takes `chroma: source` or `chroma: full`, not {value!r:.80}")
    return "full" if value.get("chroma") == "full" else "source"


def _access_copy(value: Any, name: str) -> dict[str, Any]:
    """Read ``access: {fps: 24, preset: fast, crf: 20}``, each where it is given, into the recipe's fields."""
    if not isinstance(value, dict) or not value.keys() <= set(_ACCESS_FIELDS):
        fault = f"access takes `fps: 24`, `preset: fast` and `crf: 20`, not {value!r:.80}"
        raise _bad_field(f"Recipe {name}: {fault}")
    readers = {"fps": _access_rate, "preset": _access_preset, "crf": _access_crf}
    return {f"access_{field}": readers[field](given, name) for field, given in value.items()}


def _access_rate(value: Any, name: str) -> Fraction:
    """Read a number or a ratio such as 24000/1001."""
    try:
        if not _RATE.fullmatch(str(value)):
            raise ValueError(value)
        rate = Fraction(str(value)).limit_denominator(1001)
    except (ValueError, ZeroDivisionError) as error:
        raise _bad_field(f"Recipe {name}: access takes `fps: 24`, not {value!r:.80}") from error
    if not _LEAST_FPS <= rate <= _MOST_FPS:
        fault = f"{rate} frames per second are not between {_LEAST_FPS} and {_MOST_FPS}"
        raise _bad_field(f"Recipe {name}: access: {fault}")
    return rate


def _access_preset(value: Any, name: str) -> str:
    if value not in ACCESS_PRESETS:
        fault = f"access: no preset {value!r:.60}.{nearest(str(value), ACCESS_PRESETS)}"
        raise _bad_field(f"Recipe {name}: {fault}")
    return str(value)


def _access_crf(value: Any, name: str) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _MOST_CRF or value * 2 % 1:
        fault = f"access: crf must be 0 to {_MOST_CRF} in halves, not {value!r:.60}"
        raise _bad_field(f"Recipe {name}: {fault}")
    return float(value)


def _gates(value: Any, name: str) -> Iterator[ScoreBound]:
    """Read ``gates: {luma_psnr: ">= 30"}``; a metric may have several, as a list."""
    rows = value.items() if isinstance(value, dict) else None
    if rows is None or sum(len(each) if isinstance(each, list) else 1 for _, each in rows) > MAX_GATES:
        raise _bad_field(
            f'Recipe {name}: gates must name at most {MAX_GATES} scores and bounds, such as `luma_psnr: ">= 30"`'
        )
    known = [metric for metric, spec in METRICS.items() if spec.in_jobs]
    for metric, conditions in rows:
        if metric not in known:
            fault = f"jobs take no score {str(metric)!r:.60}.{nearest(str(metric), known)}"
            raise RecipeError(f"Recipe {name}, gates: {fault}", code="UNKNOWN_METRIC")
        for condition in conditions if isinstance(conditions, list) else [conditions]:
            try:
                yield ScoreBound.parse(f"{metric} {condition}")
            except InputError as error:
                raise _bad_field(f"Recipe {name}, gates: {error.message}") from error


def _outputs(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise RecipeError(f"Recipe {name}: outputs must be a list of names")
    for entry in value:
        if entry not in ALL_OUTPUTS:
            raise _bad_field(f"Recipe {name}: no output {entry!r:.60}.{nearest(entry, ALL_OUTPUTS)}")
    # A master is what everything else is made from, so it is always among the outputs.
    return tuple(entry for entry in ALL_OUTPUTS if entry in value or entry == "master")


def _bad_field(message: str) -> RecipeError:
    """Name a fault outside the steps, of which no stage's page says anything."""
    return RecipeError(message, code="BAD_PARAMETER", remedy="Correct it; docs/recipes says what a recipe holds.")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
