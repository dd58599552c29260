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


def numbers_at(clock: Clock, frame_count: int, rate: Fraction, span: tuple[int, int]) -> range:
    """Return the numbers of the frames at ``rate`` that are shown from frame ``span[0]`` on, until ``span[1]`` is."""
    # How long the last of unevenly spaced frames is shown nobody knows: as long as one at the reel's rate.
    ends = clock.lasts if clock.lasts is not None else clock.seconds(frame_count - 1) + 1 / clock.rate
    first, stop = (ends if place >= frame_count else clock.seconds(place) for place in span)
    return range(math.ceil(first * rate), math.ceil(stop * rate))


def change_rate(
    pictures: Iterable[Picture], clock: Clock, frame_count: int, rate: Fraction, shot_starts: Container[int],
    span: tuple[int, int],
) -> Iterator[Picture]:  # fmt: skip
    """Yield pictures at ``rate`` from the reel's own, which come in order.

    Args:
        pictures: ``(C, H, W)`` float32, the frames ``span`` of the reel and, where there is one, the next.
        clock: When each is shown.
        frame_count: How many the reel has.
        rate: Frames per second that are wanted.
        shot_starts: Numbers of the frames with which a shot begins.
        span: Half-open range: what is shown from its first frame on until its last one goes is made.
    """
    wanted = iter(numbers_at(clock, frame_count, rate, span))
    number, before = next(wanted, None), None
    for place, picture in enumerate(pictures, span[0]):
        shown = clock.seconds(place)
        while number is not None and before is not None and number / rate < shown:
            since = clock.seconds(place - 1)
            share = (number / rate - since) / (shown - since)
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
