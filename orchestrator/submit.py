"""From a manifest to a job: read, check, write down."""

from __future__ import annotations

import gc
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from db import beneath, checksums, ledger, progress
from db.beneath import ROOTS_OPTION, S3, Roots
from db.child_process import ChildDied
from db.errors import InputError, ManifestError, OutageError, RecipeError, lacks_room
from db.ledger import JobRequest, LineError, NewLine, OpenedJob
from db.local_paths import disk_path
from db.recipe import Recipe
from db.session import Database
from db.settings import Settings
from db.states import JobState
from orchestrator import manifest as manifests
from orchestrator import weight_pins
from orchestrator.diagnosis import missing_modules
from orchestrator.manifest import Line, Manifest, Problem, folder, prefix
from orchestrator.processes.errands import WorkerProcess
from orchestrator.terminal_text import visible

CHUNK_LINES = 2000
"""Lines in one transaction: enough to make its cost vanish, few enough to hold no lock for long."""
_READ_BYTES = 1 << 20
_MENDED_OUTSIDE = frozenset(
    {
        "FILE_MISSING",
        "ZERO_BYTE",
        "NOT_A_FILE",
        "SOURCE_DENIED",
        "CHECKSUM_MISMATCH",
        "SEQUENCE_GAP",
        "SOURCE_ARCHIVED",
        "DUPLICATE_CONTENT",
    }
)
"""Problems that a person can mend without touching the line: only such items keep their source and can be rerun."""
_SHOWN_PROBLEMS = 1000
_PASSING = frozenset({"NO_SPACE", "WRONG_STATE"})
"""Errors after which the same submission goes on, or another one does."""
_REPORT = re.compile(r"report.*\.csv")
_JOB_FOLDER = re.compile(r"job-\d{1,18}", re.ASCII)
Registered = Mapping[str, progress.WeightsRow]


class StrictRefusal(ManifestError):
    """A manifest with problems was submitted strictly: nothing was made of it.

    Attributes:
        problems: The first thousand.
        count: How many there are in all.
    """

    def __init__(self, problems: list[Problem], count: int) -> None:
        """Take the message from the first problem."""
        first = problems[0]
        super().__init__(
            f"The manifest has {count} problems; the first is on line {first.line}: {first.message}",
            code=first.code,
            remedy="Correct them, or submit without --strict: bad lines then become failed items.",
        )
        self.problems = problems
        self.count = count


@dataclass(frozen=True)
class SubmitOptions:
    """How to submit."""

    recipe: str | Recipe | None = None
    """The recipe, its name or file; none takes the manifest's own, else the default."""
    name: str = ""
    """What people call the job; empty takes the manifest's file name."""
    strict: bool = False
    """Refuse the whole manifest for one bad line."""
    new: bool = False
    """Make another job even if this manifest was submitted before."""
    check_files: bool = True
    """Whether to look at the files already now."""
    segment_frames: int | None = None
    """Frames in one restore task of this job; none takes the setting."""
    priority: int = 0
    tenant: str = "default"
    salt: str = ""
    """With ``new``: tells this job from others of its manifest, so that it can be gone on with; empty draws one."""


@dataclass(frozen=True)
class Submission:
    """What came of submitting."""

    job_id: int
    created: bool
    """False when the same manifest and recipe had been submitted before."""
    lines: int
    """Lines added by this call."""
    bad_lines: int
    """Of these, lines that became failed items."""
    notes: tuple[str, ...]


def submit(
    settings: Settings,
    database: Database,
    path: Path | str | Manifest,
    options: SubmitOptions,
    *,
    on_lines: Callable[[int], None] = lambda count: None,
) -> Submission:
    """Make a job of a manifest, or go on with the one that was made of it before.

    Args:
        settings: Whose limits and source roots hold.
        database: Where the job goes.
        path: A manifest file, a folder, or ``s3://bucket/prefix``; or a manifest that was opened already.
        options: How.
        on_lines: Called with the number of lines after each chunk.

    Raises:
        ManifestError: It cannot be read, lists nothing, or has problems and ``strict`` is set.
        RecipeError: There is no such recipe, it is wrong, or weights that it needs are not registered.
    """
    manifest = manifests.open_manifest(path)
    recipe = manifests.recipe_for(manifest, options.recipe, settings.max_manifest_line_bytes)
    registered = progress.weights_at_hand(database)
    job_recipe = weight_pins.pin_weights(recipe, registered)
    roots = source_roots(settings, database, manifest)
    if options.strict:
        _refuse_problems(validate_lines(settings, manifest, recipe, roots, check_files=options.check_files))
    deposits = weight_pins.Deposits(settings)
    manifest.notes.clear()
    all_lines = validate_lines(settings, manifest, recipe, roots, check_files=options.check_files)
    lines = (_store_listing(line, deposits) for line in all_lines)
    first = list(islice(lines, CHUNK_LINES))  # what cannot be read at all fails here, before there is a job
    if not first:
        raise no_lines(manifest)
    deposits.put(job_recipe)
    job = ledger.open_job(database, _job_request(settings, manifest, job_recipe, roots, options))
    line_count = bad_count = 0
    if job.state is JobState.INGESTING:
        with _relax_garbage_collection(), _cancel_what_cannot_go_on(database, job.id):
            for chunk in _chunks(first, lines, registered, skip=job.ingested):
                for line_recipe in (line.recipe for line in chunk if line.recipe is not None):
                    deposits.put(line_recipe)
                added = ledger.add_lines(database, job.id, chunk, bundle_stills=settings.bundle_stills)
                line_count += len(added)
                bad_count += sum(line.error is not None for line in added)
                on_lines(line_count)
            ledger.close_ingest(database, job.id)
    return Submission(job.id, job.created, line_count, bad_count, (*manifest.notes, *_root_notes(database, job, roots)))


