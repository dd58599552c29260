"""Which cuts are found: reels put together of real clips and moving photographs, clean and damaged, and real films."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import av.error
import av.filter
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.restoration.films import Pictures, luma, read_film
from benchmarks.restoration.page import Chapter, Figure, Sheet
from benchmarks.restoration.sheets import draw_sheet
from workers import profiles

_WIDTH, _HEIGHT = 320, 240
_SHOTS, _REELS = 25, 3
_LEVELS = ("none", "film", "heavy")
_CLIPS = {
    "road": "film_clean/road_960x540.mp4",
    "seeking": "film_clean/seeking_720x480.mp4",
    "cockatoo": "film_clean/cockatoo_1280x720.mp4",
    "silent": "film_old/silent_640x480_200f.mp4",
    "realshort": "film_clean/realshort_320x240.mp4",
    "park": "film_clean/park_joy_480x270_10f.y4m",
}
_ABOMB, _ABOMB_SHOTS = "film_old/abomb_blast_effects_432x320.mp4", (0, 44, 134, 299, 360)
_MOST_CLIP_FRAMES = 150
_SEE_DISSOLVE = 1

Plane = NDArray[np.float32]


@dataclass
class _Reel:
    """Frames with their cuts."""

    frames: list[Plane] = field(default_factory=list)
    hard: list[int] = field(default_factory=list)
    """First frames of shots."""
    soft: list[tuple[int, int]] = field(default_factory=list)
    """Dissolves, first frame and the one after the last."""


@dataclass
class _Tally:
    """What was found, over reels."""

    hard: int = 0
    hits: int = 0
    false: int = 0
    soft: int = 0
    soft_hits: int = 0
    missed: list[Plane] = field(default_factory=list)
    """Frames before and at cuts that were missed, by turns."""

    def add(self, reel: _Reel, found: NDArray[np.intp]) -> None:
        hits = [cut for cut in reel.hard if np.abs(found - cut).min(initial=99) <= 1]
        others = [cut for cut in found if np.abs(np.array(reel.hard) - cut).min(initial=99) > 1]
        in_soft = [(first, last) for first, last in reel.soft if any(_is_in(cut, first, last) for cut in others)]
        self.false += sum(not any(_is_in(cut, first, last) for first, last in reel.soft) for cut in others)
        self.hard, self.hits = self.hard + len(reel.hard), self.hits + len(hits)
        self.soft, self.soft_hits = self.soft + len(reel.soft), self.soft_hits + len(in_soft)
        for cut in sorted(set(reel.hard) - set(hits)):
            self.missed += [reel.frames[cut - 1], reel.frames[cut]]

    def write(self) -> str:
        return f"{self.hits} of {self.hard}, {self.false} false"


def _is_in(cut: int, first: int, last: int) -> bool:
    return first - _SEE_DISSOLVE <= cut <= last + _SEE_DISSOLVE


def measure(media: Path) -> Chapter:
    """Measure made reels at three levels of damage, odd frames, and films as they are."""
    cv2.setNumThreads(1)
    clips, photos = list(_read_clips(media)), list(_read_photos(media))
    figures: list[Figure] = []
    missed: list[Plane] = []
    for level, name in enumerate(_LEVELS):
        ours, plain, scdet = _Tally(), _Tally(), _Tally()
        for seed in range(_REELS):
            reel = _make_reel(clips, photos, np.random.default_rng(seed + 10 * level), level)
            ours.add(reel, np.flatnonzero(_profile(reel.frames)["cut"])[1:])
            plain.add(reel, _plain_cuts(reel.frames))
            scdet.add(reel, _scdet(reel.frames))
        figures += _level_figures(name, ours, plain, scdet)
        missed += ours.missed
    figures += [_odd_figure(clips, photos, level) for level in (0, 1)]
    abomb = luma(read_film(media / _ABOMB))
    figures += list(_real_figures(media, abomb))
    text = f"""Reels of {_SHOTS} shots at {_WIDTH} × {_HEIGHT}, put together of clips and of photographs under a moving
