"""Looks a whole reel through: every frame's time, hash and flags, and what the header claims."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.filter import Graph
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from db.errors import InputError
from db.records import LEAST_RATE, Source
from db.settings import Settings
from workers.media import planes
from workers.media.film import asf, container, fields, matroska, side_streams, sound, texts
from workers.media.film.rates import MOST_RATE, guess_note, header_rate, is_guessed, rate_in_header
from workers.media.film.slices import SliceChecker
from workers.media.index import Index, ReelScan
from workers.media.pixels import Layout, chroma_spread
from workers.media.remote import Place, size_of

COMBED_SHARE = 0.3
"""Share of combed frames from which a film counts as interlaced though its flags do not say so."""
FLAGGED_SHARE = 0.05
_TELLING = {"asf", "mxf"}
"""Containers whose header tells how long the picture is; of an MXF that was never closed it does not."""
_MATROSKA = "matroska,webm"
_SLACK_SECONDS = 0.5
"""Headers round; sound that ends so much before its promised end is whole."""
_SLACK_FRAMES = 0.8
"""The same for the picture."""
_LIMITED_GRAY = {"h264", "hevc", "av1", "libdav1d", "vp9"}
"""Codecs whose samples are of limited range, one channel or three, unless they say otherwise."""
BROADCAST_LINES = {480, 486, 512, 576, 1080, 1088}
_IDET_FRAMES = 200
_MOST_PLACES = 50
"""Frames that a message names."""
_COUNTED_PARTS = 1000
"""Parts of a frame's time in which frames without times of their own are placed beside the sound."""
_CONCEALED = "the decoder conceals damage"
_CONVERT = "Convert it to another codec, such as FFV1 or ProRes, with a program that reads it."
_INCOMPLETE = "a packet is incomplete"
_USUAL_RATES = tuple(
    Fraction(rate)
    for rate in ("16", "50/3", "18", "20", "22", "24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60")
)


def scan_film(path: Place, source: Source, settings: Settings, advance: Callable[[], None]) -> ReelScan:
    """Decode a film once from beginning to end; a second time, slice by slice, where anything about it is odd.

    Args:
        path: The file.
        source: Its line of the manifest.
        settings: For the limits.
        advance: Called after every frame.

    Raises:
        InputError: It is no film, is too large, changes size, or holds no frame that can be decoded.
    """
    try:
        scan, is_sound = _scan_once(path, source, settings, advance, ahead=True)
    except InputError:
        is_sound = False
    if not is_sound:
        scan, _ = _scan_once(path, source, settings, advance, ahead=False)
    return scan


def _scan_once(
    path: Place, source: Source, settings: Settings, advance: Callable[[], None], *, ahead: bool
) -> tuple[ReelScan, bool]:
    """Decode a film; returns also whether nothing about it is odd, so that it does not matter how it was decoded."""
    with container.open_film(path, max_pixels=settings.max_pixels, ahead=ahead) as (demuxer, stream):
        scanner = FilmScanner(path, demuxer, stream)
        with container.listen(stream) as log:
            for frame in container.frames(demuxer, stream, scanner.on_damage, scanner.on_packet, scanner.on_break):
                if log.has_concealed():
                    scanner.on_damage(_CONCEALED)
                scanner.on_frame(frame)
                advance()
            if log.has_concealed():
                scanner.on_damage(_CONCEALED)
        # Decoders that go ahead may drop what they cannot decode at the end, and not say so.
        is_whole = not ahead or scanner.packets[stream.index] == len(scanner.pts)
        return scanner.result(source, log.lack), scanner.is_sound and is_whole


class FieldDetector:
    """Asks FFmpeg's idet of the first frames whether they are woven of two fields."""

    def __init__(self, stream: VideoStream) -> None:
        self.kinds: list[str] = []
        """Of each frame that is judged: ``tff``, ``bff``, ``progressive`` or ``undetermined``."""
        self._graph = Graph()
        self._graph.link_nodes(
            self._graph.add_buffer(template=stream), self._graph.add("idet"), self._graph.add("buffersink")
        ).configure()

    def add(self, frame: VideoFrame) -> None:
        """Judge the next frame, or one that waited for it; after so many none is looked at any more."""
        if len(self.kinds) >= _IDET_FRAMES:
            return
        self._graph.vpush(frame)
        try:
            while len(self.kinds) < _IDET_FRAMES:
                self._judge(self._graph.vpull())
        except (FFmpegError, EOFError):
            return

    def _judge(self, frame: VideoFrame) -> None:
        kind = frame.metadata.get("lavfi.idet.multiple.current_frame", "undetermined")
        # To idet, lines that stand twice look like fields of two moments.
        is_doubled = frame.height > 2 and fields.is_line_doubled(frame.to_ndarray(format="gray"))
        self.kinds.append("progressive" if is_doubled else kind)


