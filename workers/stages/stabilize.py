"""Holds the picture still: gate weave and shake go, pans stay.

The reel profile says how each frame moved against the one before. Summed up over a shot that is the path of the
picture; beside it a path of straight pieces is laid, and every frame is moved from the one to the other. Paths come
from the profile, so no result depends on the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from db.catalog.stages.steadiness import StabilizeParams
from workers.frames import Clip, Reel, Shot
from workers.ops import gate, planes, weave
from workers.ops.planes import Planes

_LEAST_TOLERANCE_PX = 0.3
"""Departures from a path beyond this, or beyond the usual ones, count less than by their square."""
_FEWEST = 8
"""Frames from which the usual departure can be told."""
_STILL_SMOOTHNESS = 300.0
_STILL_PX = 1.0
"""A path that moves by less than this over a whole shot is that of a camera that stood still."""
_LEAST_MOVE_PX = 0.02
"""A frame that would move by less comes back as it is: resampling costs more than that."""
_LEAST_STEP_PX = 0.03
"""A frame that moved by less against the one before did not move."""
_MOST_UNKNOWN = 0.25
"""Share of pairs whose motion is not known from which on a shot is left as it is: something fills the picture."""
_SEEN_SHARE = 0.8
"""Share of a shot's frames that must show an edge of the gate."""
_RADIUS = 4
_EXPOSURE_SIGMA_PX = 24.0

Path = NDArray[np.float64]
"""``(N, 3)``: x and y in pixels, and the angle in radians, of the frames of a shot."""


@dataclass(frozen=True)
class _Paths:
    """Where the frames of a shot are, and where they are put."""

    first: int
    """Absolute number of the shot's first frame."""
    found: Path
    kept: Path

    def correction(self, number: int, source: int) -> tuple[float, float, float]:
        """Return the move that brings what frame ``source`` shows to where frame ``number`` belongs."""
        x, y, angle = self.kept[number - self.first] - self.found[source - self.first]
        return float(x), float(y), float(angle)


def restore(window: Clip, start: int, stop: int, params: StabilizeParams, reel: Reel) -> torch.Tensor:
    """Return frames ``[start, stop)`` moved to where they belong; a still or a frame alone comes back as it is."""
    if "shift" not in reel.profile or reel.frame_count < 2:
        return window.part(start, stop).frames
    out = []
    for number in range(start, stop):
        shot = reel.shot_of(number)
        picture = planes.from_frame(window.frame(number))
        size = picture.shape[1], picture.shape[2]
        paths = window.memo.once("paths", (shot[1] - 1,), partial(_paths, shot, params, reel, size))
        move = paths.correction(number, _source(window, number, shot))
        if weave.greatest_move(*size, *move) >= _LEAST_MOVE_PX:
            moved = weave.move(picture, *move)
            picture = _fill_rim(moved, move, number, window, reel, paths) if params.border == "neighbours" else moved
        out.append(picture)
    return planes.to_frames(out, window.frames)


def _source(window: Clip, number: int, shot: Shot) -> int:
    """Return the frame whose place counts: that of a stand-in, where it is of the same shot."""
    source = window.sources[number - window.start]
    return source if shot[0] <= source < shot[1] else number


# -- paths


def _paths(shot: Shot, params: StabilizeParams, reel: Reel, size: tuple[int, int]) -> _Paths:
    shifts, edges = (reel.profile[name][shot[0] : shot[1]].astype(np.float64) for name in ("shift", "gate"))
    steps = shifts[:, :3] * (max(size), max(size), 1)
    # The first row of a shot compares it with another scene. What cannot be told from nothing would add up.
    tiny = [weave.greatest_move(*size, *step) < _LEAST_STEP_PX for step in steps]
    steps[tiny] = steps[0] = 0
    found = np.cumsum(steps, axis=0)
    kept = _kept_path(found, params.smoothness, size)
    unknown = reel.profile["support"][shot[0] + 1 : shot[1], 0] == 0
    if np.count_nonzero(unknown) > _MOST_UNKNOWN * len(unknown):
        kept = found
    if params.reference == "gate":
        found, kept = _hold_gate(found, kept, edges, max(size))
    limit = np.array([params.max_shift * size[1]] * 2 + [np.deg2rad(params.max_angle)])
    return _Paths(shot[0], found, found + np.clip(kept - found, -limit, limit))