camera, with cuts and some dissolves; {_REELS} a level. *Film*: flicker, weave, grain, dust, blotches, now and then a
flash frame; *heavy*: twice that. A cut counts as found within a frame. The bar is the plain rule that Reelwright had
before (pictures of 16 × 12 that are unlike, far more so than those around), measured here too, and no false cut at any
level. `scdet` is FFmpeg's, at its own threshold.

What falls short: dissolves are not found, so a shot reaches over them (a network such as TransNetV2 finds most of them
on clean film). The hard cuts that are missed, all looked at, join two pieces of the same scene from the same camera:
hardly anything in the picture says that there is a cut. Odd frames are found one or two in a row, not more."""
    return Chapter("Shot cuts and odd frames", text, figures, _sheets(abomb, missed))


def _level_figures(name: str, ours: _Tally, plain: _Tally, scdet: _Tally) -> Iterator[Figure]:
    others = f"plain likeness {plain.write()}; scdet {scdet.write()}"
    met = ours.hits >= plain.hits and ours.false == 0
    yield Figure(f"{name}: hard cuts found, false ones", "", ours.write(), f"≥ {plain.hits}, 0 false", met, others)
    others = f"plain likeness {plain.soft_hits}, scdet {scdet.soft_hits}"
    yield Figure(f"{name}: dissolves found", "", f"{ours.soft_hits} of {ours.soft}", others=others)


# -- reels


def _shrink(frames: Pictures) -> list[Plane]:
    return [cv2.resize(frame[0], (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA) for frame in frames]


def _read_clips(media: Path) -> Iterator[list[Plane]]:
    for path in _CLIPS.values():
        yield _shrink(luma(read_film(media / path, 0, _MOST_CLIP_FRAMES)))
    abomb = _shrink(luma(read_film(media / _ABOMB)))
    for first, last in pairwise(_ABOMB_SHOTS):
        yield abomb[first:last]


def _read_photos(media: Path) -> Iterator[Plane]:
    kodak = sorted((media / "photos_color/kodak").glob("*"))[:8]
    for path in [*sorted((media / "photos_bw").glob("*.jpg")), *kodak]:
        photo = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
        scale = max(_WIDTH / photo.shape[1], _HEIGHT / photo.shape[0]) * 1.35
        yield cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _shot(clips: list[list[Plane]], photos: list[Plane], rng: np.random.Generator, count: int) -> list[Plane]:
    """Return a piece of a clip, or a photograph under a camera that moves and zooms."""
    if rng.random() < 0.6:
        clip = clips[rng.integers(len(clips))]
        first = int(rng.integers(0, max(1, len(clip) - count)))
        return [frame.copy() for frame in clip[first : first + count]]
    photo = photos[rng.integers(len(photos))]
    free = np.array([photo.shape[1] - _WIDTH - 2, photo.shape[0] - _HEIGHT - 2], np.float64)
    place, pace, zoom = rng.uniform(0, 1, 2) * free, rng.normal(0, 1.2, 2), rng.uniform(-0.002, 0.002)
    frames = []
    for number in range(count):
        x, y = np.clip(place + pace * number, 0, free)
        scale = 1 + zoom * number
        matrix = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])
        frames.append(cv2.warpAffine(photo, matrix, (_WIDTH, _HEIGHT), borderMode=cv2.BORDER_REFLECT))
    return frames


def _make_reel(clips: list[list[Plane]], photos: list[Plane], rng: np.random.Generator, level: int) -> _Reel:
    reel = _Reel()
    for _ in range(_SHOTS):
        shot = _shot(clips, photos, rng, int(rng.integers(8, 45)))
        if min(len(shot), len(reel.frames)) > 20 and rng.random() < 0.27:
            _dissolve(reel, shot, int(rng.integers(6, 14)))
            continue
        if reel.frames:
            reel.hard.append(len(reel.frames))
        reel.frames += shot
    reel.frames = [_damage(frame, rng, level) for frame in reel.frames] if level else reel.frames
    return reel


def _dissolve(reel: _Reel, shot: list[Plane], length: int) -> None:
    first = len(reel.frames) - length
    for number in range(length):
        share = np.float32((number + 1) / (length + 1))
        reel.frames[first + number] = reel.frames[first + number] * (1 - share) + shot[number] * share
    reel.soft.append((first, len(reel.frames)))
    reel.frames += shot[length:]


def _damage(frame: Plane, rng: np.random.Generator, level: int) -> Plane:
    matrix = np.array([[1, 0, rng.normal(0, 0.5 * level)], [0, 1, rng.normal(0, 0.5 * level)]])
    worse = cv2.warpAffine(frame, matrix, (_WIDTH, _HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    worse = (worse * np.exp(rng.normal(0, 0.06 * level)) + rng.normal(0, 0.015 * level)).astype(np.float32)
    grain = cv2.GaussianBlur(rng.standard_normal(worse.shape).astype(np.float32), (0, 0), 0.7)
    worse += grain / grain.std() * np.float32(0.03 * level)
    for _ in range(rng.poisson(15 * level)):
        cv2.circle(worse, _place(rng), int(rng.integers(1, 3)), float(rng.choice([0.05, 0.95])), -1)
    for _ in range(rng.poisson(0.5 * level)):
        axes = int(rng.integers(8, 28)), int(rng.integers(8, 28))
        cv2.ellipse(worse, _place(rng), axes, float(rng.uniform(0, 180)), 0, 360, float(rng.choice([0.05, 0.95])), -1)
    if rng.random() < 0.008 * level:
        worse = np.full_like(worse, rng.choice([0, 1])) if rng.random() < 0.5 else worse * 0.3 + 0.7
    return np.clip(worse, 0, 1).astype(np.float32)


def _place(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(_WIDTH)), int(rng.integers(_HEIGHT))


# -- rules


def _profile(frames: Sequence[Plane]) -> dict[str, NDArray[np.bool_]]:
    return profiles.profile_of(("cuts",), [frame[None] for frame in frames])


def _plain_cuts(frames: Sequence[Plane]) -> NDArray[np.intp]:
    """Return the cuts of a plain rule: small pictures unlike, three times as much as those around, and no flash."""
    small = np.stack([cv2.resize(frame, (16, 12), interpolation=cv2.INTER_AREA).ravel() for frame in frames])
    small = (small - small.mean(axis=1, keepdims=True)).astype(np.float64)
    cuts = []
    for number in range(1, len(small)):
        around = [_unlike(small, each - 1, each) for each in range(number - 4, number + 5) if each != number]
        usual = float(np.median([each for each in around if not math.isnan(each)]))
        bridges = (_unlike(small, number - 1, number + 1), _unlike(small, number - 2, number))
        is_flash = any(each < 0.175 for each in bridges)
        if _unlike(small, number - 1, number) > max(0.35, 3 * usual) and not is_flash:
            cuts.append(number)
    return np.array(cuts, np.intp)


def _unlike(small: NDArray[np.float64], first: int, last: int) -> float:
    if first < 0 or last >= len(small):
        return math.nan
    both, apart = small[first] @ small[last], small[first] @ small[first] + small[last] @ small[last]
    return float(1 - (2 * both + 0.192) / (apart + 0.192))


def _scdet(frames: Sequence[Plane]) -> NDArray[np.intp]:
    """Return the cuts that FFmpeg's filter marks."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=_WIDTH, height=_HEIGHT, format="gray", time_base="1/24")
    middle, sink = graph.add("scdet"), graph.add("buffersink")
    for one, other in ((source, middle), (middle, sink)):
        one.link_to(other)
    graph.configure()
    cuts = []
    for number, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(np.rint(np.clip(frame, 0, 1) * 255).astype(np.uint8), format="gray")
        picture.pts, picture.time_base = number, Fraction(1, 24)
        graph.push(picture)
        if "lavfi.scd.time" in graph.pull().metadata:
            cuts.append(number)
    return np.array(cuts, np.intp)


