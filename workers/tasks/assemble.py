"""Puts a restored reel together: master, access copy, scores, frame hashes.

Only packets move: those of chunks into the master, those of blocks into the access copy. What the frames are was read
back block by block; here the master's packets are held against that. Nothing grows with the reel but a few numbers a
frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.errors import WorkError
from db.records import BLOCK_FRAMES, Assignment, Blob, ItemResult, ItemView, Part, ReelFacts
from db.states import TaskKind
from workers import stages
from workers.media import index
from workers.media.errors import writing
from workers.media.film import access_copy, container, framemd5, remux, side_streams
from workers.media.film.sound import SoundVerifier
from workers.media.film.timing import Clock
from workers.media.sequences import write as sequence_write
from workers.media.source import locate, locate_sound
from workers.media.stills import xmp
from workers.tasks import ai_marking, gates, pace, read_back, repair_masks, score_table, scoring, step_changes, timeline
from workers.workbench import Workbench

_BLOCKS_HERE = "blocks"
"""Below the attempt's own prefix: what only lives while it does."""


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
    item = assignment.reel
    plan = _with_sides(read_back.master_plan(item, bench), item, bench)
    facts, shots = plan.facts, len(plan.shot_starts) or 1
    _check_parts(assignment.parts, facts)
    blocks = assignment.blocks or tuple(_read_blocks(assignment, facts, bench))
    _check_parts(blocks, facts)
    master = bench.scratch / "master.mkv"
    copies = remux.write_master(master, _files(assignment.parts, "chunk", bench), plan)
    notes = list(_notes(item, facts))
    frames = list(_block_values(blocks, bench))
    verifier = SoundVerifier(copies.fingerprints)
    _check_master(master, np.concatenate([each["packets"] for each in frames]), verifier, bench)
    outputs = {"master": bench.put("master.mkv", master)} | _sequence_archives(assignment.parts)
    outputs["framemd5"] = _write_checksums(frames, plan, bench)
    if copies.refused:
        outputs |= _store_sound_file(plan, copies.refused, notes, bench)
    outputs |= _mask_films(assignment.parts, item, plan, bench)
    if "access" in item.recipe.outputs:
        outputs["access"] = _join_access_copy(blocks, frames, item, plan, notes, bench)
    values, outputs["scores"] = _write_scores(assignment.parts, frames, plan.clock, bench)
    shows = index.loads(bench.store.read(facts.index)).shows
    outputs["timeline"] = bench.put_bytes(
        "timeline.bin", timeline.pack(item, plan.clock, values, plan.shot_starts, shows)
    )
    if not assignment.blocks:
        bench.store.delete(f"{bench.key_prefix}/{_BLOCKS_HERE}")
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
        remux.write_master(path, _files(parts, name, bench), mask_plan)
        outputs[name] = bench.put(path.name, path)
    return outputs


def _check_parts(parts: tuple[Part, ...], facts: ReelFacts) -> None:
    bounds = [0, *(part.stop_frame for part in parts)]
    if [part.start_frame for part in parts] != bounds[:-1] or bounds[-1] != facts.frame_count:
        raise WorkError(f"The segments do not add up to {facts.frame_count} frames: {bounds}", code="WORKER_FAULT")


def _sequence_archives(parts: tuple[Part, ...]) -> dict[str, Blob]:
    """Return the segments' tar files of an image sequence in frame order: they stay as they are."""
    archives = [part.outputs["sequence"] for part in parts if "sequence" in part.outputs]
    return {f"sequence-{number:06d}": blob for number, blob in enumerate(archives)}


def _with_sides(plan: remux.MasterPlan, item: ItemView, bench: Workbench) -> remux.MasterPlan:
    """Return the plan with tags and with what lies beside the picture."""
    film = None if item.source.sequence else locate(item.source, bench.settings, bench.scratch)
    film_tags: dict[str, str] = {}
    if film is not None:
        with container.open_film(film) as (demuxer, _):
            film_tags = side_streams.tags(demuxer)
    tags = film_tags | _tags(item, plan.facts) | _source_mark(item, plan.facts).tags(film_tags)
    sound = locate_sound(item.source, bench) if plan.facts.sound else None
    return replace(plan, tags={"title": item.external_id} | tags, film=film, sound=sound)


def _block_values(blocks: tuple[Part, ...], bench: Workbench) -> Iterator[dict[str, NDArray[Any]]]:
    for block in blocks:
        yield index.unpack(bench.store.read(block.outputs["frames"]))
        bench.advance()


