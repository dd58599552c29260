"""Puts a restored reel together: master, access copy, scores, frame hashes.

Chunks are fetched one by one and their packets copied into the master; it is then decoded once, for its hashes and for
the access copy. Nothing grows with the reel but a few numbers a frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from db.errors import InputError, WorkError
from db.records import Assignment, Blob, ItemResult, ItemView, Part, ReelFacts
from workers import stages
from workers.media import index, planes
from workers.media.film import access_copy, container, ffv1, framemd5, remux, side_streams
from workers.media.film.sound import SoundVerifier
from workers.media.film.timing import Clock, reel_clock
from workers.media.pixels import Layout, to_picture, to_planes
from workers.media.reel import layout_of
from workers.media.sequences import write as sequence_write
from workers.media.source import locate, locate_sound
from workers.media.stills import xmp
from workers.tasks import ai_marking, gates, pace, repair_masks, scoring, step_changes, timeline
from workers.workbench import Workbench


def assemble(assignment: Assignment, bench: Workbench) -> ItemResult:
    """Put the finished segments of a reel together.

    Returns:
        ``master`` (FFV1 in Matroska), ``scores`` (Parquet, a row a frame), ``framemd5`` of the master's frames; where
        wanted ``access`` (H.264 in MP4); ``audio`` when Matroska does not take the source's sound; of an image
        sequence, where wanted, ``sequence-000000`` and so on: tar files of its restored files, in frame order; where
        wanted, ``STAGE.mask``: a film of what each repairing step repaired; ``timeline``, which pages are drawn from.

    Raises:
        WorkError: The segments do not add up to the reel.
        InputError: The source's sound cannot be read any more.
    """
    item, facts = assignment.reel, _facts_of(assignment.reel)
    _check_parts(assignment.parts, facts)
    master = bench.scratch / "master.mkv"
    plan = _master_plan(item, facts, bench)
    copies = remux.write_master(master, _chunks(assignment.parts, "chunk", bench), plan)
    notes = list(_notes(item, facts))
    outputs = {"master": bench.put("master.mkv", master)} | _sequence_archives(assignment.parts)
    if copies.refused:
        outputs |= _store_sound_file(plan, copies.refused, notes, bench)
    outputs |= _mask_films(assignment.parts, item, plan, bench)
    pairs = _pairs(item, plan)
    verifier = SoundVerifier(copies.fingerprints)
    outputs |= _decode_master(master, item, plan, verifier, notes, pairs, bench)
    values, outputs["scores"] = _write_scores(assignment.parts, pairs.values() if pairs else {}, plan.clock, bench)
    shows = index.loads(bench.store.read(facts.index)).shows
    outputs["timeline"] = bench.put_bytes(
        "timeline.bin", timeline.pack(item, plan.clock, values, plan.shot_starts, shows)
    )
    shots = len(plan.shot_starts) or 1
    scores = scoring.summarize(values)
    notes += [
        *step_changes.notes(item.recipe, values),
        *step_changes.place_faults(item.recipe, facts.frame_count, shots),
        *scoring.notes(values, scores),
        *gates.notes(item.recipe.gates, values, scores),
    ]
    return ItemResult(
        outputs=outputs,
        scores=scores,
        facts={
            **facts.model_dump(mode="json"),
            "copied_sound": verifier.verify(),
            **({"taken_over_from_generation": item.base.generation} if item.base else {}),
            **step_changes.facts(item.recipe, values),
            **_source_mark(item, facts).result_facts(),
        },
        notes=tuple(notes),
        frames=facts.frame_count,
        below_gates=gates.below_gates(item.recipe.gates, values, scores),
    )


def _mask_films(parts: tuple[Part, ...], item: ItemView, plan: remux.MasterPlan, bench: Workbench) -> dict[str, Blob]:
    """Put together the films that show what was repaired, their frames at the times of the master's."""
    outputs = {}
    for number, name in repair_masks.wanted_names(item.recipe).items():
        path = bench.scratch / f"{name}.mkv"
        tags = {"title": f"{item.external_id}: what {item.recipe.steps[number].stage} repaired"}
        mask_plan = remux.MasterPlan(
            repair_masks.LAYOUT, repair_masks.size_at(item, number), plan.clock, plan.facts, tags
        )
        remux.write_master(path, _chunks(parts, name, bench), mask_plan)
        outputs[name] = bench.put(path.name, path)
    return outputs


def _facts_of(item: ItemView) -> ReelFacts:
    if item.facts is None:
        raise InputError("An assemble task came without a probed reel", code="BAD_VALUE")
    return item.facts


