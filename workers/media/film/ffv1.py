"""Writes lossless film: FFV1 version 3 in Matroska, intra only, with slice checksums.

Everything that shapes the bitstream is set by hand, so that packets of chunks written apart equal those of one encode.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from functools import cache
from pathlib import Path
from queue import SimpleQueue

import av
import av.error
from av.codec.context import ThreadType
from av.container import OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from db.catalog.stages import STAGES
from db.recipe import Recipe
from db.records import ReelFacts
from workers.background import ALONE, Crew
from workers.media import planes
from workers.media.errors import writing
from workers.media.pixels import Layout, Planes

MEZZANINE_TICK_MS = 10
"""A mezzanine's frames are so far apart: whole Matroska ticks, so a time stamp names its frame."""
BITEXACT = {"fflags": "+bitexact"}
"""No library versions, dates or random numbers in our files: equal work gives equal bytes. The flag joins those that
are on by themselves, one of which turns sound of transport streams into the form that other containers need."""
_OPTIONS = {"level": "3", "context": "0", "slicecrc": "1"}
_RICE, _RANGE = "0", "1"
"""FFV1's entropy coders: Golomb-Rice codes, which know 8 bits alone, and the range coder."""
_FEW_SLICES_BELOW_PIXELS, _MOST_SLICES = 64 * 64, 64
_EVEN_SLICES_PX = 16
_MOST_PX_BESIDE = 1 << 25
"""Of how many pixels frames are encoded beside one another: of larger ones too many would be in memory at once."""

Write = Callable[[Planes], None]


def master_layout(source: Layout, size: tuple[int, int], recipe: Recipe) -> Layout:
    """Return the layout of a reel's chunks and master.

    Grey stays grey, RGB stays RGB and YUV stays YUV, at the source's depth, range and matrix. Chroma that is thinned
    out stays so, and its samples stay the source's own where nothing changes; it becomes full where a step makes colour
    or changes the size, where the recipe asks for it, and where FFV1 does not know the layout. Grey that is coloured
    becomes RGB. ``size`` is the source's height and width.
    Log and linear samples stay such; floating point ones, which FFV1 cannot hold, become 16 bits of display gamma.
    """
    steps = [(STAGES[step.stage], step) for step in recipe.steps if step.stage in STAGES]
    is_colored = any(spec.makes_color for spec, _ in steps)
    if source.floating:
        return Layout("rgb" if is_colored else source.model, 16)
    if source.model == "gray" and is_colored:
        return Layout("rgb", source.depth_bits, transfer=source.transfer)
    is_resized = any(spec.scale(step.params) != 1 for spec, step in steps if step.has_effect)
    keeps = not (is_colored or is_resized or recipe.chroma == "full")
    return source if keeps and _holds(source, size) else source.with_full_chroma


def _holds(layout: Layout, size: tuple[int, int]) -> bool:
    """Whether FFV1 holds such frames to the bit: of chroma a quarter as wide or high it loses some at odd sizes."""
    if max(layout.shrink) > 2 and any(side % _EVEN_SLICES_PX for side in size):
        return False
    return slice_count(*size, planes.ffv1_format(layout)) is not None


def master_size(facts: ReelFacts, recipe: Recipe) -> tuple[int, int]:
    """Return height and width of the pictures that come out."""
    return facts.height * recipe.scale, facts.width * recipe.scale


