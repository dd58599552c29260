"""Holds what is there against what was written down: outputs, sources, frames, reruns, folders, bags.

Digests are taken here; what needs pixels is done by one worker process that is asked order by order. Every check ends
in one :class:`Finding`; nothing is changed, and nothing is mended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from db.child_process import ChildDied
from db.errors import CODES, InputError
from db.lineage import Generation, Lineage
from db.records import ItemView
from db.session import Database
from db.settings import Settings
from db.states import ItemKind, ItemState
from db.store.base import Store
from orchestrator.processes.errands import WorkerProcess
from orchestrator.results import bag, sequence_tar, signing
from orchestrator.results.export import ExportItem, OutputFile, export_items

FRAMES = 32
"""Frames of each reel that are restored again unless another number is asked for."""
_OURS_TO_FINISH = frozenset({ItemState.PENDING, ItemState.RUNNING})

State = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class Finding:
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
class Scope:
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
    wish: Scope,
    *,
    external_ids: tuple[str, ...] = (),
    on_item: Callable[[int], None] = lambda count: None,
) -> Iterator[Finding]:
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
    with WorkerProcess(settings, "verify") as worker:
        for count, subject in enumerate(export_items(database, job_id, external_ids=external_ids), start=1):
            yield from _item_findings(subject, store, worker, wish)
            on_item(count)
        if wish.folder is not None:
            yield from _signature_findings(wish.folder)


def verify_bag(folder: Path, on_file: Callable[[int], None] = lambda count: None) -> Iterator[Finding]:
    """Look at every file of a bag, anybody's; raises as ``bag.check``."""
    flaws = 0
    for flaw in bag.check(folder, on_file):
        flaws += 1
        yield _failure_finding("bag", flaw.path, flaw.code, f"expected {flaw.expected}; found {flaw.found}")
    if not flaws:
        yield Finding("bag", str(folder))
    yield from _signature_findings(folder)


def _item_findings(subject: ExportItem, store: Store, worker: WorkerProcess, scope: Scope) -> Iterator[Finding]:
    lineage = subject.lineage
    assert lineage is not None
    generation = lineage.newest
    if generation is None:
        yield _missing_result_finding(lineage)
        return
    yield from _output_findings(lineage, generation, store)
    yield from _record_findings(lineage, generation)
    if scope.folder is not None:
        yield from _folder_findings(subject, store, scope.folder)
    if scope.frames and "framemd5" in generation.result.outputs and "master" in generation.result.outputs:
        yield _master_finding(lineage, generation, worker)
    if scope.sources:
        yield _source_finding(lineage, generation, worker)
    if scope.rerun_frames:
        yield _rerun_finding(lineage, generation, worker, scope.rerun_frames)


def _missing_result_finding(lineage: Lineage) -> Finding:
    if lineage.state is ItemState.DONE:
        return _failure_finding("record", lineage.external_id, "RECORD_DIFFERS", "The item is done, but has no result")
    reason = f"{lineage.code}: {lineage.message}" if lineage.code else f"it is {lineage.state.value}"
    return _skip_finding("output", lineage.external_id, f"There is no result to look at: {reason}")


# -- what needs no pixels


def _output_findings(lineage: Lineage, generation: Generation, store: Store) -> Iterator[Finding]:
    for output, blob in sorted(generation.result.outputs.items()):
        where = f"{lineage.external_id} {output}"
        try:
            store.check(blob)
        except InputError as error:
            yield _failure_finding("output", where, error.code, error.message, _OUTPUT_REMEDY)
        else:
            yield Finding("output", where)


_OUTPUT_REMEDY = "Restore the file from the store's backup, or rerun the item."


