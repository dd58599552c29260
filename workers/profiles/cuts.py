"""Where a new shot begins, and frames that do not belong where they stand.

Two frames of one shot show the same blocks, moved a little; those of two shots do not. Every textured block of a small
picture is searched for in the other frame, which neither flicker nor weave nor dirt hinders.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any
from weakref import ReferenceType, ref

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.frames import Shot
from workers.ops import planes
from workers.ops.planes import Planes

LOOKS_BACK = True
_WIDTH, _HEIGHT = 64, 48
_RIM_SHARE = 0.05
"""Share of each side that is left out: the gate's edge is the same in every shot."""
_BLOCK_PX, _REACH_PX = 8, 7
_LEAST_TEXTURE, _MOST_TEXTURE = 4.0, 20.0
"""Standard deviation of a block, of 255: below the first it is not asked, and none counts more than the second."""
_UNRELATED, _SURE = 0.5, 0.9
"""Correlation of a block with the place where it fits best: up to the first it is not found, from the second it is."""
_CUT_BELOW, _CUT_SHARE = 0.55, 0.6
"""A cut scores less than both: so much, and so much of what pairs around it score."""
_AROUND = 4
_BRIDGE_SHARE = 0.8
_SHORT_SHOTS = (1, 2)
_BRIDGES = ((-1, 1), (-2, 0), (-1, 2), (-3, 0), (-2, 1))
"""Pairs over an odd frame or two; where they match, the shot goes on behind them."""

Thumb = NDArray[np.uint8]

_LATEST = deque[tuple[ReferenceType[Planes], Thumb]](maxlen=1)
"""The picture that was measured last, which comes next as the one before."""


def measure(picture: Planes, before: Planes | None) -> dict[str, NDArray[Any]]:
    """Measure how well a frame matches the one before.

    Returns:
        ``thumb`` (48, 64) uint8, the small picture; ``score`` (), 0 for unrelated pictures to 1; 1 at the first frame.
    """
    known = next((thumb for latest, thumb in tuple(_LATEST) if latest() is before), None)
    thumb = _thumb(picture)
    _LATEST.append((ref(picture), thumb))
    score = 1.0 if before is None else match(_thumb(before) if known is None else known, thumb)
    return {"thumb": thumb, "score": np.asarray(score)}


def profile(rows: Mapping[str, NDArray[Any]], shots: tuple[Shot, ...]) -> dict[str, NDArray[Any]]:
    """Find the cuts.

    Returns:
        ``cut`` (N,) bool: whether a new shot begins with this frame; ``odd`` (N,) bool: whether the frame itself is
        foreign, torn or a flash, since its neighbours match one another and it matches neither.
    """
    thumbs, score = rows["thumb"], rows["score"]
    count = len(score)
    cut, odd = np.arange(count) == 0, np.zeros(count, np.bool_)
    for _ in range(2):  # a flash may hide a cut beside it until it is known to be one
        _mark(thumbs, score, cut, odd)
    _join_over_short_shots(thumbs, score, cut, odd)
    return {"cut": cut, "odd": odd}


def _mark(
    thumbs: NDArray[np.uint8], score: NDArray[np.float64], cut: NDArray[np.bool_], odd: NDArray[np.bool_]
) -> None:
    """Mark, in place, cuts and odd frames; pairs with a frame that was odd already hide no cut beside them."""
    known = odd.copy()
    for number in range(1, len(cut)):
        usual = _usual_score(score, number)
        if score[number] >= _least_score(usual) or not _is_least(score, number, known):
            continue
        bridge = _find_bridge(thumbs, number, _BRIDGE_SHARE * usual)
        if bridge is None:
            cut[number] = True
        else:
            odd[number + bridge[0] + 1 : number + bridge[1]] = True


def _join_over_short_shots(
    thumbs: NDArray[np.uint8], score: NDArray[np.float64], cut: NDArray[np.bool_], odd: NDArray[np.bool_]
) -> None:
    """Take back, in place, cuts around a frame or two that the shot goes on behind; one frame alone is odd anyway."""
    for length in _SHORT_SHOTS:
        for number in range(1, len(cut) - length):
            if not (cut[number] and cut[number + length]):
                continue
            goes_on = match(thumbs[number - 1], thumbs[number + length]) >= _least_score(_usual_score(score, number))
            odd[number : number + length] |= goes_on or length == 1
            if goes_on:
                cut[number] = cut[number + length] = False


