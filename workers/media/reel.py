"""Exact frames of a reel by number, checked against the index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from db.errors import InputError
from db.records import ItemView, ReelFacts, Source
from db.settings import Settings
from workers.background import ALONE, Crew
from workers.media import planes
from workers.media.film import container
from workers.media.film.ffv1 import MEZZANINE_TICK_MS
from workers.media.film.slices import SliceChecker
from workers.media.index import BLACK, LONGEST_GOP_FRAMES, Index, loads
from workers.media.pixels import Layout, Picture, Planes, black, to_picture
from workers.media.remote import Place, as_folder
from workers.media.sequences import files as sequence
from workers.media.source import locate
from workers.media.transfer import Transfer
from workers.workbench import Workbench

T = TypeVar("T")
_TRANSFERS: dict[str, Transfer] = {"linear": "linear", "log": "log"}
"""Of all that a source may be tagged with, what is not display gamma."""
_SEEKS_TRIED = 6
_FRAMES_TRIED = 3
_LOOK_BACK = 2
"""How many keyframes further back decoding starts when the nearest one does not give the indexed picture."""


@dataclass(frozen=True)
class IndexedReel:
    """A reel that can be read by frame number."""

    path: Place
    """The film that is decoded (source or mezzanine), or a sequence's folder."""
    source: Source
    facts: ReelFacts
    index: Index
    layout: Layout
    settings: Settings
    replacements: dict[int, int]
    """Frames that are not shown themselves, and what is shown instead."""
    mask: Path | None = None
    """The film of what the manifest marks as damaged, see ``given_mask``."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the upright picture."""
        return self.facts.height, self.facts.width

    def source_frame(self, number: int) -> int:
        """Return the frame that is really shown at ``number``, or ``BLACK``."""
        use = self.replacements.get(number, number)
        return BLACK if use == BLACK else int(self.index.shows[use])


def open_reel(item: ItemView, bench: Workbench) -> IndexedReel:
    """Make a probed reel ready for reading.

    Raises:
        InputError: The source is gone, or its blobs are.
    """
    facts = item.facts
    if facts is None:
        raise InputError(f"{item.source.uri}: the reel has not been probed", code="BAD_VALUE")
    if facts.mezzanine_pruned:
        raise InputError(
            f"{item.source.uri}: the copy from which its frames are read was pruned", code="BLOB_MISSING",
            remedy="Rerun the item: that makes it anew.",
        )  # fmt: skip
    index = loads(bench.store.read(facts.index))
    # Every frame is held against the index, so a mezzanine need not be read whole for its digest before each segment.
    path = (
        bench.fetch(facts.mezzanine, check=False)
        if facts.mezzanine
        else locate(item.source, bench.settings, bench.scratch)
    )
    replacements = {entry.frame: BLACK if entry.use is None else entry.use for entry in item.substitutes}
    mask = bench.fetch(facts.mask) if facts.mask else None
    return IndexedReel(path, item.source, facts, index, layout_of(facts), bench.settings, replacements, mask)


def layout_of(facts: ReelFacts) -> Layout:
    """Return how the source's samples stand for its pictures."""
    layout = planes.FLOATING.get(facts.pixel_format)
    if layout is None:
        lines = facts.width if facts.rotation_degrees in {90, 270} else facts.height
        layout = planes.layout_of(
            facts.pixel_format, full_range=facts.color_range == "full", matrix=facts.matrix, lines=lines
        )
    return replace(layout, transfer=_TRANSFERS.get(facts.transfer, "gamma"))


@dataclass(frozen=True)
class ShownFrame:
    """What is shown at one place of a reel."""

    source: int
    """The number of the frame that is really shown, or ``BLACK``."""
    picture: Picture
    """``(C, H, W)`` float32, upright."""
    samples: Planes | None
    """What the picture was made of, as stored; none of black, and where pictures are turned."""


@dataclass(frozen=True)
class StoredFrame:
    """What is stored of what is shown at one place of a reel."""

    source: int
    """As in :class:`ShownFrame`."""
    samples: Planes | None
    """None of black."""


def read_frames(reel: IndexedReel, start: int, stop: int, crew: Crew = ALONE) -> Iterator[ShownFrame]:
    """Read the frames ``[start, stop)`` in order; a crew looks at several at once.

    Raises:
        InputError: ``CHANGED_DURING_WORK`` when a frame is not the one that the probe saw.
    """
    for frame in _read_shown(reel, start, stop, partial(_show_frame, reel), crew):
        yield frame or ShownFrame(BLACK, black(reel.layout, reel.size), None)


def read_stored(reel: IndexedReel, start: int, stop: int, crew: Crew = ALONE) -> Iterator[StoredFrame]:
    """Read what :func:`read_frames` does, but make no pictures of it: a device may."""
    for frame in _read_shown(reel, start, stop, StoredFrame, crew):
        yield frame or StoredFrame(BLACK, None)


