"""Exact frames of a master of ours by number: every packet is a frame by itself, and its time stamp names it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from fractions import Fraction

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from db.errors import InputError
from db.settings import Settings
from workers.media.errors import reading
from workers.media.film import container
from workers.media.film.timing import Clock
from workers.media.remote import Place

_APART_TICKS = 3
"""Frames nearer to one another than this are counted: a container rounds their times."""


def read_from(path: Place, number: int, clock: Clock, settings: Settings) -> Generator[VideoFrame, None, None]:
    """Yield the frames of a master from a number on.

    Args:
        path: The master; one in S3 is read by ranges.
        number: Of the first frame.
        clock: When the reel's frames are shown, as the master was written by.
        settings: For the limits.

    Raises:
        InputError: ``FRAMES_DIFFER`` when there is no frame of that number at its time; ``CORRUPT``.
    """
    threads = max(1, settings.codec_threads)
    with container.open_film(path, threads, max_pixels=settings.max_pixels) as (film, stream):
        packets = _packets_from(film, stream, number, clock)
        with reading(str(path)):
            for packet in packets:
                yield from stream.decode(packet)


def _packets_from(
    film: InputContainer, stream: VideoStream, number: int, clock: Clock
) -> Iterator[Packet[VideoStream]]:
    packets = (packet for packet in film.demux(stream) if packet.size)
    first = next(packets, None)
    unit = stream.time_base
    if first is None or first.pts is None or unit is None:
        raise InputError(f"{film.name}: there are no frames with times in it", code="FRAMES_DIFFER")
    if number == 0:
        yield first
    elif _is_told_apart(number, clock, unit):
        yield from _seek(film, stream, first.pts + round((clock.seconds(number) - clock.seconds(0)) / unit), number)
        return
    else:
        for _ in range(number - 1):
            next(packets, None)
    yield from packets


def _seek(film: InputContainer, stream: VideoStream, pts: int, number: int) -> Iterator[Packet[VideoStream]]:
    container.seek(film, stream, pts - 1)
    packets = (packet for packet in film.demux(stream) if packet.size)
    packet = next((packet for packet in packets if packet.pts is not None and packet.pts >= pts - 1), None)
    if packet is None or packet.pts is None or packet.pts > pts + 1:
        raise InputError(f"{film.name}: no frame stands where frame {number} should", code="FRAMES_DIFFER")
    yield packet
    yield from packets


def _is_told_apart(number: int, clock: Clock, unit: Fraction) -> bool:
    """Whether the times of a frame's neighbours are far enough from its own."""
    return all(
        abs(clock.seconds(number) - clock.seconds(other)) >= _APART_TICKS * unit for other in (number - 1, number + 1)
    )
