"""Whether grain that was taken comes back as it was: how strong, how coarse, and at which levels of luma."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.restoration.film_pair import Pair, read_pair, references
from benchmarks.restoration.films import Masks, Pictures, Run, luma, read_film, shots_of
from benchmarks.restoration.page import Chapter, Figure, Sheet, at_most
from benchmarks.restoration.peers import run_filter
from benchmarks.restoration.sheets import draw_sheet
from db.recipe import parse
from workers import stages
from workers.frames import Clip
from workers.ops import grain

_FRAMES = 16
_EXPOSURE_SIGMA_PX = 24.0
_SOURCE_LEVELS = np.linspace(0, 1, 9)
_FEWEST_PIXELS = 20000
_TAKEN = "{denoise: {method: temporal}}"
_FILMS = {
    "abomb": ("film_old/abomb_blast_effects_432x320.mp4", 0),
    "silent": ("film_old/silent_640x480_200f.mp4", 40),
}


def measure(media: Path) -> Chapter:
    """Measure a reel whose grain is known, and films of which only pairs of frames can tell."""
    cv2.setNumThreads(1)
    pair = read_pair(media)
    pair = Pair(*(part[:_FRAMES] for part in (pair.clean, pair.damaged, pair.mask)))
    run = Run(pair.damaged, f"[{_TAKEN}, regrain]", shots_of([_FRAMES]))
    figures = [*_true_figures(pair, run), *_contract_figures(pair, run)]
    sheets = [_sheet("regrain_film_pair", run, pair.damaged)]
    for name, (path, start) in _FILMS.items():
        film = luma(read_film(media / path, start, start + _FRAMES))
        restored = Run(film, f"[{_TAKEN}, regrain]", shots_of([_FRAMES]))
        figures.append(_film_figure(name, film, restored))
        sheets.append(_sheet(f"regrain_{name}", restored, film))
    figures.append(_clean_figure(media))
    text = """`film_pair`, denoised in time and then given its grain again. Grain is what a frame differs from its
clean original, exposure fitted, outside dust and scratches; its deviation is robust, its likeness that of pixels one
and two apart in a row. FFmpeg's `noise` was set as strong as the source's grain. For films without an original, grain
is measured against the frame before, as the stage itself measures it: that says whether the level comes back, not
whether the measure is right.

