"""Other tools that install here: FFmpeg's filters, through PyAV, and OpenCV's own operators."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
import av.error
import av.filter
import numpy as np
from numpy.typing import NDArray

from benchmarks.restoration.films import Pictures


def run_filter(frames: Pictures, name: str, arguments: str = "", pixel_format: str = "gray") -> Pictures:
    """Return grey or RGB frames ``(T, C, H, W)`` after a filter of FFmpeg's, rounded to its 8 bits on the way in.

    Filters that hold frames back are flushed; what they leave out is missing at the end.
    """
    graph = av.filter.Graph()
    height, width = frames.shape[-2:]
    source_format = "gray" if frames.shape[1] == 1 else "rgb24"
    source = graph.add_buffer(width=width, height=height, format=source_format, time_base="1/24")
    chain = [source, graph.add("format", f"pix_fmts={pixel_format}"), graph.add(name, arguments)]
    chain += [graph.add("format", f"pix_fmts={source_format}"), graph.add("buffersink")]
    for one, other in pairwise(chain):
        one.link_to(other)
    graph.configure()
    out: list[NDArray[np.uint8]] = []
    for number, picture in enumerate(frames):
        levels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
        array = levels[0] if len(levels) == 1 else np.ascontiguousarray(levels.transpose(1, 2, 0))
        frame = av.VideoFrame.from_ndarray(array, format=source_format)
        frame.pts, frame.time_base = number, Fraction(1, 24)
        graph.push(frame)
        _pull(graph, out)
    graph.push(None)
    _pull(graph, out)
    stacked = np.stack(out).astype(np.float32) / 255
    return stacked[:, None] if stacked.ndim == 3 else np.ascontiguousarray(stacked.transpose(0, 3, 1, 2))


def _pull(graph: av.filter.Graph, out: list[NDArray[np.uint8]]) -> None:
    while True:
        try:
            out.append(graph.pull().to_ndarray())
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def has_filter(name: str) -> bool:
    """Whether this FFmpeg has a filter."""
    return name in av.filter.filters_available
