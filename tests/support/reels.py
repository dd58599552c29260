"""Small synthetic reels and stills, and the whole life of a reel in one call."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from db.catalog.stages import STAGES
from db.recipe import parse
from db.records import BLOCK_FRAMES, Assignment, ItemResult, ItemView, Part, Source, TaskResult
from db.settings import Settings
from db.states import ItemKind, TaskKind
from db.store.local import LocalStore
from workers.tasks import assemble, inspect, merge, probe, read_back, restore
from workers.workbench import Workbench

_numbers = itertools.count(1)


def moving(count: int, height: int = 24, width: int = 32, channels: int = 1, bits: int = 8, seed: int = 0) -> list[Any]:
    """Frames ``(C, H, W)`` of a drifting pattern with grain and flicker; every code value may occur."""
    rng = np.random.default_rng(seed)
    top = 2**bits - 1
    rows, columns = np.mgrid[0:height, 0:width]
    made = []
    for n in range(count):
        base = 0.5 + 0.3 * np.sin((columns + n) / 5) * np.cos((rows - n) / 4) + 0.04 * np.sin(n * 2.1)
        noisy = base + 0.08 * rng.standard_normal((channels, height, width))
        made.append(np.clip(np.rint(noisy * top), 0, top).astype(np.uint8 if bits == 8 else np.uint16))
    return made


def longest_recipe(**fields: Any) -> str:
    """All stages that need no registered weights and keep the size, in working order, as YAML."""
    names = [
        spec.name for spec in STAGES.values()
        if not spec.module and not spec.done_by_probe and not spec.makes_color
        and spec.scale(spec.params().model_dump(mode="json")) == 1
    ]  # fmt: skip
    own = {"denoise": {"method": "temporal", "radius": 1}, "stabilize_color": {"radius": 1}}
    document = {"recipe": [{name: own.get(name, {})} for name in names], **fields}
    return json.dumps(document)


def damaged(count: int, height: int = 32, width: int = 48, channels: int = 1, bits: int = 8) -> list[Any]:
    """Frames of :func:`moving`, calmer, with a speck in every second frame and a scratch down all of them."""
    top = 2**bits - 1
    made = [(frame.astype(np.float64) * 0.5 + 0.2 * top) for frame in moving(count, height, width, channels, bits)]
    for number, frame in enumerate(made):
        if number % 2:
            frame[:, 6 + number % 9 : 9 + number % 9, 10 + number % 20 : 14 + number % 20] = top
        frame[:, :, 30] = 0.05 * top
    return [np.rint(frame).astype(np.uint8 if bits == 8 else np.uint16) for frame in made]


def film(
    path: Path,
    frames: list[NDArray[Any]],
    pixel_format: str,
    *,
    rate: Fraction = Fraction(16),
    codec: str = "ffv1",
    options: dict[str, str] | None = None,
    pts: list[int] | None = None,
    sound: str = "",
    aspect: Fraction | None = None,
    full_range: bool | None = None,
    tags: dict[str, str] | None = None,
    lead_seconds: Fraction = Fraction(0),
) -> Path:
    """Write planes as they are: each frame is a list or array of planes in the pixel format's own order."""
    with av.open(str(path), "w") as out:
        out.metadata.update(tags or {})
        height, width = np.asarray(frames[0][0]).shape
        stream = out.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = Fraction(1, 1000) if pts else 1 / rate
        stream.codec_context.thread_count = 1
        stream.codec_context.gop_size = 1 if codec == "ffv1" else 8
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if full_range is not None:
            stream.codec_context.color_range = 2 if full_range else 1
        track = _track(out, sound) if sound else None
        for n, planes in enumerate(frames):
            frame = frame_of(list(planes), pixel_format)
            frame.pts, frame.time_base = (pts[n], Fraction(1, 1000)) if pts else (n, 1 / rate)
            frame.pts += round(lead_seconds / frame.time_base)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if track is not None:
            _sing(out, track, float(len(frames) / rate))
    return path


def frame_of(planes: list[NDArray[Any]], pixel_format: str) -> av.VideoFrame:
    """A frame that holds the planes."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pixel_format)
    for target, plane in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(memoryview(target), plane.dtype).reshape(target.height, -1)
        rows[:, : plane.shape[1]] = plane
    return frame


def _track(out: Any, codec: str) -> Any:
    more = {"bit_rate": 32_000} if codec.startswith("wma") else {}
    return out.add_stream(codec, rate=8000, layout="mono", **more)


def _sing(out: Any, track: Any, seconds: float) -> None:
    samples = (8000 * np.sin(np.arange(round(8000 * seconds)) / 5)).astype(np.int16)
    fitted = av.AudioResampler(format=track.codec_context.format, layout="mono", rate=8000)
    for start in range(0, len(samples), 800):
        sound = av.AudioFrame.from_ndarray(samples[None, start : start + 800], format="s16", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = 8000, start, Fraction(1, 8000)
        for part in fitted.resample(sound):
            out.mux(track.encode(part))
    out.mux(track.encode(None))


def planes_of(path: Path) -> list[list[NDArray[Any]]]:
    """Decode a film with PyAV alone: per frame its planes, tight, in the pixel format's own order."""
    out = []
    with av.open(str(path)) as opened:
        for frame in opened.decode(video=0):
            deep = frame.format.components[0].bits > 8
            packed = 4 if frame.format.name == "bgr0" else 1
            dtype = np.uint16 if deep else np.uint8
            out.append(
                [
                    np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)[:, : plane.width * packed].copy()
                    for plane in frame.planes
                ]
            )
    return out


