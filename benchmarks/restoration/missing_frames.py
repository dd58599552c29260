"""How true made-up frames are: frames taken out of films that have them, and the access copy's other rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.restoration.deblur import psnr
from benchmarks.restoration.films import Pictures, luma, read_film, reel_of
from benchmarks.restoration.page import Chapter, Figure, Sheet, at_least
from benchmarks.restoration.peers import run_filter
from benchmarks.restoration.sheets import draw_sheet
from db.recipe import parse
from workers import stages
from workers.frames import Clip
from workers.media.film.timing import Clock
from workers.tasks import pace

_FILMS = {
    "road": "film_clean/road_960x540.mp4",
    "seeking": "film_clean/seeking_720x480.mp4",
    "cockatoo": "film_clean/cockatoo_1280x720.mp4",
    "silent": "film_old/silent_640x480_200f.mp4",
    "abomb": "film_old/abomb_blast_effects_432x320.mp4",
}
_BARS = {"road": 35.0, "seeking": 25.5, "cockatoo": 27.5}
_FRAMES = 25
_WARM_UP = 5
"""Frames that FFmpeg's `minterpolate` needs before it is at its best; they count for nobody."""
_GAPS = (1, 2, 4)
_GAP_FILMS = {"road": 60, "seeking": 60, "silent": 120}
_GAPS_A_FILM = 6
_CUT = 44
"""Of `abomb`."""


def measure(media: Path) -> Chapter:
    """Measure every other frame dropped, gaps, odd frames, and other rates."""
    cv2.setNumThreads(1)
    figures: list[Figure] = []
    sheets: list[Sheet] = []
    for name in _BARS:
        figure, sheet = _dropped(name, _read(media, name, _FRAMES))
        figures.append(figure)
        sheets.append(sheet)
    for name, count in _GAP_FILMS.items():
        film = _read(media, name, count)
        figures += [_gap_figure(name, film, length) for length in _GAPS]
    sheets.append(_gap_sheet(_read(media, "silent", 60)))
    figures.append(_odd_figure(_read(media, "seeking", 30)))
    figures += list(_rate_figures(media))
    text = f"""Frames are taken out of films and made up by the stage, as for frames that could not be read; luma, PSNR
against the frames taken out. *As it came* is the nearest good frame held, as is done without the stage; *mixed* is the
two neighbours faded into one another; `minterpolate` is FFmpeg's with `aobmc` and `bidir`. Every other frame: {_FRAMES}
frames, the first {_WARM_UP} left out. Gaps: {_GAPS_A_FILM} of each length. The access copy: the rate is changed as when
the access copy is written.

What falls short: what moves fast and far (a foot, a hand, a fence that passes) is faint or doubled in the made-up
frame, and small bits of it may stay behind. Where no motion explains two frames clearly better than none (shutters and
other things that repeat), they are mixed, so on the silent film mixing is as good. On `seeking`, FFmpeg's block motion
is 0.3 dB better. Over gaps of three and more a runner is torn, and little is gained on fast
motion: `max_gap` can be less. Networks (RIFE and its like) are said to be 2 to 4 dB better; no weights for one come
with a package."""
    return Chapter("`missing_frames` and the access copy's rate", text, figures, sheets)


def _read(media: Path, name: str, count: int, start: int = 0) -> Pictures:
    return luma(read_film(media / _FILMS[name], start, start + count))


def _make_up(film: Pictures, missing: Sequence[int], params: str = "") -> tuple[Pictures, np.ndarray]:
    """Return a film whose missing frames were made up, and which frames were; the frame before stands in for each."""
    shown = list(range(len(film)))
    for number in missing:
        shown[number] = shown[number - 1]
    frames = np.ascontiguousarray(film[shown])
    recipe = parse(f"[{{missing_frames: {{{params}}}}}]", "gaps")
    shots = ((0, len(film)),) if missing else None
    reel = reel_of(frames, recipe, shots)
    clip = Clip(torch.from_numpy(frames), 0, tuple(shown))
    made, mask = stages.repair(recipe.steps[0], clip, 0, len(film), reel)
    assert mask is not None
    return made.numpy(), mask.flatten(1).any(dim=1).numpy()


# -- every other frame, and gaps


def _dropped(name: str, film: Pictures) -> tuple[Figure, Sheet]:
    missing = range(1, len(film) - 1, 2)
    made = _make_up(film, missing)[0]
    doubled = run_filter(film[::2], "minterpolate", "fps=48:mi_mode=mci:mc_mode=aobmc:me_mode=bidir:scd=none")
    counted = [number for number in missing if _WARM_UP <= number < len(doubled)]
    held, mixed, peer, ours = (
        float(np.mean([psnr(picture(number), film[number]) for number in counted]))
        for picture in (
            lambda number: film[number - 1],
            lambda number: (film[number - 1] + film[number + 1]) / 2,
            lambda number: doubled[number],
            lambda number: made[number],
        )
    )
    others = f"mixed {mixed:.1f}, minterpolate {peer:.1f}"
    figure = Figure(f"{name}, every other frame: PSNR, dB", f"{held:.1f}", *at_least(ours, _BARS[name], 1), others)
    worst = min(counted, key=lambda number: psnr(made[number], film[number]))
    return figure, Sheet(f"missing_{name}", draw_sheet(film, None, made, (counted[0], worst), 400))


