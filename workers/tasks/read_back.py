"""Reads restored frames back out of their chunks: hashes them, compares neighbours, encodes the access copy.

Blocks lie on a grid of absolute frame numbers, whatever segments the reel was cut into, and are read in parallel; what
is left for the reel as a whole is joined packet by packet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from db.errors import InputError, WorkError
from db.records import NEIGHBOR_FRAMES, Assignment, Blob, ItemView, Part, TaskResult
from workers.media import digests, index, planes
from workers.media.film import access_copy, container, ffv1, framemd5, remux
from workers.media.film.timing import reel_clock
from workers.media.pixels import to_picture, to_planes
from workers.media.reel import layout_of
from workers.tasks import pace, scoring
from workers.workbench import Workbench


class _ReadFrame(NamedTuple):
    number: int
    packet: bytes
    """Digest of the packet that it was decoded from."""
    frame: VideoFrame


def read_back(assignment: Assignment, bench: Workbench) -> TaskResult:
    """Read the frames ``[start_frame, stop_frame)`` out of the chunks that hold them.

    Returns:
        ``frames`` (npz): per frame the ``md5`` of its samples, their ``bytes``, and ``packets``, digests of what they
        were decoded from; where the recipe asks for it, values of metrics of neighbouring frames, and
        ``access_order``. With that, ``access``: this block of the access copy.

    Raises:
        WorkError: The frames cannot be read.
    """
    item, span = assignment.reel, (assignment.start_frame, assignment.stop_frame)
    plan = master_plan(item, bench)
    pairs = _pairs(item, plan, span)
    first = max(0, span[0] - NEIGHBOR_FRAMES) if pairs else span[0]
    stop = min(plan.facts.frame_count, span[1] + 1) if item.recipe.access_fps is not None else span[1]
    records = _FrameRecords()

    def own_frames() -> Iterator[VideoFrame]:
        for number, packet, frame in _read_frames(assignment.parts, (first, stop), bench):
            if pairs and number < span[1]:
                pairs.add(to_picture(planes.to_planes(frame, plan.layout), plan.layout))
            if span[0] <= number < span[1]:
                records.add(packet, framemd5.frame_checksum(frame))
            if number >= span[0]:
                yield frame
            bench.advance()

    outputs, frames = dict[str, Blob](), own_frames()
    values: dict[str, NDArray[Any]] = {}
    if "access" in item.recipe.outputs:
        path = bench.scratch / "access.mp4"
        shown = _at_access_rate(frames, item, plan, span)
        values["access_order"] = access_copy.encode_block(path, shown, plan, item.recipe)
        if len(values["access_order"]):
            outputs["access"] = bench.put(path.name, path)
    deque(frames, maxlen=0)
    count = span[1] - span[0]
    if len(records.sizes) != count:
        raise WorkError(f"{len(records.sizes)} of frames {span[0]} to {span[1] - 1} are there", code="WORKER_FAULT")
    if pairs:
        values |= {name: series[-count:] for name, series in pairs.values().items()}
    outputs["frames"] = bench.put_bytes("frames.npz", index.pack(**records.values(), **values))
    return TaskResult(outputs=outputs, frames=count)


def master_plan(item: ItemView, bench: Workbench) -> remux.MasterPlan:
    """Return how a reel's master is made, without what lies beside its picture."""
    facts = item.facts
    if facts is None:
        raise InputError(f"{item.source.uri}: the reel has not been probed", code="BAD_VALUE")
    profile = index.unpack(bench.store.read(item.profile)) if item.profile else {}
    return remux.MasterPlan(
        layout=ffv1.master_layout(layout_of(facts), (facts.height, facts.width), item.recipe),
        size=ffv1.master_size(facts, item.recipe),
        clock=reel_clock(item.source, facts, index.loads(bench.store.read(facts.index))),
        facts=facts,
        tags={},
        shot_starts=frozenset(np.flatnonzero(profile["cut"]).tolist()) if profile else frozenset(),
    )


def is_packet(packet: Packet[Any], digest: NDArray[np.uint8]) -> bool:
    """Whether a packet holds the bytes of that from which a frame was read back; ``digest`` is what it noted."""
    return digests.matches([memoryview(packet)], digest.tobytes())


class _FrameRecords:
    """What is written down of the frames that were read, in order."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._sums = bytearray()
        self._packets = bytearray()

    def add(self, packet: bytes, checksum: framemd5.FrameChecksum) -> None:
        self.sizes.append(checksum.bytes)
        self._sums += bytes.fromhex(checksum.md5)
        self._packets += packet

    def values(self) -> dict[str, NDArray[Any]]:
        sums, packets = (np.frombuffer(part, np.uint8) for part in (self._sums, self._packets))
        rows = len(self.sizes), -1
        return {"bytes": np.array(self.sizes, np.int64), "md5": sums.reshape(rows), "packets": packets.reshape(rows)}


def _pairs(item: ItemView, plan: remux.MasterPlan, span: tuple[int, int]) -> scoring.NeighborScores | None:
    """Return what compares neighbouring frames, for film in colour: in grey nothing of it can be seen."""
    if plan.layout.channels == 1 or "scores" not in item.recipe.outputs:
        return None
    return scoring.NeighborScores(plan.shot_starts, max(0, span[0] - NEIGHBOR_FRAMES))


def _at_access_rate(
    frames: Iterator[VideoFrame], item: ItemView, plan: remux.MasterPlan, span: tuple[int, int]
) -> Iterator[VideoFrame]:
    """Yield the access copy's frames in the master's layout: the master's own, or others at the rate that is wanted."""
    rate, count = item.recipe.access_fps, plan.facts.frame_count
    if rate is None or (rate == plan.clock.rate and not plan.clock.times):
        yield from islice(frames, span[1] - span[0])
        return
    pictures = (to_picture(planes.to_planes(frame, plan.layout), plan.layout) for frame in frames)
    for picture in pace.change_rate(pictures, plan.clock, count, rate, plan.shot_starts, span):
        yield planes.to_frame(to_planes(picture, plan.layout), plan.layout)


def _read_frames(parts: tuple[Part, ...], span: tuple[int, int], bench: Workbench) -> Iterator[_ReadFrame]:
    """Decode some frames from the chunks that hold them: every packet is a frame by itself."""
    for part in parts:
        if part.stop_frame <= span[0] or part.start_frame >= span[1]:
            continue
        path = bench.fetch(part.outputs["chunk"])
        bench.advance()
        with container.open_film(path, max(1, bench.settings.codec_threads)) as (film, stream):
            packets = (packet for packet in film.demux(stream) if packet.size)
            for number, packet in zip(range(part.start_frame, span[1]), packets, strict=False):
                if number >= span[0]:
                    for frame in container.decode(stream, packet, _raise_fault):
                        yield _ReadFrame(number, digests.digest([memoryview(packet)]), frame)
        if path.is_relative_to(bench.scratch):
            path.unlink()  # a copy of our own; a store that is a folder lends its own file, which must stay


def _raise_fault(damage: str) -> None:
    raise WorkError(f"A chunk cannot be decoded: {damage}", code="WORKER_FAULT")
