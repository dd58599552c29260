"""What a film holds beside picture and sound: carried into the master, or named as left out.

``probe`` asks what will be left out before work is spent; ``remux`` carries the rest. Chapters, subtitles, attachments,
cover pictures and tags go along; streams that Matroska refuses, further picture tracks and unknown data do not.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream
from av.video.stream import VideoStream

from workers.media.film import texts
from workers.media.film.continuity import follow_clock
from workers.media.film.timing import Clock, Timed

if TYPE_CHECKING:
    from av.container.core import Chapter

_LEAST_STEP = Fraction(1, 1000)
"""Seconds that a packet is put behind one that it must not stand before: every container tells them apart."""
# True of the old file alone: its muxer, its brand, its sizes, and what is carried by another way.
_OWN_TAGS = frozenset(
    {
        "encoder", "major_brand", "minor_version", "compatible_brands", "duration", "timecode", "title", "vendor_id",
        "handler_name", "creation_time", "bps", "number_of_frames", "number_of_bytes", "operational_pattern_ul",
    }
)  # fmt: skip
_ORIGIN = {"creation_time": "SOURCE_CREATION_TIME"}


def omissions(source: InputContainer, picture: VideoStream) -> tuple[str, ...]:
    """Name what of a film no master can hold, in words."""
    return tuple(_omissions(source, picture))


def tags(source: InputContainer) -> dict[str, str]:
    """Return a film's own tags as a master carries them: names in capitals, as Matroska has them.

    ``title`` is among them where there is one; what is true of the old file alone is not.
    """
    master_tags: dict[str, str] = {}
    for name, value in texts.tags(source.metadata).items():
        if name.lower() == "title":
            master_tags["title"] = value
        elif name.lower() in _ORIGIN:
            master_tags[_ORIGIN[name.lower()]] = value
        elif name.lower() not in _OWN_TAGS and not name.startswith("_"):
            master_tags[name.upper()] = value
    return master_tags


def cover_pictures(source: InputContainer) -> list[tuple[str, bytes]]:
    """Read the cover pictures out of a container that is opened for this alone: type and bytes of each."""
    cover_streams = [stream for stream in source.streams.video if _is_cover(stream) and _cover_type(stream)]
    pictures: dict[int, tuple[str, bytes]] = {}
    # A demuxer gives covers out before anything else.
    for packet in source.demux(cover_streams) if cover_streams else ():
        if packet.size:
            pictures.setdefault(packet.stream.index, (_cover_type(packet.stream), bytes(packet)))
        if len(pictures) == len(cover_streams):
            break
    return list(pictures.values())


def add_side_streams(
    out: OutputContainer, source: InputContainer, pictures: list[tuple[str, bytes]], clock: Clock
) -> dict[int, Stream]:
    """Add chapters, attachments, cover pictures and subtitle tracks to a Matroska file that is being written.

    Args:
        out: The file.
        source: The film that they are taken from.
        pictures: Its :func:`cover_pictures`.
        clock: When the reel begins and ends on the film's own clock.

    Returns:
        The subtitle tracks by source index; their packets are still to be copied with :func:`packets`.
    """
    if chapters := list(_chapters(source, clock)):
        out.set_chapters(chapters)
    for stream in source.streams:
        if isinstance(stream, AttachmentStream) and stream.data:
            name = texts.file_name(stream.name or "") or f"attachment-{stream.index}"
            out.add_attachment(name, texts.mime_type(stream.mimetype or ""), stream.data)
    copies: dict[int, Stream] = {}
    for track in source.streams.subtitles:
        if track.codec_context is not None and accepts("matroska", track):
            copies[track.index] = out.add_stream_from_template(track)
            copies[track.index].metadata.update(texts.names_of(track))
    for number, (kind, data) in enumerate(pictures):
        out.add_attachment(f"cover{number or ''}.{'jpg' if kind == 'jpeg' else kind}", f"image/{kind}", data)
    return copies


def packets(source: InputContainer, tracks: dict[int, Stream], clock: Clock) -> Iterator[Timed]:
    """Return the packets of copied tracks on the clock of the picture, without those outside of the reel.

    A packet without a time goes on where the one before it ended: transport streams and old containers leave some out.
    """
    if not tracks:
        return
    follows: dict[int, int] = {}
    reached: dict[int, int] = {}
    for packet in follow_picture(source, tracks):
        if not packet.size or packet.time_base is None:
            continue
        number = packet.stream.index
        dts = packet.dts if packet.dts is not None else follows.get(number, packet.pts)
        if dts is None:
            continue
        # Where films were joined, sound that was longer than its picture reaches into the next part; none goes back.
        if dts < reached.get(number, dts):
            dts = reached[number] + math.ceil(_LEAST_STEP / packet.time_base)
        reached[number] = dts
        follows[number] = dts + (packet.duration or 0)
        shift = round(clock.begins / packet.time_base)
        packet.pts = max(dts, packet.pts if packet.pts is not None else dts) - shift
        packet.dts = dts - shift
        begins, ends = (Fraction(ticks) * packet.time_base for ticks in (packet.pts, packet.pts + _length(packet)))
        if clock.lasts is not None and (ends <= 0 or begins >= clock.lasts):
            continue
        packet.stream = tracks[number]
        yield float(packet.dts * packet.time_base), packet


def follow_picture(source: InputContainer, tracks: Collection[int]) -> Iterator[Packet[Any]]:
    """Yield the packets of some tracks with times on one clock that goes on as the picture's does."""
    pictures = [stream.index for stream in source.streams.video if not _is_cover(stream)]
    leader = next(iter(pictures), min(tracks))
    wanted = [source.streams[number] for number in sorted({leader, *tracks})]
    for packet in follow_clock(source.demux(wanted), source, leader):
        if packet.stream.index in tracks:
            yield packet


