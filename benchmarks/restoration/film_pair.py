"""A made reel with its truth: clean film, the same with grain, flicker, fading, dust and scratches, and the exact mask.

A clean frame is mapped by the gain and offset that fit the undamaged pixels of the frame that it is compared with: so
exposure does not count, and what is left is damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.restoration.films import Masks, Pictures, Run, luma, read_film
from benchmarks.restoration.page import Chapter, Figure, at_least
from benchmarks.restoration.peers import run_filter
from db import recipe as recipes
from workers.ops.likeness import ssim


@dataclass(frozen=True)
class Pair:
    """The reel."""

    clean: Pictures
    damaged: Pictures
    mask: Masks
    """What dust and scratches cover."""


def read_pair(media: Path) -> Pair:
    """Read the reel from the media folder."""
    folder = media / "film_pair"
    clean, damaged, mask = (luma(read_film(folder / f"{name}_480x320.mkv")) for name in ("clean", "damaged", "mask"))
    return Pair(clean, damaged, mask[:, 0] > 0.5)


def references(pair: Pair, frames: Pictures) -> Pictures:
    """Return the clean frames with the exposure of ``frames``."""
    return np.stack(
        [_fit(clean, frame, ~mask) for clean, frame, mask in zip(pair.clean, frames, pair.mask, strict=True)]
    )


def _fit(clean: np.ndarray, frame: np.ndarray, sound: np.ndarray) -> np.ndarray:
    x, y = clean[0][sound].astype(np.float64), frame[0][sound].astype(np.float64)
    gain = np.cov(x, y)[0, 1] / max(x.var(), 1e-9)
    return (clean * gain + (y.mean() - gain * x.mean())).astype(np.float32)


def psnr_db(pair: Pair, frames: Pictures, where: Masks | None = None) -> float:
    """Return the PSNR in dB against the clean frames, over all pixels or some."""
    squares = (frames - references(pair, frames))[:, 0].astype(np.float64) ** 2
    return float(-10 * np.log10(squares.mean() if where is None else squares[where].mean()))


def mean_ssim(pair: Pair, frames: Pictures) -> float:
    """Return the mean SSIM of 8-bit frames against the clean ones."""
    levels = [np.rint(np.clip(side, 0, 1) * 255).astype(np.uint8) for side in (frames, references(pair, frames))]
    return float(np.mean([ssim(one[0], other[0]) for one, other in zip(*levels, strict=True)]))


CHAIN = "[deflicker, dirt, scratch, denoise]"
_PEERS = {
    "nlmeans": ("nlmeans", "s=6"),
    "atadenoise": ("atadenoise", "0a=0.1:0b=0.2"),
    "removegrain": ("removegrain", "17"),
}


def measure(media: Path) -> Chapter:
    """Measure whole recipes, and each step's share."""
    pair = read_pair(media)
    before, before_ssim = psnr_db(pair, pair.damaged), mean_ssim(pair, pair.damaged)
    figures = list(_chain_figures(pair, before, before_ssim))
    for name in ("conservation", "silent-film"):
        figures += list(_recipe_figures(pair, name, before))
    text = """The reel `film_pair` (40 frames of 480 × 320, grey): correlated grain of standard deviation 0.038,
flicker, dust and line scratches, with its clean original. Luma; a clean frame is mapped by the gain and
offset that fit the undamaged pixels of the frame that it is compared with, so exposure does not count.
Each step's share is the PSNR after it less the PSNR before it."""
    return Chapter("Whole recipes on a reel with its truth", text, figures)


def _chain_figures(pair: Pair, before: float, before_ssim: float) -> Iterator[Figure]:
    run = Run(pair.damaged, CHAIN)
    gain = psnr_db(pair, run.frames) - before
    others = ", ".join(f"{name} {psnr_db(pair, run_filter(pair.damaged, *call)):.2f}" for name, call in _PEERS.items())
    ours, bar, met = at_least(gain, 3.3)
    yield Figure("`deflicker, dirt, scratch, denoise`: gain in PSNR, dB", f"{before:.2f} dB", ours, bar, met, others)
    yield Figure("the same, SSIM", f"{before_ssim:.3f}", f"{mean_ssim(pair, run.frames):.3f}")
    yield Figure("the same, each step's share in dB", "", _shares(pair, run, before))
    inside = psnr_db(pair, pair.damaged, pair.mask)
    yield Figure("the same, PSNR inside the damage, dB", f"{inside:.1f}", f"{psnr_db(pair, run.frames, pair.mask):.1f}")
    sound = ~pair.mask
    outside = psnr_db(pair, pair.damaged, sound)
    yield Figure("the same, PSNR outside the damage, dB", f"{outside:.2f}", f"{psnr_db(pair, run.frames, sound):.2f}")


def _recipe_figures(pair: Pair, name: str, before: float) -> Iterator[Figure]:
    """Measure a shipped recipe, which must not end below what its repairs reached."""
    recipe = recipes.resolve(name)
    steps = "[" + ", ".join(f"{{{step.stage}: {step.params}}}" for step in recipe.steps) + "]"
    run = Run(pair.damaged, steps.replace("None", "null").replace("True", "true").replace("False", "false"))
    best = max(psnr_db(pair, frames) for frames in run.after.values())
    end = psnr_db(pair, run.frames)
    ours, bar, met = at_least(end, best - 0.05)
    yield Figure(f"recipe `{name}`: PSNR at its end, dB, against its best step", f"{before:.2f}", ours, bar, met)
    yield Figure(f"recipe `{name}`: each step's share in dB", "", _shares(pair, run, before))


def _shares(pair: Pair, run: Run, before: float) -> str:
    parts = []
    for stage, frames in run.after.items():
        after = psnr_db(pair, frames)
        parts.append(f"{stage} {after - before:+.2f}")
        before = after
    return ", ".join(parts)
