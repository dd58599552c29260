"""Puts chunks together into a master without touching a packet's payload, with the source's sound beside the picture.

``assemble`` imports it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from db.errors import WorkError
from db.records import ReelFacts
from workers.media import container, matroska
from workers.media.edge import reading, writing
from workers.media.ffv1 import BITEXACT, add_stream
from workers.media.pixels import Layout

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


@dataclass(frozen=True)
class Plan:
    """What a master is to be."""

    layout: Layout
    size: tuple[int, int]
    """Height and width."""
    clock: Clock
    facts: ReelFacts
    """Of the source: rate, aspect, colour tags."""
    tags: dict[str, str]
    """Title, timecode and what else a person should find in the file."""


def master(path: Path, chunks: Iterable[Path], plan: Plan, sound: Path | None) -> tuple[str, ...]:
    """Write the master: the chunks' packets with times from absolute frame numbers, the source's sound copied.

    Args:
        path: The Matroska file to write.
        chunks: Films in frame order, each one opened when the one before is through.
        plan: What it is to be.
        sound: The source, when it has sound.

    Returns:
        Names of sound codecs that Matroska does not take.
    """
    with ExitStack() as stack:
        with writing(path.name):
            out = stack.enter_context(av.open(str(path), "w", format="matroska", options=BITEXACT))
        out.metadata.update(plan.tags)
        picture = add_stream(out, plan.layout, plan.size, plan.facts.rate, plan.facts)
        picture.metadata["title"] = matroska.RESERVE
        refused: list[AudioStream] = []
        packets = _picture_packets(chunks, picture, plan.clock)
        if sound is not None:
            stack.enter_context(reading(str(sound)))
            source = stack.enter_context(opened(sound))
            tracks, refused = copied_tracks(out, source)
            packets = heapq.merge(packets, sound_packets(source, tracks, plan.clock), key=lambda timed: timed[0])
        _mux(out, packets, path)
        names = tuple(track.codec_context.name for track in refused)
    matroska.set_aspect(path, *plan.size, plan.facts.sample_aspect)
    return names


def opened(sound: Path) -> InputContainer:
    """Open a source for its sound alone."""
    return av.open(str(sound), options=dict(container.OPTIONS), metadata_errors="replace")


def beside(path: Path, sound: Path, clock: Clock) -> bool:
    """Write the sound that Matroska refuses into a QuickTime file, its packets unchanged; says whether any could be."""
    with writing(path.name):
        out = av.open(str(path), "w", format="mov", options=BITEXACT)
    with out, reading(str(sound)), opened(sound) as source:
        wanted = [track for track in source.streams.audio if not _takes("matroska", track)]
        tracks, _ = copied_tracks(out, source, lambda track: track in wanted)
        if tracks:
            _mux(out, sound_packets(source, tracks, clock), path)
        return bool(tracks)


def copied_tracks(
    out: OutputContainer, source: InputContainer, wanted: Callable[[AudioStream], bool] = lambda track: True
) -> tuple[dict[int, Stream], list[AudioStream]]:
    """Add a copy of every wanted sound track that the container takes; returns them by source index, and the others."""
    tracks: dict[int, Stream] = {}
    refused = []
    for track in source.streams.audio:
        if track.codec_context is None or not wanted(track):
            continue
        try:
            tracks[track.index] = out.add_stream_from_template(track)
        except (ValueError, FFmpegError):
            refused.append(track)
            continue
        for name in ("language", "title"):
            if track.metadata.get(name):
                tracks[track.index].metadata[name] = track.metadata[name]
    return tracks, refused


def sound_packets(source: InputContainer, tracks: dict[int, Stream], clock: Clock) -> Iterator[Timed]:
    """Return the tracks' packets, on the clock of the picture."""
    if not tracks:
        return
    for packet in source.demux([source.streams[number] for number in tracks]):
        if not packet.size or packet.dts is None or packet.time_base is None:
            continue
        shift = round(clock.begins / packet.time_base)
        packet.dts -= shift
        packet.pts = packet.dts if packet.pts is None else packet.pts - shift
        seconds = float(packet.dts * packet.time_base)
        packet.stream = tracks[packet.stream.index]
        yield seconds, packet


def _picture_packets(chunks: Iterable[Path], picture: VideoStream, clock: Clock) -> Iterator[Timed]:
    number, header = 0, None
    for chunk in chunks:
        with reading(chunk.name), av.open(str(chunk), "r", format="matroska") as film:
            stream = film.streams.video[0]
            header = header or stream.codec_context.extradata
            if stream.codec_context.extradata != header:
                raise WorkError(f"The chunk at frame {number} was encoded in another way", code="WORKER_FAULT")
            for packet in film.demux(stream):
                if packet.size:
                    packet.pts, packet.time_base = clock.ticks(number)
                    packet.dts, packet.stream = packet.pts, picture
                    packet.duration = clock.duration_ticks(number)
                    yield float(packet.pts * packet.time_base), packet
                    number += 1


def _mux(out: OutputContainer, packets: Iterable[Timed], path: Path) -> None:
    for _, packet in packets:
        with writing(path.name):
            out.mux_one(packet)
    with writing(path.name):
        out.close()


def _takes(format_: str, track: AudioStream) -> bool:
    with av.open("/dev/null", "w", format=format_) as trial:
        try:
            trial.add_stream_from_template(track)
        except (ValueError, FFmpegError):
            return False
        return True
