"""One clock for a film whose own starts again, as where transport or program streams were joined.

The picture's packets say where it does. What follows goes on where the frame before it ended, and every other track
keeps its place beside the picture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any, cast

from av.container import InputContainer
from av.format import Flags
from av.packet import Packet

_BACK_SECONDS, _AHEAD_SECONDS = Fraction(1, 10), Fraction(10)
"""Jumps of the time of decoding from which it is another clock's: FFmpeg's own measures. Times may only jump ahead in
containers whose clock may be another one at any place."""
_STEADY = {"video", "audio"}
"""Streams whose packets follow one another; subtitles and data come when they come."""
_MOST_WAITING = 1000
"""Packets of other tracks that are held back until the picture comes to the same break."""


def follow_clock(
    packets: Iterable[Packet[Any]], container: InputContainer, leader: int, on_break: Callable[[], None] = lambda: None
) -> Iterator[Packet[Any]]:
    """Yield packets with times on one clock that never starts again.

    Args:
        packets: In their container's order.
        container: Where they come from.
        leader: Index of the stream that says where the clock breaks.
        on_break: Called before the leader's first packet behind a break.
    """
    clocks = _Clocks(leader, goes_ahead=bool(container.format.flags & cast(int, Flags.ts_discont.value)))
    waiting: list[Packet[Any]] = []
    for packet in packets:
        if clocks.notice(packet):
            on_break()
        if packet.size and clocks.is_early(packet.stream.index) and len(waiting) < _MOST_WAITING:
            waiting.append(packet)
            continue
        if not packet.size or len(waiting) == _MOST_WAITING:
            clocks.settle()
        if waiting and not clocks.is_early(waiting[0].stream.index):
            yield from map(clocks.place, waiting)
            waiting.clear()
        yield clocks.place(packet)
    clocks.settle()
    yield from map(clocks.place, waiting)


class _Clocks:
    """Where each stream stands, by its index: in ticks of its own clock what every packet touches, else in seconds."""

    def __init__(self, leader: int, *, goes_ahead: bool) -> None:
        self.leader, self.goes_ahead = leader, goes_ahead
        self.shifts = [Fraction(0)]  # what is added to the times of each part
        self.parts: Counter[int] = Counter()
        self.own: dict[int, Fraction] = {}  # added to one stream's times alone
        self.last: dict[int, int] = {}  # ticks
        self.steps: Counter[int] = Counter()  # how many ticks its last packet lasts
        self.jumped: dict[int, Fraction] = {}  # where its last part begins, on its own clock
        self.ends: dict[int, tuple[int, Fraction]] = {}  # when its last packet ends, on the one clock: ticks of so long

    def notice(self, packet: Packet[Any]) -> bool:
        """Look at a packet in turn; says whether the leader comes to another clock with it."""
        number: int = packet.stream.index
        dts = packet.dts
        if dts is None or packet.stream.type not in _STEADY or not packet.time_base:
            return False
        last = self.last.get(number)
        jumps = last is not None and self._jumps(number, dts - last, packet.time_base)
        if not jumps and last is not None:
            self.steps[number] = packet.duration or dts - last
        self.last[number] = dts
        if not jumps:
            return False
        self.parts[number] += 1
        seconds = dts * packet.time_base
        if number == self.leader:
            self.shifts.append(self._end(number) - seconds)
        else:
            self.jumped[number] = seconds
        return number == self.leader

    def _jumps(self, number: int, ticks: int, base: Fraction) -> bool:
        """Whether a packet so many ticks behind its stream's last one is on another clock."""
        if ticks < 0:
            return -ticks * base > _BACK_SECONDS
        return self.goes_ahead and (ticks - self.steps[number]) * base > _AHEAD_SECONDS

    def is_early(self, number: int) -> bool:
        """Whether a stream is at a break to which the leader has not come."""
        return self.parts[number] > self.parts[self.leader]

    def settle(self) -> None:
        """Let streams that jumped where the leader did not go on by themselves: none runs backwards."""
        for number in [number for number in self.parts if self.is_early(number)]:
            self.parts[number] = self.parts[self.leader]
            first = self.jumped[number] + self._shift(number, self.parts[number])
            self.own[number] = self.own.get(number, Fraction(0)) + max(Fraction(0), self._end(number) - first)

    def place(self, packet: Packet[Any]) -> Packet[Any]:
        """Return a packet with its times on the one clock."""
        number, base = packet.stream.index, packet.time_base
        if not base:
            return packet
        if self.parts[number] < self.parts[self.leader] and self._has_followed(packet, base):
            self.parts[number] = self.parts[self.leader]
        # Most films have one clock, and nearly every packet of all others is in the first part.
        if self.parts[number] or number in self.own:
            ticks = round(self._shift(number, self.parts[number]) / base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        if packet.dts is not None:
            self.ends[number] = packet.dts + (packet.duration or self.steps[number]), base
        return packet

    def _has_followed(self, packet: Packet[Any], base: Fraction) -> bool:
        """Whether a packet behind the leader's break fits the leader's part better than its own stream's last one."""
        number = packet.stream.index
        if packet.dts is None or packet.stream.type not in _STEADY:
            return True
        gaps = (abs(packet.dts * base + self._shift(number, part) - self._end(number))
                for part in (self.parts[self.leader], self.parts[number]))  # fmt: skip
        return next(gaps) < next(gaps)

    def _shift(self, number: int, part: int) -> Fraction:
        """What is added to a stream's times in a part, in seconds."""
        return self.shifts[part] + self.own.get(number, Fraction(0))

    def _end(self, number: int) -> Fraction:
        ticks, base = self.ends.get(number, (0, Fraction(1)))
        return ticks * base