def no_lines(manifest: Manifest) -> ManifestError:
    """Return the error of a manifest that was read to its end and lists nothing."""
    notes = "".join(f". {note}" for note in manifest.notes)
    return ManifestError(f"{visible(manifest.uri)} lists nothing{notes}", code="MANIFEST_EMPTY")


def validate_lines(
    settings: Settings, manifest: Manifest, recipe: Recipe, roots: Roots, *, check_files: bool = True
) -> Iterator[Line]:
    """Yield a manifest's checked lines under the limits that the settings give; raises as ``manifest.lines``."""
    with WorkerProcess(settings, "likeness", settings.stall_seconds) as worker:
        yield from manifests.lines(
            manifest, recipe, settings, roots=roots, check_files=check_files, numbered=settings.numbered,
            ask=None if missing_modules("worker") else partial(_ask, worker),
        )  # fmt: skip


def _ask(worker: WorkerProcess, order: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a worker's answer; pictures that kill it are said to be like nothing."""
    try:
        return worker.ask(order)
    except ChildDied:
        return {}


def source_roots(settings: Settings, database: Database | None, manifest: Manifest) -> Roots:
    """Return what a manifest's sources must lie beneath: its own folder or prefix, and what the settings allow.

    The report of a job names again what the job named, so it may lead where the job might, and nowhere else.
    """
    reported = () if database is None else _reported_roots(settings, database, manifest)
    return beneath.real_roots(dict.fromkeys((manifest.root, *settings.source_roots, *reported)))


def _root_notes(database: Database, job: OpenedJob, roots: Roots) -> Iterator[str]:
    """Say that a job that was found may not read all that is allowed now: its roots are those that it was made with."""
    found = None if job.created else progress.job_roots(database, job.id)
    lacking = [] if found is None else [root for root in roots if not beneath.is_beneath(root, found)]
    if lacking:
        shown = ", ".join(root.rstrip("/") or "/" for root in lacking)
        yield f"Job {job.id} was made before {shown} was allowed, and does not read there; --new makes another."


def _reported_roots(settings: Settings, database: Database, manifest: Manifest) -> tuple[str, ...]:
    """Return the roots of the job whose report a manifest is; none for any other."""
    folder = manifest.path.parent
    is_report = _REPORT.fullmatch(manifest.path.name) and _JOB_FOLDER.fullmatch(folder.name)
    job_id = int(folder.name.rpartition("-")[2]) if is_report else 0
    if not job_id or folder != settings.results(job_id).resolve():
        return ()
    roots = progress.job_roots(database, job_id)
    return _folder_of(database, job_id) if roots is None else roots


def _folder_of(database: Database, job_id: int) -> tuple[str, ...]:
    """Return the folder of the manifest of a job of 0.1, which kept no roots; none for one in S3, or for no job."""
    uris = [job.manifest_uri for job in progress.jobs(database) if job.id == job_id]
    local = [disk_path(uri) for uri in uris if not uri.startswith(S3)]
    return tuple(uri if os.path.isdir(uri) else os.path.dirname(uri) for uri in local)


def submission_key(settings: Settings, manifest: Manifest, recipe: Recipe, *, salt: str = "") -> str:
    """Return the digest under which the same manifest, in the same place, under the same recipe is the same job."""
    place = manifest.folder if manifest.reader else manifest.uri
    digest = hashlib.sha256(f"{recipe.fingerprint()}\n{place}\n{salt}\n".encode(errors="surrogateescape"))
    if settings.numbered != "auto":
        digest.update(f"numbered {settings.numbered}\n".encode())
    for path in manifest.match.files:
        with path.open("rb") as file:
            while chunk := file.read(_READ_BYTES):
                digest.update(chunk)
    if not manifest.match.files:
        for part in _listing_parts(settings, manifest):
            digest.update(part)
    return digest.hexdigest()


def _job_request(
    settings: Settings, manifest: Manifest, recipe: Recipe, roots: Roots, options: SubmitOptions
) -> JobRequest:
    salt = options.salt or secrets.token_hex(16) if options.new else ""
    return JobRequest(
        name=visible(options.name or manifest.name),
        manifest_uri=manifest.uri,
        submission_key=submission_key(settings, manifest, recipe, salt=salt),
        recipe=recipe,
        priority=options.priority,
        tenant=visible(options.tenant),
        options={ROOTS_OPTION: roots, "numbered": settings.numbered}
        | ({} if options.segment_frames is None else {"segment_frames": options.segment_frames}),
    )


def _refuse_problems(lines: Iterator[Line]) -> None:
    first_problems: list[Problem] = []
    count = 0
    for line in lines:
        count += len(line.problems)
        first_problems.extend(line.problems[: _SHOWN_PROBLEMS - len(first_problems)])
    if first_problems:
        raise StrictRefusal(first_problems, count)


def _chunks(first: list[Line], rest: Iterator[Line], registered: Registered, *, skip: int) -> Iterator[list[NewLine]]:
    """Yield the lines that are not in yet."""
    chunk, seq = first, 0
    while chunk:
        fresh = [_new_line(seq + place, line, registered) for place, line in enumerate(chunk) if seq + place >= skip]
        if fresh:
            yield fresh
        seq += len(chunk)
        chunk = list(islice(rest, CHUNK_LINES))


@contextmanager
def _cancel_what_cannot_go_on(database: Database, job_id: int) -> Iterator[None]:
    """Cancel a job whose manifest breaks off, or that meets a fault which the next submission would meet again.

    What passes (a service away, a full disk, too little memory, an interruption) leaves it as it is: submitted again,
    it goes on.
    """
    try:
        yield
    except Exception as error:
        passes = isinstance(error, OutageError | MemoryError) or getattr(error, "code", "") in _PASSING
        if passes or lacks_room(error):
            raise
        with suppress(InputError):  # somebody else has ended it
            ledger.cancel_job(database, job_id, reason=visible(f"its manifest could not be taken in: {error}"))
        raise


@contextmanager
def _relax_garbage_collection() -> Iterator[None]:
    """Let the cycle collector look rarely: lines come by the million, none is part of a cycle, and it costs a sixth."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _new_line(seq: int, line: Line, registered: Registered) -> NewLine:
    if not line.problems:
        try:
            recipe = line.recipe and weight_pins.pin_weights(line.recipe, registered)
        except RecipeError as lacking:
            # Its recipe can never be pinned any more: the line is mended by submitting it anew.
            lacks = LineError(lacking.code, lacking.message, f"{lacking.remedy} Then submit the line again.")
            extra = {"uri": line.source.uri if line.source else "", **line.extra}
            return NewLine(seq, line.external_id, line.number, None, line.recipe, lacks, extra)
        return NewLine(seq, line.external_id, line.number, line.source, recipe, None, line.extra)
    first = line.problems[0]
    error = LineError(first.code, "; ".join(fault.message for fault in line.problems), first.remedy)
    source = line.source
    if source is None or all(fault.code in _MENDED_OUTSIDE for fault in line.problems):
        return NewLine(seq, line.external_id, line.number, source, line.recipe, error, line.extra)
    return NewLine(seq, line.external_id, line.number, None, line.recipe, error, {"uri": source.uri, **line.extra})


def _store_listing(line: Line, deposits: weight_pins.Deposits) -> Line:
    """Put the digests of a sequence's files into the store, and name them in the line."""
    if not line.listing or line.source is None:
        return line
    blob = deposits.put_listing(line.listing)
    extra = {**line.extra, "listing": checksums.format_listing(blob)}
    return line._replace(source=line.source.model_copy(update={"listing": blob}), extra=extra, listing="")


def _listing_parts(settings: Settings, manifest: Manifest) -> Iterator[bytes]:
    if manifest.reader is None:
        for key, size_bytes, etag, _ in prefix.objects(settings, manifest.uri):
            yield f"{key}\0{size_bytes}\0{etag}\n".encode(errors="surrogateescape")
        return
    for listing in folder.walk(manifest.folder):
        yield f"{listing.path}\0{listing.fault}{listing.is_home}\n".encode(errors="surrogateescape")
        for name in listing.names:
            path = f"{listing.path}/{name}"
            with suppress(OSError):  # it has gone since, or its path is too long: read, it becomes a problem
                status = os.lstat(path)
                yield f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape")