def _read_shown(
    reel: IndexedReel, start: int, stop: int, take: Callable[[int, Planes], T], crew: Crew
) -> Iterator[T | None]:  # fmt: skip
    """Yield what ``take`` makes of the frame that is shown at each place; of black, none."""
    sources = [reel.source_frame(number) for number in range(start, stop)]
    last_use = {source: position for position, source in enumerate(sources)}
    wanted = sorted(set(sources) - {BLACK})
    incoming = zip(wanted, _read_frames(reel, wanted, take, crew), strict=True)
    buffer: dict[int, T] = {}
    for position, source in enumerate(sources):
        while source != BLACK and source not in buffer:
            number, frame = next(incoming)
            buffer[number] = frame
        yield None if source == BLACK else buffer[source]
        if last_use[source] == position:
            buffer.pop(source, None)


def _show_frame(reel: IndexedReel, number: int, samples: Planes) -> ShownFrame:
    return ShownFrame(number, upright_picture(reel, samples), None if reel.facts.rotation_degrees else samples)


def upright_picture(reel: IndexedReel, samples: Planes) -> Picture:
    """Return what samples of the reel show, ``(C, H, W)``, turned as its header asks."""
    return _rotate(to_picture(samples, reel.layout), reel.facts.rotation_degrees)


def pictures(reel: IndexedReel, start: int, stop: int) -> Iterator[tuple[int, Picture]]:
    """Yield what :func:`read_frames` does, number and picture alone."""
    for frame in read_frames(reel, start, stop):
        yield frame.source, frame.picture


@dataclass(frozen=True)
class SurveyedFrame:
    """A frame of a reel whose frames nobody decoded before."""

    number: int
    samples: Planes
    is_flagged: bool
    """Whether its header says that it is woven of two fields."""


def survey_frames(reel: IndexedReel, start: int, stop: int) -> Iterator[SurveyedFrame]:
    """Decode frames for the first time, beginning at ``start``, where a decoder can.

    Raises:
        InputError: Anything about them is odd: damage, another shape than the first frame's, or they are not the very
            frames that the packets promise.
    """
    expected, shape = start, None
    known = {int(pts): number for number, pts in enumerate(reel.index.pts)}
    threads = max(1, reel.settings.codec_threads)
    with container.open_film(reel.path, threads, max_pixels=reel.settings.max_pixels) as (film, stream):
        slices = SliceChecker(stream)

        def check(packet: Packet[Any]) -> None:
            if packet.size and slices.is_damaged(packet):
                container.refuse_damage("slices fail their checksum")

        if start > 0:
            container.seek(film, stream, int(reel.index.pts[start]))
        with container.listen(stream) as log:
            for frame in container.frames(film, stream, container.refuse_damage, check, _raise_break, others=False):
                number = known.get(-1 if frame.pts is None else frame.pts, -1)
                if 0 <= number < start:
                    continue  # from before the place where decoding was to begin
                shape = shape or (frame.height, frame.width, frame.format.name)
                if number != expected or frame.is_corrupt or log.has_concealed():
                    container.refuse_damage(f"frame {expected} does not come as its packet says")
                if shape != (frame.height, frame.width, reel.facts.pixel_format):
                    container.refuse_damage(f"frame {number} has another shape")
                yield SurveyedFrame(number, planes.to_planes(frame, reel.layout), frame.interlaced_frame)
                expected += 1
                if expected >= stop:
                    return
    container.refuse_damage(f"frame {expected} is missing")


def read_samples(reel: IndexedReel) -> Iterator[Planes]:
    """Read the whole reel's samples in order, checked, as they are stored: not turned, nothing replaced."""
    return _read_frames(reel, range(len(reel.index)), lambda number, samples: samples, ALONE)


def frame_label(reel: IndexedReel, number: int) -> str:
    """Name a frame for a message."""
    if reel.source.sequence is not None:
        return f"{reel.path}/{sequence.shown_name_of(reel.source, number)}"
    return f"{reel.source.uri}, frame {number}"


def check_samples(reel: IndexedReel, number: int, samples: Planes) -> Planes:
    """Return the samples if they are the ones that the index names; raises ``CHANGED_DURING_WORK``.

    Of a damaged film that is being copied any are taken.
    """
    # What a decoder makes up for damage may be other samples each time; the copy that is made of it is read afterwards.
    is_copied = reel.source.sequence is None and not reel.facts.mezzanine and bool(reel.facts.damaged)
    if not is_copied and not _same(reel, number, samples):
        raise InputError(f"{frame_label(reel, number)}: not the picture that the probe saw", code="CHANGED_DURING_WORK")
    return samples


def seeks_exactly(reel: IndexedReel) -> bool:
    """Try some keyframes over the reel: whether starting there gives the very pictures of the one long decode."""
    keys = np.flatnonzero(reel.index.key)
    if not len(keys) or keys[0] != 0 or np.diff(keys, append=len(reel.index)).max() > LONGEST_GOP_FRAMES:
        return False
    later = keys[1:]
    trial_keys = later[np.unique(np.linspace(0, len(later) - 1, _SEEKS_TRIED).astype(int))] if len(later) else later
    return all(_exact_from(reel, int(key)) for key in trial_keys)


def _exact_from(reel: IndexedReel, key: int) -> bool:
    try:
        return _matches_from(reel, key)
    except InputError:  # a container that cannot be sought at all says so here
        return False


