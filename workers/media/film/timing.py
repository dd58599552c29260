"""When the frames of a reel are shown, and what is cut to it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from av.packet import Packet

from db.records import ReelFacts, Source
from workers.media.index import Index

Timed: TypeAlias = "tuple[float, Packet[Any]]"
"""When a packet is decoded, in seconds, and the packet with its stream and times set."""


@dataclass(frozen=True)
class Clock:
    """When the frames of a reel are shown."""

    rate: Fraction
    times: tuple[Fraction, ...] = ()
    """Seconds of every frame from the first one, where they are not evenly spaced."""
    begins: Fraction = Fraction(0)
    """When the first frame is shown on the source's own clock, in seconds."""
    lasts: Fraction | None = None
    """Seconds of a reel that is a span of its source: what lies outside is not its own. None for a whole source."""

    def ticks(self, number: int) -> tuple[int, Fraction]:
        """Return a frame's time stamp and its unit in seconds."""
        if self.times and number < len(self.times):
            return round(self.times[number] * 90_000), Fraction(1, 90_000)
        return number, 1 / self.rate

    def duration_ticks(self, number: int) -> int:
        """Return how long a frame is shown, in the unit of :meth:`ticks`; 0 where nobody knows."""
        if self.times:
            return self.ticks(number + 1)[0] - self.ticks(number)[0] if number + 1 < len(self.times) else 0
        return 1

    def seconds(self, number: int) -> Fraction:
        """Return when a frame is shown, counted from the first one."""
        ticks, unit = self.ticks(number)
        return self.times[number] if self.times and number < len(self.times) else ticks * unit

    def from_zero(self) -> Clock:
        """Return the clock for a file that begins with the reel's first frame, such as sound beside a film."""
        return Clock(self.rate, self.times, Fraction(0), self.lasts)


def reel_clock(source: Source, facts: ReelFacts, frames: Index) -> Clock:
    """Return when the frames of a probed reel are shown."""
    begins = int(frames.pts[0]) * frames.time_base
    times = tuple(frames.seconds(number) for number in range(len(frames))) if facts.variable_rate else ()
    lasts = None
    if source.span is not None:
        # The last of unevenly spaced frames is taken to last as long as the one before it.
        lasts = 2 * times[-1] - times[-2] if len(times) > 1 else len(frames) / facts.rate
    return Clock(facts.rate, times, begins, lasts)
