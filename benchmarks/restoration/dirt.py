"""How much dust is found and how well its place is filled, what of a clean film is taken for dust, and sheets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.restoration.film_pair import Pair, read_pair, references
from benchmarks.restoration.films import Masks, Pictures, Run, shots_of
from benchmarks.restoration.page import Chapter, Figure, Sheet, at_least, at_most
from benchmarks.restoration.repairs import (
    add_grain,
    changed_percent,
    draw_middle,
    peer_frames,
    read_clean,
    read_old,
    region_db,
    repair_given,
    score,
    score_figures,
    sound,
    split,
)

_SPIKE = 0.3
"""Difference from both neighbours in place that a plain detector takes for dirt."""
_END = 2
_CUT = 8
_CLEAN_BARS: dict[str, float | None] = {"road": 0.06, "seeking": 0.2, "cockatoo": None}
_CLEAN_FRAMES, _MADE_FRAMES = 12, 10
_SPECKS_A_FRAME = 24
_LEAST_CONTRAST = 0.1
_OPACITIES = (0.3, 0.6, 1.0)
_TEXT = f"""The dust of `film_pair` (its scratches count neither way), all 40 frames, grey. *Inside* and *outside* are
PSNR in dB against the clean frames, in the exposure of what is compared; outside keeps a pixel from all damage.
*Changed* counts pixels that moved by more than rounding to 8 bits. The plain detector takes for dirt what differs from
both neighbours in place, each brought to the same median, by more than {_SPIKE}, the best of five on this reel. The
made cut puts frames 0–7 before frames 30–37 seen in a mirror; ends and cut are judged on two frames on each side.
Clean clips have {_CLEAN_FRAMES} frames: all that is marked there is an error. Made specks lie on those clips with grain
of our own: soft ellipses, hairs and polygons, {_SPECKS_A_FRAME} a frame, of three opacities and both signs; those that
stand out by {_LEAST_CONTRAST} or more count, and a speck is found if half of its pixels are.

