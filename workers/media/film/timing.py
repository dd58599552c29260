"""When the frames of a reel are shown, and what is cut to it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from av.packet import Packet

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

    def from_zero(self) -> Clock:
        """Return the clock for a file that begins with the reel's first frame, such as sound beside a film."""
        return Clock(self.rate, self.times, Fraction(0), self.lasts)
