"""Reads film containers frame by frame through PyAV."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError, InvalidDataError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from db.errors import InputError
from workers.media.errors import error_text, reading
from workers.media.errors import shortage as memory_shortage
from workers.media.film.continuity import follow_clock
from workers.media.film.mov_tables import check_edits, check_tables
from workers.media.remote import Place, as_film, size_of

# Playlists and scripts (hls, concat, image patterns) could make FFmpeg open other files, so only these are read.
_DEMUXERS = (
    "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,avi,mpeg,mpegts,mpegvideo,mxf,asf,dv,flv,ogg,nut,yuv4mpegpipe,gxf,rm,ivf,"
    "h264,hevc,m4v,mjpeg,apng,gif,wav,w64,aiff,mp3,flac,aac,ac3,au,caf"
)
OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}
SECONDS = (300.0, 300.0)
"""For opening a container, and for one packet: FFmpeg gives up where it comes to read again later than that."""
_BLOCK_PX = 128
_MOST_PX_AHEAD = 1 << 24
"""Of larger frames too many would be in memory at once."""
LONE_THREADS = 4
"""Where a container is read with nothing computed beside it."""

# Whatever is wrong with a source is said in our own errors; FFmpeg's lines would tell it twice.
av.logging.set_level(av.logging.PANIC)
av.logging.set_skip_repeated(False)
_CONCEALED = re.compile(
    r"error while decoding|error at mb|damaged|invalid mb type|dc overflow|overread|concealing|marker is absent"
    r"|error count: |error y=|bad vlc",
    re.I,
)
"""Lines of decoders that tell of damage in a frame that they give out all the same. Others are told of sound films."""

_LACKING = re.compile(r"unsupported|not (?:yet )?(?:implemented|supported)", re.I)
"""Messages of decoders that tell of a way of coding that they do not know."""

_AMV_END = b"AMV_END_"

Damage = Callable[[str], None]
"""Called with what is wrong; may raise."""


@contextmanager
def open_film(
    path: Place, threads: int = LONE_THREADS, *, max_pixels: int = 0, ahead: bool = False
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a container and its picture stream, to be decoded in so many threads.

    A frame of more than ``max_pixels``, which may be of another size than the header says, is not decoded; 0 takes any.
    With ``ahead`` threads may decode whole frames beside one another: faster, and the same for a sound film, but what
    is said of damage then belongs to frames nearby.

    Raises:
        InputError: ``UNKNOWN_FORMAT``, ``TRUNCATED`` (its table of contents is missing), ``NO_PICTURE``, ``TOO_LARGE``.
    """
    with ExitStack() as stack:
        container = open_input(path, stack)
        stream = picture_stream(container, path, threads)
        if ahead and stream.codec_context.width * stream.codec_context.height <= _MOST_PX_AHEAD:
            stream.thread_type = av.codec.context.ThreadType.AUTO
        if max_pixels:
            _check_size(stream, path, max_pixels)
            coder = stream.codec_context
            # Decoders count with rows and columns of whole blocks.
            most = max(max_pixels, (coder.width + _BLOCK_PX) * (coder.height + _BLOCK_PX))
            coder.options = {"max_pixels": str(most)}
        yield container, stream


def _check_size(stream: VideoStream, path: Place, max_pixels: int) -> None:
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > max_pixels or min(width, height) < 1:
        code = "TOO_LARGE" if width * height > max_pixels else "BAD_HEADER"
        raise InputError(f"{path}: {width}x{height}; at most {max_pixels} pixels are read (max_pixels)", code=code)


def open_input(path: Place, stack: ExitStack) -> InputContainer:
    """Open a film or sound file with the demuxers that are allowed, until ``stack`` ends.

    Raises:
        InputError: ``UNKNOWN_FORMAT``, ``TRUNCATED`` or ``CORRUPT``.
    """
    film = as_film(path)
    with reading(str(path)):
        if isinstance(film, Path):
            check_tables(film)
        file = os.fspath(film) if isinstance(film, Path) else stack.enter_context(film.open())
        try:
            input_container = av.open(file, "r", options=dict(OPTIONS), timeout=SECONDS, metadata_errors="replace")
        except (InvalidDataError, ArgumentError, av.error.OSError) as error:
            raise _format_error(path) from error
        stack.enter_context(input_container)
        _settle_layouts(input_container)
        check_edits(input_container, str(path))
    return input_container


def _settle_layouts(container: InputContainer) -> None:
    """Give every sound track a channel layout that owns no memory, before anybody reads one.

    PyAV's objects of layouts and sound frames share a layout's list of channels with FFmpeg and free it once more: the
    process ends there. Only layouts in an order of their own have such a list, as in QuickTime, CAF and AIFF from seven
    channels on. The object made here frees the list, and the context gets another layout, which FFmpeg does not free.
    """
    for track in container.streams.audio:
        if track.codec_context is None:
            continue
        layout = track.codec_context.layout
        name, channels = layout.name, layout.nb_channels
        del layout
        if channels:
            track.codec_context.layout = name if "(" not in name else _usual_layout(channels)


def _usual_layout(channels: int) -> str:
    """Return the usual layout of so many channels, or one that only counts them."""
    usual = f"{channels}c"
    try:
        av.AudioLayout(usual)
    except ValueError:
        return f"{channels}C"
    return usual


