"""Frames at another rate than the master's, for the access copy: made along the motion between two of its frames.

Nothing is made across a cut, nor of frames that repeat: there the frame before is held.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator
from fractions import Fraction

from workers.media.film.timing import Clock
from workers.media.pixels import Picture
from workers.ops import interpolation

_NEAR = Fraction(1, 100)
"""As a share of the distance between two frames: nearer to one of them, that frame itself is shown."""


def clock_at(clock: Clock, rate: Fraction) -> Clock:
    """Return the clock of the same reel at another rate."""
    return Clock(rate, (), clock.begins, clock.lasts)


def change_rate(
    pictures: Iterable[Picture], clock: Clock, frame_count: int, rate: Fraction, shot_starts: Container[int]
) -> Iterator[Picture]:
    """Yield pictures at ``rate`` from the reel's own, which come in order.

    Args:
        pictures: ``(C, H, W)`` float32, every frame of the reel.
        clock: When each is shown.
        frame_count: How many there are.
        rate: Frames per second that are wanted.
        shot_starts: Numbers of the frames with which a shot begins.
    """
    # How long the last of unevenly spaced frames is shown nobody knows: as long as one at the reel's rate.
    ends = clock.lasts if clock.lasts is not None else _seconds(clock, frame_count - 1) + 1 / clock.rate
    wanted = iter(range(math.ceil(ends * rate)))
    number, before = next(wanted, None), None
    for place, picture in enumerate(pictures):
        shown = _seconds(clock, place)
        while number is not None and before is not None and number / rate < shown:
            span = _seconds(clock, place) - _seconds(clock, place - 1)
            share = (number / rate - _seconds(clock, place - 1)) / span
            yield _between(before, picture, share, place in shot_starts)
            number = next(wanted, None)
        before = picture
    while number is not None and before is not None:
        yield before
        number = next(wanted, None)


def _between(before: Picture, after: Picture, share: Fraction, is_cut: bool) -> Picture:
    if share < _NEAR or is_cut:
        return before
    return after if share > 1 - _NEAR else interpolation.middle(before, after, float(share))


def _seconds(clock: Clock, number: int) -> Fraction:
    ticks, unit = clock.ticks(number)
    return clock.times[number] if clock.times else ticks * unit
