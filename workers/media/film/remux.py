"""Puts chunks together into a master without touching a packet, with what the source has beside the picture."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from db.errors import WorkError
from db.records import ReelFacts
from workers.media.errors import reading, writing
from workers.media.film import ffv1, matroska, side_streams, sound, texts
from workers.media.film.ffv1 import BITEXACT
from workers.media.film.timing import Clock, Timed
from workers.media.pixels import Layout
from workers.media.remote import Place

_BESIDE = ("mov", "asf", "nut")
"""Containers for sound that Matroska refuses: what players know before what takes nearly everything."""


@dataclass(frozen=True)
class MasterPlan:
    """What a master is to be."""

    layout: Layout
    size: tuple[int, int]
    """Height and width."""
    clock: Clock
    facts: ReelFacts
    """Of the source: rate, aspect, colour tags."""
    tags: dict[str, str]
    """Title, timecode and what else a person should find in the file."""
    film: Place | None = None
    """The source, when it is a film: what it has beside the picture goes along. None for a sequence."""
    shot_starts: frozenset[int] = frozenset()
    """Numbers of the frames with which a shot begins; empty where nobody asked for cuts."""
    sound: Place | None = None
    """A file of sound that begins with the reel's first frame, when there is one."""

    def sources(self) -> Iterator[tuple[Place, Clock]]:
        """Yield what lies beside the picture, and when the reel begins on its clock."""
        if self.film is not None:
            yield self.film, self.clock
        if self.sound is not None:
            yield self.sound, self.clock.from_zero()


@dataclass
class StreamCopies:
    """What became of what lies beside the picture."""

    refused: list[str] = field(default_factory=list)
    """Sound codecs that Matroska does not take."""
    fingerprints: dict[int, sound.Fingerprint] = field(default_factory=dict)
    """Fingerprints of the copied sound, by the master's stream."""


def write_master(path: Path, chunks: Iterable[Path], plan: MasterPlan) -> StreamCopies:
    """Write the master: the chunks' packets with times from absolute frame numbers, everything else copied.

    Args:
        path: The Matroska file to write.
        chunks: Films in frame order, each one opened when the one before is through.
        plan: What it is to be.
    """
    copies = StreamCopies()
    with ExitStack() as stack:
        with writing(path.name):
            out = stack.enter_context(av.open(str(path), "w", format="matroska", options=BITEXACT))
        out.metadata.update(plan.tags)
        rest = iter(chunks)
        first = next(rest)
        coder = _coder_of(first, plan)
        picture = ffv1.add_stream(out, plan.layout, plan.size, plan.facts.rate, plan.facts, coder)
        picture.metadata["title"] = matroska.RESERVE
        lines = [_picture_packets(itertools.chain([first], rest), picture, plan.clock)]
        lines += [_copy_streams(out, source, clock, copies, stack) for source, clock in plan.sources()]
        _mux(out, heapq.merge(*lines, key=lambda timed: timed[0]), path)
    matroska.set_aspect(path, *plan.size, plan.facts.sample_aspect)
    return copies


def write_sound_file(folder: Path, plan: MasterPlan) -> Path | None:
    """Write the sound that Matroska refuses, its packets unchanged, into a container that takes it.

    Returns:
        The file in ``folder``; none where no container takes all of that sound.
    """
    with ExitStack() as stack:
        sources = []
        for place, clock in plan.sources():
            stack.enter_context(reading(str(place)))
            sources.append((stack.enter_context(sound.open_media(place)), clock))
        kind = _fitting_container(track for source, _ in sources for track in source.streams.audio)
        if not kind:
            return None
        path = folder / f"audio.{kind}"
        with writing(path.name):
            out = stack.enter_context(av.open(str(path), "w", format=kind, options=BITEXACT))
        lines = []
        for source, clock in sources:
            tracks, _ = sound.copy_tracks(out, source, lambda track: not side_streams.accepts("matroska", track))
            lines.append(side_streams.packets(source, tracks, clock))
        _mux(out, heapq.merge(*lines, key=lambda timed: timed[0]), path)
    return path


def _fitting_container(tracks: Iterable[AudioStream]) -> str:
    """Return the first container that takes all sound that Matroska refuses; empty where none does."""
    refused = [track for track in tracks if track.codec_context and not side_streams.accepts("matroska", track)]
    fitting = (kind for kind in _BESIDE if all(side_streams.accepts(kind, track) for track in refused))
    return next(fitting, "") if refused else ""


def _coder_of(chunk: Path, plan: MasterPlan) -> str:
    with reading(chunk.name), av.open(str(chunk), "r", format="matroska") as film:
        coder = ffv1.coder_of(film.streams.video[0].codec_context.extradata, plan.layout, plan.size)
    if coder is None:
        raise WorkError("The first chunk was encoded in another way than this release knows", code="WORKER_FAULT")
    return coder


def _copy_streams(
    out: OutputContainer, place: Place, clock: Clock, copies: StreamCopies, stack: ExitStack
) -> Iterator[Timed]:
    """Add to the master what a source has beside its picture; returns the packets."""
    with reading(str(place)), sound.open_media(place) as again:
        covers = side_streams.cover_pictures(again)
    stack.enter_context(reading(str(place)))
    source = stack.enter_context(sound.open_media(place))
    tracks, refused = sound.copy_tracks(out, source)
    copies.refused += [track.codec_context.name for track in refused]
    others: dict[int, Stream] = side_streams.add_side_streams(out, source, covers, clock)
    return _fingerprint_sound(side_streams.packets(source, tracks | others, clock), copies)


def _fingerprint_sound(packets: Iterator[Timed], copies: StreamCopies) -> Iterator[Timed]:
    for seconds, packet in packets:
        track = packet.stream
        if isinstance(track, AudioStream):
            language = texts.names_of(track).get("language", "")
            copies.fingerprints.setdefault(track.index, sound.Fingerprint(track.codec_context.name, language)).add(
                packet
            )
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
