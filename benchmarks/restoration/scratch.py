"""How much of scratches is found and how well it is filled, which lines of a picture are taken for one, and sheets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.restoration.film_pair import Pair, read_pair
from benchmarks.restoration.films import Masks, Pictures, Run, luma, read_film, shots_of
from benchmarks.restoration.page import Chapter, Figure, Sheet, at_least, at_most
from benchmarks.restoration.repairs import (
    CLEAN,
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

_END = 2
_CLEAN_FRAMES, _MADE_FRAMES = 10, 8
_LEAST_LINE_ROWS, _LINE_GAP_ROWS = 30, 25
_FALSE_LINES = 0.05
_PLACES = {
    "silent": ("silent_640x480_200f.mp4", 100),
    "abomb, a driver": ("abomb_blast_effects_432x320.mp4", 20),
    "abomb, frames 200–219": ("abomb_blast_effects_432x320.mp4", 200),
}
_FILM_FRAMES = 20
_KINDS = (("full height, opaque", 1.0, 1.0), ("full height, half", 1.0, 0.5), ("part, opaque", 0.4, 1.0),
          ("part, half", 0.4, 0.5))  # fmt: skip
"""Of made scratches: what they are, their share of the height and their opacity."""
_TEXT = f"""The scratches of `film_pair` (its dust counts neither way), all 40 frames, grey. *Inside* and *outside* are
PSNR in dB against the clean frames, in the exposure of what is compared; outside keeps a pixel from all damage. The
silent film has shutters and window frames, the other posts and planks: lines of at least {_LEAST_LINE_ROWS} rows that
are marked there are counted a frame, over {_FILM_FRAMES} frames. Nearly all of them are picture, so the bar is one line
in twenty frames. Made scratches lie on clean clips with grain of our own ({_MADE_FRAMES} frames each): one to three
pixels wide, of both signs, drifting by up to a pixel a frame, one of each kind a frame; figures give the share of their
pixels that was marked.

