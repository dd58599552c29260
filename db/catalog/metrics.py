"""The one table of metrics: what each measures, by which convention, and who takes it.

Jobs take some of every frame that they restore; ``reelwright evaluate`` takes some of pictures beside references. Both
read this table, and a name means the same in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from db.catalog.entry_points import Catalog, with_outside
from db.errors import InputError, nearest

GROUP = "reelwright.metrics"
"""Entry points of this group name a ``MetricSpec``; its ``module`` holds the code."""

Task = Literal["colorizer", "denoiser", "upscaler", "compare"]
"""What ``evaluate`` judges: networks of three kinds, or finished pictures of any kind."""


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """What a reader of a value must know. The code is ``workers/metrics/<name>.py``, or ``module``."""

    name: str
    summary: str
    """One sentence."""
    convention: str
    """How it is computed, exactly enough to compare it with somebody else's figure; with its paper."""
    unit: str = "1"
    low: float = 0.0
    high: float | None = None
    """The largest value there can be; None where there is no bound."""
    higher_is_better: bool | None = None
    """None where neither direction is better by itself."""
    compares: Literal["none", "source", "reference", "previous"] = "none"
    """``source``: with the frame as it came in, which only jobs know; ``reference``: with a picture that is known to
    be right, which only ``evaluate`` has; ``previous``: with earlier frames of the same finished film."""
    reduces: Literal["picture", "reel", "set"] = "picture"
    """``picture``: the mean of one value a picture; ``reel``: all values of a reel become one, and several reels give
    their mean; ``set``: all values of all pictures become one."""
    taken_by: Literal["jobs", "evaluate", "both"] = "both"
    tasks: tuple[Task, ...] = ()
    """For what ``evaluate`` takes it where nobody names metrics."""
    judge: str = ""
    """The card of the network or table that must be registered for it."""
    frame_value: str = ""
    """What the value of one frame is called in a job's table of scores; empty where it is the metric itself."""
    least_pictures: int = 1
    """Of fewer pictures there is no value."""
    reliable_above: int = 0
    """Of no more pictures a value is printed as unreliable."""
    aliases: tuple[str, ...] = ()
    """Names of earlier releases, read for one release more."""
    module: str = ""
    """Where the code is; empty means ``workers.metrics.<name>``."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Keywords for the module's ``update`` with their defaults; ``evaluate`` gives ``crop_px``."""

    @property
    def module_name(self) -> str:
        """The module that holds the code."""
        return self.module or f"workers.metrics.{self.name}"

    @property
    def outside(self) -> bool:
        """Whether another package brings it."""
        return not self.module_name.startswith("workers.metrics.")

    @property
    def in_jobs(self) -> bool:
        """Whether jobs take it of every frame."""
        return self.taken_by != "evaluate"

    @property
    def in_evaluation(self) -> bool:
        """Whether ``evaluate`` can take it."""
        return self.taken_by != "jobs"


_ALL: tuple[Task, ...] = ("colorizer", "denoiser", "upscaler", "compare")
_COLOR: tuple[Task, ...] = ("colorizer", "compare")
_SAME_SIZE: tuple[Task, ...] = ("colorizer", "denoiser", "compare")
_FID = "|m1 - m2|^2 + Tr(S1 + S2 - 2 sqrt(S1 S2)) of 2048 features"
_FID_FILE = f"{_FID}, Inception of 2015-12-05"
_FIELD = f"{_FID}, ImageNet's Inception (torchvision), torch bilinear to 299, no antialiasing, x/2 + 0.5, re-centred"
_SIGNED = "Hasler-Suesstrunk 2003 on 0..255, signed rg = R - G, yb = (R + G)/2 - B"
_ABSOLUTE = "Hasler-Suesstrunk with |rg| and |yb|, as the tables of CT2, ColorFormer and DDColor"
_WANG = "Wang 2004, Gaussian window 11, sigma 1.5, whole windows only"
_LPIPS = "Zhang 2018, v0.1, RGB in -1..1, at the pictures' own size"
_FIELD_NOTE = "The field's number under the name FID; no library's FID."
_FID_NEEDS = 2048
"""A Frechet distance of no more pictures than features has a covariance without full rank."""