def _gap_figure(name: str, film: Pictures, length: int) -> Figure:
    """Compare what fills gaps of a length, spread over the film, with the frames that were there."""
    firsts = np.linspace(2, len(film) - length - 3, _GAPS_A_FILM).astype(int)
    held, mixed, ours = [], [], []
    for first in firsts.tolist():
        before, behind = film[first - 1], film[first + length]
        part = film[first - 1 : first + length + 1]
        made = _make_up(part, range(1, length + 1))[0]
        for place in range(1, length + 1):
            share = place / (length + 1)
            held.append(psnr(before if share <= 0.5 else behind, part[place]))
            mixed.append(psnr(before + (behind - before) * np.float32(share), part[place]))
            ours.append(psnr(made[place], part[place]))
    what, others = f"{name}, gaps of {length}: PSNR, dB", f"mixed {np.mean(mixed):.1f}"
    met = at_least(float(np.mean(ours)), float(np.mean(held)), 1)
    return Figure(what, f"{np.mean(held):.1f}", met[0], "≥ held", met[2], others)


def _gap_sheet(film: Pictures) -> Sheet:
    made = _make_up(film[44:51], range(2, 5))[0]
    return Sheet("missing_silent", draw_sheet(film[44:51], None, made, (2, 3, 4), 480))


# -- odd frames


def _odd_figure(film: Pictures) -> Figure:
    """Put a black, a white and a foreign frame into a film and have them found and replaced."""
    spoilt = film.copy()
    spoilt[6], spoilt[13], spoilt[20] = 0, 1, spoilt[2, :, ::-1, ::-1]
    made, replaced = _make_up(spoilt, (), "odd: true")
    found = np.flatnonzero(replaced).tolist()
    quality = np.mean([psnr(made[number], film[number]) for number in (6, 13, 20)])
    what = "seeking with a black, a white and a foreign frame, `odd`: frames replaced; PSNR, dB"
    return Figure(what, "", f"{found}; {quality:.1f}", "[6, 13, 20]", found == [6, 13, 20])


# -- the access copy


def _rate_figures(media: Path) -> Iterator[Figure]:
    for name, step in (("road", 2), ("cockatoo", 3)):
        film = _read(media, name, 1 + 4 * 3)
        kept, rate = film[::step], Fraction(24, step)
        made = _change_rate(kept, rate, Fraction(24))
        between = [number for number in range(len(film)) if number % step]
        held, ours = (
            float(np.mean([psnr(picture(number), film[number]) for number in between]))
            for picture in (
                lambda number, kept=kept, step=step: kept[number // step],
                lambda number, made=made: made[number],
            )
        )
        mixed = float(np.mean([psnr(_mix(kept, number / step), film[number]) for number in between]))
        met = at_least(ours, held, 1)
        what = f"{name}, {rate} to 24 frames per second: PSNR of those between, dB"
        yield Figure(what, f"{held:.1f}", met[0], "≥ held", met[2], f"mixed {mixed:.1f}")
    yield _cut_figure(media)


def _mix(kept: Pictures, place: float) -> np.ndarray:
    share = np.float32(place % 1)
    return kept[int(place)] * (1 - share) + kept[int(place) + 1] * share


@cache
def _clock(rate: Fraction) -> Clock:
    return Clock(rate)


def _change_rate(film: Pictures, rate: Fraction, wanted: Fraction, cuts: Sequence[int] = ()) -> Pictures:
    return np.stack(list(pace.change_rate(film, _clock(rate), len(film), wanted, cuts)))


def _cut_figure(media: Path) -> Figure:
    """Go from 16 to 24 frames per second over a cut: nothing may be made of both shots, and no frame be lost."""
    film = _read(media, "abomb", 8, _CUT - 4)
    made = _change_rate(film, Fraction(16), Fraction(24), (4,))
    apart = []
    for number, picture in enumerate(made):
        place = Fraction(16, 24) * number
        if place.denominator == 1:
            apart.append(float(np.abs(picture - film[int(place)]).max()))
        elif int(place) == 3:
            apart.append(float(np.abs(picture - film[3]).max()))
    what = "abomb, 16 to 24 over a cut: frames; most that the master's own, and the one held before the cut, are off by"
    met = len(made) == 12 and max(apart) == 0
    return Figure(what, "8", f"{len(made)}; {max(apart):.0f}", "12; 0", met)
