"""Writes lossless film: FFV1 version 3 in Matroska, intra only, with slice checksums.

Everything that shapes the bitstream is set by hand, so that packets of chunks written apart equal those of one encode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
from av.codec.context import ThreadType
from av.container import OutputContainer
from av.video.stream import VideoStream

from db.catalog.stages import STAGES
from db.recipe import Recipe
from db.records import ReelFacts
from workers.media import planes
from workers.media.errors import writing
from workers.media.pixels import Layout, Planes

MEZZANINE_TICK_MS = 10
"""A mezzanine's frames are so far apart: whole Matroska ticks, so a time stamp names its frame."""
BITEXACT = {"fflags": "+bitexact"}
"""No library versions, dates or random numbers in our files: equal work gives equal bytes. The flag joins those that
are on by themselves, one of which turns sound of transport streams into the form that other containers need."""
_FEW_SLICES_BELOW_PIXELS = 64 * 64

Write = Callable[[Planes], None]


def master_layout(source: Layout, recipe: Recipe) -> Layout:
    """Return the layout of a reel's chunks and master.

    Grey stays grey and RGB stays RGB, at the source's depth. YUV becomes 4:4:4 of the same depth, range and matrix:
    what processing made of the colour is kept whole instead of thinned out again. Grey that is coloured becomes RGB.
    Log and linear samples stay such; floating point ones, which FFV1 cannot hold, become 16 bits of display gamma.
    """
    is_colored = any(STAGES[step.stage].makes_color for step in recipe.steps if step.stage in STAGES)
    if source.floating:
        return Layout("rgb" if is_colored else source.model, 16)
    if source.model == "gray" and is_colored:
        return Layout("rgb", source.depth_bits, transfer=source.transfer)
    return source.with_full_chroma


def master_size(facts: ReelFacts, recipe: Recipe) -> tuple[int, int]:
    """Return height and width of the pictures that come out."""
    factor = 1
    for step in recipe.steps:
        if step.stage in STAGES and step.has_effect:
            factor *= STAGES[step.stage].scale(step.params)
    return facts.height * factor, facts.width * factor


@contextmanager
def open_writer(
    path: Path, layout: Layout, size: tuple[int, int], rate: Fraction, facts: ReelFacts, threads: int = 1
) -> Iterator[Write]:
    """Open a film for writing; yields a function that takes the samples of one frame after the other.

    Args:
        path: The file to write.
        layout: How the samples stand for pictures.
        size: Height and width.
        rate: Frames per second.
        facts: For the colour tags.
        threads: Over slices, which are coded apart: the bytes are the same with any number.

    Raises:
        TransientError: The file cannot be written.
    """
    with writing(path.name):
        container = av.open(str(path), "w", format="matroska", options=BITEXACT)
    count = 0

    def write(samples: Planes) -> None:
        nonlocal count
        with writing(path.name):
            frame = planes.to_frame(samples, layout)
            frame.pts, frame.time_base = count, 1 / rate
            container.mux(stream.encode(frame))
        count += 1

    with container:
        stream = add_stream(container, layout, size, rate, facts)
        stream.codec_context.thread_count = threads
        yield write
        with writing(path.name):
            container.mux(stream.encode(None))
            container.close()


def slice_count(height: int, width: int) -> int:
    """Return into how many slices a frame is cut: enough for checksums to find damage and for threads to share."""
    return 4 if height * width < _FEW_SLICES_BELOW_PIXELS else 16


def add_stream(
    container: OutputContainer, layout: Layout, size: tuple[int, int], rate: Fraction, facts: ReelFacts
) -> VideoStream:
    """Add a picture stream to a container that is being written; ``film`` says what the arguments are."""
    options = {"level": "3", "coder": "1", "context": "0", "slicecrc": "1", "slices": str(slice_count(*size))}
    options["field_order"] = {"top": "tt", "bottom": "bb", "": "progressive"}[facts.field_order]
    stream = container.add_stream("ffv1", rate=rate, options=options)
    stream.height, stream.width = size
    stream.pix_fmt = planes.ffv1_format(layout)
    coder = stream.codec_context
    coder.gop_size, coder.time_base = 1, 1 / rate
    coder.thread_type = ThreadType.SLICE
    coder.color_range = 2 if layout.full_range else 1
    coder.colorspace = planes.MATRICES[layout.matrix] if layout.model == "yuv" else planes.MATRICES["unknown"]
    coder.color_primaries = planes.PRIMARIES.get(facts.primaries, 2)
    coder.color_trc = planes.TRANSFERS.get(planes.output_transfer(layout, facts.transfer), 2)
    return stream