What falls short: at levels that are rarely seen and mostly in motion (here what is bright: people who run), grain
comes back up to a third too strong. Motion adds to what is measured there, and what denoising left is reckoned for the
whole frame, not level by level. With `amount` 0.5 denoising has left as much as is wanted by itself, yet a little is
added. In the shaking truck of `abomb`, what no flow follows counts as grain, and smooth cloth gets more of it than it
had."""
    return Chapter("`regrain`", text, figures, sheets)


def _difference(pair: Pair, frames: Pictures, truth: Pictures) -> NDArray[np.float32]:
    """Return what frames differ by from their truth, ``(T, H, W)``, smooth changes left out."""
    off = (frames - truth)[:, 0]
    off[pair.mask] = 0
    return np.stack([plane - cv2.GaussianBlur(plane, (0, 0), _EXPOSURE_SIGMA_PX) for plane in off])


def _look(grain_planes: NDArray[np.float32], sound: Masks) -> tuple[float, float, float]:
    """Return robust deviation and likeness at lags of one and two pixels."""
    deviation = 1.4826 * float(np.median(np.abs(grain_planes[sound])))
    variance = float(grain_planes[sound].var(dtype=np.float64))
    lags = []
    for lag in (1, 2):
        both = sound[..., lag:] & sound[..., :-lag]
        products = (grain_planes[..., lag:] * grain_planes[..., :-lag])[both]
        lags.append(float(products.mean(dtype=np.float64)) / variance)
    return deviation, lags[0], lags[1]


def _true_figures(pair: Pair, run: Run) -> Iterator[Figure]:
    # Exposure is fitted once, to the source: what denoising and grain do to it would count otherwise.
    truth = references(pair, pair.damaged)
    looks = {
        "source": pair.damaged, "denoised": run.after["denoise"], "regrained": run.frames,
        "half": Run(pair.damaged, f"[{_TAKEN}, {{regrain: {{amount: 0.5}}}}]", shots_of([_FRAMES])).frames,
        "again": Run(pair.damaged, "[regrain]", shots_of([_FRAMES])).frames,
        "noise": run_filter(run.after["denoise"], "noise", "alls=13:allf=t"),
    }  # fmt: skip
    planes = {name: _difference(pair, frames, truth) for name, frames in looks.items()}
    values = {name: _look(plane, ~pair.mask) for name, plane in planes.items()}
    source, ours, peer = values["source"], values["regrained"], values["noise"]
    came = f"{source[0]:.4f}; denoised {values['denoised'][0]:.4f}"
    ratio = ours[0] / source[0]
    met = f"{ours[0]:.4f} ({ratio:.2f} times)", "0.90 to 1.10 times", 0.9 <= ratio <= 1.1
    yield Figure("film_pair: deviation of grain", came, *met, f"noise {peer[0]:.4f}")
    for lag in (1, 2):
        met = f"{ours[lag]:.2f}", "within 0.10", abs(ours[lag] - source[lag]) <= 0.1
        came = f"{source[lag]:.2f}; denoised {values['denoised'][lag]:.2f}"
        yield Figure(f"film_pair: likeness at lag {lag}", came, *met, f"noise {peer[lag]:.2f}")
    yield _level_figure(truth[:, 0], planes, ~pair.mask)
    wanted = 0.5 * source[0]
    left = values["denoised"][0]
    yield Figure("film_pair, `amount` 0.5: deviation", f"{wanted:.4f} wanted; denoised {left:.4f}",
                 f"{values['half'][0]:.4f}", "", None)  # fmt: skip
    again = values["again"][0] / source[0]
    met = at_most(again, 1.05)
    yield Figure("film_pair, not denoised: deviation as a share of the source's", "1", *met)


def _level_figure(truth: NDArray[np.float32], planes: dict[str, NDArray[np.float32]], sound: Masks) -> Figure:
    """Compare grain by level of luma."""
    shares, before = [], []
    for low, high in pairwise(_SOURCE_LEVELS):
        here = sound & (truth >= low) & (truth < high)
        if np.count_nonzero(here) >= _FEWEST_PIXELS:
            source, ours = (float(np.median(np.abs(planes[name][here]))) for name in ("source", "regrained"))
            before.append(f"{1.4826 * source:.3f}")
            shares.append(ours / source)
    met = min(shares) >= 0.8 and max(shares) <= 1.2
    ours = ", ".join(f"{share:.2f}" for share in shares)
    return Figure("film_pair: the same by eighths of luma, as a share of the source's", ", ".join(before), ours,
                  "0.80 to 1.20", met)  # fmt: skip


def _contract_figures(pair: Pair, run: Run) -> Iterator[Figure]:
    moved = (run.frames - run.after["denoise"]).mean(axis=(1, 2, 3), dtype=np.float64)
    yield Figure("film_pair: mean level moved, most", "", f"{np.abs(moved).max():.0e}", "≤ 1e-04",
                 bool(np.abs(moved).max() <= 1e-4))  # fmt: skip
    clip = Clip(torch.from_numpy(run.after["denoise"]), 0, tuple(range(_FRAMES)))
    step = parse("[regrain]", "cut").steps[0]
    alone = [stages.apply(step, clip.part(max(0, number - 1), min(_FRAMES, number + 2)), number, number + 1, run.reel)
             for number in range(_FRAMES)]  # fmt: skip
    same = np.array_equal(torch.cat(alone).numpy(), run.frames)
    yield Figure("film_pair: the same bits frame by frame as in cells of 8", "", "yes" if same else "no", "yes", same)


def _pair_deviation(frames: Pictures) -> float:
    """Return the deviation of grain from pairs of frames, median of the reel."""
    pairs = zip(frames[3:-1:2], frames[2:-2:2], strict=True)
    return float(np.median([np.sqrt(grain.measure(one[0], other[0])[1][0, grain.REACH_PX]) for one, other in pairs]))


def _film_figure(name: str, film: Pictures, run: Run) -> Figure:
    source, denoised, ours = (_pair_deviation(frames) for frames in (film, run.after["denoise"], run.frames))
    ratio = ours / source
    came = f"{source:.4f}; denoised {denoised:.4f}"
    met = f"{ours:.4f} ({ratio:.2f} times)", "0.90 to 1.10 times", 0.9 <= ratio <= 1.1
    return Figure(f"{name}: deviation of grain, from pairs", came, *met)


def _clean_figure(media: Path) -> Figure:
    """Measure what a film without grain is given."""
    film = luma(read_film(media / "film_clean/road_960x540.mp4", 0, 8))
    added = Run(film, "[regrain]", shots_of([8])).frames - film
    met = at_most(float(added.std(dtype=np.float64)) * 255, 0.5)
    return Figure("road (no grain), not denoised: deviation added, of 255", "0", *met)


def _sheet(name: str, run: Run, film: Pictures) -> Sheet:
    """Show the middle of a frame as it came, denoised and regrained."""
    height, width = film.shape[-2:]
    place = (slice(None), slice(None), slice(height // 4, 3 * height // 4), slice(width // 4, 3 * width // 4))
    parts = [frames[place] for frames in (film, run.after["denoise"], run.frames)]
    rows = [draw_sheet(parts[0], None, after, (8,), 480) for after in parts[1:]]
    return Sheet(name, np.concatenate(rows))