_SHIPPED = (
    MetricSpec(
        name="luma_psnr", summary="Likeness of luma to the source.", unit="dB", high=100, higher_is_better=True,
        convention="10 log10(1 / MSE) on BT.601 luma of 0..1, capped at 100 dB.",
        compares="source", taken_by="jobs",
    ),
    MetricSpec(
        name="luma_ssim", summary="Likeness of structure to the source.", low=-1, high=1, higher_is_better=True,
        convention="Wang et al. 2004: Gaussian window 11, sigma 1.5, on BT.601 luma.",
        compares="source", taken_by="jobs",
    ),
    MetricSpec(
        name="psnr", summary="Likeness to the reference.", unit="dB", high=100, higher_is_better=True,
        convention="10 log10(255^2 / MSE), 8-bit, all channels, mean of pictures",
        compares="reference", taken_by="evaluate", tasks=_SAME_SIZE,
    ),
    MetricSpec(
        name="ssim", summary="Likeness of structure.", low=-1, high=1, higher_is_better=True,
        convention=f"{_WANG}, 8-bit, mean of channels", compares="reference", taken_by="evaluate", tasks=_SAME_SIZE,
    ),
    MetricSpec(
        name="psnr_y", summary="Likeness of luma.", unit="dB", high=100, higher_is_better=True,
        convention="MATLAB's Y 16..235 of 8-bit RGB, crop = scale at each side, mean of pictures",
        compares="reference", taken_by="evaluate", tasks=("upscaler",), options={"crop_px": 0},
    ),
    MetricSpec(
        name="ssim_y", summary="Likeness of luma's structure.", low=-1, high=1, higher_is_better=True,
        convention=f"{_WANG}, MATLAB's Y 16..235, crop = scale",
        compares="reference", taken_by="evaluate", tasks=("upscaler",), options={"crop_px": 0},
    ),
    MetricSpec(
        name="colorfulness", summary="How colourful the picture is.", convention=_SIGNED, high=200, tasks=_COLOR,
    ),
    MetricSpec(
        name="colorfulness_absolute", summary="How colourful.", convention=_ABSOLUTE, high=200,
        taken_by="evaluate", tasks=_COLOR,
    ),
    MetricSpec(
        name="delta_colorfulness", summary="Distance of the sets' colorfulness.", high=200, higher_is_better=False,
        convention=f"|mean - mean| of: {_SIGNED}",
        compares="reference", reduces="set", taken_by="evaluate", tasks=_COLOR,
    ),
    MetricSpec(
        name="delta_colorfulness_absolute", summary="Distance of the sets' colorfulness.", high=200,
        higher_is_better=False, convention=f"|mean - mean| of: {_ABSOLUTE}",
        compares="reference", reduces="set", taken_by="evaluate", tasks=_COLOR,
    ),
    MetricSpec(
        name="delta_colorfulness_each", summary="Mean distance of each picture's colorfulness.", high=200,
        higher_is_better=False, convention=f"mean |difference| of: {_SIGNED}",
        compares="reference", taken_by="evaluate",
    ),
    MetricSpec(
        name="delta_colorfulness_absolute_each", summary="Mean distance of each picture's colorfulness.", high=200,
        higher_is_better=False, convention=f"mean |difference| of: {_ABSOLUTE}",
        compares="reference", taken_by="evaluate",
    ),
    MetricSpec(
        name="semantic", summary="Share of pictures in which a classifier sees the same as in the reference.", high=1,
        higher_is_better=True, convention="SqueezeNet 1.0, top 1 of 1000 classes, 227 x 227 stretched",
        compares="reference", reduces="set", taken_by="evaluate", tasks=_COLOR, judge="squeezenet",
    ),
    MetricSpec(
        name="fid_torch_fidelity", summary="Distance of the sets.", higher_is_better=False,
        convention=f"{_FID_FILE}; TensorFlow 1 bilinear to 299 (torch-fidelity)",
        compares="reference", reduces="set", taken_by="evaluate", tasks=_COLOR, judge="inception-fid",
        least_pictures=2, reliable_above=_FID_NEEDS,
    ),
    MetricSpec(
        name="fid_pytorch_fid", summary="Distance of the sets.", higher_is_better=False,
        convention=f"{_FID_FILE}; torch bilinear to 299, no antialiasing (pytorch-fid)",
        compares="reference", reduces="set", taken_by="evaluate", judge="inception-fid",
        least_pictures=2, reliable_above=_FID_NEEDS,
    ),
    MetricSpec(
        name="fid_clean_fid", summary="Distance of the sets.", higher_is_better=False,
        convention=f"{_FID_FILE}; Pillow bicubic in floats to 299 (clean-fid)",
        compares="reference", reduces="set", taken_by="evaluate", judge="inception-fid",
        least_pictures=2, reliable_above=_FID_NEEDS,
    ),
    MetricSpec(
        name="fid_imagenet_01", summary=_FIELD_NOTE, higher_is_better=False,
        convention=f"{_FIELD}; fed 0..1 (DDColor, ModelScope)",
        compares="reference", reduces="set", taken_by="evaluate", judge="inception-imagenet",
        least_pictures=2, reliable_above=_FID_NEEDS,
    ),
    MetricSpec(
        name="fid_imagenet_11", summary=_FIELD_NOTE, higher_is_better=False,
        convention=f"{_FIELD}; fed -1..1 (CT2, ColorMNet)",
        compares="reference", reduces="set", taken_by="evaluate", judge="inception-imagenet",
        least_pictures=2, reliable_above=_FID_NEEDS,
    ),
    MetricSpec(
        name="lpips_alex", summary="Unlikeness as people see it.", higher_is_better=False,
        convention=f"{_LPIPS}, AlexNet", compares="reference", taken_by="evaluate", tasks=_ALL, judge="lpips-alex",
    ),
    MetricSpec(
        name="lpips_vgg", summary="Unlikeness as people see it.", higher_is_better=False,
        convention=f"{_LPIPS}, VGG-16", compares="reference", taken_by="evaluate", judge="lpips-vgg",
    ),
    MetricSpec(
        name="niqe", summary="Unnaturalness without a reference: a trend only, grain counts as a fault.",
        higher_is_better=False, convention="Mittal 2013, MATLAB's Y 16..235 rounded, blocks of 96, two scales",
        taken_by="evaluate", judge="niqe",
    ),
    MetricSpec(
        name="sharpness", summary="Energy of fine detail.", high=4,
        convention="Variance of the Laplacian of luma of 0..1, times 100 (Pech-Pacheco et al. 2000).",
    ),
    MetricSpec(
        name="noise_sigma", summary="Estimated noise as a share of full scale.", high=1, higher_is_better=False,
        convention="Immerkaer 1996, on luma.",
    ),
    MetricSpec(
        name="flicker", summary="Jumps of mean luma from frame to frame.", high=1, higher_is_better=False,
        convention="Root mean square of the second difference of mean luma within shots: steps at cuts are left out.",
        reduces="reel", frame_value="mean_luma", least_pictures=3,
    ),
    MetricSpec(
        name="color_consistency", summary="How much the colours of neighbouring frames differ.", high=0.6932,
        higher_is_better=False, compares="previous", reduces="reel", tasks=_ALL, aliases=("cdc",),
        convention="CDC (Liu 2021): Jensen-Shannon divergence (natural log) of 256-bin histograms 1, 2 and 4 frames "
        "apart, within shots, a third each.",
    ),
    MetricSpec(
        name="warp_error", summary="How far a frame is from the one before it, moved along.", high=1,
        higher_is_better=False, compares="previous", reduces="reel",
        convention="Lai et al. 2018: mean square along the film's own optical flow (DIS) where nothing is hidden, at "
        "most 480 pixels a side.",
    ),
    MetricSpec(
        name="reference_warp_error", summary="How far a frame is from the one before it, moved along.", high=1,
        higher_is_better=False, compares="reference", reduces="reel", taken_by="evaluate", tasks=_ALL,
        convention="Lai 2018: mean square RGB 0..1 along the references' flow (DIS), hidden pixels and motion's edges "
        "left out",
    ),
)  # fmt: skip

