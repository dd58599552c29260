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
from db.catalog.measures import Task
from db.catalog.weights import Card, card
from db.errors import InputError, nearest
from workers import device as devices
from workers import models
from workers.models.checkpoints import registered
from workers.on_demand.evaluation.cases import Case, alike, colour, noisy
from workers.on_demand.evaluation.measures import likeness, resample
from workers.on_demand.evaluation.order import Order
from workers.on_demand.evaluation.references import Levels
from workers.ops import lab
from workers.workbench import Workbench

TUNED_ON = 4
"""References on which the strength of non-local means is chosen."""
_STRENGTHS = (0.5, 0.7, 0.85, 1.0, 1.2, 1.5)


@dataclass(frozen=True)
class Made:
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
    make: Callable[[Sequence[Case]], list[Made]]
    notes: tuple[str, ...] = ()
    """Conventions that hold for all figures."""
    crop: int = 0
    """Pixels that measures of luma leave out at each side."""


Restore = Callable[[Sequence[Case], Callable[[], Tensor]], list[Levels]]
"""Makes pictures of cases, of planes ``(N, C, H, W)`` 0..1 that are made when they are asked for."""


def given(order: Order) -> Callable[[Case], Case]:
    """Return what fills in the picture that the order's model is given, where a job can be given it too.

    Where an upscaler is given what is made of the reference, that is cut so that the scale divides it. A colorizer that
    is given nothing else takes the reference itself.

    Raises:
        InputError: The order cannot be followed.
    """
    if order.model is None:
        raise InputError("Name the model that a job shall run", code="BAD_PARAMETER")
    spec, chosen = ARCHITECTURES[order.model.architecture], card(order.model.card)
    _options(order, spec, chosen)
    return (lambda case: _small(case, chosen.scale)) if spec.task == "upscaler" else lambda case: case


def opened(order: Order, bench: Workbench, some: Callable[[], Iterable[Case]]) -> Run:
    """Return the run that an order asks for.

    Args:
        order: The order.
        bench: Where weights are fetched.
        some: The first cases, to tune a baseline on.

    Raises:
        InputError: The weights are gone or of a network that makes no pictures, or an option is refused.
    """
    if order.model is None:
        return Run("compare", _compared)
    spec, chosen = ARCHITECTURES[order.model.architecture], card(order.model.card)
    options = _options(order, spec, chosen)
    restore = _finished if order.outputs is not None else _by(registered.network(order.model, bench), options)
    if spec.task == "colorizer":
        return Run("colorizer", lambda cases: _coloured(restore, cases), _COLOUR_NOTES)
    if spec.task == "denoiser":
        return _denoiser(restore, order, some)
    scale = chosen.scale
    notes = (_GIVEN if order.inputs else f"inputs: the references made {scale} times smaller by MATLAB's bicubic",)
    return Run("upscaler", lambda cases: _enlarged(restore, cases, scale), notes, scale)


def _options(order: Order, spec: ArchitectureSpec, chosen: Card) -> dict[str, Any]:
    """Return what the network is told, once it is sure that the order can be followed."""
    if spec.task not in {"colorizer", "denoiser", "upscaler"}:
        raise InputError(f"{chosen.name} makes no pictures: it is a {spec.task}", code="BAD_PARAMETER")
    for name in order.options:
        if name not in spec.options:
            message = f"{spec.title} has no option {name!r:.40}.{nearest(name, spec.options)}"
            raise InputError(message, code="BAD_PARAMETER")
    options = {**dict(chosen.defaults), **order.options}
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


_GIVEN = "inputs: as given"
_COLOUR_NOTES = (
    "inputs: the lightness of the references (CIE Lab); a and b of the network join it at its full size",
    "grey: the reference with a = b = 0",
)


# -- finished pictures


def _compared(cases: Sequence[Case]) -> list[Made]:
    made = []
    for case in cases:
        assert case.made is not None
        true, finished = alike(case.id, case.true, case.made)
        beside = {"grey": likeness.grey(true)} if true.shape[2] == 3 else {}
        made.append(Made(_with(case, true), finished, beside))
    return made


# -- colorizers


def _coloured(restore: Restore, cases: Sequence[Case]) -> list[Made]:
    true = [colour(case.true) for case in cases]
    seen = [colour(case.given) if case.given is not None else one for case, one in zip(cases, true, strict=True)]
    found = []
    for case, reference, picture in zip(cases, true, restore(cases, lambda: _planes(seen)), strict=True):
        _, fitting = alike(case.id, reference, picture)
        found.append(Made(_with(case, reference), fitting, {"grey": likeness.grey(reference)}))
    return found


# -- upscalers


def _enlarged(restore: Restore, cases: Sequence[Case], scale: int) -> list[Made]:
    cases = [_small(case, scale) for case in cases]
    small = [case.given for case in cases if case.given is not None]
    found = []
    for case, seen, picture in zip(cases, small, restore(cases, lambda: _planes(small)), strict=True):
        reference, picture = alike(case.id, _cut(case.id, case.true, picture), picture)
        plain = resample.bicubic_levels(seen, scale)
        plain = plain if plain.shape[2] == reference.shape[2] else colour(plain)
        found.append(Made(_with(case, reference), picture, {"bicubic": plain}))
    return found


