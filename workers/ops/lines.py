"""Lines that run down a picture, as a scratch along the film makes them.

A row of a line is brighter, or darker, than what lies to its left and to its right; so an edge of the picture gives
nothing. Noise does the same here and there: a line is what goes on doing it down many rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.ops.evidence import Mask, robust_sigma
from workers.ops.planes import Plane
from workers.ops.specks import components

_FLANK_PX, _GAP_PX = 4, 1
_PAD_PX = 16
_HIT = 2.0
"""In units of noise: what a row of a line is brighter by than both sides."""
_WINDOW_ROWS, _LEAST_DENSITY = 61, 0.7
_LEAST_NOISE = 1e-3
_LEAST_DENSITY_IN_ALL = 0.6
_LEAST_EVIDENCE = 6.0
"""Mean over the window in units of noise, times the root of a third of its rows that are independent."""
_ROWS_A_SAMPLE = 3.0
_APART_PX = 3
_END_ROWS, _END_SHARE = 9, 0.35
"""A line ends where the mean over so many rows falls below so much of the line's own."""
_LONGEST_GAP = 21
_USUAL_ROWS = 480
_LEAN_PX = 2.0
"""What leans by less from end to end is taken for upright."""
_TAKEN = 0.3
"""Share of a line that a stronger one beside it may have taken."""
_SLOPES = (-0.03, 0.03)
"""Pixels to the right a row, of lines that are not upright."""
_NEARLY = 0.85
"""Share of the greatest response; a line one pixel too wide has no more than two thirds of it."""
_LEAST_LIKENESS = 0.5
"""Correlation of a line's rows with those beside it, from which it lets the picture through."""
LEAST_ROWS = 40
"""Shorter lines are not looked for."""

Columns = NDArray[np.intp]


@dataclass(frozen=True)
class FilmLine:
    """One line: the rows that it covers, and its first column in each."""

    rows: Columns
    columns: Columns
    width: int
    sign: int
    """1 for a bright line, -1 for a dark one."""
    strength: float
    """Sum over its rows of what they stand out by, in units of noise."""

    @property
    def center(self) -> float:
        """Its middle column, halfway down."""
        return float(np.median(self.columns)) + (self.width - 1) / 2

    def mask(self, shape: tuple[int, ...]) -> Mask:
        """Return ``(H, W)``: the line's pixels in a picture of that shape."""
        marked = np.zeros(shape, np.bool_)
        self.mark(marked)
        return marked

    def mark(self, plane: Mask, beside_px: int = 0) -> None:
        """Mark the line's pixels in a plane, and so many on either side."""
        for offset in range(-beside_px, self.width + beside_px):
            plane[self.rows, np.clip(self.columns + offset, 0, plane.shape[1] - 1)] = True

    def pick(self, plane: Plane) -> Plane:
        """Return a plane's values along the line's first column."""
        return plane[self.rows, self.columns]