def describe_weave(kinds: list[str]) -> str:
    """Say whether frames look woven from two fields, whatever their flags say; empty when they do not."""
    decisive = [kind for kind in kinds if kind != "undetermined"]
    count = sum(kind in {"tff", "bff"} for kind in decisive)
    if len(decisive) < 4 or count < COMBED_SHARE * len(decisive):
        return ""
    return f"{count} of the first {len(kinds)} frames are woven from two fields"


def start_timecode(demuxer: InputContainer) -> str:
    """Return the start timecode, wherever the container keeps it."""
    for tags in (demuxer.metadata, *(stream.metadata for stream in demuxer.streams)):
        for name in ("timecode", "TIMECODE"):
            if code := texts.timecode(tags.get(name, "")):
                return code
    return ""


def measure_rate(pts: NDArray[np.int64], time_base: Fraction, header: Fraction) -> tuple[Fraction, bool]:
    """Return the frame rate and whether frames are unevenly spaced.

    Time stamps are rounded to ticks, so each may be off by one and a half. When they are even but not at the header's
    rate, the usual rate nearest to what they say is taken.
    """
    count = len(pts)
    if count < 2:
        return header, False
    seconds = (pts - pts[0]).astype(np.float64) * float(time_base)
    measured = max(LEAST_RATE, Fraction(count - 1) / ((int(pts[-1]) - int(pts[0])) * time_base))
    tick = 1.5 * float(time_base)
    usual = min(_USUAL_RATES, key=lambda rate: abs(rate - measured))
    for rate in (header, usual, measured.limit_denominator(1001)):
        if np.abs(seconds - np.arange(count) / float(rate)).max() <= tick:
            return rate, False
    return (header if 0.5 < header / measured < 2 else measured.limit_denominator(1001)), True


def _is_counted_by_no_rate(pts: NDArray[np.int64], time_base: Fraction) -> bool:
    """Whether times follow one another evenly, and slower than any film: they count frames by a rate that cannot be."""
    steps = np.diff(pts)
    return len(steps) > 0 and np.ptp(steps) == 0 and int(steps[0]) * time_base * LEAST_RATE > 1


def _check_spread(pts: NDArray[np.int64], time_base: Fraction, path: Place) -> None:
    """Refuse time stamps by which a reel would last for ever; raises ``InputError`` ``CORRUPT``."""
    seconds = (int(pts[-1]) - int(pts[0])) * time_base if len(pts) else 0
    if seconds * LEAST_RATE > len(pts):
        raise InputError(
            f"{path}: by their time stamps its {len(pts)} frames last {float(seconds) / 3600:,.0f} hours",
            code="CORRUPT",
            remedy="Send a good copy, or give the field fps: time stamps are not looked at then.",
        )


