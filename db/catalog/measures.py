"""What ``reelwright evaluate`` measures: each measure with its convention, as it is printed.

These are about pictures beside references; the metrics that are taken while work streams are in ``db.catalog.metrics``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from db.errors import InputError, nearest

Task = Literal["colorizer", "denoiser", "upscaler", "compare"]
"""What is judged: networks of three kinds, or finished pictures of any kind."""


@dataclass(frozen=True)
class MeasureSpec:
    """What a reader of a figure must know."""

    name: str
    summary: str
    convention: str
    """How it is computed, exactly enough to compare it with a figure of somebody else."""
    unit: str
    higher_is_better: bool | None
    """None where neither direction is better by itself."""
    tasks: tuple[Task, ...]
    """For what it is taken where nobody names metrics."""
    scope: Literal["picture", "set", "reel"] = "picture"
    """``picture``: the mean over pictures; ``set``: one value of all of them; ``reel``: the mean over films."""
    needs_reference: bool = True
    """Whether it compares; one that does not is taken of the references too."""
    judge: str = ""
    """The card of the network or table that must be registered for it."""


_ALL: tuple[Task, ...] = ("colorizer", "denoiser", "upscaler", "compare")
_COLOR: tuple[Task, ...] = ("colorizer", "compare")
_FID = "|m1 - m2|^2 + Tr(S1 + S2 - 2 sqrt(S1 S2)) of 2048 features"
_FID_FILE = f"{_FID}, Inception of 2015-12-05"
_FIELD = f"{_FID}, ImageNet's Inception (torchvision), torch bilinear to 299, no antialiasing, x/2 + 0.5, re-centred"
_SIGNED = "Hasler-Suesstrunk 2003, signed rg = R - G, yb = (R + G)/2 - B"
_ABSOLUTE = "Hasler-Suesstrunk with |rg| and |yb|, as the tables of CT2, ColorFormer and DDColor"
_WANG = "Wang 2004, Gaussian window 11, sigma 1.5, whole windows only"
_LPIPS = "Zhang 2018, v0.1, RGB in -1..1, at the pictures' own size"

_SHIPPED = (
    MeasureSpec(
        "psnr", "Likeness to the reference.",
        "10 log10(255^2 / MSE), 8-bit, all channels, mean of pictures", "dB", True,
        ("colorizer", "denoiser", "compare"),
    ),
    MeasureSpec(
        "ssim", "Likeness of structure.", f"{_WANG}, 8-bit, mean of channels", "1", True,
        ("colorizer", "denoiser", "compare"),
    ),
    MeasureSpec(
        "psnr_y", "Likeness of luma.", "MATLAB's Y 16..235 of 8-bit RGB, crop = scale at each side, mean of pictures",
        "dB", True, ("upscaler",),
    ),
    MeasureSpec(
        "ssim_y", "Likeness of luma's structure.", f"{_WANG}, MATLAB's Y 16..235, crop = scale", "1", True,
        ("upscaler",),
    ),
    MeasureSpec("colorfulness", "How colourful.", _SIGNED, "1", None, _COLOR, needs_reference=False),
    MeasureSpec("colorfulness_absolute", "How colourful.", _ABSOLUTE, "1", None, _COLOR, needs_reference=False),
    MeasureSpec(
        "delta_colorfulness", "Distance of the sets' colorfulness.", f"|mean - mean| of: {_SIGNED}", "1", False,
        _COLOR, "set",
    ),
    MeasureSpec(
        "delta_colorfulness_absolute", "Distance of the sets' colorfulness.", f"|mean - mean| of: {_ABSOLUTE}", "1",
        False, _COLOR, "set",
    ),
    MeasureSpec(
        "delta_colorfulness_each", "Mean distance of each picture's colorfulness.", f"mean |difference| of: {_SIGNED}",
        "1", False, (),
    ),
    MeasureSpec(
        "delta_colorfulness_absolute_each", "Mean distance of each picture's colorfulness.",
        f"mean |difference| of: {_ABSOLUTE}", "1", False, (),
    ),
    MeasureSpec(
        "semantic", "Share of pictures in which a classifier sees the same as in the reference.",
        "SqueezeNet 1.0, top 1 of 1000 classes, 227 x 227 stretched", "1", True, _COLOR, "set", judge="squeezenet",
    ),
    MeasureSpec(
        "fid_torch_fidelity", "Distance of the sets.", f"{_FID_FILE}; TensorFlow 1 bilinear to 299 (torch-fidelity)",
        "1", False, _COLOR, "set", judge="inception-fid",
    ),
    MeasureSpec(
        "fid_pytorch_fid", "Distance of the sets.",
        f"{_FID_FILE}; torch bilinear to 299, no antialiasing (pytorch-fid)", "1", False, (), "set",
        judge="inception-fid",
    ),
    MeasureSpec(
        "fid_clean_fid", "Distance of the sets.", f"{_FID_FILE}; Pillow bicubic in floats to 299 (clean-fid)", "1",
        False, (), "set", judge="inception-fid",
    ),
    MeasureSpec(
        "fid_imagenet_01", "The field's number under the name FID; no library's FID.",
        f"{_FIELD}; fed 0..1 (DDColor, ModelScope)", "1", False, (), "set", judge="inception-imagenet",
    ),
    MeasureSpec(
        "fid_imagenet_11", "The field's number under the name FID; no library's FID.",
        f"{_FIELD}; fed -1..1 (CT2, ColorMNet)", "1", False, (), "set", judge="inception-imagenet",
    ),
    MeasureSpec(
        "lpips_alex", "Unlikeness as people see it.", f"{_LPIPS}, AlexNet", "1", False, _ALL, judge="lpips-alex"
    ),
    MeasureSpec("lpips_vgg", "Unlikeness as people see it.", f"{_LPIPS}, VGG-16", "1", False, (), judge="lpips-vgg"),
    MeasureSpec(
        "niqe", "Unnaturalness without a reference: a trend only, grain counts as a fault.",
        "Mittal 2013, MATLAB's Y 16..235 rounded, blocks of 96, two scales", "1", False, (), needs_reference=False,
        judge="niqe",
    ),
    MeasureSpec(
        "cdc", "How much the colours of neighbouring frames differ.",
        "Liu 2021: Jensen-Shannon (natural log) of 256-bin histograms 1, 2 and 4 frames apart, a third each", "1",
        False, _ALL, "reel", False,
    ),
    MeasureSpec(
        "warp_error", "How far a frame is from the one before it, moved along.",
        "Lai 2018: mean square RGB 0..1 along the references' flow (DIS), hidden pixels and motion's edges left out",
        "1", False, _ALL, "reel", False,
    ),
)  # fmt: skip

MEASURES: Mapping[str, MeasureSpec] = {spec.name: spec for spec in _SHIPPED}
"""All measures by name."""

RELIABLE_ABOVE = 2048
"""A Frechet distance of no more pictures than features has a covariance without full rank: it is marked unreliable."""


def select_measures(names: Sequence[str], judges: Iterable[str]) -> tuple[str, ...] | None:
    """Return the measures that are asked for, checked; none where nobody asked, and the task decides.

    Args:
        names: As asked for; ``all`` stands for every one that can be taken.
        judges: Cards that are registered.

    Raises:
        InputError: ``UNKNOWN_METRIC``, or ``MODEL_MISSING`` when a measure's judge is not registered.
    """
    available = set(judges)
    if "all" in names:
        return tuple(name for name, spec in MEASURES.items() if not spec.judge or spec.judge in available)
    for name in names:
        if name not in MEASURES:
            raise InputError(f"Nothing is measured under the name {name!r:.40}.{nearest(name, MEASURES)}",
                             code="UNKNOWN_METRIC")  # fmt: skip
        judge = MEASURES[name].judge
        if judge and judge not in available:
            raise InputError(
                f"{name} needs the weights {judge}, which are not registered here; nothing else goes by that name",
                code="MODEL_MISSING",
                remedy=f"`reelwright models show {judge}` says where the file is; then `models add FILE`.",
            )
    return tuple(dict.fromkeys(names)) or None


def default_measures(task: Task, judges: Iterable[str]) -> tuple[str, ...]:
    """Return what is measured for a task where nobody names metrics: all that its judges are here for."""
    available = set(judges)
    return tuple(
        name for name, spec in MEASURES.items() if task in spec.tasks and (not spec.judge or spec.judge in available)
    )