def _check_parts(parts: tuple[Part, ...], facts: ReelFacts) -> None:
    bounds = [0, *(part.stop_frame for part in parts)]
    if [part.start_frame for part in parts] != bounds[:-1] or bounds[-1] != facts.frame_count:
        raise WorkError(f"The segments do not add up to {facts.frame_count} frames: {bounds}", code="WORKER_FAULT")


def _sequence_archives(parts: tuple[Part, ...]) -> dict[str, Blob]:
    """Return the segments' tar files of an image sequence in frame order: they stay as they are."""
    archives = [part.outputs["sequence"] for part in parts if "sequence" in part.outputs]
    return {f"sequence-{number:06d}": blob for number, blob in enumerate(archives)}


def _master_plan(item: ItemView, facts: ReelFacts, bench: Workbench) -> remux.MasterPlan:
    film = None if item.source.sequence else locate(item.source, bench.settings, bench.scratch)
    film_tags: dict[str, str] = {}
    if film is not None:
        with container.open_film(film) as (demuxer, _):
            film_tags = side_streams.tags(demuxer)
    tags = film_tags | _tags(item, facts) | _source_mark(item, facts).tags(film_tags)
    return remux.MasterPlan(
        layout=ffv1.master_layout(layout_of(facts), (facts.height, facts.width), item.recipe),
        size=ffv1.master_size(facts, item.recipe),
        clock=reel_clock(item.source, facts, index.loads(bench.store.read(facts.index))),
        facts=facts,
        tags={"title": item.external_id} | tags,
        film=film,
        shot_starts=_shot_starts(item, bench),
        sound=locate_sound(item.source, bench) if facts.sound else None,
    )


def _chunks(parts: tuple[Part, ...], output: str, bench: Workbench) -> Iterator[Path]:
    for part in parts:
        path = bench.fetch(part.outputs[output])
        yield path
        bench.advance()
        if path.is_relative_to(bench.scratch):
            # A copy of our own; a store that is a folder lends its own file, which must stay.
            path.unlink()


def _tags(item: ItemView, facts: ReelFacts) -> dict[str, str]:
    tags = {
        "ITEM": item.external_id,
        "RESTORED_WITH": f"Reelwright, recipe {item.recipe.name} ({item.recipe.fingerprint()})",
        "SOURCE_SHA256": facts.sha256,
    }
    if facts.timecode:
        tags["TIMECODE"] = facts.timecode
    if facts.transfer == "log":
        tags["TRANSFER"] = "Cineon printing density: black 95, white 685 of 1023"  # Matroska has no number for it
    if item.substitutes:
        tags["SUBSTITUTED_FRAMES"] = "; ".join(_substitutes(item))
    return tags


def _source_mark(item: ItemView, facts: ReelFacts) -> ai_marking.SourceMark:
    return ai_marking.source_mark(item.recipe, facts.already_colored, facts.frame_count)


def _substitutes(item: ItemView) -> Iterator[str]:
    for entry in item.substitutes:
        replacement = "black" if entry.use is None else f"frame {entry.use}"
        yield f"frame {entry.frame} shows {replacement} ({entry.reason})"


def _notes(item: ItemView, facts: ReelFacts) -> Iterator[str]:
    yield from (f"In place of a frame that could not be restored, {text}." for text in _substitutes(item))
    yield from stages.notes(item.recipe, facts.already_colored, facts.frame_count)
    yield from facts.notes
    yield from sequence_write.notes(item)
    if item.recipe.access_fps is not None and "access" in item.recipe.outputs:
        yield (
            f"The access copy runs at {item.recipe.access_fps} frames per second: frames between those of the master "
            "were made along the motion, none across a cut."
        )
    if facts.damaged:
        yield f"The source is damaged: {facts.damaged}."
    if facts.rotation_degrees:
        yield f"Frames were turned by {facts.rotation_degrees} degrees, as the source's header asks."
    if facts.deinterlaced:
        yield f"Whole frames were made of fields: {facts.deinterlaced}."
    yield from (f"Not carried: {text}." for text in facts.left_out)
    yield from (f"{text}." for text in facts.disagreements)
    if item.source.fps and facts.audio and not facts.sound:
        yield f"The picture runs at {facts.rate} frames per second, as the manifest says; the sound was not stretched."


def _store_sound_file(plan: remux.MasterPlan, codecs: list[str], notes: list[str], bench: Workbench) -> dict[str, Blob]:
    path = remux.write_sound_file(bench.scratch, plan)
    if path is None:
        notes.append(f"No container takes the sound ({', '.join(codecs)}) as it is; it is in the source alone.")
        return {}
    notes.append(f"Matroska does not take the sound ({', '.join(codecs)}); it lies beside the master, unchanged.")
    return {"audio": bench.put(path.name, path)}


