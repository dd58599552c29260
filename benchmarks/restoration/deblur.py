"""How much blur is taken back: photographs blurred by a known Gaussian, with noise, and films that are sharp or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.restoration.film_pair import psnr_db, read_pair
from benchmarks.restoration.films import Pictures, Run, luma, read_film, read_folder, shots_of
from benchmarks.restoration.page import Chapter, Figure, Sheet, at_least
from benchmarks.restoration.peers import run_filter
from benchmarks.restoration.sheets import draw_sheet
from workers.ops import deconvolution, noise

Plane = NDArray[np.float32]
_TOO_LARGE = 1.4
_FILMS = {
    "road": "film_clean/road_960x540.mp4",
    "seeking": "film_clean/seeking_720x480.mp4",
    "silent": "film_old/silent_640x480_200f.mp4",
    "abomb": "film_old/abomb_blast_effects_432x320.mp4",
}


@dataclass(frozen=True)
class _Case:
    """A blur, the noise on it (both of a normal distribution), and the least gains in dB."""

    sigma_px: float
    noise_levels: float
    """Standard deviation, of 255."""
    bar_when_known: float | None
    bar_when_measured: float | None
    grain_px: float = 0.0
    """Sigma of the Gaussian that makes the noise coarse."""

    @property
    def name(self) -> str:
        grain = " coarse" if self.grain_px else ""
        return f"σ {self.sigma_px} px,{grain} noise {self.noise_levels:g}/255"


_CASES = (
    _Case(1.0, 1, 4.5, 1.8),
    _Case(1.6, 1, 2.8, 1.4),
    _Case(1.6, 3, None, 1.1),
    _Case(1.6, 3, None, None, 0.7),
    _Case(1.6, 8, None, None, 0.7),
)


def measure(media: Path) -> Chapter:
    """Measure known and measured blurs, and what is done to pictures that are sharp."""
    cv2.setNumThreads(1)
    photos = list(luma(read_folder(media / "photos_color/kodak"))[:, 0])
    figures = [figure for case in _CASES for figure in _case_figures(case, photos)]
    figures.append(_sharp_figure(photos))
    figures += list(_film_figures(media))
    text = """Ten Kodak photographs in grey, blurred by a Gaussian, with noise on top; mean gain in PSNR over the
blurred picture, by the stage as a job runs it. *Known* means that `sigma` was given; *measured*, that nothing was.
Wiener is deconvolution with the true blur and the true noise, which nobody has in practice; `unsharp` and `cas` are
FFmpeg's.