class FilmScanner:
    """Collects while a film is decoded; one film's worth of small numbers, no frames."""

    def __init__(self, path: Place, demuxer: InputContainer, stream: VideoStream) -> None:
        self.path, self.opened, self.stream = path, demuxer, stream
        self.look: ReelScan | None = None
        self.pts: list[int | None] = []
        self.key: list[bool] = []
        self.digests: list[NDArray[np.uint8]] = []
        self.flagged = 0
        self.packets: Counter[int] = Counter()
        self.damage: dict[str, list[int]] = {}
        self.transparent = False
        self.incomplete: list[tuple[int, float]] = []
        self.ends_seconds: dict[int, float] = {}
        self.stops_at: int | None = None
        self.slices = SliceChecker(stream)
        self.breaks: list[tuple[int, float]] = []
        self.rate_guessed = is_guessed(path, demuxer, stream)
        self.detector: FieldDetector | None = None

    def on_break(self) -> None:
        """Note that the clock starts again with the next packet of the picture."""
        index = self.stream.index
        self.breaks.append((self.packets[index], self.ends_seconds.get(index, 0.0)))

    def on_damage(self, message: str) -> None:
        """Note what is wrong at the place that decoding has come to."""
        numbers = self.damage.setdefault(message, [])
        if len(self.pts) not in numbers[-1:]:
            numbers.append(len(self.pts))

    def on_packet(self, packet: Packet[Any]) -> None:
        """Look at a packet of any stream."""
        self.note_times(packet)
        if packet.size and packet.stream.index == self.stream.index:
            self._check_payload(packet)

    def note_times(self, packet: Packet[Any]) -> None:
        """Note when a packet of any stream ends, and whether all of it is there."""
        if packet.pts is not None and packet.time_base:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            if not packet.duration and packet.stream.index == self.stream.index:
                end += float(1 / header_rate(self.stream))  # some writers leave it out
            self.ends_seconds[packet.stream.index] = max(end, self.ends_seconds.get(packet.stream.index, 0.0))
        if packet.is_corrupt:
            self.incomplete.append((len(self.pts), self.ends_seconds.get(packet.stream.index, 0.0)))
        self.packets[packet.stream.index] += packet.size > 0

    def _check_payload(self, packet: Packet[Any]) -> None:
        if self.opened.format.name in {"yuv4mpegpipe", "dv"} and packet.pos is not None:
            self.stops_at = packet.pos + packet.size
        if self.slices.is_damaged(packet):
            self.on_damage("slices fail their checksum")

    def on_frame(self, frame: VideoFrame) -> None:
        """Look at the next frame; raises ``InputError`` ``MIXED_GEOMETRY``."""
        if self.look is None:
            self.look = new_scan(self.path, self.stream, frame)
            if frame.height in BROADCAST_LINES or frame.interlaced_frame:
                self.detector = FieldDetector(self.stream)
        if (frame.height, frame.width, frame.format.name) != (*self.look.size, self.look.pixel_format):
            shape = f"{frame.width}x{frame.height} {frame.format.name}"
            raise InputError(f"{self.path}, frame {len(self.pts)}: changes to {shape}", code="MIXED_GEOMETRY")
        if frame.is_corrupt:
            self.on_damage("the decoder had to guess")
        samples = planes.to_planes(frame, self.look.layout)
        number = len(self.pts)
        self.transparent = self.transparent or planes.is_transparent(frame)
        if number & (number - 1) == 0:
            self.look.color = max(self.look.color, chroma_spread(samples, self.look.layout))
        self.pts.append(frame.pts)
        self.key.append(frame.key_frame)
        self.digests.append(planes.digest(samples))
        self.flagged += frame.interlaced_frame
        if self.detector is not None:
            self.detector.add(frame)

    @property
    def is_sound(self) -> bool:
        """Whether the film has neither damage nor breaks."""
        return not (self.damage or self.incomplete or self.breaks)

    def result(self, source: Source, lack: str = "") -> ReelScan:
        """Say what the film is, once all of it was looked at; ``lack`` is what the decoder does not know.

        Raises:
            InputError: ``TRUNCATED``, ``CORRUPT`` or ``UNSUPPORTED_PIXELS``.
        """
        scan, count, damage = self.look, len(self.pts), self._damage_told()
        if scan is None and (lack := lack or container.find_lack(self.damage)):
            message = (
                f"{self.path}: its decoder, {self.stream.codec_context.name}, does not know how it is coded: {lack}"
            )
            raise InputError(message, code="UNSUPPORTED_PIXELS", remedy=_CONVERT)
        if scan is None:
            raise InputError(
                f"{self.path}: not one frame can be decoded ({damage or 'the stream is empty'})",
                code="TRUNCATED" if self._shortfall() else "CORRUPT",
            )
        self._set_times(scan, source)
        if self.flagged > FLAGGED_SHARE * count:
            scan.interlaced = f"{self.flagged} of {count} frames are flagged as interlaced"
        if self.detector is not None:
            kinds = self.detector.kinds
            scan.field_order = "bottom" if kinds.count("bff") > kinds.count("tff") else "top"
            scan.interlaced = scan.interlaced or describe_weave(kinds)
        scan.audio, scan.timecode = sound.audio_tracks(self.opened), start_timecode(self.opened)
        scan.left_out = side_streams.omissions(self.opened, self.stream)
        if self.transparent or self.stream.metadata.get("alpha_mode") == "1":
            scan.left_out = ("the picture's transparency", *scan.left_out)
        if self.breaks:
            scan.notes += (_break_note([number for number, _ in self.breaks]),)
        if self.rate_guessed and source.fps is None:
            scan.notes += (guess_note(scan.rate),)
        if (lost := self._lost_end()) and lost[0] and not lost[1]:
            scan.notes += (
                f"The file lacks its end, {lost[0]:,} bytes: its index and what stood behind it, no frames.",
            )
        scan.truncated = _INCOMPLETE in self.damage or bool(self._shortfall())
        scan.damage = "; ".join(text for text in (damage, self._shortfall()) if text)
        return scan

    def _damage_told(self) -> str:
        """Say what is wrong and at which frames.

        Where files were joined, the packets before that place only look incomplete: the next one's number does not
        follow theirs.
        """
        for number, end in self.incomplete:
            if not any(abs(end - at) < _SLACK_SECONDS for _, at in self.breaks):
                self.damage.setdefault(_INCOMPLETE, []).append(number)
        return "; ".join(f"after {_frame_names(numbers)}: {message}" for message, numbers in self.damage.items())

    def _set_times(self, scan: ReelScan, source: Source) -> None:
        stamps = [value for value in self.pts if value is not None]
        pts = np.array(stamps, np.int64)
        base = self.stream.time_base or 1 / scan.rate
        scan.seekable = len(stamps) == len(self.pts) and bool(np.all(np.diff(pts) > 0))
        scan.seekable = scan.seekable and not _is_counted_by_no_rate(pts, base)
        if scan.seekable and source.fps is None:
            _check_spread(pts, base, self.path)
        if scan.seekable:
            rate, scan.variable_rate = measure_rate(pts, base, scan.rate)
            scan.seekable = rate <= MOST_RATE
            scan.rate = rate if scan.seekable else scan.rate
        header = scan.rate if scan.seekable else rate_in_header(self.stream)
        scan.header_rate = None if self.rate_guessed else header
        scan.rate = source.fps or scan.rate
        scan.variable_rate = scan.variable_rate and source.fps is None
        if not scan.seekable:
            pts, base = self._count_times(scan.rate, base)
        shows = np.arange(len(self.pts), dtype=np.int64)
        scan.index = Index(pts, base, np.array(self.key, bool), np.stack(self.digests), shows)
        scan.seekable = scan.seekable and not self.breaks

    def _count_times(self, rate: Fraction, base: Fraction) -> tuple[NDArray[np.int64], Fraction]:
        """Return times that follow the first frame with a stamp evenly, and their unit in seconds."""
        number, stamp = next(((number, value) for number, value in enumerate(self.pts) if value is not None), (0, 0))
        begins = round((stamp * base * rate - number) * _COUNTED_PARTS)
        return begins + _COUNTED_PARTS * np.arange(len(self.pts), dtype=np.int64), 1 / (rate * _COUNTED_PARTS)

    def _shortfall(self) -> str:
        """Say what the header promises and the file does not hold; empty when it holds everything."""
        if self.stops_at not in (None, size_of(self.path)):
            return "the last frame is incomplete"
        if container.lacks_end_mark(self.path):
            return "its end mark is missing"
        if self.opened.format.name == "asf" and (lacking := asf.shortfall(self.path)):
            return lacking
        for stream in (self.stream, *self.opened.streams.audio):
            end, frame = self.ends_seconds.get(stream.index, 0.0), float(1 / header_rate(self.stream))
            slack = _SLACK_FRAMES * frame if stream is self.stream else _SLACK_SECONDS
            header_count, count = _header_packets(stream), self.packets[stream.index]
            # AVI counts frames that were dropped at capture, and stores nothing for them: the last one is in its place.
            lasts = float((stream.duration or 0) * (stream.time_base or 0)) if self.opened.format.name == "avi" else 0.0
            if count < header_count and not 0 < lasts <= end + slack:
                return f"{count} of {stream.frames} declared frames of {stream.type} are there"
            header_end = _header_seconds(stream, self.opened)
            if self.opened.format.name == "asf":  # one length for picture and sound, whichever ends last
                end = max(self.ends_seconds.values(), default=0.0)
            if end < header_end - slack:
                return f"{end:.2f} of {header_end:.2f} declared seconds of {stream.type} are there"
        # Frames that are shown before others may be the last ones of the file.
        lost, had_frames = self._lost_end()
        return f"the last {lost:,} declared bytes are not there" if lost and had_frames else ""

    def _lost_end(self) -> tuple[int, bool]:
        return matroska.lost_end(self.path) if self.opened.format.name == _MATROSKA else (0, False)