def _decode_master(
    master: Path, item: ItemView, plan: remux.MasterPlan, verifier: SoundVerifier,
    notes: list[str], pairs: scoring.NeighborScores | None, bench: Workbench,
) -> dict[str, Blob]:  # fmt: skip
    """Decode the master once: hash and compare its frames, and encode the access copy where it is wanted."""
    sums = bench.scratch / "master.framemd5"
    frames = _hash_frames(master, sums, plan.facts, verifier, bench)
    if pairs is not None:
        frames = _compare_neighbors(frames, plan.layout, pairs)
    outputs = {}
    if "access" in item.recipe.outputs:
        path = bench.scratch / "access.mp4"
        shown, clock = _at_access_rate(frames, item, plan), None
        if item.recipe.access_fps is not None:
            clock = pace.clock_at(plan.clock, item.recipe.access_fps)
        comment = _source_mark(item, plan.facts).sentence()
        codecs = access_copy.write_access_copy(path, shown, plan, comment=comment, clock=clock)
        if codecs:
            notes.append(f"In the access copy the sound ({', '.join(codecs)}) was encoded as AAC.")
        xmp.copy_xmp(None, path, _source_mark(item, plan.facts).xmp())
        outputs["access"] = bench.put("access.mp4", path)
    for _ in frames:
        pass
    return outputs | {"framemd5": bench.put("master.framemd5", sums)}


def _at_access_rate(frames: Iterator[VideoFrame], item: ItemView, plan: remux.MasterPlan) -> Iterator[VideoFrame]:
    """Yield the access copy's frames in the master's layout: the master's own, or others at the rate that is wanted."""
    rate = item.recipe.access_fps
    if rate is None or (rate == plan.clock.rate and not plan.clock.times):
        yield from frames
        return
    pictures = (to_picture(planes.to_planes(frame, plan.layout), plan.layout) for frame in frames)
    for picture in pace.change_rate(pictures, plan.clock, plan.facts.frame_count, rate, plan.shot_starts):
        yield planes.to_frame(to_planes(picture, plan.layout), plan.layout)


def _shot_starts(item: ItemView, bench: Workbench) -> frozenset[int]:
    profile = index.unpack(bench.store.read(item.profile)) if item.profile else {}
    return frozenset(np.flatnonzero(profile["cut"]).tolist()) if profile else frozenset()


def _pairs(item: ItemView, plan: remux.MasterPlan) -> scoring.NeighborScores | None:
    """Return what compares neighbouring frames, for film in colour: in grey nothing of it can be seen."""
    if plan.layout.channels == 1 or "scores" not in item.recipe.outputs:
        return None
    return scoring.NeighborScores(plan.shot_starts)


def _compare_neighbors(
    frames: Iterator[VideoFrame], layout: Layout, pairs: scoring.NeighborScores
) -> Iterator[VideoFrame]:
    for frame in frames:
        pairs.add(to_picture(planes.to_planes(frame, layout), layout))
        yield frame


def _hash_frames(
    master: Path, sums: Path, facts: ReelFacts, verifier: SoundVerifier, bench: Workbench
) -> Iterator[VideoFrame]:
    """Decode the master, writing its frames' checksums and hearing its sound; all of its frames must be there."""
    count = 0
    for frame in framemd5.write_checksums(master, sums, facts.rate, facts.sample_aspect, verifier.add_packet):
        count += 1
        bench.advance()
        yield frame
    if count != facts.frame_count:
        raise WorkError(f"The master has {count} frames instead of {facts.frame_count}", code="WORKER_FAULT")


def _write_scores(
    parts: tuple[Part, ...], pair_values: dict[str, NDArray[np.float64]], clock: Clock, bench: Workbench
) -> tuple[dict[str, NDArray[np.float64]], Blob]:
    """Concatenate the segments' values into one Parquet file, a row a frame."""
    segment_values = [index.unpack(bench.store.read(part.outputs["scores"])) for part in parts]
    # Segments that were taken over hold the values of neighbours too, which are made anew.
    names = sorted(set.intersection(*(set(part) for part in segment_values)))
    values = {name: np.concatenate([part[name] for part in segment_values]) for name in names} | pair_values
    count = len(next(iter(values.values())))
    seconds = [clock.seconds(number) for number in range(count)]
    table = pa.table(
        {
            "frame": pa.array(np.arange(count, dtype=np.int64)),
            "seconds": pa.array([float(time) for time in seconds], pa.float64()),
            "pts": pa.array([str(time) for time in seconds], pa.string()),
            **{name: pa.array(series) for name, series in values.items()},
        }
    )
    path = bench.scratch / "scores.parquet"
    pq.write_table(table, path)
    return values, bench.put("scores.parquet", path)
