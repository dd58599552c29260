"""Ties FFmpeg's frames and pixel formats to our layouts.

Frames of any layout are first brought, without loss, into a planar one of at least their depth; all arithmetic is
``pixels``' own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from av import VideoFrame
from av.filter import Graph
from av.video.format import VideoFormat
from numpy.typing import NDArray

from db.errors import InputError
from workers.media import digests
from workers.media.pixels import WEIGHTS, Layout, Planes

MATRICES = {"rgb": 0, "bt709": 1, "unknown": 2, "fcc": 4, "bt470bg": 5, "smpte170m": 6, "smpte240m": 7, "bt2020nc": 9}
"""FFmpeg's number of each matrix that we know."""
PRIMARIES = {
    "bt709": 1, "unknown": 2, "bt470m": 4, "bt470bg": 5, "smpte170m": 6, "smpte240m": 7,
    "film": 8, "bt2020": 9, "smpte428": 10, "smpte431": 11, "smpte432": 12,
}  # fmt: skip
TRANSFERS = {
    "bt709": 1, "unknown": 2, "gamma22": 4, "gamma28": 5, "smpte170m": 6, "smpte240m": 7, "linear": 8,
    "iec61966-2-1": 13, "bt2020-10": 14, "bt2020-12": 15, "smpte2084": 16, "arib-std-b67": 18,
}  # fmt: skip
HD_LINES = 720
"""Untagged film of so many lines is taken as BT.709, smaller as BT.601."""
FLOATING = {
    "grayf16le": Layout("gray", 16, floating=True), "grayf32le": Layout("gray", 32, floating=True),
    "gbrpf16le": Layout("rgb", 16, floating=True), "gbrpf32le": Layout("rgb", 32, floating=True),
}  # fmt: skip
"""Layouts of floating point stills under FFmpeg's names; it has no codec of ours that holds them."""
_DEPTHS = (8, 9, 10, 12, 14, 16)
_CHROMA = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440", (4, 1): "411", (4, 4): "410"}
_EIGHT_BIT_ONLY = {"411", "410"}
_FLOATS = ("f16", "f32")
_UNUSUAL = ("xyz", "bayer", "ayuv64", "vuya")


_FEW_BITS = {
    f"{order}{bits}{end}": tuple(map(int, bits))
    for order in ("rgb", "bgr") for bits in ("444", "555", "565") for end in ("le", "be")
}  # fmt: skip
"""FFmpeg's formats of 16 bits a pixel, and their bits of red, green and blue."""