def _small(case: Case, scale: int) -> Case:
    """Fill in the input where it is made of the reference, which is then cut so that the scale divides it."""
    if case.given is not None:
        return case
    height, width = (side - side % scale for side in case.true.shape[:2])
    if not height or not width:
        raise InputError(f"{case.id}: smaller than one pixel at 1/{scale}", code="SIZE_MISMATCH")
    true = np.ascontiguousarray(case.true[:height, :width])
    return replace(case, true=true, given=resample.bicubic_levels(true, 1 / scale))


def _cut(name: str, reference: Levels, picture: Levels) -> Levels:
    """Return the reference without the few rows and columns that its input had no pixel for."""
    height, width = picture.shape[:2]
    lacking = (reference.shape[0] - height, reference.shape[1] - width)
    return reference[:height, :width] if all(0 <= count < _MOST_CUT_PX for count in lacking) else reference


_MOST_CUT_PX = 8


# -- denoisers


def _denoiser(restore: Restore, order: Order, some: Callable[[], Iterable[Case]]) -> Run:
    level = order.noise or 0.0

    def given(case: Case) -> NDArray[np.float32]:
        return noisy(case, level, order.seed) if case.given is None else case.given.astype(np.float32)

    strength = _tuned(list(itertools.islice(some(), TUNED_ON)), given, level)
    notes = [_GIVEN] if order.inputs else [_NOISE.format(level=level, seed=order.seed)]
    if strength:
        notes.append(f"nlm: OpenCV's fastNlMeansDenoising, h {strength:g}, best of {len(_STRENGTHS)} on {TUNED_ON} "
                     "references, windows 7 and 21, noisy input rounded")  # fmt: skip
    return Run("denoiser", lambda cases: _cleaned(restore, cases, given, strength), tuple(notes))


_NOISE = (
    "inputs: the references with Gaussian noise of sigma {level:g} (of 255), seed {seed} and the reference's id, "
    "neither clipped nor rounded"
)


def _cleaned(
    restore: Restore, cases: Sequence[Case], given: Callable[[Case], NDArray[np.float32]], strength: float
) -> list[Made]:
    inputs = [given(case) for case in cases]
    found = []
    for case, seen, picture in zip(cases, inputs, restore(cases, lambda: _planes(inputs)), strict=True):
        reference, picture = alike(case.id, case.true, picture)
        rounded = _rounded(seen)
        beside = {"noisy": rounded}
        if strength:
            beside["nlm"] = _non_local(rounded, strength)
        beside = {name: alike(case.id, reference, one)[1] for name, one in beside.items()}
        found.append(Made(_with(case, reference), picture, beside))
    return found


def _tuned(cases: Sequence[Case], given: Callable[[Case], NDArray[np.float32]], level: float) -> float:
    """Return the strength of non-local means that serves best; 0 where no level is known or nothing can be read."""
    if not level or not cases:
        return 0.0
    scores = {
        share * level: sum(likeness.psnr(_non_local(_rounded(given(case)), share * level), case.true) for case in cases)
        for share in _STRENGTHS
    }
    return max(scores, key=lambda strength: scores[strength])


def _non_local(picture: Levels, strength: float) -> Levels:
    made = cv2.fastNlMeansDenoising(picture, None, strength, 7, 21)
    return np.asarray(made.reshape(picture.shape), np.uint8)


def _rounded(picture: NDArray[np.float32]) -> Levels:
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)


# -- networks, or what they have made


def _by(network: nn.Module, options: Mapping[str, Any]) -> Restore:
    device = next(network.parameters()).device
    colorizes = ARCHITECTURES[str(network.architecture)].task == "colorizer"

    def restore(_: Sequence[Case], planes: Callable[[], Tensor]) -> list[Levels]:
        seen = planes()
        with devices.translate():
            if not colorizes:
                return _levels(models.restored(network, seen, **options).float().cpu())
            chroma = models.chroma(network, seen.to(device), **options)
            return _levels(lab.joined(lab.lightness(seen.to(device)), chroma.float().to(device)).cpu())

    return restore


def _finished(cases: Sequence[Case], _: Callable[[], Tensor]) -> list[Levels]:
    return [case.made for case in cases if case.made is not None]


def _planes(pictures: Sequence[Levels | NDArray[np.float32]]) -> Tensor:
    return torch.stack([torch.from_numpy(picture.transpose(2, 0, 1).copy()).float() / 255 for picture in pictures])


def _levels(planes: Tensor) -> list[Levels]:
    return [likeness.levels(picture.permute(1, 2, 0).numpy()) for picture in planes]


def _with(case: Case, true: Levels) -> Case:
    return case if true is case.true else replace(case, true=true)