What falls short: a blur of which only the picture tells is measured with care and taken back by 0.85 of it, and with no
less noise reckoned with than 2/255, so about half of what is possible is gained; a `sigma` that is 1.4 times too large
gains next to nothing where the right one gains 4.8 dB. Sharpness is told from edges, so a modern film that a codec
softened (`road`) counts as a little blurred. What a codec left around things that move is sharpened with them. Coarse
grain is sharpened along with the picture up to a noise of 4/255, less and less above that, and from 12/255 on nothing
is. Blur by motion, and blur that is not the same all over, are not taken back."""
    return Chapter("`deblur`", text, figures, _sheets(media, photos))


def psnr(one: Pictures | Plane, other: Pictures | Plane) -> float:
    """Return the PSNR in dB of pictures of the same shape, 0..1."""
    difference = np.asarray(one, np.float64) - other
    return float(-10 * np.log10(np.mean(difference**2) + 1e-12))


def _blur(photo: Plane, case: _Case) -> Plane:
    white = np.random.default_rng(0).normal(0, 1, photo.shape)
    grain = cv2.GaussianBlur(white, (0, 0), case.grain_px) if case.grain_px else white
    blurred = cv2.GaussianBlur(photo, (0, 0), case.sigma_px) + grain / grain.std() * case.noise_levels / 255
    return blurred.astype(np.float32)


def _mean_gain(photos: list[Plane], blurred: list[Plane], restore: Callable[[Plane], Plane]) -> float:
    pairs = zip(photos, blurred, strict=True)
    return float(np.mean([psnr(restore(soft), photo) - psnr(soft, photo) for photo, soft in pairs]))


def _deblur(plane: Plane, sigma: float | None = None) -> Plane:
    text = "[deblur]" if sigma is None else f"[{{deblur: {{sigma: {sigma}}}}}]"
    restored: Plane = Run(plane[None, None], text).frames[0, 0]
    return restored


def _filter(plane: Plane, name: str, arguments: str) -> Plane:
    filtered: Plane = run_filter(plane[None, None], name, arguments)[0, 0]
    return filtered


def _wiener(plane: Plane, case: _Case) -> Plane:
    """Return the plane deconvolved with its true blur, and noise as a share of the power at each frequency (1/f²)."""
    padded = np.pad(plane, 32, "symmetric")
    down, across = np.fft.fftfreq(padded.shape[0])[:, None], np.fft.rfftfreq(padded.shape[1])[None]
    square = down**2 + across**2
    blur = np.exp(-2 * (np.pi * case.sigma_px) ** 2 * square)
    noise_share = (case.noise_levels / 255) ** 2 * square * 4 * np.pi**2 * 100
    restored = np.fft.irfft2(np.fft.rfft2(padded) * blur / (blur**2 + noise_share + 1e-6), padded.shape)
    return restored[32:-32, 32:-32].astype(np.float32)


def _case_figures(case: _Case, photos: list[Plane]) -> Iterator[Figure]:
    blurred = [_blur(photo, case) for photo in photos]
    before = f"{np.mean([psnr(soft, photo) for photo, soft in zip(photos, blurred, strict=True)]):.1f} dB"
    peers = {
        "Wiener": lambda plane: _wiener(plane, case),
        "unsharp": lambda plane: _filter(plane, "unsharp", "5:5:1.0"),
        "cas": lambda plane: _filter(plane, "cas", "0.5"),
    }
    others = ", ".join(f"{name} {_mean_gain(photos, blurred, peer):+.2f}" for name, peer in peers.items())
    known = _mean_gain(photos, blurred, lambda plane: _deblur(plane, case.sigma_px))
    yield _gain_figure(f"{case.name}, known: gain, dB", before, known, case.bar_when_known, others)
    measured = [_mean_gain([photo], [soft], _deblur) for photo, soft in zip(photos, blurred, strict=True)]
    what = f"{case.name}, measured: gain, dB (worst photo {min(measured):+.2f})"
    yield _gain_figure(what, before, float(np.mean(measured)), case.bar_when_measured)
    if case is _CASES[0]:
        too_large = _mean_gain(photos, blurred, lambda plane: _deblur(plane, case.sigma_px * _TOO_LARGE))
        yield Figure(f"{case.name}, given {_TOO_LARGE} times too large: gain, dB", before, f"{too_large:+.2f}")


def _gain_figure(what: str, before: str, gain: float, bar: float | None, others: str = "") -> Figure:
    if bar is None:
        return Figure(what, before, f"{gain:+.2f}", others=others)
    return Figure(what, before, *at_least(gain, bar), others)


def _sharp_figure(photos: list[Plane]) -> Figure:
    kept = sum(np.array_equal(_deblur(photo), photo) for photo in photos)
    return Figure("sharp photographs that come back as they are", "", *at_least(kept / len(photos), 1.0))


def _film_figures(media: Path) -> Iterator[Figure]:
    for name, path in _FILMS.items():
        frames = luma(read_film(media / path, 0, 40)[::8])
        run = Run(frames, "[deblur]", shots_of([len(frames)]))
        blur = float(run.reel.profile["blur"][0]) * max(frames.shape[-2:])
        each = [deconvolution.blur_sigma(frame[0], sum(noise.grain_sigmas(frame[0]))) for frame in frames]
        moved = float(np.sqrt(np.mean((run.frames - frames).astype(np.float64) ** 2))) * 255
        spread = f"single frames {min(each):.2f} to {max(each):.2f}"
        yield Figure(f"{name}: blur measured, px; change, rms of 255", spread, f"{blur:.2f}; {moved:.2f}")
    pair = read_pair(media)
    before, after = (psnr_db(pair, frames) for frames in (pair.damaged, Run(pair.damaged, "[deblur]").frames))
    met = at_least(after - before, -0.1)
    yield Figure("film_pair (grain 0.038, no blur): PSNR moved, dB", f"{before:.2f}", *met)


def _sheets(media: Path, photos: list[Plane]) -> tuple[Sheet, ...]:
    soft = np.stack([_blur(photo, _CASES[1])[None] for photo in photos[:4]])
    sharp = np.stack([_deblur(each[0])[None] for each in soft])
    sheets = [Sheet("deblur_kodak", draw_sheet(soft, None, sharp, range(4), 500))]
    for name in ("silent", "abomb"):
        frames = luma(read_film(media / _FILMS[name], 50, 53))
        restored = Run(frames, "[deblur]", shots_of([3])).frames
        sheets.append(Sheet(f"deblur_{name}", draw_sheet(frames, None, restored, (1,), 720)))
    return tuple(sheets)
