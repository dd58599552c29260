"""Pictures between two frames, along the motion of what is seen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops import flow, planes
from workers.ops.planes import Plane, Planes

_HOLE_SIGMA_PX = 4.0
_ERROR_SIGMA_PX = 2.0
_AGREEMENT_PX = 2.0
"""How unlike two motions may be and still be those of one thing."""
_CLEARLY_BETTER = 0.8
"""Share of the unlikeness of two frames that may be left along a motion that is believed."""
_LEAST_ERROR = 1e-8
_LEAST_WEIGHT = 1e-3
"""Of an end at which a place is not seen: where it is seen at neither, both count alike."""

Motion = NDArray[np.float32]


@dataclass(frozen=True)
class _Candidate:
    """One guess of how each place of the middle picture moves from the first frame to the second, and what it gives."""

    first: Planes
    second: Planes
    """What the two ends show of each place."""
    seen_first: Plane
    seen_second: Plane
    """How far the ends themselves move as the guess has it, 0..1: they do not where the place is covered."""
    error: Plane
    """How unlike the ends are."""

    def mix(self, share: float) -> Planes:
        """Return the two ends mixed, each as far as it is near in time and the place is seen at it."""
        one = np.float32(1 - share) * (self.seen_first + np.float32(_LEAST_WEIGHT))
        other = np.float32(share) * (self.seen_second + np.float32(_LEAST_WEIGHT))
        mixed: Planes = self.first + (self.second - self.first) * (other / (one + other))
        return mixed


def follow(first: Planes, second: Planes) -> tuple[Motion, Motion]:
    """Return the motion from ``first`` to ``second`` and back, ``(H, W, 2)`` each, as :func:`middle` wants it."""
    one, other = (flow.to_code(planes.luma(picture)) for picture in (first, second))
    return flow.motion(one, other), flow.motion(other, one)


def middle(first: Planes, second: Planes, share: float, motions: tuple[Motion, Motion] | None = None) -> Planes:
    """Return the picture at ``share`` of the way from ``first`` to ``second``, ``(C, H, W)`` like both.

    Each place is looked up along two guesses of its motion, one carried there from either frame; the better the two
    ends of a guess agree, the more it counts. Of its ends that one counts which the frame's own motion confirms, so
    that nothing shines through where one thing covers another (motion-compensated rate conversion; flow by dense
    inverse search). Where neither guess is clearly better than no motion at all, the frames are mixed as they are:
    repeating patterns and what stands still are not to be bent.

    Args:
        first: Frame before, ``(C, H, W)`` float32; a little outside 0..1 is legal.
        second: Frame after, of the same shape and scene: over a cut the result would be a mixture.
        share: Place in time, 0..1; at 0 and 1 the frame itself comes back.
        motions: What :func:`follow` gave of the two, where several pictures between them are wanted.
    """
    if share <= 0 or share >= 1:
        return first if share <= 0 else second
    there, back = motions or follow(first, second)
    one, other = planes.luma(first), planes.luma(second)
    guesses = (
        _splat(there, _mismatch(one, other, there), share),
        -_splat(back, _mismatch(other, one, back), 1 - share),
    )
    ahead, behind = (_candidate(first, second, there, back, guess, share) for guess in guesses)
    off_ahead, off_behind = ahead.error**2 + _LEAST_ERROR, behind.error**2 + _LEAST_ERROR
    one_way, other_way = ahead.mix(share), behind.mix(share)
    moved = one_way + (other_way - one_way) * (off_ahead / (off_ahead + off_behind))
    explains = np.minimum(ahead.error, behind.error) < _CLEARLY_BETTER * _blur_error(one, other)
    weight = cv2.GaussianBlur(explains.astype(np.float32), (0, 0), _ERROR_SIGMA_PX)
    still = first + (second - first) * np.float32(share)
    picture: Planes = still + (moved - still) * weight
    return picture


def _mismatch(source: Plane, target: Plane, motion: Motion) -> Plane:
    """Return how unlike each place is to what its vector leads to."""
    error: Plane = np.abs(flow.warp(target[None], motion)[0] - source)
    return error


def _splat(motion: Motion, error: Plane, share: float) -> Motion:
    """Carry each vector ``share`` of its own way; where two arrive the better matched stays, gaps are filled."""
    height, width = error.shape
    rows, columns = np.mgrid[0:height, 0:width]
    x = np.rint(columns + share * motion[..., 0]).astype(np.intp).ravel()
    y = np.rint(rows + share * motion[..., 1]).astype(np.intp).ravel()
    worst_first = np.argsort(-error, axis=None, kind="stable")
    inside = worst_first[((x >= 0) & (x < width) & (y >= 0) & (y < height))[worst_first]]
    winner = np.full(height * width, -1, np.intp)
    winner[y[inside] * width + x[inside]] = inside
    empty = (winner < 0).reshape(height, width)
    moved = motion.reshape(-1, 2)[winner].reshape(height, width, 2)
    return _fill_holes(moved, motion, empty)


def _fill_holes(moved: Motion, motion: Motion, empty: NDArray[np.bool_]) -> Motion:
    """Give empty places the mean of the vectors around them; far from any, the vector that starts there."""
    if not empty.any():
        return moved
    known = (~empty).astype(np.float32)
    weight = cv2.GaussianBlur(known, (0, 0), _HOLE_SIGMA_PX)
    mean = cv2.GaussianBlur(moved * known[..., None], (0, 0), _HOLE_SIGMA_PX) / np.maximum(weight, 1e-6)[..., None]
    mean = np.where((weight > 1e-3)[..., None], mean, motion)
    return np.where(empty[..., None], mean, moved).astype(np.float32)


def _candidate(first: Planes, second: Planes, there: Motion, back: Motion, guess: Motion, share: float) -> _Candidate:
    to_first, to_second = -np.float32(share) * guess, np.float32(1 - share) * guess
    one, other = flow.warp(first, to_first), flow.warp(second, to_second)
    return _Candidate(
        one,
        other,
        _agreement(there, to_first, guess),
        _agreement(-back, to_second, guess),
        _blur_error(planes.luma(one), planes.luma(other)),
    )


def _blur_error(one: Plane, other: Plane) -> Plane:
    """Return how unlike two planes are around each place."""
    error: Plane = cv2.GaussianBlur(np.abs(one - other), (0, 0), _ERROR_SIGMA_PX)
    return error


def _agreement(motion: Motion, offsets: Motion, guess: Motion) -> Plane:
    """Return 1 where a frame's own motion, fetched along ``offsets``, is the guess, falling to 0 where it is not."""
    off = np.moveaxis(flow.warp(np.moveaxis(motion, 2, 0), offsets), 0, 2) - guess
    agreement: Plane = np.exp((off * off).sum(axis=2) * np.float32(-0.5 / _AGREEMENT_PX**2))
    return agreement
