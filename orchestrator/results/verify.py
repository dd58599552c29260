"""Holds what is there against what was written down: outputs, sources, frames, reruns, folders, bags.

Digests are taken here; what needs pixels is done by one worker process that is asked order by order. Every check ends
in one :class:`Check`; nothing is changed, and nothing is mended.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from db.errors import CODES, InputError
from db.lineage import Generation, Lineage
from db.records import Item
from db.session import Database
from db.settings import Settings
from db.states import ItemKind, ItemState
from db.store.base import Store
from orchestrator.on_demand import worker_process
from orchestrator.results import bag, sequence_tar, signing
from orchestrator.results.export import Placed, Subject, subjects

FRAMES = 32
"""Frames of each reel that are restored again unless another number is asked for."""
_OURS_TO_FINISH = frozenset({ItemState.PENDING, ItemState.RUNNING})

State = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class Check:
    """What one look at one thing found."""

    what: str
    """``output``, ``record``, ``frames``, ``source``, ``rerun``, ``folder``, ``bag`` or ``signature``."""
    where: str
    """Which item and file."""
    state: State = "ok"
    code: str = ""
    """Of :data:`db.errors.CODES`; empty when all is well."""
    message: str = ""
    """What was expected and what was found; or why nothing could be said."""
    remedy: str = ""


@dataclass(frozen=True)
class Wish:
    """How far the looking goes, beside the outputs' digests and the records, which always are looked at."""

    frames: bool = True
    """Decode masters and compare every frame with its checksum."""
    sources: bool = False
    """Read every source again."""
    rerun_frames: int = 0
    """Restore so many frames of each reel again, and each still; 0 restores nothing."""
    folder: Path | None = None
    """A folder into which the job was put out."""


def verify(
    settings: Settings,
    database: Database,
    store: Store,
    job_id: int,
    wish: Wish,
    *,
    external_ids: tuple[str, ...] = (),
    on_item: Callable[[int], None] = lambda count: None,
) -> Iterator[Check]:
    """Look at all that a job's newest results consist of.

    Args:
        settings: What the worker process is told of the house.
        database: Where everything is written down.
        store: Where the outputs lie.
        job_id: The job.
        wish: How far to go.
        external_ids: Only these items; empty means all.
        on_item: Called with the number of items after each.

    Raises:
        InputError: ``UNKNOWN_JOB``, ``UNKNOWN_ITEM``.
    """
    clerk = _Clerk(settings)
    try:
        for count, subject in enumerate(subjects(database, job_id, external_ids=external_ids), start=1):
            yield from _item(subject, store, clerk, wish)
            on_item(count)
        if wish.folder is not None:
            yield from _signatures_in(wish.folder)
    except BaseException:
        clerk.stop()
        raise
    finally:
        clerk.leave()


def verify_bag(folder: Path, on_file: Callable[[int], None] = lambda count: None) -> Iterator[Check]:
    """Look at every file of a bag, anybody's; raises as ``bag.check``."""
    flaws = 0
    for flaw in bag.check(folder, on_file):
        flaws += 1
        yield _failed("bag", flaw.path, flaw.code, f"expected {flaw.expected}; found {flaw.found}")
    if not flaws:
        yield Check("bag", str(folder))
    yield from _signatures_in(folder)


def _item(subject: Subject, store: Store, clerk: _Clerk, wish: Wish) -> Iterator[Check]:
    lineage = subject.lineage
    assert lineage is not None
    made = lineage.newest
    if made is None:
        yield _without_result(lineage)
        return
    yield from _outputs(lineage, made, store)
    yield from _records(lineage, made)
    if wish.folder is not None:
        yield from _folder(subject, store, wish.folder)
    if wish.frames and "framemd5" in made.result.outputs and "master" in made.result.outputs:
        yield _frames(lineage, made, clerk)
    if wish.sources:
        yield _source(lineage, made, clerk)
    if wish.rerun_frames:
        yield _rerun(lineage, made, clerk, wish.rerun_frames)


def _without_result(lineage: Lineage) -> Check:
    if lineage.state is ItemState.DONE:
        return _failed("record", lineage.external_id, "RECORD_DIFFERS", "The item is done, but has no result")
    reason = f"{lineage.code}: {lineage.message}" if lineage.code else f"it is {lineage.state.value}"
    return _skipped("output", lineage.external_id, f"There is no result to look at: {reason}")