def layout_of(pixel_format: str, *, full_range: bool, matrix: str, lines: int) -> Layout:
    """Return the layout in which frames of FFmpeg's ``pixel_format`` are handed on.

    Args:
        pixel_format: Name of the source's layout.
        full_range: Whether the samples use the whole range.
        matrix: FFmpeg's name of the YUV matrix; ``unknown`` takes the usual one for ``lines``.
        lines: Height of the picture.

    Raises:
        InputError: ``UNSUPPORTED_PIXELS``.
    """
    try:
        format_ = VideoFormat(pixel_format, 64, 64)
    except ValueError as error:  # where neither header nor first frames say it, FFmpeg leaves it empty
        raise InputError(f"Pixel layout {pixel_format!r} is not known", code="UNSUPPORTED_PIXELS") from error
    parts = [part for part in format_.components if not part.is_alpha]
    depth = next((bits for bits in _DEPTHS if bits >= max((part.bits for part in parts), default=99)), 0)
    if any(mark in pixel_format for mark in _FLOATS):
        message = f"Samples of floating point ({pixel_format}) are not supported in a film"
        raise InputError(
            message, code="UNSUPPORTED_PIXELS", remedy="Convert it to EXR files, one a frame, or to 16 bits."
        )
    if not depth or any(mark in pixel_format for mark in _UNUSUAL):
        raise InputError(f"Pixel layout {pixel_format} is not supported", code="UNSUPPORTED_PIXELS")
    if format_.has_palette or format_.is_rgb:
        return Layout("rgb", depth)
    if len(parts) == 1:
        return Layout("gray", depth, full_range)
    if matrix == "unknown":
        matrix = "bt709" if lines >= HD_LINES else "smpte170m"
    if matrix not in WEIGHTS:
        raise InputError(f"YUV matrix {matrix} is not supported", code="UNSUPPORTED_PIXELS")
    shrink = (64 // parts[1].width, 64 // parts[1].height)
    return Layout("yuv", depth, full_range, matrix, shrink, centered="yuvj" in pixel_format)


def planar_format(layout: Layout) -> str:
    """Return FFmpeg's name of the planar form of a layout."""
    if layout.floating:
        return next(name for name, candidate in FLOATING.items() if candidate == replace(layout, transfer="gamma"))
    if layout.model == "yuv":
        chroma = _CHROMA[layout.shrink]
        if chroma in _EIGHT_BIT_ONLY and layout.depth_bits > 8:
            raise InputError(f"4:{chroma[1:]} of {layout.depth_bits} bits is not supported", code="UNSUPPORTED_PIXELS")
        name = f"yuv{chroma}p"
    else:
        name = {"gray": "gray", "rgb": "gbrp"}[layout.model]
    return name if layout.depth_bits == 8 else f"{name}{layout.depth_bits}le"


def ffv1_format(layout: Layout) -> str:
    """Return the pixel format in which FFV1 holds a layout exactly."""
    name = planar_format(layout)
    return "bgr0" if name == "gbrp" else name


def to_planes(frame: VideoFrame, layout: Layout) -> Planes:
    """Return a frame's samples; they share memory with the frame where nothing had to be moved."""
    target_format, source_format = planar_format(layout), frame.format.name
    # yuvj formats differ from yuv by their tag alone; a reformat would squeeze the range.
    name = frame.format.name.replace("yuvj", "yuv")
    # Where only the alpha of planar RGB is to go, FFmpeg leaves samples unwritten: it comes along, and is passed over.
    if name.startswith("gbrap"):
        target_format = target_format.replace("gbrp", "gbrap")
    if name != target_format:
        frame = frame.reformat(format=target_format, threads=1)
    elif any(plane.line_size < 0 for plane in frame.planes):
        frame = _from_top(frame)
    planes = tuple(_samples(plane, layout) for plane in frame.planes)
    if layout.model == "rgb":
        green, blue, red = planes[:3]
        if source_format in _FEW_BITS:
            bits = _FEW_BITS[source_format]
            return tuple(_spread(plane, count) for plane, count in zip((red, green, blue), bits, strict=True))
        return red, green, blue
    return planes[: 1 if layout.model == "gray" else 3]


def _from_top(frame: VideoFrame) -> VideoFrame:
    """Return a frame whose rows lie from the bottom up, as in AMV, with rows from the top down: PyAV misreads them."""
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1))
    graph.link_nodes(source, graph.add("copy"), graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


def _spread(plane: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Return samples of few bits as 0 to 255: FFmpeg's scaler only moves them up, and leaves white of 5 bits at 248."""
    levels = np.rint(np.arange(1 << bits) * 255 / ((1 << bits) - 1)).astype(np.uint8)
    return np.take(levels, plane >> (8 - bits))


def to_frame(planes: Planes, layout: Layout) -> VideoFrame:
    """Return a frame in :func:`ffv1_format` that holds the samples."""
    if ffv1_format(layout) == "bgr0":
        height, width = planes[0].shape
        frame = VideoFrame(width, height, "bgr0")
        bgr0 = (
            np.frombuffer(memoryview(frame.planes[0]), np.uint8)
            .reshape(height, -1)[:, : width * 4]
            .reshape(height, width, 4)
        )
        bgr0[..., 0], bgr0[..., 1], bgr0[..., 2], bgr0[..., 3] = planes[2], planes[1], planes[0], 0
        return frame
    return planar_frame(planes, layout)


def planar_frame(planes: Planes, layout: Layout) -> VideoFrame:
    """Return a frame in :func:`planar_format` that holds the samples."""
    height, width = planes[0].shape
    frame = VideoFrame(width, height, planar_format(layout))
    ordered = (planes[1], planes[2], planes[0]) if layout.model == "rgb" else planes
    for target, plane in zip(frame.planes, ordered, strict=True):
        _samples(target, layout)[:] = plane
    return frame


def digest(planes: Planes) -> NDArray[np.uint8]:
    """Return the digest ``(16,)`` of the samples of one frame."""
    return np.frombuffer(digests.digest(_sample_bytes(planes)), np.uint8)


def has_digest(planes: Planes, expected: NDArray[np.uint8]) -> bool:
    """Whether a digest ``(16,)``, of this or an earlier release, is of the samples of this frame."""
    return digests.matches(_sample_bytes(planes), expected.tobytes())


def plane_bytes(frame: VideoFrame) -> Iterator[NDArray[np.uint8]]:
    """Yield the bytes of each plane without padding, in FFmpeg's order."""
    for number, plane in enumerate(frame.planes):
        parts = [part for part in frame.format.components if part.plane == number]
        packed = 4 if len(parts) > 1 else 1
        width_bytes = plane.width * packed * (2 if parts[0].bits > 8 else 1)
        yield np.ascontiguousarray(
            np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[:, :width_bytes]
        )


def may_hide(frame: VideoFrame) -> bool:
    """Whether a frame has an alpha channel, or a palette, which may have one."""
    return frame.format.has_palette or any(part.is_alpha for part in frame.format.components)


def is_transparent(frame: VideoFrame) -> bool:
    """Whether a frame has an alpha channel, or a palette with one, that hides anything."""
    if not may_hide(frame):
        return False
    return bool((frame.reformat(format="rgba", threads=1).to_ndarray()[..., 3] < 255).any())


def name_of(number: int, table: dict[str, int]) -> str:
    """Return FFmpeg's name of a tag's number; what we do not know is as good as untagged."""
    return next((name for name, value in table.items() if value == number), "unknown")


def output_transfer(layout: Layout, tagged: str) -> str:
    """Return FFmpeg's name of the transfer of samples in ``layout``, made from a source that is tagged so."""
    converted = layout.transfer == "gamma" and tagged in {"linear", "log"}
    return "iec61966-2-1" if converted else tagged


def _sample_bytes(planes: Planes) -> list[memoryview]:
    return [np.ascontiguousarray(plane).data.cast("B") for plane in planes]


def _samples(plane: Any, layout: Layout) -> NDArray[Any]:
    rows = np.frombuffer(plane, layout.dtype).reshape(plane.height, -1)
    return rows[:, : plane.width]
