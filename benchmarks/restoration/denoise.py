"""How much of grain averaging in time takes out, beside other tools, and what it costs a clean picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks.restoration.film_pair import Pair, read_pair, references
from benchmarks.restoration.films import Masks, Pictures, Run, shots_of
from benchmarks.restoration.page import Chapter, Figure, Sheet, at_least
from benchmarks.restoration.peers import has_filter, run_filter
from benchmarks.restoration.repairs import add_grain, draw_middle, read_clean, read_old, region_db, sound

_TEMPORAL = "{denoise: {method: temporal}}"
_WIDER = "{denoise: {method: temporal, radius: 4}}"
_CHAIN = f"[dirt, scratch, {_TEMPORAL}]"
_DB, _SSIM = 31.3, 0.86
_FILTERS = {
    "nlmeans": ("nlmeans", "s=4:p=5:r=11"),
    "atadenoise": ("atadenoise", "0a=0.1:0b=0.2"),
    "fftdnoiz": ("fftdnoiz", "sigma=20:prev=1:next=1"),
    "bm3d": ("bm3d", "sigma=30"),
}
_OPENCV_STRENGTH, _OPENCV_FRAMES = 7.0, 3
_CLEAN_FRAMES = 10
_SHEET_FRAMES = 8
_TEXT = f"""`film_pair` after `dirt` and `scratch`, all 40 frames, grey; PSNR in dB and SSIM (Gaussian windows) against
the clean frames, in the exposure of what is compared, over what lies more than a pixel from damage. Other tools get the
same frames, rounded to 8 bits; their strengths are those that served best among a few on this reel, so they are
flattered. OpenCV's is `fastNlMeansDenoisingMulti` over {_OPENCV_FRAMES} frames. Clean clips have {_CLEAN_FRAMES}
frames; with grain of our own on them, the gain is what denoising is for, and without grain, PSNR against themselves
says what it takes from a picture that has none.