METRICS: Mapping[str, MetricSpec] = Catalog(lambda: with_outside(GROUP, MetricSpec, _SHIPPED))
"""All metrics by name: the shipped ones and those of outside packages."""


def find_metric(name: str) -> MetricSpec:
    """Return a metric by its name, or by what an earlier release called it.

    Raises:
        InputError: ``UNKNOWN_METRIC``, with the nearest name.
    """
    spec = METRICS.get(name) or next((each for each in METRICS.values() if name in each.aliases), None)
    if spec is None:
        message = f"Nothing is measured under the name {name!r:.40}.{nearest(name, METRICS)}"
        raise InputError(message, code="UNKNOWN_METRIC")
    return spec


def select_metrics(names: Sequence[str], judges: Iterable[str]) -> tuple[str, ...] | None:
    """Return the metrics that ``evaluate`` is asked for, checked; None where nobody asked, and the task decides.

    Args:
        names: As asked for; ``all`` stands for every one that can be taken.
        judges: Cards that are registered.

    Raises:
        InputError: ``UNKNOWN_METRIC``, ``BAD_PARAMETER`` for one that only jobs can take, or ``MODEL_MISSING`` when a
            metric's judge is not registered.
    """
    registered = set(judges)
    if "all" in names:
        return tuple(name for name, spec in METRICS.items() if _can_evaluate(spec, registered))
    specs = [find_metric(name) for name in names]
    for spec in specs:
        if not spec.in_evaluation:
            message = f"{spec.name} compares with a job's source: jobs take it, evaluate cannot"
            raise InputError(message, code="BAD_PARAMETER", remedy="Take psnr or ssim, which compare with references.")
        if spec.judge and spec.judge not in registered:
            message = f"{spec.name} needs the weights {spec.judge}, which are not registered here"
            raise InputError(
                f"{message}; nothing else goes by that name",
                code="MODEL_MISSING",
                remedy=f"`reelwright models show {spec.judge}` says where the file is; then `models add FILE`.",
            )
    return tuple(dict.fromkeys(spec.name for spec in specs)) or None


def default_metrics(task: Task, judges: Iterable[str]) -> tuple[str, ...]:
    """Return what is measured for a task where nobody names metrics: all whose judges are registered."""
    registered = set(judges)
    return tuple(name for name, spec in METRICS.items() if task in spec.tasks and _can_evaluate(spec, registered))


def _can_evaluate(spec: MetricSpec, judges: set[str]) -> bool:
    return spec.in_evaluation and (not spec.judge or spec.judge in judges)
