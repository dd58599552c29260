"""Encodes the access copy: H.264 in MP4, eight bits, 4:2:0, with sound that players know.

The picture is encoded block by block, each with an encoder of its own that begins with a key frame and ends with the
block, so that nothing depends on who encodes which; their packets are put together with times of absolute numbers.
"""

from __future__ import annotations

import heapq
import itertools
import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from db.errors import WorkError
from db.recipe import Recipe
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

# A fixed number: x264's output depends on it, and the same reel shall give the same file on every machine. One: blocks
# are encoded side by side, by as many workers as there are cores.
ENCODER_THREADS = 1
# With AVX-512, x264 165 reads memory that nobody wrote where it weighs blocks, and its bits follow what lay there. Up
# to AVX2 it gives the same on every processor. It takes the list at its word, so nothing is named that may be missing:
# whoever has AVX2 has what stands before it, and numpy runs nowhere without SSE4.2.
_INSTRUCTIONS = "MMX2,SSE2Fast,SSSE3,SSE4.2"
_MORE_INSTRUCTIONS = ",AVX,FMA3,LZCNT,BMI2,AVX2"
_PLAYABLE = {"aac", "mp3", "mp3float", "ac3", "eac3"}
_AAC_RATES_HZ = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000}
_AAC_SAMPLES = 1024
_CODES = 256
_MP3_LEAST_HZ = 16_000


def encode_block(path: Path, frames: Iterator[VideoFrame], plan: MasterPlan, recipe: Recipe) -> NDArray[np.int64]:
    """Encode one block's pictures by themselves into an MP4 file.

    Args:
        path: The file to write.
        frames: The master's frames in order, or others in their layout; of none there is no file.
        plan: What the master is made of.
        recipe: Says how hard x264 tries, and what it may lose.

    Returns:
        The numbers of its frames, counted from the block's first one, in the order in which they are decoded.
    """
    screen, order = _screen_layout(plan.layout, plan.size[0]), list[int]()
    first = next(frames, None)
    if first is None:
        return np.array(order, np.int64)
    with writing(path.name), av.open(str(path), "w", format="mp4", options=BITEXACT) as out:
        stream = _picture_stream(out, plan, screen, recipe)

        def mux(frame: VideoFrame | None) -> None:
            for packet in stream.encode(frame):
                order.append(packet.pts or 0)
                out.mux_one(packet)

        for number, frame in enumerate(itertools.chain([first], frames)):
            output = _on_screen(frame, plan.layout, screen, stream)
            output.pts, output.time_base = number, 1 / plan.clock.rate
            # What comes from a master is marked as a picture by itself, and x264 would make each one such.
            output.pict_type = PictureType.NONE
            mux(output)
        mux(None)
        out.close()
    return np.array(order, np.int64)


def write_access_copy(
    path: Path, blocks: Iterator[Path], orders: Sequence[NDArray[np.int64]], plan: MasterPlan, *,
    comment: str = "", clock: Clock | None = None,
) -> tuple[str, ...]:  # fmt: skip
    """Put an access copy together.

    Args:
        path: The file to write.
        blocks: What :func:`encode_block` wrote, in order; each is read before the next one is asked for.
        orders: What it returned of each.
        plan: What the master was made of.
        comment: What players show of the film; empty shows nothing.
        clock: When the frames are shown, where it is not when the master's are; sound stays where it is.

    Returns:
        Names of the sound codecs that had to be encoded anew.

    Raises:
        WorkError: The blocks were encoded in different ways.
    """
    first, shown = next(blocks), clock or plan.clock
    with ExitStack() as stack:
        with writing(path.name):
            out = stack.enter_context(
                av.open(str(path), "w", format="mp4", options=BITEXACT | {"movflags": "+faststart"})
            )
        if comment:
            out.metadata["comment"] = comment
        with reading(first.name), av.open(str(first)) as film:
            picture = out.add_stream_from_template(film.streams.video[0])
        picture.time_base = shown.ticks(0)[1]
        lines = [_picture_packets(itertools.chain([first], blocks), orders, picture, shown)]
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


