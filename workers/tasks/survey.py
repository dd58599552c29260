"""Decodes frames of a reel for the first time, where the probe read packets alone: hashes, and whether all is well.

Frames on both sides of a task's bounds are decoded by two tasks, one of which came to them from further back: where
they differ, a decoder cannot start everywhere, and the reel is looked through from beginning to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from db.errors import InputError
from db.records import Assignment, Part, TaskResult
from workers import profiles
from workers.media import index, planes, reel
from workers.media.digests import DIGEST_BYTES
from workers.workbench import Workbench


def survey(assignment: Assignment, bench: Workbench) -> TaskResult:
    """Decode the frames ``[start_frame, stop_frame)``, and some before them, and measure them for the reel profile.

    Returns:
        ``frames`` (npz): ``first``, the number of the first frame that was decoded, ``digest`` and ``flagged``, a row a
        frame from there on, and ``odd``, UTF-8 of what is not as it should be. Where nothing is and the recipe needs a
        profile, ``values``, as ``inspect`` makes them.
    """
    source_reel = reel.open_reel(assignment.reel, bench)
    kinds, start, stop = assignment.reel.recipe.reel_needs, assignment.start_frame, assignment.stop_frame
    first = source_reel.index.key_at(max(0, start - 1))
    digests, flagged, rows, before, odd = [], [], [], None, ""
    try:
        for frame in reel.survey_frames(source_reel, first, stop):
            digests.append(planes.digest(frame.samples))
            flagged.append(frame.is_flagged)
            if kinds and frame.number >= start - 1:
                picture = reel.upright_picture(source_reel, frame.samples)
                if frame.number >= start:
                    rows.append(profiles.measure(kinds, picture, before))
                before = picture
            bench.advance(int(frame.number >= start))
    except InputError as error:
        odd = error.message
    arrays = {
        "first": np.array([first], np.int64), "flagged": np.array(flagged, bool),
        "digest": np.reshape(digests, (len(digests), DIGEST_BYTES)).astype(np.uint8),
        "odd": np.frombuffer(odd.encode(), np.uint8),
    }  # fmt: skip
    outputs = {"frames": bench.put_bytes("frames.npz", index.pack(**arrays))}
    if rows and not odd:
        outputs["values"] = bench.put_bytes("values.npz", index.pack(**profiles.stack(rows)))
    return TaskResult(outputs=outputs, frames=stop - start)


@dataclass(frozen=True)
class Survey:
    """What all tasks together found."""

    digest: NDArray[np.uint8]
    """``(N, 16)``, see ``index.Index``."""
    is_even: bool
    """Whether nothing is odd, and every frame is the same from wherever it was decoded."""


def join(parts: Sequence[Part], frame_count: int, bench: Workbench) -> Survey:
    """Put together what the tasks of a reel found, in frame order."""
    digest, is_even = np.zeros((frame_count, DIGEST_BYTES), np.uint8), True
    for part in parts:
        arrays = index.unpack(bench.store.read(part.outputs["frames"]))
        bench.advance()
        first, own = int(arrays["first"][0]), arrays["digest"]
        is_whole = not len(arrays["odd"]) and first + len(own) == part.stop_frame and not arrays["flagged"].any()
        overlap = own[: part.start_frame - first]
        if not is_whole or not np.array_equal(overlap, digest[first : part.start_frame]):
            is_even = False
            break
        digest[part.start_frame : part.stop_frame] = own[part.start_frame - first :]
    return Survey(digest, is_even)
