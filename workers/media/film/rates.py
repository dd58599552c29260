"""What a film's header says of its frame rate, and whether it says anything at all."""

from __future__ import annotations

import re
from fractions import Fraction

from av import VideoStream
from av.container import InputContainer

from db.records import LEAST_RATE
from workers.media.errors import reading
from workers.media.index import DEFAULT_RATE
from workers.media.remote import Place, as_film

MOST_RATE = 1000
"""Frames a second; what is faster was never shown to anybody."""
_BARE = frozenset({"h264", "hevc", "vvc", "m4v", "mjpeg", "obu", "vc1", "cavsvideo", "avs2", "avs3", "dirac"})
"""FFmpeg's names of streams without a container, to which it gives 25 frames a second where they say nothing."""
_Y4M, _Y4M_HEADER_BYTES = "yuv4mpegpipe", 256
_Y4M_RATE = re.compile(rb" F(\d{1,9}):(\d{1,9})(?= |\n)")


def rate_in_header(stream: VideoStream) -> Fraction | None:
    """Return the frame rate that FFmpeg finds in the header, or guesses; none where it is none that can be."""
    rate = _ffmpegs_rate(stream)
    return rate if rate and LEAST_RATE <= rate <= MOST_RATE else None


def header_count(demuxer: InputContainer, stream: VideoStream) -> int:
    """Return how many frames there are as the header has it: by their number, else by how long they last."""
    rate = _ffmpegs_rate(stream) or DEFAULT_RATE
    return stream.frames or round(Fraction(demuxer.duration or 0, 1_000_000) * rate)


def _ffmpegs_rate(stream: VideoStream) -> Fraction | None:
    """Return a rate even where it cannot be: times may have been counted by it."""
    return stream.guessed_rate or stream.average_rate or stream.base_rate


def header_rate(stream: VideoStream) -> Fraction:
    """Return the frame rate that the header gives, or 24 when it gives none."""
    return rate_in_header(stream) or DEFAULT_RATE


def is_guessed(film: Place, demuxer: InputContainer, stream: VideoStream) -> bool:
    """Whether the header gives no rate that can be, and FFmpeg, or we, made one up."""
    if rate_in_header(stream) is None:
        return True
    if demuxer.format.name in _BARE:
        return not stream.codec_context.framerate
    if demuxer.format.name != _Y4M:
        return False
    with reading(str(film)), as_film(film).open("rb") as file:
        match = _Y4M_RATE.search(file.read(_Y4M_HEADER_BYTES).partition(b"\n")[0] + b"\n")
    return match is None or not int(match[1]) or not int(match[2])


def guess_note(rate: Fraction) -> str:
    """Say which rate was taken where the header gives none that can be."""
    return f"The header gives no frame rate that can be: {rate} frames per second were taken. The field fps decides."