def _break_note(breaks: list[int]) -> str:
    """Say where the clock of a film starts again."""
    return (
        f"The film's clock starts again at {_frame_names(breaks)}, as where files were joined; "
        "picture and sound go on from there without a gap."
    )


def _frame_names(numbers: list[int]) -> str:
    """Name frames, not more than a message bears."""
    shown, more = numbers[:_MOST_PLACES], len(numbers) - _MOST_PLACES
    named = ("frame " if len(numbers) == 1 else "frames ") + ", ".join(map(str, shown))
    return f"{named} and {more} more" if more > 0 else named


def _header_packets(stream: Stream) -> float:
    """Return how many packets a stream must at least have by its header; edit lists hide some of a sound's first."""
    if stream.type == "video":
        return stream.frames
    is_counted = stream.codec_context and not stream.codec_context.name.startswith("pcm")
    return 0.98 * stream.frames - 2 if is_counted else 0


def _header_seconds(stream: Stream, demuxer: InputContainer) -> float:
    """Return when a stream ends by its header, where the header says so; elsewhere FFmpeg reckons it from the data."""
    tag = re.fullmatch(r"(\d{1,6}):(\d\d):(\d\d(?:\.\d{1,9})?)\d*", stream.metadata.get("DURATION", ""))
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
    if demuxer.format.name in _TELLING and stream.type == "video":
        # Of ASF, FFmpeg's length of the whole counts the time before the first frame twice.
        return float((stream.duration or 0) * (stream.time_base or 0))
    if demuxer.format.name == "flv" and stream.type == "video":
        return (demuxer.duration or 0) / 1_000_000
    return 0.0