# -- what needs no pixels


def _outputs(lineage: Lineage, made: Generation, store: Store) -> Iterator[Check]:
    for output, blob in sorted(made.result.outputs.items()):
        where = f"{lineage.external_id} {output}"
        try:
            store.check(blob)
        except InputError as error:
            yield _failed("output", where, error.code, error.message, _OUTPUT_REMEDY)
        else:
            yield Check("output", where)


_OUTPUT_REMEDY = "Restore the file from the store's backup, or rerun the item."


def _records(lineage: Lineage, made: Generation) -> Iterator[Check]:
    """Compare what the result says of recipe and source with what the item's own rows say."""
    record, facts = lineage.record, made.result.facts
    if record is None or record.generation != made.number:
        return
    pairs = [("recipe fingerprint", facts.get("recipe_fingerprint"), record.recipe.fingerprint())]
    if record.facts is not None:
        pairs.append(("sha256 of the source", facts.get("sha256"), record.facts.sha256))
    given = record.source.checksum.get("sha256")
    if given:
        pairs.append(("sha256 in the manifest", facts.get("sha256"), given.lower()))
    for what, said, expected in pairs:
        where = f"{lineage.external_id} {what}"
        if said in (None, expected):
            yield Check("record", where)
        else:
            yield _failed("record", where, "RECORD_DIFFERS", f"the item's row says {expected}, the result says {said}")


def _folder(subject: Subject, store: Store, folder: Path) -> Iterator[Check]:
    for placed in subject.placed:
        yield _compared(folder / placed.name, placed.blob.sha256)
    for part in subject.parts:
        yield from _taken_out(store, part, folder)


def _taken_out(store: Store, part: Placed, folder: Path) -> Iterator[Check]:
    """Compare the files of a sequence with those in the tar file that they were taken out of."""
    try:
        for name, digest in sequence_tar.digests(store, part.blob):
            yield _compared(folder / part.name / name, digest)
    except InputError as error:
        yield _failed("folder", str(folder / part.name), error.code, error.message, _OUTPUT_REMEDY)


def _compared(path: Path, sha256: str) -> Check:
    if not path.is_file():
        return _failed("folder", str(path), "FILE_MISSING", "There is no such file", _PUT_OUT_REMEDY)
    found = bag.digests_of(path, ["sha256"])["sha256"]
    if found == sha256:
        return Check("folder", str(path))
    message = f"expected sha256 {sha256}; found {found}"
    return _failed("folder", str(path), "CHECKSUM_MISMATCH", message, _PUT_OUT_REMEDY)


_PUT_OUT_REMEDY = "Put it out again with `reelwright get`."


def _signatures_in(folder: Path) -> Iterator[Check]:
    """Have C2PA's reader look at every sidecar of a folder."""
    for sidecar, path in signing.sidecars(folder):
        try:
            fault = signing.examined(path, sidecar)
        except InputError as error:
            yield _skipped("signature", str(folder), f"{error.message}; no sidecar was looked at. {error.remedy}")
            return
        if fault is None:
            yield Check("signature", str(sidecar))
        else:
            message = f"expected a signature that holds for {path.name}; found {fault}"
            yield _failed("signature", str(sidecar), "SIGNATURE_INVALID", message)


# -- what does


def _frames(lineage: Lineage, made: Generation, clerk: _Clerk) -> Check:
    outputs, where = made.result.outputs, f"{lineage.external_id} master"
    said = clerk.ask({"film": _plain(outputs["master"]), "sums": _plain(outputs["framemd5"])})
    return _refused("frames", where, said) or _judged("frames", where, said)


def _source(lineage: Lineage, made: Generation, clerk: _Clerk) -> Check:
    expected, where = made.result.facts.get("sha256"), f"{lineage.external_id} {lineage.uri}"
    if lineage.record is None or not expected:
        return _skipped("source", where, "Its digest was never written down")
    said = clerk.ask({"source": _plain(lineage.record.source)})
    if refused := _refused("source", where, said):
        return refused
    if said["sha256"] == expected:
        return Check("source", where)
    message = f"expected sha256 {expected}; found {said['sha256']}"
    return _failed("source", where, "CHECKSUM_MISMATCH", message, "Bring back the source that was restored.")


