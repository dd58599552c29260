"""Encodes the access copy: H.264 in MP4, eight bits, 4:2:0, with sound that players know."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from db.records import ReelFacts
from workers.media import pixels, planes
from workers.media.errors import reading, writing
from workers.media.film import texts
from workers.media.film.ffv1 import BITEXACT
from workers.media.film.remux import MasterPlan
from workers.media.film.side_streams import follow_picture, packets
from workers.media.film.sound import copy_tracks, open_media
from workers.media.film.timing import Clock, Timed
from workers.media.pixels import Layout
from workers.media.remote import Place

QUALITY_CRF = 18
# A fixed number: x264's output depends on it, and the same reel shall give the same file on every machine.
ENCODER_THREADS = 4
_PLAYABLE = {"aac", "mp3", "mp3float", "ac3", "eac3"}
_AAC_RATES_HZ = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000}
_AAC_SAMPLES = 1024
_MP3_LEAST_HZ = 16_000


def write_access_copy(
    path: Path, frames: Iterable[VideoFrame], plan: MasterPlan, *, comment: str = "", clock: Clock | None = None
) -> tuple[str, ...]:
    """Encode an access copy from a master's decoded frames.

    Args:
        path: The file to write.
        frames: The master's frames in order, or others in their layout.
        plan: What the master was made of.
        comment: What players show of the film; empty shows nothing.
        clock: When the frames are shown, where it is not when the master's are; sound stays where it is.

    Returns:
        Names of the sound codecs that had to be encoded anew.
    """
    frames = iter(frames)
    first = next(frames)
    with ExitStack() as stack:
        with writing(path.name):
            out = stack.enter_context(
                av.open(str(path), "w", format="mp4", options=BITEXACT | {"movflags": "+faststart"})
            )
        if comment:
            out.metadata["comment"] = comment
        screen = _screen_layout(plan.layout, first.height)
        shown = clock or plan.clock
        picture = _picture_stream(out, first, screen, shown, plan.facts)
        lines = [_picture_packets(picture, _prepend(first, frames), plan.layout, screen, shown)]
        codecs: list[str] = []
        for place, clock in plan.sources():
            lines += _add_sound(out, stack, place, clock, codecs)
        for _, packet in heapq.merge(*lines, key=lambda timed: timed[0]):
            with writing(path.name):
                out.mux_one(packet)
        with writing(path.name):
            out.close()
    return tuple(codecs)


def _add_sound(
    out: OutputContainer, stack: ExitStack, place: Place, clock: Clock, codecs: list[str]
) -> Iterator[Iterator[Timed]]:
    """Add a source's tracks, copied where players know them; ``codecs`` gains the codecs of the others."""
    stack.enter_context(reading(str(place)))
    source = stack.enter_context(open_media(place))
    copies, _ = copy_tracks(out, source, _playable)
    yield packets(source, copies, clock)
    for track in source.streams.audio:
        if track.codec_context and track.index not in copies:
            codecs.append(track.codec_context.name)
            yield _encode_sound(out, stack, place, track.index, clock)


def _playable(track: AudioStream) -> bool:
    """Whether players know the sound in MP4, where MP3 of low rates is not standard."""
    name = track.codec_context.name
    return name in _PLAYABLE and not ("mp3" in name and track.codec_context.sample_rate < _MP3_LEAST_HZ)


def _screen_layout(layout: Layout, lines: int) -> Layout:
    matrix = layout.matrix if layout.model == "yuv" else "bt709" if lines >= planes.HD_LINES else "smpte170m"
    return Layout("yuv", 8, full_range=False, matrix=matrix)


def _picture_stream(
    out: OutputContainer, first: VideoFrame, screen: Layout, clock: Clock, facts: ReelFacts
) -> VideoStream:
    stream = out.add_stream("libx264", rate=clock.rate, options={"crf": str(QUALITY_CRF), "preset": "fast"})
    # 4:2:0 needs even sides; an odd one loses its last row or column to scaling by less than a sample.
    stream.width, stream.height, stream.pix_fmt = max(2, first.width & ~1), max(2, first.height & ~1), "yuv420p"
    coder = stream.codec_context
    coder.thread_count, coder.time_base = ENCODER_THREADS, clock.ticks(0)[1]
    coder.sample_aspect_ratio = facts.sample_aspect
    coder.color_range, coder.colorspace = 1, planes.MATRICES[screen.matrix]
    coder.color_primaries = planes.PRIMARIES.get(facts.primaries, 2)
    coder.color_trc = planes.TRANSFERS.get(planes.output_transfer(screen, facts.transfer), 2)
    return stream


def _picture_packets(
    stream: VideoStream, frames: Iterator[VideoFrame], layout: Layout, screen: Layout, clock: Clock
) -> Iterator[Timed]:
    for number, frame in enumerate(frames):
        output = _on_screen(frame, layout, screen, stream)
        output.pts, output.time_base = clock.ticks(number)
        for packet in stream.encode(output):
            yield float((packet.dts or 0) * (packet.time_base or 0)), packet
    for packet in stream.encode(None):
        yield float((packet.dts or 0) * (packet.time_base or 0)), packet


def _on_screen(frame: VideoFrame, layout: Layout, screen: Layout, stream: VideoStream) -> VideoFrame:
    if layout.model != "yuv" or layout.full_range or layout.transfer != "gamma":
        # Range, matrix and transfer are changed by our own arithmetic; FFmpeg's scaler only thins out the chroma.
        picture = pixels.to_picture(planes.to_planes(frame, layout), layout)
        frame = planes.to_frame(pixels.to_planes(np.broadcast_to(picture, (3, *picture.shape[1:])), screen), screen)
    return frame.reformat(width=stream.width, height=stream.height, format="yuv420p", threads=1)


def _encode_sound(out: OutputContainer, stack: ExitStack, place: Place, number: int, clock: Clock) -> Iterator[Timed]:
    source: InputContainer = stack.enter_context(open_media(place))
    track = source.streams[number]
    assert isinstance(track, AudioStream)
    source_rate = track.codec_context.sample_rate
    rate = source_rate if source_rate in _AAC_RATES_HZ else 48_000
    layout = "mono" if track.codec_context.channels == 1 else "stereo"
    stream = out.add_stream("aac", rate=rate, layout=layout)
    stream.metadata.update({name: value for name, value in texts.names_of(track).items() if name == "language"})
    resampler = AudioResampler(format="fltp", layout=layout, rate=rate, frame_size=_AAC_SAMPLES)

    def aac_packets() -> Iterator[Timed]:
        for source_frame in _decode_sound(source, track):
            for frame in resampler.resample(source_frame):
                if frame.pts is not None and frame.time_base is not None:
                    frame.pts -= round(clock.begins / frame.time_base)
                    if clock.lasts is not None and not -frame.samples <= frame.pts < clock.lasts * frame.sample_rate:
                        continue
                for packet in stream.encode(frame):
                    yield float((packet.dts or 0) * (packet.time_base or 0)), packet
        for packet in stream.encode(None):
            yield float((packet.dts or 0) * (packet.time_base or 0)), packet

    return aac_packets()


def _decode_sound(source: InputContainer, track: AudioStream) -> Iterator[av.AudioFrame | None]:
    """Decode a track on the clock of the picture; none stands for its end."""
    for packet in follow_picture(source, {track.index}):
        yield from track.decode(packet)
    yield None


def _prepend(first: VideoFrame, others: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    yield first
    yield from others