def new_scan(path: Place, stream: VideoStream, frame: VideoFrame) -> ReelScan:
    """Begin with what the first frame shows and the header says; raises ``InputError`` ``UNSUPPORTED_PIXELS``."""
    tags = {
        "matrix": planes.name_of(frame.colorspace, planes.MATRICES),
        "primaries": planes.name_of(frame.color_primaries, planes.PRIMARIES),
        "transfer": planes.name_of(frame.color_trc, planes.TRANSFERS),
    }
    name, layout = frame.format.name, layout_of(frame, stream.codec_context.name, str(path))
    scan = ReelScan(layout, name, (frame.height, frame.width), tags, header_rate(stream))
    scan.rotation_degrees = frame.rotation % 360 if frame.rotation % 90 == 0 else 0
    aspect = stream.sample_aspect_ratio
    scan.sample_aspect = Fraction(aspect) if aspect and Fraction(1, 10) <= aspect <= 10 else Fraction(1)
    return scan


def layout_of(frame: VideoFrame, codec: str, where: str) -> Layout:
    """Return how a decoded frame's samples stand for its picture.

    Raises:
        InputError: ``UNSUPPORTED_PIXELS``, naming ``where``.
    """
    matrix = planes.name_of(frame.colorspace, planes.MATRICES)
    try:
        layout = planes.layout_of(
            frame.format.name, full_range=full_range(frame, codec), matrix=matrix, lines=frame.height
        )
        planes.planar_format(layout)
    except InputError as error:
        raise InputError(f"{where}: {error.message}", code=error.code, remedy=error.remedy) from error
    return layout


def full_range(frame: VideoFrame, codec: str) -> bool:
    """Return whether samples use the whole range: as tagged, else as is usual for layout and codec."""
    if frame.color_range in {1, 2}:
        return frame.color_range == 2
    if frame.format.name.startswith(("gray", "mono")):
        return codec not in _LIMITED_GRAY
    return frame.format.name.startswith("yuvj") or frame.format.is_rgb
