"""Runs a registered network on the pictures of an evaluation, and what it is compared with beside it.

 A colorizer colours the reference's own lightness, a denoiser is given its noisy copy,
an upscaler its small one. What a job has made already with the network is taken as it is, and judged the same way.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from db.catalog.architectures import ARCHITECTURES, ArchitectureSpec
from db.catalog.metrics import Task
from db.catalog.weights import Card, card
from db.errors import InputError, nearest
from workers import device as devices
from workers import models
from workers.models.checkpoints import registered
from workers.on_demand.evaluation.cases import Case, add_noise, match_channels, to_color
from workers.on_demand.evaluation.order import EvaluateOrder
from workers.on_demand.evaluation.references import Levels
from workers.ops import bicubic, lab, likeness
from workers.workbench import Workbench

TUNING_CASES = 4
"""References on which the strength of non-local means is chosen."""
_STRENGTHS = (0.5, 0.7, 0.85, 1.0, 1.2, 1.5)


@dataclass(frozen=True)
class CaseResult:
    """What became of one case."""

    case: Case
    """With a reference of the size that is compared."""
    picture: Levels
    beside: Mapping[str, Levels]
    """What it is compared with, by name: the grey picture, the bicubic one, the noisy one …"""


@dataclass(frozen=True)
class Run:
    """A way from cases to pictures, and what to know of it."""

    task: Task
    make: Callable[[Sequence[Case]], list[CaseResult]]
    notes: tuple[str, ...] = ()
    """Conventions that hold for all figures."""
    crop: int = 0
    """Pixels that measures of luma leave out at each side."""


Restore = Callable[[Sequence[Case], Callable[[], Tensor]], list[Levels]]
"""Makes pictures of cases, of planes ``(N, C, H, W)`` 0..1 that are made when they are asked for."""


def input_filler(order: EvaluateOrder) -> Callable[[Case], Case]:
    """Return what fills in the picture that the order's model is given, where a job can be given it too.

    Where an upscaler is given what is made of the reference, that is cut so that the scale divides it. A colorizer that
    is given nothing else takes the reference itself.

    Raises:
        InputError: The order cannot be followed.
    """
    if order.model is None:
        raise InputError("Name the model that a job shall run", code="BAD_PARAMETER")
    spec, weights_card = ARCHITECTURES[order.model.architecture], card(order.model.card)
    _options(order, spec, weights_card)
    return (lambda case: _with_small_input(case, weights_card.scale)) if spec.task == "upscaler" else lambda case: case


def open_run(order: EvaluateOrder, bench: Workbench, some: Callable[[], Iterable[Case]]) -> Run:
    """Return the run that an order asks for.

    Args:
        order: The order.
        bench: Where weights are fetched.
        some: The first cases, to tune a baseline on.

    Raises:
        InputError: The weights are gone or of a network that makes no pictures, or an option is refused.
    """
    if order.model is None:
        return Run("compare", _compare_finished)
    spec, weights_card = ARCHITECTURES[order.model.architecture], card(order.model.card)
    options = _options(order, spec, weights_card)
    restore = (
        _job_outputs
        if order.outputs is not None
        else _network_restorer(registered.network(order.model, bench), options)
    )
    if spec.task == "colorizer":
        return Run("colorizer", lambda cases: _colorize(restore, cases), _COLOR_NOTES)
    if spec.task == "denoiser":
        return _denoiser(restore, order, some)
    scale = weights_card.scale
    notes = (_GIVEN_NOTE if order.inputs else f"inputs: the references made {scale} times smaller by MATLAB's bicubic",)
    return Run("upscaler", lambda cases: _upscale(restore, cases, scale), notes, scale)


def _options(order: EvaluateOrder, spec: ArchitectureSpec, weights_card: Card) -> dict[str, Any]:
    """Return what the network is told, once it is sure that the order can be followed."""
    if spec.task not in {"colorizer", "denoiser", "upscaler"}:
        raise InputError(f"{weights_card.name} makes no pictures: it is a {spec.task}", code="BAD_PARAMETER")
    for name in order.options:
        if name not in spec.options:
            message = f"{spec.title} has no option {name!r:.40}.{nearest(name, spec.options)}"
            raise InputError(message, code="BAD_PARAMETER")
    options = {**dict(weights_card.defaults), **order.options}
    if spec.task != "denoiser":
        return options
    if order.noise is None and order.inputs is None:
        raise InputError("A denoiser is given noisy pictures", code="BAD_PARAMETER", remedy=_SAY_NOISE)
    if "sigma" in spec.options and "sigma" not in options:
        if order.noise is None:
            message = f"{spec.title} must be told the noise"
            raise InputError(message, code="BAD_PARAMETER", remedy="Add --option sigma=SHARE, of full scale.")
        options["sigma"] = order.noise / 255
    return options


_SAY_NOISE = "Say --noise SIGMA (of 255), or --inputs with noisy pictures."


_GIVEN_NOTE = "inputs: as given"
_COLOR_NOTES = (
    "inputs: the lightness of the references (CIE Lab); a and b of the network join it at its full size",
    "grey: the reference with a = b = 0",
)


# -- finished pictures


def _compare_finished(cases: Sequence[Case]) -> list[CaseResult]:
    results = []
    for case in cases:
        assert case.made is not None
        true, output = match_channels(case.id, case.true, case.made)
        beside = {"grey": likeness.gray(true)} if true.shape[2] == 3 else {}
        results.append(CaseResult(_with_reference(case, true), output, beside))
    return results


# -- colorizers


def _colorize(restore: Restore, cases: Sequence[Case]) -> list[CaseResult]:
    true = [to_color(case.true) for case in cases]
    inputs = [to_color(case.given) if case.given is not None else one for case, one in zip(cases, true, strict=True)]
    results = []
    for case, reference, picture in zip(cases, true, restore(cases, lambda: _to_planes(inputs)), strict=True):
        _, fitting = match_channels(case.id, reference, picture)
        results.append(CaseResult(_with_reference(case, reference), fitting, {"grey": likeness.gray(reference)}))
    return results


# -- upscalers


def _upscale(restore: Restore, cases: Sequence[Case], scale: int) -> list[CaseResult]:
    cases = [_with_small_input(case, scale) for case in cases]
    small = [case.given for case in cases if case.given is not None]
    results = []
    for case, small_input, picture in zip(cases, small, restore(cases, lambda: _to_planes(small)), strict=True):
        reference, picture = match_channels(case.id, _crop_to_output(case.id, case.true, picture), picture)
        plain = bicubic.bicubic_levels(small_input, scale)
        plain = plain if plain.shape[2] == reference.shape[2] else to_color(plain)
        results.append(CaseResult(_with_reference(case, reference), picture, {"bicubic": plain}))
    return results


def _with_small_input(case: Case, scale: int) -> Case:
    """Fill in the input where it is made of the reference, which is then cut so that the scale divides it."""
    if case.given is not None:
        return case
    height, width = (side - side % scale for side in case.true.shape[:2])
    if not height or not width:
        raise InputError(f"{case.id}: smaller than one pixel at 1/{scale}", code="SIZE_MISMATCH")
    true = np.ascontiguousarray(case.true[:height, :width])
    return replace(case, true=true, given=bicubic.bicubic_levels(true, 1 / scale))


def _crop_to_output(name: str, reference: Levels, picture: Levels) -> Levels:
    """Return the reference without the few rows and columns that its input had no pixel for."""
    height, width = picture.shape[:2]
    lacking = (reference.shape[0] - height, reference.shape[1] - width)
    return reference[:height, :width] if all(0 <= count < _MOST_CUT_PX for count in lacking) else reference


_MOST_CUT_PX = 8


# -- denoisers


def _denoiser(restore: Restore, order: EvaluateOrder, some: Callable[[], Iterable[Case]]) -> Run:
    level = order.noise or 0.0

    def noisy_input(case: Case) -> NDArray[np.float32]:
        return add_noise(case, level, order.seed) if case.given is None else case.given.astype(np.float32)

    strength = _tune_strength(list(itertools.islice(some(), TUNING_CASES)), noisy_input, level)
    notes = [_GIVEN_NOTE] if order.inputs else [_NOISE.format(level=level, seed=order.seed)]
    if strength:
        notes.append(f"nlm: OpenCV's fastNlMeansDenoising, h {strength:g}, best of {len(_STRENGTHS)} on {TUNING_CASES} "
                     "references, windows 7 and 21, noisy input rounded")  # fmt: skip
    return Run("denoiser", lambda cases: _denoise(restore, cases, noisy_input, strength), tuple(notes))


_NOISE = (
    "inputs: the references with Gaussian noise of sigma {level:g} (of 255), seed {seed} and the reference's id, "
    "neither clipped nor rounded"
)


def _denoise(
    restore: Restore, cases: Sequence[Case], make_input: Callable[[Case], NDArray[np.float32]], strength: float
) -> list[CaseResult]:
    inputs = [make_input(case) for case in cases]
    results = []
    for case, noisy_picture, picture in zip(cases, inputs, restore(cases, lambda: _to_planes(inputs)), strict=True):
        reference, picture = match_channels(case.id, case.true, picture)
        noisy_levels = _round_levels(noisy_picture)
        beside = {"noisy": noisy_levels}
        if strength:
            beside["nlm"] = _non_local_means(noisy_levels, strength)
        beside = {name: match_channels(case.id, reference, one)[1] for name, one in beside.items()}
        results.append(CaseResult(_with_reference(case, reference), picture, beside))
    return results


def _tune_strength(cases: Sequence[Case], make_input: Callable[[Case], NDArray[np.float32]], level: float) -> float:
    """Return the strength of non-local means that serves best; 0 where no level is known or nothing can be read."""
    if not level or not cases:
        return 0.0
    scores = {
        share * level: sum(
            likeness.psnr(_non_local_means(_round_levels(make_input(case)), share * level), case.true) for case in cases
        )
        for share in _STRENGTHS
    }
    return max(scores, key=lambda strength: scores[strength])


def _non_local_means(picture: Levels, strength: float) -> Levels:
    output = cv2.fastNlMeansDenoising(picture, None, strength, 7, 21)
    return np.asarray(output.reshape(picture.shape), np.uint8)


def _round_levels(picture: NDArray[np.float32]) -> Levels:
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)


# -- networks, or what they have made


def _network_restorer(network: nn.Module, options: Mapping[str, Any]) -> Restore:
    device = next(network.parameters()).device
    colorizes = ARCHITECTURES[str(network.architecture)].task == "colorizer"

    def restore(_: Sequence[Case], planes: Callable[[], Tensor]) -> list[Levels]:
        inputs = planes()
        with devices.translate_memory_errors():
            if not colorizes:
                return _to_levels(models.restore(network, inputs, **options).float().cpu())
            chroma = models.chroma(network, inputs.to(device), **options)
            return _to_levels(lab.merge_chroma(lab.lightness(inputs.to(device)), chroma.float().to(device)).cpu())

    return restore


def _job_outputs(cases: Sequence[Case], _: Callable[[], Tensor]) -> list[Levels]:
    return [case.made for case in cases if case.made is not None]


def _to_planes(pictures: Sequence[Levels | NDArray[np.float32]]) -> Tensor:
    return torch.stack([torch.from_numpy(picture.transpose(2, 0, 1).copy()).float() / 255 for picture in pictures])


def _to_levels(planes: Tensor) -> list[Levels]:
    return [likeness.levels(picture.permute(1, 2, 0).numpy()) for picture in planes]


def _with_reference(case: Case, true: Levels) -> Case:
    return case if true is case.true else replace(case, true=true)