def _rerun(lineage: Lineage, made: Generation, clerk: _Clerk, frames: int) -> Check:
    record = lineage.record
    if record is None or record.generation != made.number or lineage.state in _OURS_TO_FINISH:
        return _skipped("rerun", lineage.external_id, "The item is being done again")
    still = record.source.kind is ItemKind.STILL
    spans = () if still else _spans(record, frames)
    sums = made.result.outputs.get("still" if still else "framemd5")
    if sums is None or not (still or spans):
        return _skipped("rerun", lineage.external_id, "There is nothing to compare a rerun with")
    where = lineage.external_id if still else f"{lineage.external_id} frames {_shown(spans)}"
    said = clerk.ask({"item": _plain(record), "spans": spans, "still" if still else "sums": _plain(sums)})
    if refused := _refused("rerun", where, said):
        return refused
    if still:
        message = f"expected the picture of sha256 {sums.sha256}; found the one of {said['sha256']}"
        found = Check("rerun", where) if said["same"] else _failed("rerun", where, "FRAMES_DIFFER", message)
    else:
        found = _judged("rerun", where, said)
    signatures = _signatures(lineage, made)
    if found.state == "failed" and signatures and said["signature"] not in signatures:
        planned = ", ".join(sorted(signatures))
        reason = f"This machine computes otherwise (signature {said['signature']}, the result's: {planned})"
        return _skipped("rerun", where, f"{reason}; what it makes differs: {found.message}")
    return found


def _signatures(lineage: Lineage, made: Generation) -> set[str]:
    if lineage.signature:
        return {lineage.signature}
    return {lineage.machines[each.worker].signature for each in made.attempts if each.worker in lineage.machines}


def _spans(record: Item, frames: int) -> tuple[tuple[int, int], ...]:
    """Return cells of the reel's batch grid, spread evenly over it, that hold about so many frames."""
    assert record.facts is not None
    total, cell = record.facts.frame_count, record.batch_frames
    cells = -(-total // cell)
    wanted = min(cells, max(1, -(-frames // cell)))
    places = sorted({round(number * (cells - 1) / max(1, wanted - 1)) for number in range(wanted)})
    return tuple((place * cell, min(total, (place + 1) * cell)) for place in places)


def _shown(spans: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(f"{start} to {stop - 1}" for start, stop in spans)


def _judged(what: str, where: str, said: dict[str, Any]) -> Check:
    if not said["wrong"] and not said["missing"]:
        return Check(what, where, message=f"{said['frames']} frames")
    shown = "; ".join(f"frame {row['frame']}: expected {row['expected'] or 'none'}, found {row['found']}"
                      for row in said["first"][:3])  # fmt: skip
    missing = f"; {said['missing']} are missing" if said["missing"] else ""
    message = f"{said['wrong']} of {said['frames']} frames differ{missing}; {shown}".rstrip("; ")
    return _failed(what, where, "FRAMES_DIFFER", message)


def _refused(what: str, where: str, said: dict[str, Any]) -> Check | None:
    """Return what came of an order that could not be done; none when it was done."""
    code = said.get("code")
    if code is None:
        return None
    return _failed(what, where, code, said["message"], said.get("remedy") or "")


class _Clerk:
    """The worker process that does what needs pixels; started by the first order, and again when an order kills it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._child: subprocess.Popen[str] | None = None

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to an order: what ``workers.on_demand.verify`` says, or an error's code and message."""
        if self._child is None or self._child.poll() is not None:
            self.leave()
            self._child = worker_process.start(self._settings, "verify")
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(json.dumps(order) + "\n")
            self._child.stdin.flush()
            answer = self._child.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if answer:
            return dict(json.loads(answer))
        status = self._child.wait()
        code = "DECODER_CRASH" if status < 0 else "WORKER_FAULT"
        return {"code": code, "message": f"The process that was asked ended with status {status}"}

    def stop(self) -> None:
        """Let the process drop what it is at."""
        if self._child is not None:
            self._child.terminate()

    def leave(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.communicate()
            self._child = None


def _failed(what: str, where: str, code: str, message: str, remedy: str = "") -> Check:
    return Check(what, where, "failed", code, message, remedy or CODES[code].remedy)


def _skipped(what: str, where: str, reason: str) -> Check:
    return Check(what, where, "skipped", "", reason)


def _plain(record: Any) -> Any:
    return record.model_dump(mode="json")