def match(one: Thumb, other: Thumb) -> float:
    """Return how much of each of two small pictures is found in the other, 0 to 1; the lesser of both ways."""
    at_rest = _likeness_at_rest(one, other)
    return min(_found_share(one, other, at_rest), _found_share(other, one, at_rest))


def _thumb(picture: Planes) -> Thumb:
    luma = planes.luma(picture)
    rim_y, rim_x = (round(side * _RIM_SHARE) for side in luma.shape)
    inner = luma[rim_y : luma.shape[0] - rim_y, rim_x : luma.shape[1] - rim_x]
    small = cv2.resize(inner, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(small * 255), 0, 255).astype(np.uint8)


def _found_share(one: Thumb, other: Thumb, at_rest: NDArray[np.float64]) -> float:
    """Return how well the textured blocks of one are found in the other; 1 where there is no texture to compare."""
    texture = np.sqrt(_spread(_blocks(one))) / _BLOCK_PX**2
    is_asked = texture > _LEAST_TEXTURE
    if not is_asked.any():
        return 1.0
    best, padded = at_rest.copy(), np.pad(other, _REACH_PX, "edge")
    side = _BLOCK_PX + 2 * _REACH_PX
    # Within a shot most blocks are where they were, and then nothing better counts for more.
    for row, column in np.argwhere(is_asked & (at_rest < _SURE)):
        top, left = row * _BLOCK_PX, column * _BLOCK_PX
        block = one[top : top + _BLOCK_PX, left : left + _BLOCK_PX]
        around = padded[top : top + side, left : left + side]
        best[row, column] = cv2.matchTemplate(around, block, cv2.TM_CCOEFF_NORMED).max()
    found = np.clip((best - _UNRELATED) / (_SURE - _UNRELATED), 0, 1)
    weights = np.minimum(texture, _MOST_TEXTURE)
    return float((weights * found)[is_asked].sum() / weights[is_asked].sum())


def _likeness_at_rest(one: Thumb, other: Thumb) -> NDArray[np.float64]:
    """Return the correlation coefficient of each block with the one at its place in the other picture, ``(6, 8)``."""
    first, second = _blocks(one), _blocks(other)
    together = first.shape[-1] * (first * second).sum(axis=-1) - first.sum(axis=-1) * second.sum(axis=-1)
    scale = np.sqrt(_spread(first) * _spread(second).astype(np.float64))
    likeness: NDArray[np.float64] = np.divide(together, scale, out=np.zeros(scale.shape), where=scale > 0)
    return likeness


def _blocks(thumb: Thumb) -> NDArray[np.int64]:
    """Return the pixels of each block, ``(6, 8, 64)``."""
    rows, columns = _HEIGHT // _BLOCK_PX, _WIDTH // _BLOCK_PX
    cut = thumb.reshape(rows, _BLOCK_PX, columns, _BLOCK_PX).swapaxes(1, 2)
    return cut.reshape(rows, columns, _BLOCK_PX**2).astype(np.int64)


def _spread(blocks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the variance of each block's pixels times the square of their number: a whole number."""
    spread: NDArray[np.int64] = blocks.shape[-1] * (blocks**2).sum(axis=-1) - blocks.sum(axis=-1) ** 2
    return spread


def _usual_score(score: NDArray[np.float64], number: int) -> float:
    """Return what pairs score before or behind, whichever is more: a shot on one side may be short."""
    sides = (score[max(1, number - _AROUND) : number], score[number + 1 : number + 1 + _AROUND])
    return max((float(np.median(side)) for side in sides if side.size), default=1.0)


def _least_score(usual: float) -> float:
    """Return what a pair of one shot scores at least, where pairs around it score ``usual``."""
    return min(_CUT_BELOW, _CUT_SHARE * usual)


def _is_least(score: NDArray[np.float64], number: int, odd: NDArray[np.bool_]) -> bool:
    """Whether a pair matches no better than the pairs beside it, those with an odd frame left out."""
    beside = (other for other in (number - 1, number + 1) if 1 <= other < len(score))
    return all(odd[other - 1 : other + 1].any() or score[number] <= score[other] for other in beside)


def _find_bridge(thumbs: NDArray[np.uint8], number: int, least: float) -> tuple[int, int] | None:
    """Return the first pair around ``number`` that matches over it."""
    for first, last in _BRIDGES:
        inside = number + first >= 0 and number + last < len(thumbs)
        if inside and match(thumbs[number + first], thumbs[number + last]) > least:
            return first, last
    return None