# -- odd frames and films


def _odd_figure(clips: list[list[Plane]], photos: list[Plane], level: int) -> Figure:
    """Put black, white, foreign and torn frames into shots of 30, one or two in a row."""
    rng = np.random.default_rng(50 + level)
    frames: list[Plane] = []
    truth, hard = set(), [0]
    while len(hard) < 25:
        shot = _shot(clips, photos, rng, 30)
        if len(shot) < 20:
            continue
        for place in (6, 13):
            kind, count = int(rng.integers(4)), 1 + int(rng.random() < 0.3)
            for number in range(place, place + count):
                foreign = _shot(clips, photos, rng, 5)[0]
                torn = np.roll(shot[number], 90, 0) * np.float32(0.8)
                shot[number] = (np.zeros_like(foreign), np.ones_like(foreign), foreign, torn)[kind]
                truth.add(len(frames) + number)
        frames += shot
        hard.append(len(frames))
    # Grain, flicker and dust alone: a flash among them would be odd too.
    profile = _profile([_fade_in_grain(frame, rng) for frame in frames] if level else frames)
    odd = set(np.flatnonzero(profile["odd"]).tolist())
    false = [cut for cut in np.flatnonzero(profile["cut"]) if np.abs(np.array(hard) - cut).min() > 1]
    ours = f"{len(odd & truth)} of {len(truth)}, {len(odd - truth)} sound ones; {len(false)}"
    met = len(odd & truth) >= 0.8 * len(truth) and len(odd - truth) + len(false) <= 2
    what = f"{_LEVELS[level]}: odd frames found, sound ones taken for odd; false cuts"
    return Figure(what, "", ours, "≥ 80 %, ≤ 2 in all", met)


