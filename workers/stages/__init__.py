"""Steps of a recipe, applied to frames.

A stage ``x`` is one entry in ``db.catalog.stages`` and one module ``x`` here with one public function::

    restore(window: Clip, start: int, stop: int, params: XParams, reel: Reel) -> Tensor (stop - start, C', H', W')

``window`` holds the frames that the result may depend on. A stage whose entry names weights is given their networks
behind that, in the entry's order. A stage that repairs parts of the picture gives ``Repaired``, frames and mask, and
nothing outside the mask comes out changed. What every stage shares (``strength``, ``shots``) is done here once.

A stage that says how many rows it looks at in a still is given stills in strips. If it must know something of the whole
picture besides, it has a second function::

    measure(picture: StillRows, params: XParams) -> Any

and ``restore`` finds that in ``window.memo.once(MEASURED, (number,), work)``; ``work`` is for whole frames.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import groupby
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from db.catalog.architectures import ARCHITECTURES
from db.catalog.stages import STAGES, ColorParams, Exemption, StageParams, StageSpec
from db.errors import InputError, WorkError
from db.recipe import Recipe, Step
from workers import device, profiles
from workers.frames import MEASURED, STILL, Clip, Memo, Reel, Repaired, StillRows
from workers.models.checkpoints import registered
from workers.ops import luma, planes
from workers.workbench import Workbench

_NETWORKS = threading.Lock()
"""One network computes at a time: two steps may share one, and a device does one thing at a time anyway."""


def apply(step: Step, window: Clip, start: int, stop: int, reel: Reel, bench: Workbench | None = None) -> torch.Tensor:
    """Return the frames that :func:`repair` gives."""
    return repair(step, window, start, stop, reel, bench)[0]


def repair(
    step: Step, window: Clip, start: int, stop: int, reel: Reel, bench: Workbench | None = None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return frames ``[start, stop)`` after one step, ``(stop - start, C', H', W')`` float32, and what was repaired.

    The mask is ``(stop - start, 1, H', W')`` bool; none of a step that changes whole frames, or has no effect.

    Args:
        step: Stage and parameters.
        window: At least the frames within the step's temporal radius of ``[start, stop)`` that the reel has.
        start: Absolute number of the first frame wanted.
        stop: Absolute number after the last.
        reel: What is known of the whole reel.
        bench: Where the step's weights are fetched; a step without weights needs none.

    Raises:
        InputError: ``MODEL_MISSING`` when the step's weights were not pinned, or as ``workers.models.load``.
        WorkError: ``NO_MODULE`` when this worker lacks the stage.
        OutOfMemoryError: The device was too small.
    """
    spec, params = _spec_and_params(step)
    if not step.has_effect:
        return window.part(start, stop).frames, None
    # A reel whose stage uses its network on stills alone needs none.
    uses_weights = _uses_weights(step, spec, reel.frame_count)
    with _NETWORKS if uses_weights else nullcontext(), device.translate_memory_errors():
        networks = _load_networks(step, spec, bench) if uses_weights else []
        parts = [
            _run_stage(spec, chosen, window, first, last, reel, networks)
            if chosen is not None
            else (_pass_through(window.part(first, last).frames, step), None)
            for chosen, first, last in _runs(params, start, stop, reel)
        ]
        frames = _join_frames([part for part, _ in parts])
    mask = _join_masks(parts) if spec.repairs else None
    return _exempt_regions(params, window.part(start, stop), frames, mask)


def context_of(source: Clip, steps: Sequence[Step], **fields: Any) -> Reel:
    """Return what stages may know about frames that are a whole reel; those of a still are one.

    The profile holds what the steps ask for.

    Args:
        source: All frames, from number 0.
        steps: What will be done to them.
        **fields: Fields of :class:`Reel` that the caller knows.
    """
    count = len(source.frames)
    known: dict[str, Any] = {"mono_source": source.frames.shape[1] == 1} | fields
    context = replace(STILL, frame_count=count, shots=((0, count),), **known)
    needs = Recipe(name="trial", steps=tuple(steps)).reel_needs
    if not needs:
        return context
    profile = profiles.profile_of(needs, [planes.from_frame(frame) for frame in source.frames])
    return replace(context, profile=profile, shots=profiles.shots(profile))


def still_context(mono_source: bool, **fields: Any) -> Reel:
    """Return what stages may know about a still that is restored in strips: they ask for no profile."""
    return replace(STILL, mono_source=mono_source, **fields)


def measure_still(step: Step, picture: StillRows, reel: Reel) -> Any:
    """Return what a step must know of a whole still before it is given strips of it; none where it need not."""
    spec, params = _spec_and_params(step)
    chosen = next(_runs(params, 0, 1, reel))[0] if step.has_effect else None
    measure = getattr(_module(spec), "measure", None)
    return measure(picture, chosen) if chosen is not None and measure is not None else None