What still fails: where motion cannot be followed (legs, spray, turning heads) neighbours are not believed and the grain
stays, so a picture may be calm beside one that is not. On smooth pictures, as of the cockatoo, `nlmeans`, which
averages far more pixels, takes out more. With perfect motion the same averaging would reach about 31.9 dB on this reel;
networks, which are not measured here, go beyond."""


def measure(media: Path) -> Chapter:
    """Measure the reel with its truth, clean clips with and without grain, and old films."""
    cv2.setNumThreads(1)
    pair = read_pair(media)
    run = Run(pair.damaged, _CHAIN, shots_of([len(pair.damaged)]))
    figures = list(_pair_figures(pair, run))
    for name in ("road", "seeking", "cockatoo"):
        figures += list(_clip_figures(media, name))
    sheets = [_sheet(name, frames[:_SHEET_FRAMES]) for name, frames in read_old(media).items()]
    sheets.append(draw_middle("denoise_film_pair", pair.damaged, None, run.frames, (6, 21)))
    return Chapter("`denoise` for film", _TEXT, figures, sheets)


def _pair_figures(pair: Pair, run: Run) -> Iterator[Figure]:
    where, given = sound(pair), run.after["scratch"]
    peers = dict(_peers(given))
    before, before_ssim = region_db(pair, given, where), _ssim(pair, given, where)
    others = ", ".join(f"{name} {region_db(pair, made, where):.2f}" for name, made in peers.items())
    ours = at_least(region_db(pair, run.frames, where), _DB)
    yield Figure("film_pair after `dirt, scratch`: PSNR, dB", f"{before:.2f}", *ours, others)
    others = ", ".join(f"{name} {_ssim(pair, made, where):.3f}" for name, made in peers.items())
    ours = at_least(_ssim(pair, run.frames, where), _SSIM, 3)
    yield Figure("the same: SSIM", f"{before_ssim:.3f}", *ours, others)
    wider = Run(given, f"[{_WIDER}]", shots_of([len(given)])).frames
    yield Figure("the same, `radius: 4`: PSNR, dB", f"{before:.2f}", f"{region_db(pair, wider, where):.2f}")
    alone = Run(pair.damaged, f"[{_TEMPORAL}]", shots_of([len(given)])).frames
    came = region_db(pair, pair.damaged, where)
    yield Figure("film_pair, nothing repaired first: PSNR, dB", f"{came:.2f}", f"{region_db(pair, alone, where):.2f}")


def _peers(frames: Pictures) -> Iterator[tuple[str, Pictures]]:
    for name, call in _FILTERS.items():
        if has_filter(call[0]):
            made = run_filter(frames, *call)
            # What a filter leaves out at the end counts as it came.
            yield name, np.concatenate([made, frames[len(made) :]])
    yield "OpenCV NLM", _denoise_by_opencv(frames)


def _denoise_by_opencv(frames: Pictures) -> Pictures:
    levels = [np.rint(np.clip(frame[0], 0, 1) * 255).astype(np.uint8) for frame in frames]
    half = _OPENCV_FRAMES // 2
    out = list(levels)
    for number in range(half, len(levels) - half):
        out[number] = cv2.fastNlMeansDenoisingMulti(
            levels, number, _OPENCV_FRAMES, None, _OPENCV_STRENGTH, 5, 11
        )  # fmt: skip
    return np.stack(out)[:, None].astype(np.float32) / np.float32(255)


def _ssim(pair: Pair, frames: Pictures, where: Masks) -> float:
    """Return the mean over some pixels of the map of SSIM (Wang and others 2004)."""
    maps = [_ssim_map(one[0], other[0]) for one, other in zip(frames, references(pair, frames), strict=True)]
    return float(np.stack(maps)[where].mean())


def _ssim_map(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = one.astype(np.float64), other.astype(np.float64)
    mean_one, mean_other = _blur(one), _blur(other)
    power = _blur(one * one) - mean_one**2 + _blur(other * other) - mean_other**2
    shared = _blur(one * other) - mean_one * mean_other
    light = (2 * mean_one * mean_other + 1e-4) / (mean_one**2 + mean_other**2 + 1e-4)
    likeness: np.ndarray = light * (2 * shared + 9e-4) / (power + 9e-4)
    return likeness


def _blur(plane: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(plane, (11, 11), 1.5)


def _clip_figures(media: Path, name: str) -> Iterator[Figure]:
    clean = read_clean(media, name, _CLEAN_FRAMES)
    grainy = add_grain(clean, np.random.default_rng(0))
    shots = shots_of([_CLEAN_FRAMES])
    ours, untouched = (Run(frames, f"[{_TEMPORAL}]", shots).frames for frames in (grainy, clean))
    others = ", ".join(f"{peer} {_db(np.concatenate([made, grainy[len(made) :]]), clean):.2f}"
                       for peer, made in ((peer, run_filter(grainy, *_FILTERS[peer]))
                                          for peer in ("nlmeans", "atadenoise", "fftdnoiz")))  # fmt: skip
    yield Figure(f"{name} with made grain: PSNR, dB", f"{_db(grainy, clean):.2f}", f"{_db(ours, clean):.2f}",
                 others=others)  # fmt: skip
    others = f"nlmeans {_db(run_filter(clean, *_FILTERS['nlmeans']), clean):.1f}"
    yield Figure(f"{name} without grain: PSNR against itself, dB", "", f"{_db(untouched, clean):.1f}", others=others)


def _db(frames: Pictures, clean: Pictures) -> float:
    return float(-10 * np.log10(((frames - clean).astype(np.float64) ** 2).mean()))


def _sheet(name: str, frames: Pictures) -> Sheet:
    run = Run(frames, _CHAIN, shots_of([len(frames)]))
    height, width = frames.shape[-2:]
    place = (slice(None), slice(None), slice(height // 4, 3 * height // 4), slice(width // 4, 3 * width // 4))
    return draw_middle(f"denoise_{name}", frames[place], None, run.frames[place], (4,))
