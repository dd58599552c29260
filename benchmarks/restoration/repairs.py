"""What dust and scratches are measured with: scores against a true mask, made damage, masks given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.restoration.film_pair import Pair, references
from benchmarks.restoration.films import Masks, Pictures, luma, read_film, read_folder, reel_of
from benchmarks.restoration.page import Figure, Sheet, at_least
from benchmarks.restoration.peers import has_filter, run_filter
from benchmarks.restoration.sheets import draw_sheet
from db.recipe import parse
from workers import stages
from workers.frames import Clip

_SCRATCH_ROWS = 40
_GRAIN = (0.02, 0.03)
"""Deviation of made grain in black and in white."""
CLEAN = {"road": "road_960x540.mp4", "seeking": "seeking_720x480.mp4", "cockatoo": "cockatoo_1280x720.mp4"}
PEERS = {
    "removegrain": ("removegrain", "17"),
    "median": ("median", "radius=2"),
    "atadenoise": ("atadenoise", "0a=0.1:0b=0.2"),
}


@dataclass
class Score:
    """Counts of pixels found and true, over frames."""

    hits: int = 0
    found: int = 0
    true: int = 0
    found_near: int = 0
    """Found pixels no more than a pixel from a true one."""
    true_near: int = 0

    def add(self, found: NDArray[np.bool_], true: NDArray[np.bool_]) -> None:
        """Add a frame."""
        self.hits += int((found & true).sum())
        self.found, self.true = self.found + int(found.sum()), self.true + int(true.sum())
        self.found_near += int((found & grow(true)).sum())
        self.true_near += int((true & grow(found)).sum())

    @property
    def precision(self) -> float:
        """Share of what was found that is damage."""
        return self.hits / max(1, self.found)

    @property
    def recall(self) -> float:
        """Share of damage that was found."""
        return self.hits / max(1, self.true)

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        return _harmonic(self.precision, self.recall)

    @property
    def f1_near(self) -> float:
        """The same with a pixel of tolerance."""
        return _harmonic(self.found_near / max(1, self.found), self.true_near / max(1, self.true))


def _harmonic(one: float, other: float) -> float:
    return 2 * one * other / max(1e-9, one + other)


def score(found: Masks, true: Masks, skipped: Masks, numbers: Sequence[int] | None = None) -> Score:
    """Score frames ``numbers``, or all; what lies within a pixel of ``skipped`` counts neither way."""
    total = Score()
    for number in range(len(found)) if numbers is None else numbers:
        asked = ~grow(skipped[number])
        total.add(found[number] & asked, true[number] & asked)
    return total


def grow(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return ``(H, W)`` grown by a pixel."""
    grown: NDArray[np.bool_] = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return grown


def split(mask: Masks) -> tuple[Masks, Masks]:
    """Return dust and scratches of a mask: what is tall and narrow is a scratch."""
    scratches = np.zeros_like(mask)
    for frame, out in zip(mask, scratches, strict=True):
        count, parts, stats, _ = cv2.connectedComponentsWithStats(frame.astype(np.uint8), connectivity=8)
        for part in range(1, count):
            width, height = stats[part, cv2.CC_STAT_WIDTH], stats[part, cv2.CC_STAT_HEIGHT]
            if height >= _SCRATCH_ROWS and width < height / 3:
                out |= parts == part
    return mask & ~scratches, scratches


def sound(pair: Pair) -> Masks:
    """Return what lies more than a pixel from all damage."""
    return ~np.stack([grow(frame) for frame in pair.mask])


def score_figures(name: str, total: Score, bars: tuple[float, float, float]) -> Iterator[Figure]:
    """Yield precision, recall and both F1; bars are those of precision and of both F1."""
    yield Figure(f"{name}: precision", "", *at_least(total.precision, bars[0]))
    yield Figure(f"{name}: recall", "", f"{total.recall:.2f}")
    yield Figure(f"{name}: F1", "", *at_least(total.f1, bars[1]))
    yield Figure(f"{name}: F1 with a pixel of tolerance", "", *at_least(total.f1_near, bars[2]))


def region_db(pair: Pair, frames: Pictures, where: Masks) -> float:
    """Return the PSNR in dB of some pixels against the clean frames."""
    off = (frames - references(pair, frames))[:, 0][where].astype(np.float64)
    return float(-10 * np.log10((off**2).mean()))


def changed_percent(before: Pictures, after: Pictures, where: Masks) -> float:
    """Return the share of pixels that changed, by more than rounding to 8 bits."""
    return 100 * float((np.abs(after - before).max(axis=1)[where] > 0.6 / 255).mean())


def peer_frames(frames: Pictures) -> Iterator[tuple[str, Pictures]]:
    """Yield what FFmpeg's filters make of frames."""
    for name, call in PEERS.items():
        if has_filter(call[0]):
            yield name, run_filter(frames, *call)


def repair_given(frames: Pictures, mask: Masks, step_text: str) -> Pictures:
    """Return frames after a step that is told what is damaged."""
    recipe = parse(f"[{step_text}]", "measured")
    reel = reel_of(frames, recipe, ((0, len(frames)),))
    clip = replace(Clip(torch.from_numpy(frames), 0, tuple(range(len(frames)))), mask=torch.from_numpy(mask[:, None]))
    repaired: Pictures = stages.repair(recipe.steps[0], clip, 0, len(frames), reel)[0].numpy()
    return repaired


def read_clean(media: Path, name: str, count: int, start: int = 60) -> Pictures:
    """Return luma of a clean clip."""
    return luma(read_film(media / "film_clean" / CLEAN[name], start, start + count))


def read_old(media: Path) -> dict[str, Pictures]:
    """Return the old films that sheets are drawn of, grey."""
    folder = media / "film_old"
    return {
        "silent": luma(read_folder(folder / "seq_silent_640x480")),
        "abomb": luma(read_film(folder / "abomb_blast_effects_432x320.mp4", 20, 36)),
        "chinese": luma(read_folder(folder / "seq_chinese_579x340")),
    }


def draw_middle(name: str, before: Pictures, mask: Masks | None, after: Pictures, numbers: Sequence[int]) -> Sheet:
    """Draw frames before, marked and after."""
    return Sheet(name, draw_sheet(before, mask, after, numbers, 400))


def add_grain(frames: Pictures, rng: np.random.Generator) -> Pictures:
    """Add grain that is correlated and stronger where the picture is bright."""
    grain = np.stack([cv2.GaussianBlur(rng.standard_normal(frame[0].shape).astype(np.float32), (0, 0), 0.6)[None]
                      for frame in frames])  # fmt: skip
    sigma = _GRAIN[0] + (_GRAIN[1] - _GRAIN[0]) * frames
    return np.clip(frames + grain / grain.std() * sigma, 0, 1).astype(np.float32)