def picture_stream(container: InputContainer, path: Place, threads: int = LONE_THREADS) -> VideoStream:
    """Return the first stream that is a film and not a cover picture, its decoder set up."""
    covers = av.stream.Disposition.attached_pic
    stream = next((stream for stream in container.streams.video if not stream.disposition & covers), None)
    if stream is None:
        raise InputError(f"{path}: there is no picture stream in it", code="NO_PICTURE")
    if stream.codec_context is None:
        raise InputError(f"{path}: its picture codec is not known here", code="UNKNOWN_FORMAT")
    # Threads over slices give the same samples as one thread, and errors still belong to the frame that has them.
    stream.thread_type, stream.thread_count = av.codec.context.ThreadType.SLICE, threads
    return stream


def frames(
    container: InputContainer,
    stream: VideoStream,
    on_damage: Damage,
    on_packet: Callable[[Packet[Any]], None] | None = None,
    on_break: Callable[[], None] = lambda: None,
    *,
    others: bool = True,
) -> Iterator[VideoFrame]:
    """Decode from where the container stands to its end, with times on one clock.

    Args:
        container: An open container.
        stream: Its picture stream.
        on_damage: Told of every packet that cannot be read or decoded; if it returns, decoding goes on.
        on_packet: Shown every packet; without it the picture stream alone is read.
        on_break: Called where the container's clock starts again, before the picture's first packet behind that place.
        others: Whether ``on_packet`` is shown the packets of other streams too.
    """
    is_flushed = False
    for packet in packets(container, stream, on_damage, on_break, others=others and on_packet is not None):
        if on_packet:
            on_packet(packet)
        # The empty packets at the end name their stream by object alone.
        if packet.stream.index == stream.index:
            is_flushed = is_flushed or not packet.size
            yield from decode(stream, packet, on_damage)
    if not is_flushed:
        yield from decode(stream, None, on_damage)


class DecoderLog:
    """What a decoder writes: most flag no frame that they patch up, and say what they do not know only there."""

    def __init__(self, decoder: str, lines: list[tuple[int, str, str]]) -> None:
        """Take the decoder's name, and the list to which FFmpeg's lines come: level, who, text."""
        self._decoder, self._lines = decoder, lines
        self.lack = ""
        """The first line about what the decoder does not know."""

    def has_concealed(self) -> bool:
        """Whether damage was concealed since that was last asked."""
        texts = [text.strip() for _, who, text in self._lines if who == self._decoder]
        self._lines.clear()
        self.lack = self.lack or find_lack(texts)
        return any(map(_CONCEALED.search, texts))


def lacks_end_mark(path: Place) -> bool:
    """Whether a film is AMV, which has no table of contents, and does not end with the mark that it should."""
    size = size_of(path)
    with as_film(path).open("rb") as file:
        head = file.read(12)
        file.seek(max(0, size - len(_AMV_END)))
        return head[:4] == b"RIFF" and head[8:] == b"AMV " and file.read() != _AMV_END


def find_lack(messages: Iterable[str]) -> str:
    """Return the first message that tells of what a decoder does not know; empty where none does."""
    return next((message for message in messages if _LACKING.search(message)), "")


@contextmanager
def listen(stream: VideoStream) -> Iterator[DecoderLog]:
    """Listen to a stream's decoder."""
    with av.logging.Capture(local=False) as lines:  # slices are decoded in threads of FFmpeg's own
        av.logging.set_level(av.logging.ERROR)
        try:
            yield DecoderLog(stream.codec_context.name, lines)
        finally:
            av.logging.set_level(av.logging.PANIC)


def seek(container: InputContainer, stream: VideoStream, pts: int) -> None:
    """Move to the last place at or before ``pts`` where decoding can start."""
    with reading(container.name):
        container.seek(pts, stream=stream, backward=True)


def packets(
    container: InputContainer, stream: VideoStream, on_damage: Damage, on_break: Callable[[], None], *, others: bool
) -> Iterator[Packet[Any]]:
    """Yield the packets from where the container stands to its end, as :func:`frames` does; ``others``: of all streams.

    The empty packets at the end name their stream by object alone.
    """
    every = _packets(container, None if others else stream, on_damage)
    return follow_clock(every, container, stream.index, on_break)


def refuse_damage(damage: str) -> None:
    """Be told of damage where none is borne; raises ``InputError`` ``CORRUPT``."""
    raise InputError(damage, code="CORRUPT")


def decode(stream: VideoStream, packet: Packet[Any] | None, on_damage: Damage) -> list[VideoFrame]:
    """Decode one packet, none for what is still to come; damage is told, and gives no frame."""
    try:
        return stream.decode(packet)
    except MemoryError as error:
        shortage = memory_shortage(error, "A frame")
        if isinstance(shortage, InputError):
            on_damage(shortage.message)
            return []
        raise shortage from error
    except ArgumentError as error:
        on_damage(f"{error_text(error)}: a frame is broken, or has more than max_pixels")
        return []
    except (FFmpegError, ValueError) as error:
        on_damage(error_text(error))
        return []


def _packets(container: InputContainer, stream: VideoStream | None, on_damage: Damage) -> Iterator[Packet[Any]]:
    packets: Iterator[Packet[Any]] = container.demux(stream) if stream else container.demux()
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except FFmpegError as error:
            return on_damage(error_text(error))
        yield packet


def _format_error(path: Place) -> InputError:
    """Name the error for a file that no demuxer accepts: one that begins like a film lost its end."""
    with as_film(path).open("rb") as file:
        head = file.read(12)
    if head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide"} or head[:4] in {b"\x1a\x45\xdf\xa3", b"RIFF"}:
        message = f"{path}: begins like a film, but its table of contents is missing"
        return InputError(message, code="TRUNCATED", remedy="Send the file again: without it no frame can be found.")
    return InputError(f"{path}: not a film or sound of a known format", code="UNKNOWN_FORMAT")