@contextmanager
def open_writer(
    path: Path, layout: Layout, size: tuple[int, int], rate: Fraction, facts: ReelFacts, crew: Crew = ALONE
) -> Iterator[Write]:
    """Open a film for writing; yields a function that takes the samples of one frame after the other.

    A crew may still be at them when it returns: they are not to be changed.

    Args:
        path: The file to write.
        layout: How the samples stand for pictures.
        size: Height and width.
        rate: Frames per second.
        facts: For the colour tags.
        crew: Encodes as many frames beside one another as it has threads, or slices of large ones; the bytes are the
            same with any.

    Raises:
        TransientError: The file cannot be written.
    """
    beside = max(1, min(crew.threads, _MOST_PX_BESIDE // (size[0] * size[1])))
    with writing(path.name):
        container = av.open(str(path), "w", format="matroska", options=BITEXACT)
    with _closing(container, path.name):
        stream = add_stream(container, layout, size, rate, facts)
        encoders = _Encoders(beside, -(-crew.threads // beside), layout, size, rate, facts)
        count = 0
        unwritten: deque[Callable[[], list[Packet[VideoStream]]]] = deque()

        def write(samples: Planes) -> None:
            nonlocal count
            with writing(path.name):
                unwritten.append(crew.begin(encoders.encode, samples, count))
                count += 1
                if len(unwritten) >= beside:
                    mux()

        def mux() -> None:
            for packet in unwritten.popleft()():
                packet.stream = stream
                container.mux(packet)

        yield write
        with writing(path.name):
            while unwritten:
                mux()


@contextmanager
def _closing(container: OutputContainer, name: str) -> Iterator[None]:
    """Close a film at the block's end; after an error, that its end cannot be written either is no news."""
    try:
        yield
    except BaseException:
        with suppress(av.error.FFmpegError, OSError):
            container.close()
        raise
    with writing(name):
        container.close()


class _Encoders:
    """Encoders of one form. Each frame stands alone, so any of them may encode it."""

    def __init__(
        self, count: int, threads: int, layout: Layout, size: tuple[int, int], rate: Fraction, facts: ReelFacts
    ) -> None:
        """Make so many, of so many threads each; :func:`open_writer` says what the other arguments are."""
        self._layout = layout
        self._free: SimpleQueue[VideoCodecContext] = SimpleQueue()
        for _ in range(count):
            encoder = _create_encoder(_stream_options(layout, size, suiting_coder(layout)))
            _set_form(encoder, layout, size, rate, facts)
            encoder.thread_count = threads
            self._free.put(encoder)

    def encode(self, samples: Planes, number: int) -> list[Packet[VideoStream]]:
        """Return the packet of the frame that is shown as the reel's ``number``-th."""
        frame, encoder = planes.to_frame(samples, self._layout), self._free.get()
        try:
            frame.pts, frame.time_base = number, encoder.time_base
            return encoder.encode(frame)
        finally:
            self._free.put(encoder)


@cache
def slice_count(height: int, width: int, pixel_format: str) -> int | None:
    """Return into how many slices a frame is cut: enough for checksums to find damage and for threads to share.

    Not every number suits every size: a slice must begin with a chroma sample. The nearest to the number that is wanted
    is taken; none when FFV1 cannot hold such frames.
    """
    wanted = 4 if height * width < _FEW_SLICES_BELOW_PIXELS else 16
    numbers = sorted(range(1, _MOST_SLICES + 1), key=lambda number: (abs(number - wanted), number))
    return next((number for number in numbers if _suits(height, width, pixel_format, number)), None)


def _suits(height: int, width: int, pixel_format: str, slices: int) -> bool:
    """Ask the encoder whether it cuts frames into so many slices."""
    try:
        _open_encoder((height, width), pixel_format, {**_OPTIONS, "slices": str(slices)})
    except av.error.FFmpegError:
        return False
    return True


def _open_encoder(size: tuple[int, int], pixel_format: str, options: dict[str, str]) -> VideoCodecContext:
    encoder = _create_encoder(options)
    encoder.height, encoder.width = size
    encoder.pix_fmt, encoder.time_base, encoder.gop_size = pixel_format, Fraction(1, 25), 1
    encoder.open()
    return encoder


def _create_encoder(options: dict[str, str]) -> VideoCodecContext:
    encoder = av.CodecContext.create("ffv1", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.options = options
    return encoder


def suiting_coder(layout: Layout) -> str:
    """Return the entropy coder that is used for a layout: its option's value.

    Golomb-Rice codes take half of the time for about as many bytes, but for the smooth differences of colour in RGB.
    """
    return _RICE if layout.depth_bits == 8 and layout.model != "rgb" else _RANGE


def coder_of(header: bytes | None, layout: Layout, size: tuple[int, int]) -> str | None:
    """Return the entropy coder of a film of ours by its header; none where it was encoded in another way.

    Earlier releases wrote all layouts with the range coder.
    """
    return next((coder for coder in (suiting_coder(layout), _RANGE) if header == _header(coder, layout, size)), None)


@cache
def _header(coder: str, layout: Layout, size: tuple[int, int]) -> bytes | None:
    return _open_encoder(size, planes.ffv1_format(layout), _stream_options(layout, size, coder)).extradata


def _stream_options(layout: Layout, size: tuple[int, int], coder: str) -> dict[str, str]:
    return {**_OPTIONS, "coder": coder, "slices": str(slice_count(*size, planes.ffv1_format(layout)) or 1)}


def add_stream(
    container: OutputContainer, layout: Layout, size: tuple[int, int], rate: Fraction, facts: ReelFacts,
    coder: str | None = None,
) -> VideoStream:  # fmt: skip
    """Add a picture stream to a container that is being written.

    ``coder`` is that of packets from elsewhere; else it is the one that suits. :func:`open_writer` says what the other
    arguments are.
    """
    options = _stream_options(layout, size, coder or suiting_coder(layout))
    options["field_order"] = {"top": "tt", "bottom": "bb", "": "progressive"}[facts.field_order]
    stream = container.add_stream("ffv1", rate=rate, options=options)
    _set_form(stream.codec_context, layout, size, rate, facts)
    return stream


def _set_form(
    encoder: VideoCodecContext, layout: Layout, size: tuple[int, int], rate: Fraction, facts: ReelFacts
) -> None:  # fmt: skip
    encoder.height, encoder.width = size
    encoder.pix_fmt = planes.ffv1_format(layout)
    encoder.gop_size, encoder.time_base = 1, 1 / rate
    encoder.thread_type = ThreadType.SLICE
    encoder.color_range = 2 if layout.full_range else 1
    encoder.colorspace = planes.MATRICES[layout.matrix] if layout.model == "yuv" else planes.MATRICES["unknown"]
    encoder.color_primaries = planes.PRIMARIES.get(facts.primaries, 2)
    encoder.color_trc = planes.TRANSFERS.get(planes.output_transfer(layout, facts.transfer), 2)
