"""Looks a film through by its packets: times and keyframes of all frames, and short windows of it decoded.

What only decoding shows of every frame is looked at afterwards, in parallel: see ``workers.tasks.survey``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from db.errors import InputError
from db.records import Source
from db.settings import Settings
from workers.media import planes
from workers.media.digests import DIGEST_BYTES
from workers.media.film import container, scan
from workers.media.index import LONGEST_GOP_FRAMES, ReelScan
from workers.media.pixels import chroma_spread
from workers.media.remote import Place

LEAST_FRAMES = 256
"""A film of fewer is decoded sooner than workers are found for it."""
_CODECS = frozenset({"ffv1", "h264", "hevc", "prores", "dnxhd", "mjpeg", "huffyuv", "ffvhuff", "utvideo", "v210"})
"""Of which a packet is a frame, and says when it is shown and whether a decoder can start there."""
_WINDOWS, _WINDOW_FRAMES = 8, 12


def scan_packets(path: Place, source: Source, settings: Settings, advance: Callable[[], None]) -> ReelScan | None:
    """Look a film through without decoding more than short windows of it.

    Args:
        path: The file.
        source: Its line of the manifest.
        settings: For the limits.
        advance: Called after every packet of the picture.

    Returns:
        What is known so far: all but the hashes in the index, which are zeros. None where the film is short, or
        anything about it is odd: it must be decoded from beginning to end.
    """
    try:
        with container.open_film(path, max_pixels=settings.max_pixels) as (demuxer, stream):
            scanner = scan.FilmScanner(path, demuxer, stream)
            if stream.codec_context.name not in _CODECS or 0 < stream.frames < LEAST_FRAMES:
                return None
            pts, key = _read_packets(scanner, advance)
            if not scanner.is_sound or not _can_be_cut(pts, key):
                return None
            if not _decode_windows(scanner, path, settings, pts, key):
                return None
            scanner.pts, scanner.key = [int(value) for value in pts], [bool(value) for value in key]
            scanner.digests = [np.zeros(DIGEST_BYTES, np.uint8)] * len(pts)
            found = scanner.result(source)
    except InputError:  # said by the pass that decodes everything, which knows more
        return None
    return found if found.seekable and not found.damage and not found.interlaced else None


def _read_packets(
    scanner: scan.FilmScanner, advance: Callable[[], None]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return times and keyframes in the order of showing; none at all where a packet has no time or is not shown."""
    pts, key = [], []
    number = scanner.stream.index
    for packet in container.packets(scanner.opened, scanner.stream, scanner.on_damage, scanner.on_break, others=True):
        scanner.note_times(packet)
        if packet.size and packet.stream.index == number:
            if packet.pts is None or packet.is_discard:
                return np.empty(0, np.int64), np.empty(0, bool)
            pts.append(packet.pts)
            key.append(packet.is_keyframe)
            advance()
    order = np.argsort(np.array(pts, np.int64), kind="stable")
    return np.array(pts, np.int64)[order], np.array(key, bool)[order]


def _can_be_cut(pts: NDArray[np.int64], key: NDArray[np.bool_]) -> bool:
    if len(pts) < LEAST_FRAMES or np.any(np.diff(pts) <= 0) or not key[0]:
        return False
    return bool(np.diff(np.flatnonzero(key), append=len(key)).max() <= LONGEST_GOP_FRAMES)


def _decode_windows(
    scanner: scan.FilmScanner, path: Place, settings: Settings, pts: NDArray[np.int64], key: NDArray[np.bool_]
) -> bool:
    """Decode short windows over the whole film; returns whether all in them is as it should be."""
    keys = np.flatnonzero(key)
    wanted = np.linspace(0, len(pts) - _WINDOW_FRAMES, _WINDOWS)
    starts = np.unique(keys[np.maximum(0, np.searchsorted(keys, wanted, side="right") - 1)])
    known, kinds, count = set(pts.tolist()), list[str](), 0
    with container.open_film(path, max_pixels=settings.max_pixels) as (demuxer, stream):
        for start in starts:
            detector = None
            for frame in _window(demuxer, stream, int(pts[start])):
                if scanner.look is None:
                    scanner.look = scan.new_scan(path, stream, frame)
                look, shape = scanner.look, (frame.height, frame.width, frame.format.name)
                if shape != (*look.size, look.pixel_format) or frame.pts not in known or planes.may_hide(frame):
                    return False
                look.color = max(look.color, chroma_spread(planes.to_planes(frame, look.layout), look.layout))
                if frame.height in scan.BROADCAST_LINES:
                    detector = detector or scan.FieldDetector(stream)
                    detector.add(frame)
                if frame.interlaced_frame or frame.is_corrupt:
                    return False
                count += 1
            kinds += detector.kinds if detector else []
    return count > 0 and not scan.describe_weave(kinds)


def _window(demuxer: InputContainer, stream: VideoStream, pts: int) -> Iterator[VideoFrame]:
    stream.codec_context.flush_buffers()
    container.seek(demuxer, stream, pts)
    count = 0
    for frame in container.frames(demuxer, stream, container.refuse_damage):
        if frame.pts is not None and frame.pts < pts:
            continue
        yield frame
        count += 1
        if count == _WINDOW_FRAMES:
            return