def _record_findings(lineage: Lineage, generation: Generation) -> Iterator[Finding]:
    """Compare what the result says of recipe and source with what the item's own rows say."""
    record, facts = lineage.record, generation.result.facts
    if record is None or record.generation != generation.number:
        return
    pairs = [("recipe fingerprint", facts.get("recipe_fingerprint"), record.recipe.fingerprint())]
    if record.facts is not None:
        pairs.append(("sha256 of the source", facts.get("sha256"), record.facts.sha256))
    checksum = record.source.checksum.get("sha256")
    if checksum:
        pairs.append(("sha256 in the manifest", facts.get("sha256"), checksum.lower()))
    for what, value, expected in pairs:
        where = f"{lineage.external_id} {what}"
        if value in (None, expected):
            yield Finding("record", where)
        else:
            yield _failure_finding(
                "record", where, "RECORD_DIFFERS", f"the item's row says {expected}, the result says {value}"
            )


def _folder_findings(subject: ExportItem, store: Store, folder: Path) -> Iterator[Finding]:
    for output in subject.outputs:
        yield _file_finding(folder / output.name, output.blob.sha256)
    for part in subject.parts:
        yield from _sequence_findings(store, part, folder)


def _sequence_findings(store: Store, part: OutputFile, folder: Path) -> Iterator[Finding]:
    """Compare the files of a sequence with those in the tar file that they were taken out of."""
    try:
        for name, digest in sequence_tar.member_digests(store, part.blob):
            yield _file_finding(folder / part.name / name, digest)
    except InputError as error:
        yield _failure_finding("folder", str(folder / part.name), error.code, error.message, _OUTPUT_REMEDY)


def _file_finding(path: Path, sha256: str) -> Finding:
    if not path.is_file():
        return _failure_finding("folder", str(path), "FILE_MISSING", "There is no such file", _PUT_OUT_REMEDY)
    actual = bag.file_digests(path, ["sha256"])["sha256"]
    if actual == sha256:
        return Finding("folder", str(path))
    message = f"expected sha256 {sha256}; found {actual}"
    return _failure_finding("folder", str(path), "CHECKSUM_MISMATCH", message, _PUT_OUT_REMEDY)


_PUT_OUT_REMEDY = "Put it out again with `reelwright get`."


def _signature_findings(folder: Path) -> Iterator[Finding]:
    """Have C2PA's reader look at every sidecar of a folder."""
    for sidecar, path in signing.find_sidecars(folder):
        try:
            fault = signing.sidecar_fault(path, sidecar)
        except InputError as error:
            yield _skip_finding("signature", str(folder), f"{error.message}; no sidecar was looked at. {error.remedy}")
            return
        if fault is None:
            yield Finding("signature", str(sidecar))
        else:
            message = f"expected a signature that holds for {path.name}; found {fault}"
            yield _failure_finding("signature", str(sidecar), "SIGNATURE_INVALID", message)


# -- what does


def _master_finding(lineage: Lineage, generation: Generation, worker: WorkerProcess) -> Finding:
    outputs, where = generation.result.outputs, f"{lineage.external_id} master"
    answer = _ask(worker, {"film": _to_json(outputs["master"]), "sums": _to_json(outputs["framemd5"])})
    return _error_finding("frames", where, answer) or _frames_finding("frames", where, answer)


def _source_finding(lineage: Lineage, generation: Generation, worker: WorkerProcess) -> Finding:
    expected, where = generation.result.facts.get("sha256"), f"{lineage.external_id} {lineage.uri}"
    if lineage.record is None or not expected:
        return _skip_finding("source", where, "Its digest was never written down")
    answer = _ask(worker, {"source": _to_json(lineage.record.source)})
    if fault := _error_finding("source", where, answer):
        return fault
    if answer["sha256"] == expected:
        return Finding("source", where)
    message = f"expected sha256 {expected}; found {answer['sha256']}"
    return _failure_finding("source", where, "CHECKSUM_MISMATCH", message, "Bring back the source that was restored.")