def _picture_stream(out: OutputContainer, plan: MasterPlan, screen: Layout, recipe: Recipe) -> VideoStream:
    facts, (height, width) = plan.facts, plan.size
    options = {"crf": f"{recipe.access_crf:g}", "preset": recipe.access_preset, "x264-params": _exact_params()}
    stream = out.add_stream("libx264", rate=plan.clock.rate, options=options)
    # 4:2:0 needs even sides; an odd one loses its last row or column to scaling by less than a sample.
    stream.width, stream.height, stream.pix_fmt = max(2, width & ~1), max(2, height & ~1), "yuv420p"
    coder = stream.codec_context
    coder.thread_count, coder.time_base = ENCODER_THREADS, 1 / plan.clock.rate
    coder.sample_aspect_ratio = facts.sample_aspect
    coder.color_range, coder.colorspace = 1, planes.MATRICES[screen.matrix]
    coder.color_primaries = planes.PRIMARIES.get(facts.primaries, 2)
    coder.color_trc = planes.TRANSFERS.get(planes.output_transfer(screen, facts.transfer), 2)
    return stream


def _exact_params() -> str:
    """Return x264's own parameters that make its bits depend on nothing but the pictures."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return ""
    has_more = torch.backends.cpu.get_cpu_capability() != "DEFAULT"
    return f"asm={_INSTRUCTIONS}{_MORE_INSTRUCTIONS if has_more else ''}"


def _picture_packets(
    blocks: Iterable[Path], orders: Sequence[NDArray[np.int64]], picture: VideoStream, clock: Clock
) -> Iterator[Timed]:
    """Yield the blocks' packets with times from absolute numbers.

    Packets are decoded as late as the frame that is shown so many places before them: as many as the frame that is
    decoded the longest before it is shown wants.
    """
    delay = max(int((np.arange(len(order)) - order).max()) for order in orders)
    begins, header = 0, picture.codec_context.extradata
    for block, order in zip(blocks, orders, strict=True):
        with reading(block.name), av.open(str(block)) as film:
            stream = film.streams.video[0]
            if stream.codec_context.extradata != header:
                raise WorkError(f"The block at frame {begins} was encoded in another way", code="WORKER_FAULT")
            packets = (packet for packet in film.demux(stream) if packet.size)
            for place, (number, packet) in enumerate(zip(order.tolist(), packets, strict=True), begins):
                packet.pts, packet.time_base = clock.ticks(begins + number)
                packet.dts, packet.stream = _ticks_before(clock, place - delay), picture
                packet.duration = clock.duration_ticks(begins + number)
                yield float(packet.dts * packet.time_base), packet
        begins += len(order)


def _ticks_before(clock: Clock, number: int) -> int:
    """Return a frame's time stamp, also of frames that would stand before the first."""
    return clock.ticks(max(0, number))[0] + min(0, number) * max(1, clock.duration_ticks(0))


def _on_screen(frame: VideoFrame, layout: Layout, screen: Layout, stream: VideoStream) -> VideoFrame:
    if layout.model != "yuv" or layout.full_range or layout.transfer != "gamma":
        # Range, matrix and transfer are changed by our own arithmetic; FFmpeg's scaler only thins out the chroma.
        samples = planes.to_planes(frame, layout)
        if layout.model == "gray" and not layout.floating:
            luma, *chroma = _gray_tables(layout, screen)
            shown = cv2.LUT(samples[0], luma) if luma.size == _CODES else luma.take(samples[0])
            # Each grey has the same chroma, none: at even sides it can be thinned out already.
            down = 2 if (stream.height, stream.width) == shown.shape else 1
            small = tuple(side // down for side in shown.shape)
            screen = replace(screen, shrink=(down, down))
            frame = planes.to_frame((shown, *(np.broadcast_to(plane[0], small) for plane in chroma)), screen)
        else:
            frame = planes.to_frame(_to_screen(samples, layout, screen), screen)
    return frame.reformat(width=stream.width, height=stream.height, format="yuv420p", threads=1)


def _to_screen(samples: pixels.Planes, layout: Layout, screen: Layout) -> pixels.Planes:
    picture = pixels.to_picture(samples, layout)
    return pixels.to_planes(np.broadcast_to(picture, (3, *picture.shape[1:])), screen)


@lru_cache(maxsize=4)
def _gray_tables(layout: Layout, screen: Layout) -> pixels.Planes:
    """Return what each grey sample becomes on the screen, in the screen's planes."""
    samples = np.arange(2**layout.depth_bits, dtype=layout.dtype)[None]
    return tuple(plane[0] for plane in _to_screen((samples,), layout, screen))


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
