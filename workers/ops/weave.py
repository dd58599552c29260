"""How a whole picture moves from frame to frame: gate weave, a hand, a pan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops import planes
from workers.ops.flow import Code
from workers.ops.planes import Plane, Planes

_SIDE_PX = 480
"""Longest side of the picture on which motion is measured."""
_LOCAL_SIGMA_PX = 12.0
_LEAST_CONTRAST = 0.02
"""Local deviation added to what contrast is divided by: grain on a plain wall is no texture."""
_CODE_GAIN = 40.0
_CELLS = 20
"""Points along the longer side."""
_WINDOW_PX, _LEVELS = 21, 3
_RETURN_PX = 0.5
"""How near to its start a point must come when it is followed there and back."""
_INLIER_PX = 0.6
_CAUCHY_PX = 0.25
_ROUNDS = 8
_FEWEST_POINTS, _LEAST_SHARE = 12, 0.25
_SEED = 1
_TREND_ROUNDS = 40
_BEND_POWER = 0.85
_LEAST_BEND = 1e-4
"""Of the tolerance: a lesser bend counts as none."""

Points = NDArray[Any]


@dataclass(frozen=True)
class Shift:
    """A turn about the picture's centre and a move, in shares of the picture's longer side."""

    x: float
    y: float
    angle: float
    """Radians, from the x axis towards the y axis."""
    log_scale: float = 0.0
    share: float = 0.0
    """Share of the points that move so; 0 where the motion is not known, and then nothing moves."""
    points: int = 0
    """Points that could be followed."""


def texture(luma: Plane) -> Code:
    """Return what motion is measured on: a small picture in which flicker and shading do not show, 8 bits."""
    small = planes.resize_to_fit(luma[None], _SIDE_PX)[0]
    calm = cv2.GaussianBlur(small, (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)
    calm -= _local_mean(calm)
    deviation = np.sqrt(_local_mean(calm * calm)) + np.float32(_LEAST_CONTRAST)
    code: Code = np.clip(np.rint(128 + _CODE_GAIN * calm / deviation), 0, 255).astype(np.uint8)
    return code


def measure_shift(before: Code, after: Code) -> Shift:
    """Return how the picture moved between two textures.

    Corners are followed there and back; which of them move together is found by trial, and what they have in common
    is fitted so that the others hardly count (Lucas and Kanade 1981; RANSAC; Cauchy's weights).
    """
    start, end = _follow(before, after, _corners(before))
    if len(start) < _FEWEST_POINTS:
        return Shift(0, 0, 0, 0, 0, len(start))
    turn, move, share = _fit(start, end)
    if share < _LEAST_SHARE:
        return Shift(0, 0, 0, 0, 0, len(start))
    move /= max(before.shape)
    return Shift(move.real, move.imag, float(np.angle(turn)), float(np.log(abs(turn))), share, len(start))


def _local_mean(plane: Plane) -> Plane:
    mean: Plane = cv2.GaussianBlur(plane, (0, 0), _LOCAL_SIGMA_PX, borderType=cv2.BORDER_REPLICATE)
    return mean


def _corners(code: Code) -> Points:
    """Return the best corner of every cell of a grid ``(N, 2)`` float32, where there is a good one."""
    strength = cv2.cornerMinEigenVal(code, 5)
    least = max(0.5 * float(np.median(strength)), 1e-9)
    cell = max(1, max(code.shape) // _CELLS)
    best = []
    for top in range(0, code.shape[0], cell):
        for left in range(0, code.shape[1], cell):
            _, most, _, (x, y) = cv2.minMaxLoc(strength[top : top + cell, left : left + cell])
            if most > least:
                best.append((left + x, top + y))
    return np.array(best, np.float32).reshape(-1, 2)


def _follow(before: Code, after: Code, start: Points) -> tuple[Points, Points]:
    """Return where points are before and after, from the centre, as complex numbers; only those that come home."""
    center = complex((before.shape[1] - 1) / 2, (before.shape[0] - 1) / 2)
    if len(start) < _FEWEST_POINTS:
        return np.empty(0, complex), np.empty(0, complex)
    options: dict[str, Any] = {"winSize": (_WINDOW_PX, _WINDOW_PX), "maxLevel": _LEVELS}
    end, seen, _ = cv2.calcOpticalFlowPyrLK(before, after, start, None, **options)  # type: ignore[call-overload]
    home, seen_again, _ = cv2.calcOpticalFlowPyrLK(after, before, end, None, **options)  # type: ignore[call-overload]
    good = (seen[:, 0] > 0) & (seen_again[:, 0] > 0) & (np.hypot(*(home - start).T) < _RETURN_PX)
    return start[good] @ (1, 1j) - center, end[good] @ (1, 1j) - center


def _fit(start: Points, end: Points) -> tuple[complex, complex, float]:
    """Return turn and scale (one complex factor), move, and the share of points that follow them."""
    cv2.setRNGSeed(_SEED)
    one, other = (np.stack([points.real, points.imag], axis=1) for points in (start, end))
    matrix, inside = cv2.estimateAffinePartial2D(one, other, method=cv2.RANSAC, ransacReprojThreshold=_INLIER_PX)
    if matrix is None:
        return 1, 0, 0.0
    turn, move = complex(matrix[0, 0], matrix[1, 0]), complex(matrix[0, 2], matrix[1, 2])
    for _ in range(_ROUNDS):
        off = np.abs(turn * start + move - end)
        weight = 1 / (1 + (off / _CAUCHY_PX) ** 2)
        weight /= weight.sum()
        from_mean, to_mean = weight @ start, weight @ end
        spread = weight @ np.abs(start - from_mean) ** 2
        if spread < 1e-6:
            break
        turn = (weight * np.conj(start - from_mean)) @ (end - to_mean) / spread
        move = to_mean - turn * from_mean
    return turn, move, float(inside.mean())


# -- paths


def trend(values: NDArray[np.float64], smoothness: float, tolerance: float) -> NDArray[np.float64]:
    """Return a path ``(N,)`` of straight pieces along ``values``: pans stay pans, and their starts stay sharp.

    What departs by more than ``tolerance`` counts by its amount and not its square. Bends are charged by a power of
    their amount, so that there are few, and large ones are not made small (l1 trend filtering, Kim, Koh, Boyd and
    Gorinevsky 2009, with a power below 1); by reweighted least squares.

    Args:
        values: One coordinate, frame by frame.
        smoothness: What a bend costs.
        tolerance: In the unit of the values.
    """
    if len(values) < 3:
        return np.full_like(values, values.mean())
    path = values.astype(np.float64)
    scaled = path / tolerance
    kept = scaled
    bends = np.full(len(values) - 2, smoothness)
    weights = np.ones(len(values))
    for _ in range(_TREND_ROUNDS):
        kept = _solve(weights, bends, scaled)
        bends = smoothness / np.maximum(np.abs(np.diff(kept, 2)), _LEAST_BEND) ** (2 - _BEND_POWER)
        weights = 1 / np.maximum(np.abs(kept - scaled), 1)
    return kept * tolerance


def _solve(weights: NDArray[np.float64], bends: NDArray[np.float64], values: NDArray[np.float64]) -> Points:
    """Minimize ``weights * (y - values)^2 + bends * (second difference of y)^2``: a band of five, solved directly."""
    count = len(values)
    main, upper, far = weights.copy(), np.zeros(count), np.zeros(count)
    main[:-2] += bends
    main[1:-1] += 4 * bends
    main[2:] += bends
    upper[:-2] -= 2 * bends
    upper[1:-1] -= 2 * bends
    far[:-2] += bends
    return np.array(_solve_band(main.tolist(), upper.tolist(), far.tolist(), (weights * values).tolist()))


def _solve_band(main: list[float], upper: list[float], far: list[float], right: list[float]) -> list[float]:
    """Solve a symmetric positive system of which three diagonals are given, in place, by elimination."""
    count = len(main)
    for row in range(count - 1):
        factor = upper[row] / main[row]
        main[row + 1] -= factor * upper[row]
        upper[row + 1] -= factor * far[row]
        right[row + 1] -= factor * right[row]
        if row + 2 < count:
            factor = far[row] / main[row]
            main[row + 2] -= factor * far[row]
            right[row + 2] -= factor * right[row]
    right[-1] /= main[-1]
    right[-2] = (right[-2] - upper[-2] * right[-1]) / main[-2]
    for row in range(count - 3, -1, -1):
        right[row] = (right[row] - upper[row] * right[row + 1] - far[row] * right[row + 2]) / main[row]
    return right


# -- moving pictures


def move(picture: Planes, x: float, y: float, angle: float) -> Planes:
    """Return planes turned about their centre by ``angle`` radians and moved by ``(x, y)`` px; edges are drawn on."""
    height, width = picture.shape[1:]
    matrix = _matrix(x, y, angle, width, height)
    return np.stack(
        [cv2.warpAffine(plane, matrix, (width, height), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
         for plane in picture]
    )  # fmt: skip


def covered(height: int, width: int, x: float, y: float, angle: float) -> NDArray[np.bool_]:
    """Return ``(H, W)``: which pixels of a picture moved so show what was in it, rather than its drawn-on edges."""
    (a, b, c), (d, e, f) = cv2.invertAffineTransform(_matrix(x, y, angle, width, height))
    rows, columns = np.mgrid[0:height, 0:width]
    from_x, from_y = a * columns + b * rows + c, d * columns + e * rows + f
    inside: NDArray[np.bool_] = (from_x >= -0.5) & (from_x <= width - 0.5) & (from_y >= -0.5) & (from_y <= height - 0.5)
    return inside


def greatest_move(height: int, width: int, x: float, y: float, angle: float) -> float:
    """Return by how many pixels any place of the picture moves at most."""
    return float(np.hypot(x, y) + abs(angle) * np.hypot(height, width) / 2)


def _matrix(x: float, y: float, angle: float, width: int, height: int) -> NDArray[np.float64]:
    center_x, center_y = (width - 1) / 2, (height - 1) / 2
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array(
        [
            [cos, -sin, x + center_x - cos * center_x + sin * center_y],
            [sin, cos, y + center_y - sin * center_x - cos * center_y],
        ]
    )