@dataclass(frozen=True)
class House:
    """A store and scratch folders below one temporary folder."""

    folder: Path
    settings: Settings

    @property
    def store(self) -> LocalStore:
        return LocalStore(Path(self.settings.store))

    def bench(self, report: Any = None) -> Workbench:
        number = next(_numbers)
        scratch = self.folder / f"scratch-{number}"
        scratch.mkdir(parents=True)
        more = {"report": report} if report else {}
        return Workbench(self.store, scratch, self.settings, f"attempt/{number}", **more)

    def path(self, blob: Any) -> Path:
        found = self.store.local_path(blob.key)
        assert found is not None
        return found


def house(folder: Path, **settings: Any) -> House:
    return House(folder, Settings(home=folder / "home", **settings))


def item(uri: Path, recipe: str = "[]", *, kind: ItemKind = ItemKind.REEL, **more: Any) -> ItemView:
    source = {name: more.pop(name) for name in list(more) if name in Source.model_fields}
    return ItemView(
        id=next(_numbers),
        external_id=uri.stem,
        source=Source(uri=str(uri), kind=kind, **source),
        recipe=parse(recipe, "trial"),
        generation=1,
        **more,
    )


def order(item_: ItemView, kind: TaskKind, start: int = 0, stop: int = 0, parts: tuple[Part, ...] = ()) -> Assignment:
    span = {"start_frame": start, "stop_frame": stop}
    return Assignment(task_id=1, attempt=1, kind=kind, job_id=1, item=item_, parts=parts, key_prefix="k", **span)


def probed(at: House, item_: ItemView) -> ItemView:
    """The item with its facts, its frames surveyed where the probe left that to others."""
    item_ = item_.model_copy(update={"facts": probe.probe(order(item_, TaskKind.PROBE), at.bench()).facts})
    return surveyed(at, item_) if item_.facts and not item_.facts.surveyed else item_


def surveyed(at: House, item_: ItemView, segment_frames: int = 64) -> ItemView:
    """The item with the facts and, where its recipe needs one, the profile that a survey comes to."""
    parts = _parts(at, item_, segment_frames, TaskKind.INSPECT, inspect.inspect)
    merged = merge.merge(order(item_, TaskKind.MERGE, parts=parts), at.bench())
    return item_.model_copy(update={"facts": merged.facts, "profile": merged.outputs.get("profile")})


def restored(at: House, item_: ItemView, segment_frames: int) -> tuple[Part, ...]:
    """All segments of a probed reel."""
    return _parts(at, item_, segment_frames, TaskKind.RESTORE, restore.restore_segment)


def whole_life(
    at: House, item_: ItemView, segment_frames: int = 8, block_frames: int = BLOCK_FRAMES
) -> tuple[ItemView, ItemResult]:
    """Probe, inspect and merge where needed, restore in segments, read back in blocks, assemble."""
    item_ = probed(at, item_)
    if item_.recipe.reel_needs and item_.profile is None:
        parts = _parts(at, item_, segment_frames, TaskKind.INSPECT, inspect.inspect)
        merged = merge.merge(order(item_, TaskKind.MERGE, parts=parts), at.bench())
        item_ = item_.model_copy(update={"profile": merged.outputs["profile"]})
    parts = restored(at, item_, segment_frames)
    return item_, assembled(at, item_, parts, block_frames)


def assembled(at: House, item_: ItemView, parts: tuple[Part, ...], block_frames: int = BLOCK_FRAMES) -> ItemResult:
    """What comes of restored segments."""
    blocks = _parts(at, item_, block_frames, TaskKind.READ_BACK, read_back.read_back, parts)
    whole = order(item_, TaskKind.ASSEMBLE, parts=parts).model_copy(update={"blocks": blocks})
    return assemble.assemble(whole, at.bench())


def _parts(
    at: House, item_: ItemView, frames: int, kind: TaskKind, work: Any, of: tuple[Part, ...] = ()
) -> tuple[Part, ...]:
    assert item_.facts is not None
    count, parts = item_.facts.frame_count, []
    for start in range(0, count, frames):
        stop = min(count, start + frames)
        result: TaskResult = work(order(item_, kind, start, stop, of), at.bench())
        parts.append(Part(start_frame=start, stop_frame=stop, outputs=result.outputs))
    return tuple(parts)
