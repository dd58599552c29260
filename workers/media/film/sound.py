"""Copies sound packet by packet, and proves it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream

from db.errors import InputError, WorkError
from db.records import AudioTrack
from workers.media.errors import reading
from workers.media.film import container, texts
from workers.media.remote import Place

# ISO/IEC 14496-3, 1.A.2: a header of seven bytes, and two of checksum where its last bit of the second byte is 0.
_ADTS_BYTES, _ADTS_CHECKSUM_BYTES = 7, 2


@dataclass
class Fingerprint:
    """What packets of one track hold, in order: two tracks of the same fingerprint are the same sound."""

    codec: str
    language: str = ""
    packets: int = 0
    bytes: int = 0
    _hasher: Any = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))

    def add(self, packet: Packet[Any]) -> None:
        """Take in one packet's payload; the header that transport streams put before AAC is none of its sound."""
        payload = bytes(packet)
        if self.codec == "aac" and payload[:1] == b"\xff" and payload[1] & 0xF0 == 0xF0:
            payload = payload[_ADTS_BYTES + (0 if payload[1] & 1 else _ADTS_CHECKSUM_BYTES) :]
        self._hasher.update(payload)
        self.packets += 1
        self.bytes += len(payload)

    def record(self) -> dict[str, str | int]:
        """Return it for the report: codec, language, packets, bytes, md5 of all payloads in order."""
        return {
            "codec": self.codec, "language": self.language, "packets": self.packets, "bytes": self.bytes,
            "md5": self._hasher.hexdigest(),
        }  # fmt: skip


@contextmanager
def open_media(path: Place) -> Iterator[InputContainer]:
    """Open a film or sound file for what lies beside its picture; raises ``InputError`` for one that cannot be read."""
    with ExitStack() as stack:
        yield container.open_input(path, stack)


def read_sound_file(path: Place) -> tuple[tuple[AudioTrack, ...], Fraction]:
    """Look at a file of sound that belongs to a reel.

    Returns:
        Its tracks, and its length in seconds (0 when the header does not say).

    Raises:
        InputError: ``UNKNOWN_FORMAT`` for what is no sound that can be read, or the file is not there.
    """
    with reading(str(path), code="UNKNOWN_FORMAT"), open_media(path) as file:
        tracks = audio_tracks(file)
        if not tracks:
            raise InputError(f"{path}: there is no sound in it", code="UNKNOWN_FORMAT")
        return tracks, Fraction(file.duration or 0, 1_000_000)


def audio_tracks(file: InputContainer) -> tuple[AudioTrack, ...]:
    """Return what sound a container has."""
    return tuple(
        AudioTrack(
            codec=stream.codec_context.codec.canonical_name,
            sample_rate_hz=stream.codec_context.sample_rate or 0,
            channels=stream.codec_context.channels or 0,
            language=texts.plain(stream.language or ""),
        )
        for stream in file.streams.audio
        if stream.codec_context is not None
    )


def copy_tracks(
    out: OutputContainer, source: InputContainer, is_wanted: Callable[[AudioStream], bool] = lambda track: True
) -> tuple[dict[int, Stream], list[AudioStream]]:
    """Add a copy of every wanted sound track that the container takes; returns them by source index, and the others."""
    tracks: dict[int, Stream] = {}
    refused = []
    for track in source.streams.audio:
        if track.codec_context is None or not is_wanted(track):
            continue
        try:
            tracks[track.index] = out.add_stream_from_template(track)
        except (ValueError, FFmpegError):
            refused.append(track)
            continue
        tracks[track.index].metadata.update(texts.names_of(track))
    return tracks, refused


class SoundVerifier:
    """Holds a finished master's sound against what was copied into it."""

    def __init__(self, source_prints: dict[int, Fingerprint]) -> None:
        self._source_prints = source_prints
        self._master_prints = {
            number: Fingerprint(print_.codec, print_.language) for number, print_ in source_prints.items()
        }

    def add_packet(self, packet: Packet[Any]) -> None:
        """Take in a packet of the master, of whatever stream."""
        if packet.size and packet.stream.index in self._master_prints:
            self._master_prints[packet.stream.index].add(packet)

    def verify(self) -> list[dict[str, str | int]]:
        """Return every track's record once all has been heard.

        Raises:
            WorkError: A track of the master is not what was copied.
        """
        source_records = [self._source_prints[number].record() for number in sorted(self._source_prints)]
        master_records = [self._master_prints[number].record() for number in sorted(self._master_prints)]
        if source_records != master_records:
            raise WorkError(
                f"The master's sound is not the source's: {master_records} instead of {source_records}",
                code="WORKER_FAULT",
            )
        return source_records