What still fails: dark specks on dark ground and faint ones are missed, and a miss costs more inside the damage than
every filling together. Among runners, whom no flow follows, a good part of even clear specks is missed, and where legs
cross some picture is still taken for dirt. A fifth of what is found is filled from its surroundings, for want of
neighbours that fit. Upright lines are left to `scratch`. Old films have no truth. Their sheets, looked at: specks and
smears go, faces, hands, buttons and shutters are whole; faint specks stay, and so does dirt along the lower edge of the
gate."""


@dataclass(frozen=True)
class _Made:
    """A clean clip with specks."""

    frames: Pictures
    parts: list[tuple[int, NDArray[np.bool_], float, int]]
    """Of each speck the frame, where it is, its opacity and its sign."""


def measure(media: Path) -> Chapter:
    """Measure the reel with its truth, clean clips, made specks and old films."""
    cv2.setNumThreads(1)
    pair = read_pair(media)
    dust, scratches = split(pair.mask)
    run = Run(pair.damaged, "[dirt]", shots_of([len(pair.damaged)]))
    figures = list(_found_figures(pair, run.masks["dirt"], dust, scratches))
    figures += list(_picture_figures(pair, run.frames, dust))
    figures += list(_fill_figures(pair, dust))
    figures.append(_cut_figure(pair))
    figures += [_clean_figure(media, name, bar) for name, bar in _CLEAN_BARS.items()]
    figures += list(_made_figures(media))
    sheets: list[Sheet] = []
    for name, frames in read_old(media).items():
        figure, sheet = _look_at(name, frames)
        figures.append(figure)
        sheets.append(sheet)
    return Chapter("`dirt`", _TEXT, figures, sheets)


def _found_figures(pair: Pair, found: Masks, dust: Masks, scratches: Masks) -> Iterator[Figure]:
    yield from score_figures("film_pair", score(found, dust, scratches), (0.80, 0.82, 0.85))
    plain = score(_spikes(pair.damaged), dust, scratches)
    said = f"precision {plain.precision:.2f}, recall {plain.recall:.2f}, F1 {plain.f1:.2f}"
    yield Figure("film_pair: the plain detector, for comparison", "", "–", others=said)
    for name, sign in (("bright", 1), ("dark", -1)):
        of_sign = dust & (np.sign(pair.damaged - references(pair, pair.damaged))[:, 0] == sign)
        yield Figure(f"film_pair: recall on {name} dust", "", f"{score(found, of_sign, scratches).recall:.2f}")
    last = len(found) - _END
    ends = score(found, dust, scratches, [*range(_END), *range(last, last + _END)])
    yield Figure("film_pair: precision at the reel's ends", "", *at_least(ends.precision, 0.7))


def _spikes(frames: Pictures) -> Masks:
    """Return what differs from both neighbours in place, the same way."""
    frames = frames - np.median(frames, axis=(2, 3), keepdims=True)
    before, after = frames - np.roll(frames, 1, axis=0), frames - np.roll(frames, -1, axis=0)
    same = np.sign(before) == np.sign(after)
    spikes: Masks = (same & (np.minimum(np.abs(before), np.abs(after)) > _SPIKE))[:, 0]
    spikes[[0, -1]] = False
    return spikes


def _picture_figures(pair: Pair, frames: Pictures, dust: Masks) -> Iterator[Figure]:
    clean = sound(pair)
    peers = dict(peer_frames(pair.damaged))
    came = region_db(pair, pair.damaged, dust)
    others = ", ".join(f"{name} {region_db(pair, made, dust):.1f}" for name, made in peers.items())
    yield Figure("film_pair: PSNR inside, dB", f"{came:.1f}", *at_least(region_db(pair, frames, dust), 18, 1), others)
    outside, ours = region_db(pair, pair.damaged, clean), region_db(pair, frames, clean)
    yield Figure("film_pair: PSNR outside, dB", f"{outside:.2f}", *at_least(ours, round(outside - 0.1, 2)))
    others = ", ".join(f"{name} {changed_percent(pair.damaged, made, clean):.0f}" for name, made in peers.items())
    share = changed_percent(pair.damaged, frames, clean)
    yield Figure("film_pair: clean pixels changed, %", "", *at_most(share, 0.3), others)


def _fill_figures(pair: Pair, dust: Masks) -> Iterator[Figure]:
    given = repair_given(pair.damaged, dust, "{dirt: {mask: given}}")
    telea = np.stack([_telea(frame[0], mask)[None] for frame, mask in zip(pair.damaged, dust, strict=True)])
    ours, others = region_db(pair, given, dust), f"OpenCV Telea {region_db(pair, telea, dust):.1f}"
    came = region_db(pair, pair.damaged, dust)
    yield Figure("film_pair: PSNR inside with the true mask, dB", f"{came:.1f}", *at_least(ours, 26.6, 1), others)
    runs = [Run(pair.damaged[:16], f"[{{dirt: {{fill: {fill}}}}}]", shots_of([16])).masks["dirt"].sum()
            for fill in ("neighbours", "always")]  # fmt: skip
    share = 100 * float(runs[0] / max(1, runs[1]))
    yield Figure("film_pair: of what is found, neighbours show (`fill: neighbours`), %", "", f"{share:.0f}")


def _telea(frame: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    levels = np.rint(np.clip(frame, 0, 1) * 255).astype(np.uint8)
    filled = cv2.inpaint(levels, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    return filled.astype(np.float32) / np.float32(255)


def _cut_figure(pair: Pair) -> Figure:
    """Measure beside a cut: two shots of the same reel, the second seen in a mirror."""
    frames = np.concatenate([pair.damaged[:_CUT], pair.damaged[30 : 30 + _CUT, ..., ::-1]])
    true = np.concatenate([pair.mask[:_CUT], pair.mask[30 : 30 + _CUT, :, ::-1]])
    dust, scratches = split(true)
    found = Run(np.ascontiguousarray(frames), "[dirt]", shots_of([_CUT, _CUT])).masks["dirt"]
    beside = score(found, dust, scratches, range(_CUT - _END, _CUT + _END))
    return Figure("film_pair: precision beside a made cut", "", *at_least(beside.precision, 0.7))


def _clean_figure(media: Path, name: str, bar: float | None) -> Figure:
    frames = read_clean(media, name, _CLEAN_FRAMES)
    share = 100 * float(Run(frames, "[dirt]", shots_of([len(frames)])).masks["dirt"].mean())
    others = f"plain detector {100 * float(_spikes(frames).mean()):.2f}"
    if bar is None:
        return Figure(f"{name} (clean): marked, %", "", f"{share:.3f}", others=others)
    return Figure(f"{name} (clean): marked, %", "", *at_most(share, bar, 3), others)


def _made_figures(media: Path) -> Iterator[Figure]:
    """Measure made specks by opacity and sign, over two clips."""
    rng = np.random.default_rng(0)
    seen: dict[tuple[float, int], list[bool]] = {}
    for name in ("road", "seeking"):
        made = _make_dirty(add_grain(read_clean(media, name, _MADE_FRAMES), rng), rng)
        found = Run(made.frames, "[dirt]", shots_of([_MADE_FRAMES])).masks["dirt"]
        for number, where, opacity, sign in made.parts:
            seen.setdefault((opacity, sign), []).append(bool(found[number][where].mean() >= 0.5))
    for opacity in _OPACITIES:
        shares = [100 * float(np.mean(seen[opacity, sign])) for sign in (1, -1)]
        what = f"made specks of opacity {opacity}: found, bright / dark, %"
        yield Figure(what, "", f"{shares[0]:.0f} / {shares[1]:.0f}")


def _make_dirty(frames: Pictures, rng: np.random.Generator) -> _Made:
    dirty, parts = frames.copy(), []
    for number, frame in enumerate(dirty[:, 0]):
        for _ in range(_SPECKS_A_FRAME):
            opacity, sign = float(rng.choice(_OPACITIES)), int(rng.choice((1, -1)))
            cover = _draw_speck(frame.shape, rng)
            change = opacity * cover * ((1 if sign > 0 else 0) - frame)
            frame += change
            where = cover > 0.5
            if where.any() and np.abs(change[where]).mean() >= _LEAST_CONTRAST:
                parts.append((number, where, opacity, sign))
    return _Made(dirty, parts)


def _draw_speck(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return ``(H, W)``, 0..1: an ellipse, a hair or a polygon with a soft edge."""
    cover: NDArray[Any] = np.zeros(shape, np.float32)
    kind = int(rng.integers(3))
    middle = np.array([rng.integers(12, shape[1] - 12), rng.integers(12, shape[0] - 12)])
    if kind == 0:
        axes = (int(rng.integers(1, 7)), int(rng.integers(1, 7)))
        cv2.ellipse(cover, middle.tolist(), axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    elif kind == 1:
        path = middle + np.cumsum(rng.integers(-6, 7, (5, 2)), axis=0)
        cv2.polylines(cover, [path.astype(np.int32)], False, 1.0, 2)
    else:
        cv2.fillPoly(cover, [(middle + rng.integers(-7, 8, (5, 2))).astype(np.int32)], 1.0)
    soft: NDArray[np.float32] = cv2.GaussianBlur(cover, (0, 0), 0.6)
    return soft


def _look_at(name: str, frames: Pictures) -> tuple[Figure, Sheet]:
    """Repair an old film; figures of it say how much was marked, and nothing about whether that was right."""
    run = Run(frames, "[dirt]", shots_of([len(frames)]))
    mask = run.masks["dirt"]
    figure = Figure(f"{name}: marked, %", "", f"{100 * float(mask.mean()):.2f}",
                    others=f"plain detector {100 * float(_spikes(frames).mean()):.2f}")  # fmt: skip
    return figure, draw_middle(f"dirt_{name}", frames, mask, run.frames, (3, len(frames) // 2 + 2))
