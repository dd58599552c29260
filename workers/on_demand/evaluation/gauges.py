"""Measures that pictures are added to, batch by batch, by name."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from db.catalog.measures import MEASURES
from workers.metrics import color_consistency
from workers.on_demand.evaluation.cases import to_color
from workers.on_demand.evaluation.measures import colour as colours
from workers.on_demand.evaluation.measures import frechet, likeness, naturalness, semantic, steadiness
from workers.on_demand.evaluation.measures.frechet import Mode, Moments
from workers.on_demand.evaluation.references import Levels

Look = Callable[[Sequence[Levels]], Any]


class Shown:
    """The pictures of a batch, and what was seen in them already: features are computed once for all measures."""

    def __init__(self, pictures: Sequence[Levels], films: Sequence[str] = ()) -> None:
        """Take pictures ``(H, W, C)`` and the film that each is a frame of, empty for photos."""
        self.pictures = pictures
        self.films = films or [""] * len(pictures)
        self._seen: dict[str, Any] = {}

    def of(self, name: str, look: Look) -> Any:
        """Return what ``look`` sees in the pictures; ``name`` says which look it is."""
        if name not in self._seen:
            self._seen[name] = look(self.pictures)
        return self._seen[name]


class Gauge(Protocol):
    """One measure of one set."""

    def add(self, made: Shown, true: Shown) -> list[float] | None:
        """Add a batch; returns a value for each picture, or none where only the set has one. NaN: not measurable."""

    def value(self) -> float:
        """Return the figure; NaN where nothing could be measured."""


def opened(name: str, judges: Mapping[str, nn.Module], crop: int) -> Gauge:
    """Return an empty gauge for a measure.

    Args:
        name: A name of ``db.catalog.measures``.
        judges: Networks by card; that of the measure must be among them.
        crop: Pixels left out at each side by measures of luma.
    """
    judge = judges.get(MEASURES[name].judge)
    pairs: dict[str, Callable[[Levels, Levels], float]] = {
        "psnr": likeness.psnr,
        "ssim": likeness.ssim,
        "psnr_y": lambda made, true: likeness.luma_psnr(to_color(made), to_color(true), crop),
        "ssim_y": lambda made, true: likeness.luma_ssim(to_color(made), to_color(true), crop),
    }
    if name in pairs:
        return _Mean(lambda made, true: _each(pairs[name], made.pictures, true.pictures))
    if name == "cdc":
        return _Consistency()
    if name == "warp_error":
        return _WarpError()
    if "colorfulness" in name:
        look = _colorfulness("absolute" if "absolute" in name else "signed")
        return _Delta(look, each=name.endswith("_each")) if name.startswith("delta") else _Mean(look)
    assert judge is not None
    return _judged(name, judge)


def _judged(name: str, judge: nn.Module) -> Gauge:
    if name == "semantic":
        return _Agreement(lambda shown: shown.of(name, lambda pictures: semantic.choices(judge, _rgb(pictures))))
    if name.startswith("lpips"):
        return _Mean(lambda made, true: _distances(judge, made.pictures, true.pictures))
    if name == "niqe":
        pristine = judge.pristine()  # type: ignore[operator]
        return _Mean(
            lambda made, true: _each(lambda one, _: naturalness.niqe(one, pristine), made.pictures, made.pictures)
        )
    mode: Any = name.removeprefix("fid_")
    return _Frechet(lambda shown: shown.of(name, lambda pictures: _features(judge, _rgb(pictures), mode)))


class _Mean:
    """The mean of one value a picture."""

    def __init__(self, look: Callable[[Shown, Shown], list[float]]) -> None:
        self._look = look
        self._values: list[float] = []

    def add(self, made: Shown, true: Shown) -> list[float]:
        found = self._look(made, true)
        self._values += found
        return found

    def value(self) -> float:
        return _mean(self._values)


class _Delta:
    """How far apart the means of two sets are, or the mean of how far apart each two are."""

    def __init__(self, look: Callable[[Shown, Shown], list[float]], *, each: bool) -> None:
        self._look, self._each = look, each
        self._made: list[float] = []
        self._true: list[float] = []

    def add(self, made: Shown, true: Shown) -> list[float] | None:
        found, wanted = self._look(made, true), self._look(true, true)
        self._made += found
        self._true += wanted
        return [abs(one - other) for one, other in zip(found, wanted, strict=True)] if self._each else None

    def value(self) -> float:
        if not self._made:
            return float("nan")
        return (colours.delta_each if self._each else colours.delta)(self._made, self._true)


class _Agreement:
    def __init__(self, look: Callable[[Shown], list[int]]) -> None:
        self._look = look
        self._made: list[int] = []
        self._true: list[int] = []

    def add(self, made: Shown, true: Shown) -> list[float]:
        found, wanted = self._look(made), self._look(true)
        self._made += found
        self._true += wanted
        return [float(one == other) for one, other in zip(found, wanted, strict=True)]

    def value(self) -> float:
        return semantic.agreement(self._made, self._true) if self._made else float("nan")


class _Frechet:
    def __init__(self, look: Callable[[Shown], NDArray[np.float32]]) -> None:
        self._look = look
        self._made, self._true = Moments(), Moments()

    def add(self, made: Shown, true: Shown) -> None:
        self._made.add(self._look(made))
        self._true.add(self._look(true))

    def value(self) -> float:
        return frechet.distance(self._made, self._true) if self._made.count > 1 else float("nan")


class _OverFilms:
    """The mean over films of one value each."""

    def __init__(self) -> None:
        self._film = ""
        self._films: list[float] = []

    def add(self, made: Shown, true: Shown) -> None:
        for film, frame, reference in zip(made.films, made.pictures, true.pictures, strict=True):
            if not film:
                continue
            if film != self._film:
                self._close()
                self._film = film
            self._saw(frame, reference)

    def value(self) -> float:
        self._close()
        return _mean(self._films)

    def _close(self) -> None:
        if self._film:
            found = self._of_film()
            if np.isfinite(found):
                self._films.append(found)
        self._film = ""

    def _saw(self, frame: Levels, reference: Levels) -> None:
        raise NotImplementedError

    def _of_film(self) -> float:
        raise NotImplementedError


class _Consistency(_OverFilms):
    def __init__(self) -> None:
        super().__init__()
        self._seen: deque[NDArray[np.float64]] = deque(maxlen=max(color_consistency.DISTANCES))
        self._values: dict[int, list[float]] = {}

    def _saw(self, frame: Levels, reference: Levels) -> None:
        now = color_consistency.observe(frame.transpose(2, 0, 1).astype(np.float32) / 255)
        for distance in color_consistency.DISTANCES:
            if len(self._seen) >= distance:
                value = color_consistency.compare(self._seen[-distance], now)
                self._values.setdefault(distance, []).append(value)
        self._seen.append(now)

    def _of_film(self) -> float:
        found = _mean([_mean(values) for values in self._values.values()])
        self._seen.clear()
        self._values.clear()
        return found


class _WarpError(_OverFilms):
    def __init__(self) -> None:
        super().__init__()
        self._before: tuple[Levels, Levels] | None = None
        self._values: list[float] = []

    def _saw(self, frame: Levels, reference: Levels) -> None:
        if self._before is not None:
            made, true = self._before
            self._values.append(steadiness.warp_error((made, frame), (true, reference)))
        self._before = (frame, reference)

    def _of_film(self) -> float:
        found = _mean(self._values)
        self._before = None
        self._values = []
        return found


def _mean(values: Sequence[float]) -> float:
    """Return the mean of what could be measured."""
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")


def _each(measure: Callable[[Levels, Levels], float], made: Sequence[Levels], true: Sequence[Levels]) -> list[float]:
    return [_or_nan(measure, one, other) for one, other in zip(made, true, strict=True)]


def _or_nan(measure: Callable[[Levels, Levels], float], made: Levels, true: Levels) -> float:
    try:
        return measure(made, true)
    except ValueError:  # too small or too flat for this measure
        return float("nan")


def _colorfulness(convention: colours.Convention) -> Callable[[Shown, Shown], list[float]]:
    def look(pictures: Sequence[Levels]) -> list[float]:
        return [colours.colorfulness(picture, convention) for picture in _rgb(pictures)]

    return lambda made, true: made.of(f"colorfulness {convention}", look)


def _rgb(pictures: Sequence[Levels]) -> list[Levels]:
    return [to_color(picture) for picture in pictures]


@torch.inference_mode()
def _features(judge: nn.Module, pictures: Sequence[Levels], mode: Mode) -> NDArray[np.float32]:
    device = next(judge.parameters()).device
    found: NDArray[np.float32] = judge(frechet.prepared(pictures, mode).to(device)).float().cpu().numpy()
    return found


_LEAST_LPIPS_PX = 32


@torch.inference_mode()
def _distances(judge: nn.Module, made: Sequence[Levels], true: Sequence[Levels]) -> list[float]:
    if min(side for picture in made for side in picture.shape[:2]) < _LEAST_LPIPS_PX:
        return [float("nan")] * len(made)
    device = next(judge.parameters()).device
    one, other = (torch.cat([_signed(picture) for picture in _rgb(each)]).to(device) for each in (made, true))
    return [float(value) for value in judge(one, other).cpu()]


def _signed(picture: Levels) -> Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)[None]