def _matches_from(reel: IndexedReel, key: int) -> bool:
    remaining = list(range(key, min(key + _FRAMES_TRIED, len(reel.index))))
    for number, samples in _decode_from(reel, key, remaining):
        if number != remaining[0] or not _same(reel, number, samples):
            return False
        remaining.pop(0)
        if not remaining:
            return True
    return False


def _read_frames(
    reel: IndexedReel, numbers: Sequence[int], take: Callable[[int, Planes], T], crew: Crew
) -> Iterator[T]:  # fmt: skip
    """Yield what ``take`` makes of the samples of each frame, which are checked before."""
    if reel.source.sequence is not None and reel.facts.mezzanine is None:
        yield from crew.map(lambda entry: take(entry[0], check_samples(reel, *entry)), _from_files(reel, numbers))
    elif numbers:
        yield from _from_film(reel, numbers, take, crew)


def _from_files(reel: IndexedReel, numbers: Iterable[int]) -> Iterator[tuple[int, Planes]]:
    for number in numbers:
        path = sequence.file_of(as_folder(reel.path), reel.source, number)
        samples, _ = sequence.read(path, reel.layout, reel.source, reel.settings)
        yield number, samples


def _from_film(
    reel: IndexedReel, numbers: Sequence[int], take: Callable[[int, Planes], T], crew: Crew
) -> Iterator[T]:  # fmt: skip
    """Decode forward from a keyframe; start further back where a decoder needs more than one to be exact."""
    count = 0
    start = reel.index.key_at(numbers[0])
    for attempt in range(_LOOK_BACK + 1):
        final = attempt == _LOOK_BACK

        def look(entry: tuple[int, Planes], final: bool = final) -> tuple[int, T | None]:
            number, samples = entry
            if not _same(reel, number, samples):
                if not final:
                    return number, None
                check_samples(reel, number, samples)
            return number, take(number, samples)

        ahead = crew.has_threads and not final and _is_sound(reel)
        for number, made in crew.map(look, _decode_from(reel, 0 if final else start, numbers[count:], ahead)):
            if number == numbers[count]:
                if made is None:
                    break
                yield made
                count += 1
            if count == len(numbers):
                return
        start = reel.index.key_at(max(0, start - 1))
    raise InputError(f"{frame_label(reel, numbers[count])}: cannot be read any more", code="CHANGED_DURING_WORK")


def _decode_from(
    reel: IndexedReel, start: int, wanted: Sequence[int], ahead: bool = False
) -> Iterator[tuple[int, Planes]]:  # fmt: skip
    """Decode from frame ``start`` and yield the frames that are wanted, in order.

    Numbers come from counting at the very start, else from time stamps. With ``ahead`` threads decode whole frames
    beside one another.
    """
    tick, chosen = MEZZANINE_TICK_MS if reel.facts.mezzanine else 0, set(wanted)
    numbers = {number * tick if tick else int(pts): number for number, pts in enumerate(reel.index.pts)}
    threads = max(1, reel.settings.codec_threads)
    with container.open_film(reel.path, threads, max_pixels=reel.settings.max_pixels, ahead=ahead) as (film, stream):
        if start > 0:
            container.seek(film, stream, start * tick if tick else int(reel.index.pts[start]))
        times = {pts for pts, number in numbers.items() if number in chosen}
        frames = _frames_until(film, stream, times) if ahead else container.frames(film, stream, _ignore_damage)
        for count, frame in enumerate(frames):
            number = count if start == 0 else numbers.get(-1 if frame.pts is None else frame.pts)
            if number is not None and number in chosen:
                yield number, planes.to_planes(frame, reel.layout)


def _frames_until(film: InputContainer, stream: VideoStream, times: set[int]) -> Iterator[VideoFrame]:
    """Decode until the decoder was given the packets of all these times, and what it then still holds.

    Threads that go ahead would decode as many frames more as there are threads, for nothing.
    """
    for packet in container.packets(film, stream, _ignore_damage, lambda: None, others=False):
        yield from container.decode(stream, packet, _ignore_damage)
        times.discard(-1 if packet.pts is None else packet.pts)
        if not times:
            break
    yield from container.decode(stream, None, _ignore_damage)


def _is_sound(reel: IndexedReel) -> bool:
    """Whether every frame that is decoded can be held against the index."""
    return reel.facts.surveyed and (reel.facts.mezzanine is not None or not reel.facts.damaged)


def _raise_break() -> None:
    container.refuse_damage("the clock starts again")


def _ignore_damage(damage: str) -> None:
    """Damage was judged by the probe; what matters here is that every frame has its indexed hash."""


def _same(reel: IndexedReel, number: int, samples: Planes) -> bool:
    # Before a reel is surveyed nothing is known of what its frames show.
    return not reel.facts.surveyed or planes.has_digest(samples, reel.index.digest[number])


def _rotate(picture: Picture, degrees: int) -> Picture:
    return np.ascontiguousarray(np.rot90(picture, degrees // 90, axes=(1, 2))) if degrees else picture