What still fails: the bar inside is missed for what was not found. What was found is filled above the bar; a fortieth of
the scratches, faint or short pieces, stays as it came, and that alone costs four decibels. A filter that blurs every
pixel of the picture does better inside for that reason. Of scratches that end inside the picture half are missed, and
most of those that let the picture through: neighbours have them in nearly the same place, as they would have a window
frame. On the film of the bomb the lit edge of a truck's window post is taken for a scratch in two frames of twenty,
while the camera shakes. Where a scratch stays in place all neighbours have it, and it is filled from its sides, which
smears fine texture; with `fill: neighbours` it stays."""


def measure(media: Path) -> Chapter:
    """Measure the reel with its truth, films full of uprights, clean clips and made scratches."""
    cv2.setNumThreads(1)
    pair = read_pair(media)
    dust, scratches = split(pair.mask)
    run = Run(pair.damaged, "[scratch]", shots_of([len(pair.damaged)]))
    figures = list(_found_figures(run.masks["scratch"], dust, scratches))
    figures += list(_picture_figures(pair, run.frames, run.masks["scratch"], scratches))
    figures += list(_fill_figures(pair, run.frames, scratches))
    figures += [_lines_figure(media, name, *place) for name, place in _PLACES.items()]
    figures += [_clean_figure(media, name) for name in CLEAN]
    figures += list(_made_figures(media))
    sheets = [_sheet(name, frames) for name, frames in read_old(media).items()]
    sheets.append(draw_middle("scratch_film_pair", pair.damaged, run.masks["scratch"], run.frames, (6, 21)))
    return Chapter("`scratch`", _TEXT, figures, sheets)


def _found_figures(found: Masks, dust: Masks, scratches: Masks) -> Iterator[Figure]:
    yield from score_figures("film_pair", score(found, scratches, dust), (0.95, 0.95, 0.96))
    last = len(found) - _END
    ends = score(found, scratches, dust, [*range(_END), *range(last, last + _END)])
    yield Figure("film_pair: precision at the reel's ends", "", *at_least(ends.precision, 0.7))


def _picture_figures(pair: Pair, frames: Pictures, found: Masks, scratches: Masks) -> Iterator[Figure]:
    clean = sound(pair)
    peers = dict(peer_frames(pair.damaged))
    came = region_db(pair, pair.damaged, scratches)
    others = ", ".join(f"{name} {region_db(pair, made, scratches):.1f}" for name, made in peers.items())
    ours = at_least(region_db(pair, frames, scratches), 26, 1)
    yield Figure("film_pair: PSNR inside, dB", f"{came:.1f}", *ours, others)
    for name, where in (("found", scratches & found), ("missed", scratches & ~found)):
        came, left = region_db(pair, pair.damaged, where), region_db(pair, frames, where)
        yield Figure(f"film_pair: PSNR inside what was {name}, dB", f"{came:.1f}", f"{left:.1f}")
    outside, ours_outside = region_db(pair, pair.damaged, clean), region_db(pair, frames, clean)
    yield Figure("film_pair: PSNR outside, dB", f"{outside:.2f}", *at_least(ours_outside, round(outside - 0.1, 2)))
    others = ", ".join(f"{name} {changed_percent(pair.damaged, made, clean):.0f}" for name, made in peers.items())
    share = changed_percent(pair.damaged, frames, clean)
    yield Figure("film_pair: clean pixels changed, %", "", *at_most(share, 0.3), others)


def _fill_figures(pair: Pair, frames: Pictures, scratches: Masks) -> Iterator[Figure]:
    given = repair_given(pair.damaged, scratches, "{scratch: {method: mask}}")
    levels = [np.rint(np.clip(frame[0], 0, 1) * 255).astype(np.uint8) for frame in pair.damaged]
    telea = [cv2.inpaint(frame, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA)
             for frame, mask in zip(levels, scratches, strict=True)]  # fmt: skip
    by_telea = np.stack(telea)[:, None].astype(np.float32) / np.float32(255)
    others = f"OpenCV Telea {region_db(pair, by_telea, scratches):.1f}"
    came, ours = region_db(pair, pair.damaged, scratches), region_db(pair, given, scratches)
    yield Figure("film_pair: PSNR inside with the true mask, dB", f"{came:.1f}", *at_least(ours, 27.5, 1), others)
    kept = Run(pair.damaged[:16], "[{scratch: {keep_detail: true}}]", shots_of([16])).frames
    part = Pair(pair.clean[:16], pair.damaged[:16], pair.mask[:16])
    what = "film_pair, 16 frames: PSNR inside with `keep_detail`, dB"
    plain = region_db(part, frames[:16], scratches[:16])
    yield Figure(what, f"{plain:.1f} (without it)", f"{region_db(part, kept, scratches[:16]):.1f}")


def _lines_figure(media: Path, name: str, film: str, start: int) -> Figure:
    frames = luma(read_film(media / "film_old" / film, start, start + _FILM_FRAMES))
    found = Run(frames, "[scratch]", shots_of([len(frames)])).masks["scratch"]
    count = float(np.mean([_count_lines(mask) for mask in found]))
    return Figure(f"{name}: lines marked a frame", "", *at_most(count, _FALSE_LINES))


def _count_lines(mask: np.ndarray) -> int:
    joined = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((_LINE_GAP_ROWS, 1), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    return int((stats[1:, cv2.CC_STAT_HEIGHT] >= _LEAST_LINE_ROWS).sum())


def _clean_figure(media: Path, name: str) -> Figure:
    frames = read_clean(media, name, _CLEAN_FRAMES)
    share = 100 * float(Run(frames, "[scratch]", shots_of([len(frames)])).masks["scratch"].mean())
    return Figure(f"{name} (clean): marked, %", "", f"{share:.3f}")


def _made_figures(media: Path) -> Iterator[Figure]:
    rng = np.random.default_rng(0)
    shares: dict[tuple[str, int], list[float]] = {}
    false, marked = 0, 0
    for name in ("road", "seeking"):
        frames = add_grain(read_clean(media, name, _MADE_FRAMES), rng)
        hurt, truths = _scratch(frames, rng)
        found = Run(hurt, "[scratch]", shots_of([_MADE_FRAMES])).masks["scratch"]
        for key, truth in truths.items():
            shares.setdefault(key, []).append(100 * float(found[truth].mean()))
        near = cv2.dilate(np.logical_or.reduce(list(truths.values())).transpose(1, 2, 0).astype(np.uint8),
                          np.ones((1, 3), np.uint8)).transpose(2, 0, 1)  # fmt: skip
        false, marked = false + int((found & (near == 0)).sum()), marked + int(found.sum())
    for kind, _, _ in _KINDS:
        bright, dark = (np.mean(shares[kind, sign]) for sign in (1, -1))
        yield Figure(f"made scratches, {kind}: marked, bright / dark, %", "", f"{bright:.0f} / {dark:.0f}")
    yield Figure(
        "made scratches: of what is marked, off them by more than a pixel, %", "", f"{100 * false / marked:.1f}"
    )


def _scratch(frames: Pictures, rng: np.random.Generator) -> tuple[Pictures, dict[tuple[str, int], Masks]]:
    """Return frames with a scratch of each kind and sign, and the mask of each."""
    hurt, (count, _, height, width) = frames.copy(), frames.shape
    truths: dict[tuple[str, int], Masks] = {}
    lanes = rng.permutation(2 * len(_KINDS))
    for lane, (kind, sign) in zip(lanes, ((kind, sign) for kind in _KINDS for sign in (1, -1)), strict=True):
        name, share, opacity = kind
        column = (lane + rng.uniform(0.3, 0.7)) * width / lanes.size + np.cumsum(rng.uniform(-1, 1, count))
        top = int(rng.uniform(0, 1 - share) * height)
        place = (slice(top, top + int(share * height)), np.rint(column).astype(int), int(rng.integers(1, 4)))
        truth = _line(frames.shape, *place)
        hurt[:, 0][truth] += np.float32(opacity) * (np.float32(sign > 0) - hurt[:, 0][truth])
        truths[name, sign] = truth
    return hurt, truths


def _line(shape: Sequence[int], rows: slice, columns: np.ndarray, line_px: int) -> Masks:
    mask = np.zeros((shape[0], *shape[2:]), np.bool_)
    for frame, column in zip(mask, columns, strict=True):
        frame[rows, column : column + line_px] = True
    return mask


def _sheet(name: str, frames: Pictures) -> Sheet:
    run = Run(frames, "[scratch]", shots_of([len(frames)]))
    mask = run.masks["scratch"]
    most = np.argsort(mask.mean(axis=(1, 2)), kind="stable")[::-1][:2]
    return draw_middle(f"scratch_{name}", frames, mask, run.frames, sorted(int(number) for number in most))