def accepts(format_: str, track: Stream) -> bool:
    """Whether a container takes a track as it is."""
    with av.open("/dev/null", "w", format=format_) as trial:
        try:
            trial.add_stream_from_template(track)
        except (ValueError, FFmpegError):
            return False
        return True


def _length(packet: Packet[Stream]) -> int:
    # What lasts no time at all would never be inside a span that begins with it.
    return max(1, packet.duration or 0)


def _omissions(source: InputContainer, picture: VideoStream) -> Iterator[str]:
    for stream in source.streams:
        name = stream.codec_context.name if stream.codec_context else stream.type
        where = f"track {stream.index + 1}"
        if stream.type == "video" and stream.index != picture.index and not _is_cover(stream):
            yield f"{where}, a further picture track ({name})"
        elif stream.type == "video" and _is_cover(stream) and not _cover_type(stream):
            yield f"{where}, a cover picture of an unusual kind ({name})"
        elif stream.type == "subtitle" and not (stream.codec_context and accepts("matroska", stream)):
            yield f"{where}, subtitles of a kind that Matroska does not take ({name})"
        elif stream.type == "audio" and stream.codec_context is None:
            yield f"{where}, sound of an unknown kind"
        elif stream.type == "data" and not stream.metadata.get("timecode"):
            yield f"{where}, data of a kind that only the source's container knows"


def _chapters(source: InputContainer, clock: Clock) -> Iterator[Chapter]:
    """Return the chapters in nanoseconds on the picture's clock, cut to the reel."""
    unit = Fraction(1, 1_000_000_000)
    for chapter in source.chapters():
        base = chapter["time_base"] or unit
        start, stop = (Fraction(ticks) * base - clock.begins for ticks in (chapter["start"], chapter["end"]))
        start, stop = max(start, Fraction(0)), stop if clock.lasts is None else min(stop, clock.lasts)
        if stop > start or (clock.lasts is None and stop == start):
            yield {
                "id": chapter["id"],
                "start": round(start / unit),
                "end": round(stop / unit),
                "time_base": unit,
                "metadata": texts.tags(chapter["metadata"]),
            }


def _is_cover(stream: Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _cover_type(stream: Stream) -> str:
    name = stream.codec_context.name if stream.codec_context else ""
    return {"mjpeg": "jpeg", "png": "png", "bmp": "bmp", "webp": "webp"}.get(name, "")