def _rerun_finding(lineage: Lineage, generation: Generation, worker: WorkerProcess, frames: int) -> Finding:
    record = lineage.record
    if record is None or record.generation != generation.number or lineage.state in _OURS_TO_FINISH:
        return _skip_finding("rerun", lineage.external_id, "The item is being done again")
    still = record.source.kind is ItemKind.STILL
    spans = () if still else _rerun_spans(record, frames)
    sums = generation.result.outputs.get("still" if still else "framemd5")
    if sums is None or not (still or spans):
        return _skip_finding("rerun", lineage.external_id, "There is nothing to compare a rerun with")
    where = lineage.external_id if still else f"{lineage.external_id} frames {_format_spans(spans)}"
    answer = _ask(worker, {"item": _to_json(record), "spans": spans, "still" if still else "sums": _to_json(sums)})
    if fault := _error_finding("rerun", where, answer):
        return fault
    if still:
        message = f"expected the picture of sha256 {sums.sha256}; found the one of {answer['sha256']}"
        finding = (
            Finding("rerun", where) if answer["same"] else _failure_finding("rerun", where, "FRAMES_DIFFER", message)
        )
    else:
        finding = _frames_finding("rerun", where, answer)
    signatures = _signatures(lineage, generation)
    if finding.state == "failed" and signatures and answer["signature"] not in signatures:
        signature_list = ", ".join(sorted(signatures))
        reason = f"This machine computes otherwise (signature {answer['signature']}, the result's: {signature_list})"
        return _skip_finding("rerun", where, f"{reason}; what it makes differs: {finding.message}")
    return finding


def _signatures(lineage: Lineage, generation: Generation) -> set[str]:
    if lineage.signature:
        return {lineage.signature}
    return {lineage.machines[each.worker].signature for each in generation.attempts if each.worker in lineage.machines}


def _rerun_spans(record: ItemView, frames: int) -> tuple[tuple[int, int], ...]:
    """Return cells of the reel's batch grid, spread evenly over it, that hold about so many frames."""
    assert record.facts is not None
    total, cell = record.facts.frame_count, record.batch_frames
    cells = -(-total // cell)
    cell_count = min(cells, max(1, -(-frames // cell)))
    places = sorted({round(number * (cells - 1) / max(1, cell_count - 1)) for number in range(cell_count)})
    return tuple((place * cell, min(total, (place + 1) * cell)) for place in places)


def _format_spans(spans: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(f"{start} to {stop - 1}" for start, stop in spans)


def _frames_finding(what: str, where: str, answer: dict[str, Any]) -> Finding:
    if not answer["wrong"] and not answer["missing"]:
        return Finding(what, where, message=f"{answer['frames']} frames")
    differences = "; ".join(f"frame {row['frame']}: expected {row['expected'] or 'none'}, found {row['found']}"
                      for row in answer["first"][:3])  # fmt: skip
    missing = f"; {answer['missing']} are missing" if answer["missing"] else ""
    message = f"{answer['wrong']} of {answer['frames']} frames differ{missing}; {differences}".rstrip("; ")
    return _failure_finding(what, where, "FRAMES_DIFFER", message)


def _error_finding(what: str, where: str, answer: dict[str, Any]) -> Finding | None:
    """Return what came of an order that could not be done; none when it was done."""
    code = answer.get("code")
    if code is None:
        return None
    return _failure_finding(what, where, code, answer["message"], answer.get("remedy") or "")


def _ask(worker: WorkerProcess, order: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to an order: what ``workers.on_demand.verify`` says, or an error's code and message."""
    try:
        return worker.ask(order)
    except ChildDied as death:
        return {"code": death.code, "message": str(death)}


def _failure_finding(what: str, where: str, code: str, message: str, remedy: str = "") -> Finding:
    return Finding(what, where, "failed", code, message, remedy or CODES[code].remedy)


def _skip_finding(what: str, where: str, reason: str) -> Finding:
    return Finding(what, where, "skipped", "", reason)


def _to_json(record: Any) -> Any:
    return record.model_dump(mode="json")
