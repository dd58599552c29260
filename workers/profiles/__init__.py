"""What is known of a whole reel before its first frame is restored: the reel profile.

A *kind* of profile is one module here with

    LOOKS_BACK: bool                                      whether a row compares a frame with the one before
    measure(picture, before) -> {name: array}             the row of a frame; of one pair (t - 1, t) at t
    profile(rows, shots) -> {name: array of N rows}       of the whole reel, once, rows stacked in frame order

``inspect`` measures the frames of a segment as they came in, before any step, and reads one frame before its first for
the kinds that look back; ``merge`` stacks the rows and makes the profile. Both are pure functions, so that no value
depends on where the reel was cut. ``before`` is none at the first frame of the reel, which has a neutral row. Stages
find the arrays of all kinds in ``Reel.profile``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol, cast, get_args

import numpy as np
from numpy.typing import NDArray

from db.catalog.stages import ReelNeed
from workers.frames import Shot
from workers.ops.planes import Planes

Rows = dict[str, NDArray[Any]]
"""Named arrays; of many frames, with a row a frame."""
ORDER: tuple[str, ...] = get_args(ReelNeed)
"""All kinds."""


class _Kind(Protocol):
    LOOKS_BACK: bool
    measure: Callable[[Planes, Planes | None], Rows]
    profile: Callable[[Mapping[str, NDArray[Any]], tuple[Shot, ...]], Rows]


def looks_back(kinds: Collection[str]) -> bool:
    """Whether any of the kinds compares a frame with the one before it."""
    return any(_kind(name).LOOKS_BACK for name in kinds)


def measure(kinds: Collection[str], picture: Planes, before: Planes | None) -> Rows:
    """Return a frame's row of all ``kinds``; each name begins with its kind's.

    Args:
        kinds: Names of kinds.
        picture: The frame, ``(C, H, W)``.
        before: The frame before it; none at the reel's first.
    """
    return {
        f"{name}.{column}": value
        for name in _in_order(kinds)
        for column, value in _kind(name).measure(picture, before if _kind(name).LOOKS_BACK else None).items()
    }


def stack(rows: Sequence[Rows]) -> Rows:
    """Stack rows of single frames, in frame order."""
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def join(parts: Sequence[Rows]) -> Rows:
    """Join the stacked rows of consecutive segments."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def profile(rows: Rows) -> Rows:
    """Turn the joined rows of a whole reel into its profile: named arrays, a row a frame.

    ``cut`` (N,) bool is always among them: whether a new shot begins with this frame.
    """
    kinds: dict[str, Rows] = {}
    for name, values in rows.items():
        kind, column = name.split(".", 1)
        kinds.setdefault(kind, {})[column] = values
    count = len(next(iter(rows.values())))
    result: Rows = {"cut": np.arange(count) == 0}
    if "cuts" in kinds:
        result |= _kind("cuts").profile(kinds.pop("cuts"), ((0, count),))
    bounds = shots(result)
    for name in _in_order(kinds):
        result |= _kind(name).profile(kinds[name], bounds)
    return result


def profile_of(kinds: Collection[str], pictures: Sequence[Planes]) -> Rows:
    """Return the profile of frames that are all in memory, such as the one of a still."""
    rows = [
        measure(kinds, picture, pictures[number - 1] if number else None) for number, picture in enumerate(pictures)
    ]
    return profile(stack(rows))


def shots(profile: Mapping[str, NDArray[Any]]) -> tuple[Shot, ...]:
    """Return the ranges between cuts; together they cover the reel."""
    cut = profile["cut"]
    begins = [number for number in range(len(cut)) if number == 0 or cut[number]]
    return tuple(pairwise([*begins, len(cut)]))


def _in_order(kinds: Collection[str]) -> list[str]:
    return [name for name in ORDER if name in kinds]


def _kind(name: str) -> _Kind:
    return cast(_Kind, importlib.import_module(f"workers.profiles.{name}"))