def _read_blocks(assignment: Assignment, facts: ReelFacts, bench: Workbench) -> Iterator[Part]:
    """Read back here what no task did: a reel that was planned by a release before read-back was a task of its own."""
    for start in range(0, facts.frame_count, BLOCK_FRAMES):
        stop = min(start + BLOCK_FRAMES, facts.frame_count)
        update = {"kind": TaskKind.READ_BACK, "start_frame": start, "stop_frame": stop}
        scratch = bench.scratch / f"block-{start}"
        scratch.mkdir()
        below = replace(bench, scratch=scratch, key_prefix=f"{bench.key_prefix}/{_BLOCKS_HERE}/{start}")
        result = read_back.read_back(assignment.model_copy(update=update), below)
        yield Part(start_frame=start, stop_frame=stop, outputs=result.outputs)


def _files(parts: tuple[Part, ...], output: str, bench: Workbench) -> Iterator[Path]:
    for part in parts:
        if output not in part.outputs:
            continue
        # Their packets are held against what was read back of them, so their digests need not be taken again.
        path = bench.fetch(part.outputs[output], check=output != "chunk")
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


def _check_master(master: Path, digests: NDArray[np.uint8], verifier: SoundVerifier, bench: Workbench) -> None:
    """Hold a written master's packets against those that frames were read back from, and hear its sound."""
    number = 0
    with container.open_film(master) as (demuxer, stream):
        for packet in demuxer.demux():
            verifier.add_packet(packet)
            if packet.size and packet.stream.index == stream.index:
                if number < len(digests) and not read_back.is_packet(packet, digests[number]):
                    raise WorkError(f"Frame {number} of the master is not what was read back", code="WORKER_FAULT")
                number += 1
                bench.advance()
    if number != len(digests):
        raise WorkError(f"The master has {number} frames instead of {len(digests)}", code="WORKER_FAULT")


def _write_checksums(frames: list[dict[str, NDArray[Any]]], plan: remux.MasterPlan, bench: Workbench) -> Blob:
    """Write the list of the frames' checksums; it is of the frames alone, whatever their times are."""
    path, (height, width) = bench.scratch / "master.framemd5", plan.size
    checksums = (
        framemd5.FrameChecksum(size, md5.tobytes().hex())
        for block in frames
        for size, md5 in zip(block["bytes"].tolist(), block["md5"], strict=True)
    )
    with writing(path.name), path.open("w", encoding="ascii") as file:
        file.write(framemd5.header(width, height, plan.facts.rate, plan.facts.sample_aspect))
        file.writelines(framemd5.lines(checksums))
    return bench.put(path.name, path)


def _join_access_copy(
    blocks: tuple[Part, ...], frames: list[dict[str, NDArray[Any]]], item: ItemView, plan: remux.MasterPlan,
    notes: list[str], bench: Workbench,
) -> Blob:  # fmt: skip
    path, clock = bench.scratch / "access.mp4", None
    if item.recipe.access_fps is not None:
        clock = pace.clock_at(plan.clock, item.recipe.access_fps)
    orders = [order for each in frames if len(order := each["access_order"])]
    comment = _source_mark(item, plan.facts).sentence()
    codecs = access_copy.write_access_copy(
        path, _files(blocks, "access", bench), orders, plan, comment=comment, clock=clock
    )
    if codecs:
        notes.append(f"In the access copy the sound ({', '.join(codecs)}) was encoded as AAC.")
    xmp.copy_xmp(None, path, _source_mark(item, plan.facts).xmp())
    return bench.put("access.mp4", path)


def _write_scores(
    parts: tuple[Part, ...], frames: list[dict[str, NDArray[Any]]], clock: Clock, bench: Workbench
) -> tuple[dict[str, NDArray[np.float64]], Blob]:
    """Concatenate segments' and blocks' values into one Parquet file, a row a frame."""
    pair_names = frames[0].keys() - {"md5", "bytes", "packets", "access_order"}
    pair_values = {name: np.concatenate([block[name] for block in frames]) for name in sorted(pair_names)}
    segment_values = [index.unpack(bench.store.read(part.outputs["scores"])) for part in parts]
    # Segments that were taken over hold the values of neighbours too, which are made anew.
    names = sorted(set.intersection(*(set(part) for part in segment_values)))
    values = {name: np.concatenate([part[name] for part in segment_values]) for name in names} | pair_values
    path = bench.scratch / "scores.parquet"
    score_table.write(path, values, clock)
    return values, bench.put("scores.parquet", path)