def _kept_path(found: Path, smoothness: float, size: tuple[int, int]) -> Path:
    """Return the path of straight pieces, for each direction and the turn in itself."""
    units = np.array([1.0, 1.0, np.hypot(*size) / 2])
    path: Path = np.stack([_kept_track(track, smoothness) for track in (found * units).T], axis=1) / units
    return path


def _kept_track(track: NDArray[np.float64], smoothness: float) -> NDArray[np.float64]:
    """Return one of the three, in pixels; a single place, where the camera stood still."""
    tolerance = _tolerance(track)
    if np.ptp(weave.trend(track, _STILL_SMOOTHNESS, tolerance)) < _STILL_PX:
        return np.full_like(track, np.median(track))
    return weave.trend(track, smoothness, tolerance)


def _tolerance(track: NDArray[np.float64]) -> float:
    """Return how far a track strays at random, in pixels; no less than a good measure does."""
    if len(track) < _FEWEST:
        return _LEAST_TOLERANCE_PX
    bends = np.diff(track, 2)
    # Of white noise, a second difference has six times the variance.
    return max(_LEAST_TOLERANCE_PX, float(np.median(np.abs(bends)) * 1.4826 / np.sqrt(6)))


def _hold_gate(found: Path, kept: Path, edges: NDArray[np.float64], side_px: int) -> tuple[Path, Path]:
    """Put the gate's place, which is to stay, for x and y in turn where enough frames show an edge of it."""
    found, kept = found.copy(), kept.copy()
    for axis in range(2):
        places = [place for place in (_places(edges[:, axis]), _places(edges[:, axis + 2])) if place is not None]
        if places:
            found[:, axis] = np.mean(places, axis=0) * side_px
            kept[:, axis] = np.median(found[:, axis])
    return found, kept


def _places(edge: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return where an edge is from its usual place, frame by frame; nothing where it is hardly ever seen."""
    seen = edge != gate.NOWHERE
    if seen.mean() < _SEEN_SHARE:
        return None
    return np.where(seen, edge - np.median(edge[seen]), 0.0)


# -- the rim


def _fill_rim(
    moved: Planes, move: tuple[float, float, float], number: int, window: Clip, reel: Reel, paths: _Paths
) -> Planes:
    """Fill what a moved frame does not cover from its neighbours in the shot, the nearest first."""
    size = moved.shape[1], moved.shape[2]
    empty = ~weave.covered(*size, *move)
    out = moved.copy()
    near = reel.neighbors(number, _RADIUS)
    for other in sorted((each for each in near if each != number), key=lambda each: (abs(each - number), each)):
        if not empty.any():
            break
        there = paths.correction(number, _source(window, other, reel.shot_of(number)))
        usable = weave.covered(*size, *there)
        if (usable & empty).any():
            fetched = weave.move(planes.from_frame(window.frame(other)), *there)
            fetched = _match_exposure(fetched, out, usable & ~empty)
            out = np.where(usable & empty, fetched, out)
            empty &= ~usable
    return out


def _match_exposure(fetched: Planes, picture: Planes, both: NDArray[np.bool_]) -> Planes:
    """Return ``fetched`` as light as the picture around each place, judged where both are known."""
    known = both.astype(np.float32)
    weight = cv2.GaussianBlur(known, (0, 0), _EXPOSURE_SIGMA_PX) + np.float32(1e-6)
    differences = ((one - other) * known for one, other in zip(picture, fetched, strict=True))
    return np.stack([plane + cv2.GaussianBlur(difference, (0, 0), _EXPOSURE_SIGMA_PX) / weight
                     for plane, difference in zip(fetched, differences, strict=True)])  # fmt: skip