def _fade_in_grain(frame: Plane, rng: np.random.Generator) -> Plane:
    grain = cv2.GaussianBlur(rng.standard_normal(frame.shape).astype(np.float32), (0, 0), 0.7) * np.float32(0.06)
    return np.clip(frame * np.float32(np.exp(rng.normal(0, 0.05))) + grain, 0, 1)


def _real_figures(media: Path, abomb: Pictures) -> Iterator[Figure]:
    profile = _profile(list(abomb[:, 0]))
    found, odd = (np.flatnonzero(profile[name]).tolist() for name in ("cut", "odd"))
    wanted = list(_ABOMB_SHOTS[1:-1])
    yield Figure("abomb: cuts", "", f"{found[1:]}, odd frames {odd}", str(wanted), found[1:] == wanted and not odd)
    false = []
    for name, path in _CLIPS.items():
        profile = _profile(list(luma(read_film(media / path, 0, _MOST_CLIP_FRAMES))[:, 0]))
        count = int(profile["cut"][1:].sum() + profile["odd"].sum())
        false += [f"{name} {count}"] if count else []
    yield Figure("clips of one shot: false cuts and odd frames", "", ", ".join(false) or "0", "0", not false)


def _sheets(abomb: Pictures, missed: list[Plane]) -> tuple[Sheet, ...]:
    before = np.stack([abomb[cut - 1] for cut in _ABOMB_SHOTS[1:-1]])
    after = np.stack([abomb[cut] for cut in _ABOMB_SHOTS[1:-1]])
    sheets = [Sheet("cuts_abomb", draw_sheet(before, None, after, range(len(before))))]
    if missed:
        pairs = np.stack(missed)[:, None]
        count = min(10, len(pairs) // 2)
        sheets.append(Sheet("cuts_missed", draw_sheet(pairs[0::2], None, pairs[1::2], range(count))))
    return tuple(sheets)