def repair_strip(
    step: Step, strip: Clip, top: int, measured: Any, reel: Reel, bench: Workbench | None = None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return a strip of a still after one step, and what was repaired in it, as :func:`repair` does of whole pictures.

    Args:
        step: Stage and parameters; one that has a radius in stills.
        strip: Its rows, and those around that the wanted ones depend on.
        top: The picture's row that the strip begins with.
        measured: From :func:`measure_still`.
        reel: From :func:`still_context`.
        bench: As for :func:`repair`.
    """
    params = _spec_and_params(step)[1]
    memo = Memo()
    for each in params.in_force:
        memo.part(_memo_key(each)).once(MEASURED, (0,), lambda: measured)
    low, high = top, top + strip.frames.shape[-2]
    return repair(_cut_regions(step, low, high), replace(strip, memo=memo), 0, 1, reel, bench)


def _cut_regions(step: Step, low: int, high: int) -> Step:
    """Return a step for the rows ``[low, high)`` alone: what is exempt in them, counted from the first."""
    if all(each.region is None for each in step.exemptions):
        return step
    kept = []
    for each in step.exemptions:
        if each.region is not None:
            left, top, width, height = each.region
            first, last = max(top, low), min(top + height, high)
            if first >= last:
                continue
            each = each.model_copy(update={"region": (left, first - low, width, last - first)})
        kept.append(each.model_dump(mode="json"))
    return step.model_copy(update={"params": {**step.params, "exemptions": kept or None}})


def step_spans(
    steps: Sequence[Step], span: tuple[int, int], frame_count: int, cell_frames: int = 1
) -> list[tuple[int, int]]:
    """Return which frames each step must be given, in order, and at last the span itself; handles in whole cells."""
    ranges = [span]
    for step in reversed(steps):
        (start, stop), radius = ranges[0], temporal_radius(step)
        first, last = (start - radius) // cell_frames * cell_frames, -(-(stop + radius) // cell_frames) * cell_frames
        ranges.insert(0, (max(0, first), min(frame_count, last)))
    return ranges


def prepare(step: Step, bench: Workbench) -> None:
    """Load what the step needs beforehand; raises as :func:`apply`."""
    _load_networks(step, _spec_and_params(step)[0], bench)


def notes(recipe: Recipe, already_colored: bool, frame_count: int = 1) -> Iterator[str]:
    """Say what a person should know of the steps that ran with weights: whose colour it is, or that it was kept."""
    for step in recipe.steps:
        if not uses_networks(step, frame_count):
            continue
        if already_colored and step.params.get("already_colored") == "keep":
            yield f"ALREADY_COLOUR: the source has colours of its own; {step.stage} left them as they are."
            continue
        for pin in step.pins:
            digests = ", ".join(file.sha256 for file in pin.files)
            title = ARCHITECTURES[pin.architecture].title
            yield f"{step.stage} ran with {title}, weights {pin.card} (sha256 {digests})."


def uses_networks(step: Step, frame_count: int) -> bool:
    """Whether a step runs with weights on a reel of so many frames; a still has one."""
    return bool(step.cards()) and _uses_weights(step, STAGES[step.stage], frame_count)


def temporal_radius(step: Step) -> int:
    """Return how many frames before and after one output frame the step looks at."""
    _spec_and_params(step)
    return step.temporal_radius


def scale(step: Step) -> int:
    """Return the step's factor on width and height."""
    spec, params = _spec_and_params(step)
    return spec.scale(params.model_dump(mode="json")) if step.has_effect else 1


def _spec_and_params(step: Step) -> tuple[StageSpec, StageParams]:
    spec = STAGES.get(step.stage)
    if spec is None:
        raise WorkError(f"This worker knows no stage {step.stage!r}", code="NO_MODULE")
    return spec, spec.params.model_validate(step.params)


def _uses_weights(step: Step, spec: StageSpec, frame_count: int) -> bool:
    return frame_count == 1 or not spec.stills_only(step.params)


def _load_networks(step: Step, spec: StageSpec, bench: Workbench | None) -> list[nn.Module]:
    names = spec.weights(step.params)
    if names and (bench is None or len(step.pins) != len(names)):
        raise InputError(f"{step.stage}: the weights {', '.join(names)} are not pinned", code="MODEL_MISSING")
    return [registered.network(pin, bench) for pin in step.pins] if bench is not None else []


def _run_stage(
    spec: StageSpec, params: StageParams, window: Clip, start: int, stop: int, reel: Reel, networks: list[nn.Module]
) -> tuple[torch.Tensor, torch.Tensor | None]:
    module = _module(spec)
    window = replace(window, memo=window.memo.part(_memo_key(params)))
    if networks and reel.wide:
        given = _run_within_range(module.restore, window, start, stop, params, reel, networks)
    else:
        given = module.restore(window, start, stop, params, reel, *networks)
    result, mask = (given.frames, given.mask) if isinstance(given, Repaired) else (given, None)
    before = _resize(window.part(start, stop).frames, result.shape[-2:])
    if result.data_ptr() == before.data_ptr() and result.shape == before.shape:
        return before, mask
    if params.strength != 1:
        result = torch.lerp(before.expand_as(result), result, params.strength)
    if isinstance(params, ColorParams) and params.keep_luma and result.shape[1] == 3:
        result = luma.restore_luma(result, before, reel.luma_shares)
    if mask is None:
        return result, None
    # Most frames of most reels are whole: those come back as they are, without a copy.
    return (torch.where(mask, result, before) if mask.any() else before), mask


def _module(spec: StageSpec) -> ModuleType:
    try:
        return importlib.import_module(spec.module_name)
    except ModuleNotFoundError as error:
        raise WorkError(f"Stage {spec.name}: {error}", code="NO_MODULE") from error


def _memo_key(params: StageParams) -> str:
    """Name what is remembered by the parameters that it was computed with."""
    return params.model_dump_json(exclude={"exemptions"})


def _join_frames(parts: list[torch.Tensor]) -> torch.Tensor:
    channels = max(part.shape[1] for part in parts)
    return torch.cat([part.expand(-1, channels, -1, -1) for part in parts]) if len(parts) > 1 else parts[0]


def _join_masks(parts: list[tuple[torch.Tensor, torch.Tensor | None]]) -> torch.Tensor:
    """Return the masks of consecutive runs; where a run has none, it repaired nothing."""
    return torch.cat(
        [frames.new_zeros((len(frames), 1, *frames.shape[-2:]), dtype=torch.bool) if mask is None else mask
         for frames, mask in parts]
    )  # fmt: skip


def _run_within_range(
    restore: Any, window: Clip, start: int, stop: int, params: StageParams, reel: Reel, networks: list[nn.Module]
) -> torch.Tensor | Repaired:
    """Give networks what they know, pictures of 0..1, and add what lies above and below to what they make of it."""
    inside = window.with_frames(window.frames.clamp(0, 1))
    result: torch.Tensor | Repaired = restore(inside, start, stop, params, reel, *networks)
    frames = result.frames if isinstance(result, Repaired) else result
    excess = (window.frames - inside.frames)[start - window.start : stop - window.start]
    frames = frames + _resize(excess, frames.shape[-2:])
    return Repaired(frames, result.mask) if isinstance(result, Repaired) else frames


def _pass_through(frames: torch.Tensor, step: Step) -> torch.Tensor:
    factor = scale(step)
    return _resize(frames, torch.Size((frames.shape[-2] * factor, frames.shape[-1] * factor)))


def _resize(frames: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Bring untouched frames to the size of restored ones, so that a reel keeps one size."""
    if frames.shape[-2:] == size:
        return frames
    return functional.interpolate(frames, size=tuple(size), mode="bilinear", align_corners=False)


def _runs(params: StageParams, start: int, stop: int, reel: Reel) -> Iterator[tuple[StageParams | None, int, int]]:
    """Cut ``[start, stop)`` where other parameters come into force; none where the step leaves frames alone."""
    in_force = params.in_force

    def choose(number: int) -> int | None:
        if params.shots is not None and not any(first <= number < last for first, last in params.shots):
            return None
        if any(_covers(each, number) and each.region is None for each in params.exemptions or ()):
            return None
        variants = enumerate(params.variants or (), start=1)
        shot = reel.shots.index(reel.shot_of(number)) + 1 if params.variants else 0
        place = next((place for place, variant in variants if variant.is_for(number, shot)), 0)
        return place if in_force[place].strength else None

    for place, numbers in groupby(range(start, stop), key=choose):
        run = list(numbers)
        yield None if place is None else in_force[place], run[0], run[-1] + 1


def _covers(exemption: Exemption, number: int) -> bool:
    return exemption.frames is None or exemption.frames[0] <= number < exemption.frames[1]


def _exempt_regions(
    params: StageParams, before: Clip, frames: torch.Tensor, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Put back the pixels of regions in which the step was taken back."""
    regions = [each for each in params.exemptions or () if each.region is not None]
    if not regions:
        return frames, mask
    frames, mask = frames.clone(), None if mask is None else mask.clone()
    for place, number in enumerate(range(before.start, before.stop)):
        for left, top, width, height in (each.region for each in regions if each.region and _covers(each, number)):
            part = (place, slice(None), slice(top, top + height), slice(left, left + width))
            frames[part] = before.frames[part]
            if mask is not None:
                mask[part] = False
    return frames, mask