def find_lines(plane: Plane, widths: Sequence[int]) -> list[FilmLine]:
    """Return the lines of a plane, ``widths`` pixels wide and upright or nearly so, the strongest first."""
    if plane.shape[0] < LEAST_ROWS or plane.shape[1] <= 2 * _APART_PX:
        return []
    # On a large picture everything is longer, and rows need not be told apart as finely as columns.
    rows_a_row = max(1, round(plane.shape[0] / _USUAL_ROWS))
    small = plane
    if rows_a_row > 1:
        small = cv2.resize(plane, (plane.shape[1], plane.shape[0] // rows_a_row), interpolation=cv2.INTER_AREA)
    sought = widths[::2]
    upright = responses(small, widths)
    noise = [_response_noise(each) for each in _of_every_other_width(upright)]
    found = list(_find_upright(_of_every_other_width(upright), sought, noise, _shifts(small.shape[0], 0.0)))
    for slope in _SLOPES:
        shifts = _shifts(small.shape[0], slope * rows_a_row)
        found += _find_upright(responses(_shear(small, shifts), sought), sought, noise, shifts)
    found.sort(key=lambda line: -line.strength)
    kept: list[FilmLine] = []
    taken = np.zeros(small.shape, np.bool_)
    for line in found:
        if line.pick(taken).mean() > _TAKEN:
            continue
        line = _fit_width(upright, line, widths)
        kept.append(line)
        line.mark(taken, _APART_PX)
    return [_lengthen(line, rows_a_row, plane.shape[0]) for line in kept]


def responses(plane: Plane, widths: Sequence[int]) -> list[Plane]:
    """Return by how much pixels are brighter, and darker, than both their sides.

    Of every width two planes ``(H, W)``, the bright one first; a line's own pixels run from each on to the right.
    """
    pad, columns = _GAP_PX + _FLANK_PX + max(widths), plane.shape[1]
    padded = cv2.copyMakeBorder(plane, 0, 0, pad, pad, cv2.BORDER_REPLICATE)
    flank = cv2.blur(padded, (_FLANK_PX, 1), anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)
    left = flank[:, pad - _GAP_PX - _FLANK_PX :][:, :columns]
    out: list[Plane] = []
    for width in widths:
        inside = cv2.blur(padded, (width, 1), anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)[:, pad : pad + columns]
        right = flank[:, pad + width + _GAP_PX :][:, :columns]
        out += [inside - np.maximum(left, right), np.minimum(left, right) - inside]
    return out


def _of_every_other_width(stood_out: Sequence[Plane]) -> list[Plane]:
    return [each for number, each in enumerate(stood_out) if number % 4 < 2]


def _response_noise(plane: Plane) -> float:
    return max(_LEAST_NOISE, robust_sigma((plane - cv2.medianBlur(plane, 5))[::2, ::2]))


def _shifts(height: int, slope: float) -> Columns:
    shifts: Columns = np.rint(slope * (np.arange(height) - height / 2)).astype(np.intp)
    return shifts


def _shear(plane: Plane, shifts: Columns) -> Plane:
    """Return the plane with each row moved left by its shift, so that lines of that slope stand upright."""
    if not shifts.any():
        return plane
    columns = np.clip(np.arange(plane.shape[1]) + shifts[:, None], 0, plane.shape[1] - 1)
    return np.take_along_axis(plane, columns, axis=1)


def _find_upright(
    stood_out: Sequence[Plane], widths: Sequence[int], noise: Sequence[float], shifts: Columns
) -> Iterator[FilmLine]:
    """Yield the upright lines among responses of a plane whose rows were moved left by ``shifts``."""
    found = [each / np.float32(sigma) for each, sigma in zip(stood_out, noise, strict=True)]
    best, kind = _strongest([_seed_strength(each) for each in found])
    highest = cv2.dilate(best, np.ones((1, 2 * _APART_PX + 1), np.uint8))
    kept = (best > 0) & (best >= highest)
    closed = cv2.morphologyEx(kept.view(np.uint8), cv2.MORPH_CLOSE, np.ones((_LONGEST_GAP, 1), np.uint8))
    count, parts, stats = components(closed)
    for part in range(1, count):
        left, top, across, height, _ = stats[part]
        place = (slice(top, top + height), slice(left, left + across))
        inside = (parts[place] == part) & kept[place]
        chosen = int(np.bincount(kind[place][inside]).argmax())
        rows, columns = np.nonzero(inside & (kind[place] == chosen))
        line = _trace(found[chosen], rows + top, columns + left)
        if line is not None:
            covered, track, strength = line
            columns = np.clip(track + shifts[covered], 0, closed.shape[1] - 1)
            yield FilmLine(covered, columns, widths[chosen // 2], 1 - 2 * (chosen % 2), strength)


def _fit_width(stood_out: Sequence[Plane], line: FilmLine, widths: Sequence[int]) -> FilmLine:
    """Return a line with the greatest width that stands out nearly as far as any, and where that does so most."""
    straight, last = _straighten(line), stood_out[0].shape[1] - 1
    fits = []
    for each, width in zip(stood_out[0 if line.sign > 0 else 1 :: 2], widths, strict=True):
        shifts = np.arange(-width - 1, max(width, line.width) + 1)
        along: Plane = each[line.rows, np.clip(straight + shifts[:, None], 0, last)]
        along = cv2.blur(along, (_WINDOW_ROWS, 1), borderType=cv2.BORDER_REFLECT)
        fits.append((float(along.max(axis=0).mean()), width, shifts[along.argmax(axis=0)]))
    most = max(fit[0] for fit in fits)
    least = most - (1 - _NEARLY) * abs(most)
    _, width, shift = max((fit for fit in fits if fit[0] >= least), key=lambda fit: fit[1])
    return replace(line, columns=np.clip(straight + shift, 0, last), width=width)


def _straighten(line: FilmLine) -> Columns:
    """Return the columns of the straight line that lies nearest to a line's."""
    rows = line.rows - line.rows.mean()
    slope = float((rows * line.columns).sum()) / max(1.0, float((rows * rows).sum()))
    if abs(slope) * rows.size < _LEAN_PX:
        slope = 0.0
    columns: Columns = np.rint(line.columns.mean() + slope * rows).astype(np.intp)
    return columns


def _lengthen(line: FilmLine, rows_a_row: int, height: int) -> FilmLine:
    """Return a line of a picture whose rows were averaged by so many, in the picture itself."""
    if rows_a_row == 1:
        return line
    rows = (line.rows[:, None] * rows_a_row + np.arange(rows_a_row)).ravel()
    inside = rows < height
    columns = np.repeat(line.columns, rows_a_row)
    if line.rows[-1] == height // rows_a_row - 1:  # what was left over by whole rows belongs to the last
        extra = np.arange(rows[-1] + 1, height)
        rows, columns = np.append(rows, extra), np.append(columns, np.repeat(columns[-1:], extra.size))
        inside = np.ones(rows.size, np.bool_)
    return replace(line, rows=rows[inside], columns=columns[inside])


def _strongest(seeds: Sequence[Plane]) -> tuple[Plane, NDArray[np.uint8]]:
    """Return the greatest of several planes, and which of them it is."""
    best, kind = seeds[0].copy(), np.zeros(seeds[0].shape, np.uint8)
    for number, each in enumerate(seeds[1:], 1):
        kind[each > best] = number
        np.maximum(best, each, out=best)
    return best, kind


def _seed_strength(response_: Plane) -> Plane:
    """Return the mean response down the window where a line passes, else 0."""
    window = (1, min(_WINDOW_ROWS, response_.shape[0] | 1))
    mean = cv2.blur(response_, window, borderType=cv2.BORDER_REFLECT_101)
    hits = (response_ > _HIT).view(np.uint8) * np.uint8(255)
    density = cv2.blur(hits, window, borderType=cv2.BORDER_REFLECT_101)
    least = np.float32(_LEAST_EVIDENCE * np.sqrt(_ROWS_A_SAMPLE**2 / window[1]))
    np.multiply(mean, (mean > least) & (density > int(_LEAST_DENSITY * 255)), out=mean)
    return mean


def _trace(response_: Plane, rows: Columns, columns: Columns) -> tuple[Columns, Columns, float] | None:
    """Follow a line from where it is sure to where it ends; returns rows, columns and strength, none if it is short."""
    track = _follow(rows, columns, response_.shape[0])
    along: NDArray[Any] = response_[np.arange(track.size), track]
    mean = cv2.blur(along[:, None], (1, _END_ROWS), borderType=cv2.BORDER_REPLICATE)[:, 0]
    first, last = int(rows.min()), int(rows.max())
    covered = _runs_across(mean > _END_SHARE * float(along[first : last + 1].mean()), first, last)
    # What hits but now and then is the picture's own, gathered over a long way.
    if covered.size < LEAST_ROWS or (along[covered] > _HIT).mean() < _LEAST_DENSITY_IN_ALL:
        return None
    return covered, track[covered], float(along[covered].sum())


def _follow(rows: Columns, columns: Columns, height: int) -> Columns:
    """Return the column in which a line runs in each row, from places that are sure."""
    if columns.min() == columns.max():
        return np.full(height, columns[0])
    counts = np.bincount(rows)
    sure = np.flatnonzero(counts)
    straight = np.interp(np.arange(height), sure, (np.bincount(rows, columns)[sure] / counts[sure]))
    track = np.rint(straight).astype(np.intp)
    # Beyond the ends the line goes straight on, so there is no more to it.
    bend = slice(max(0, int(sure[0]) - _WINDOW_ROWS), int(sure[-1]) + _WINDOW_ROWS)
    track[bend] = _running_median(track[bend])
    return track


def _runs_across(hits: NDArray[np.bool_], first: int, last: int) -> Columns:
    """Return the rows of hits and the short gaps between them, of those runs that have a part of ``first…last``."""
    rows = np.flatnonzero(hits)
    runs = np.split(rows, np.flatnonzero(np.diff(rows) > _LONGEST_GAP) + 1)
    across = [np.arange(run[0], run[-1] + 1) for run in runs if run.size and run[0] <= last and run[-1] >= first]
    return np.concatenate(across) if across else rows[:0]


def subtract(plane: Plane, line: FilmLine) -> Plane:
    """Return the plane with a line's own profile taken out, what is seen through it kept.

    In each of its columns the profile is what that column differs from the flanks by: the median over 61 rows.
    """
    out = plane.copy()
    for offset in range(line.width):
        columns, beside = _column_and_flanks(plane, line, offset)
        profile = _running_median(plane[line.rows, columns] - beside)
        out[line.rows, columns] = plane[line.rows, columns] - profile
    return out


def shows_through(plane: Plane, line: FilmLine) -> bool:
    """Whether what lies on both sides of a line is seen in it too."""
    columns, beside = _column_and_flanks(plane, line, line.width // 2)
    own: Plane = plane[line.rows, columns]
    inside, beside = own - _running_median(own), beside - _running_median(beside)
    power = float((inside**2).mean() * (beside**2).mean())
    return power > 0 and float((inside * beside).mean()) > _LEAST_LIKENESS * power**0.5


def _column_and_flanks(plane: Plane, line: FilmLine, offset: int) -> tuple[Columns, Plane]:
    last = plane.shape[1] - 1
    reach = range(_GAP_PX + 1, _GAP_PX + 1 + _FLANK_PX)
    left = [plane[line.rows, np.clip(line.columns - each, 0, last)] for each in reach]
    right = [plane[line.rows, np.clip(line.columns + line.width - 1 + each, 0, last)] for each in reach]
    beside: Plane = np.stack(left + right).mean(axis=0)
    return np.clip(line.columns + offset, 0, last), beside


def _running_median(values: Plane) -> Plane:
    half = _WINDOW_ROWS // 2
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, half, mode="edge"), _WINDOW_ROWS)
    median: Plane = np.median(windows, axis=1).astype(np.float32)
    return median
