"""Questions to the records. Only reads; never changes anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, ScalarSelect, Select, case, func, or_, select, true

from db.beneath import ROOTS_OPTION
from db.catalog import shipped
from db.catalog.trained import Trained
from db.catalog.weights import card, find
from db.errors import InputError
from db.local_paths import FILE, disk_path
from db.recipe import Pin, PinnedFile, Recipe
from db.records import Blob, ItemResult, Record, read_column, read_object, read_word
from db.selection import newest_generation
from db.session import Database
from db.states import TASK_LIVE, ItemState, JobState, Outcome, TaskKind, TaskState, WorkerState
from db.tables import COUNTERS, Attempt, CounterDelta, Item, Job, JobProgress, Result, Task, Weights, Worker

LATEST_ATTEMPTS = 100
"""How many attempts are looked at for what work waits for."""
MOST_WORKERS = 256
"""Worker processes that one machine may have."""
PAGE = 1000
"""Rows read at once when items are streamed."""


@dataclass(frozen=True)
class JobRow:
    """One job, for people."""

    id: int
    name: str
    state: JobState
    priority: int
    tenant: str
    recipe_name: str
    recipe: Recipe
    manifest_uri: str
    created_at: float
    finished_at: float | None
    pause_reason: str


@dataclass(frozen=True)
class ProgressRow:
    """How far a job is. Read from counters: the cost does not grow with the job."""

    items_total: int
    items_pending: int
    items_running: int
    items_done: int
    items_failed: int
    items_quarantined: int
    items_cancelled: int
    frames_total: int
    """Frames known so far; a reel's are known once it is probed."""
    frames_done: int
    """Restored frames: those of finished segments, and those that segments in work have come to so far."""
    bytes_out: int
    frames_per_second: float
    """Smoothed; 0 before the first frames, and where a job does not run."""
    eta_seconds: float | None
    """Time to go at that rate; none while it is unknown."""

    @property
    def items_over(self) -> int:
        """Items that reached an end, whichever."""
        return self.items_done + self.items_failed + self.items_quarantined + self.items_cancelled


@dataclass(frozen=True)
class ItemRow:
    """One item, for people."""

    id: int
    seq: int
    external_id: str
    uri: str
    kind: str | None
    state: ItemState
    generation: int
    code: str | None
    message: str | None
    remedy: str | None
    frames_total: int
    frames_done: int
    recipe: Recipe | None = None
    """None when the job's recipe holds."""
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ResultRow:
    """What was accepted for an item's latest finished generation."""

    generation: int
    outputs: dict[str, Blob]
    scores: dict[str, float]
    facts: dict[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class WorkerRow:
    """One worker process."""

    boot_id: str
    host: str
    pid: int
    device: str
    signature: str
    state: WorkerState
    heartbeat_age_seconds: float
    release: str = ""
    """Of Reelwright, as it says itself."""


@dataclass(frozen=True)
class WeightsRow:
    """Registered weights."""

    card: str
    files: tuple[PinnedFile, ...]
    source: str
    license_accepted: bool
    added_at: float
    trained: Trained | None = None
    """What came with the file, where somebody trained it."""
    shipped: bool = False
    """Whether they come with Reelwright and no row is kept of them."""

    @property
    def license(self) -> str:
        """The terms: those that came with the file, else the card's."""
        return (self.trained and self.trained.license) or card(self.card).license

    @property
    def pin(self) -> Pin:
        """What a job of now would pin."""
        facts = card(self.card)
        return Pin(card=self.card, architecture=facts.architecture, build=facts.build, files=self.files)


@dataclass(frozen=True)
class AttemptRow:
    """One execution of a task, for people."""

    task_id: int
    kind: str
    start_frame: int
    stop_frame: int
    generation: int
    attempt: int
    worker: str
    started_at: float
    ended_at: float | None
    outcome: str | None
    code: str | None
    message: str | None


def jobs(db: Database) -> list[JobRow]:
    """All jobs, newest first."""
    with db.read() as connection:
        return [job_row(row) for row in connection.execute(select(Job.__table__).order_by(Job.id.desc()))]


def job(db: Database, job_id: int) -> JobRow:
    """One job.

    Raises:
        InputError: ``UNKNOWN_JOB``.
    """
    with db.read() as connection:
        row = connection.execute(select(Job.__table__).where(Job.id == job_id)).first()
    if row is None:
        raise InputError(f"There is no job {job_id}", code="UNKNOWN_JOB")
    return job_row(row)


def progress(db: Database, job_id: int) -> ProgressRow:
    """How far a job is; raises ``UNKNOWN_JOB``."""
    sums = [func.coalesce(func.sum(getattr(CounterDelta, name)), 0).label(f"fresh_{name}") for name in COUNTERS]
    fresh = select(*sums).where(CounterDelta.job_id == job_id).subquery()
    # One statement sees one moment: a fold in between would hide what it moved.
    state = select(Job.state).where(Job.id == job_id).scalar_subquery().label("state")
    in_work = frames_in_work(job_id).label("frames_in_work")
    statement = select(JobProgress.__table__, fresh, in_work, state).join(fresh, true())
    with db.read() as connection:
        row = connection.execute(statement.where(JobProgress.job_id == job_id)).first()
    if row is None:
        raise InputError(f"There is no job {job_id}", code="UNKNOWN_JOB")
    counts = {name: int(getattr(row, name) + getattr(row, f"fresh_{name}")) for name in COUNTERS}
    counts["frames_done"] += int(row.frames_in_work)
    rate = row.frames_per_second if row.state == JobState.RUNNING else 0.0
    frames_left = max(0, counts["frames_total"] - counts["frames_done"])
    total = sum(count for name, count in counts.items() if name.startswith("items_"))
    # Behind the last frame comes what nobody can tell the length of: masters are put together.
    eta_seconds = frames_left / rate if rate > 0 and frames_left else None
    return ProgressRow(items_total=total, frames_per_second=rate, eta_seconds=eta_seconds, **counts)


def frames_in_work(job_id: int) -> ScalarSelect[int]:
    """Ask for the frames that a job's unfinished segments have come to."""
    # Other tasks look at the same frames again, and a bundle's are counted still by still. Not asked in the condition:
    # it would draw SQLite to a worse index.
    restores_reel = (Task.kind == TaskKind.RESTORE) & Task.item_id.is_not(None)
    frames = func.coalesce(func.sum(case((restores_reel, Task.frames_done), else_=0)), 0)
    return select(frames).where(Task.state == TaskState.RUNNING, Task.job_id == job_id).scalar_subquery()


def items(
    db: Database,
    job_id: int,
    *,
    states: Sequence[ItemState] = (),
    codes: Sequence[str] = (),
    external_ids: Sequence[str] = (),
) -> Iterator[ItemRow]:
    """A job's items in manifest order, read page by page; all conditions that are given must hold."""
    statement = select(Item.__table__)
    if states:
        statement = statement.where(Item.state.in_(states))
    if codes:
        statement = statement.where(Item.error_code.in_(codes))
    if external_ids:
        statement = statement.where(Item.external_id.in_(external_ids))
    for row in _stream_rows(db, job_id, statement):
        yield item_row(row)


def failures(db: Database, job_id: int) -> Iterator[ItemRow]:
    """Items that failed or are in quarantine, in manifest order."""
    return items(db, job_id, states=(ItemState.FAILED, ItemState.QUARANTINED))


def results(
    db: Database, job_id: int, *, external_ids: Sequence[str] = ()
) -> Iterator[tuple[ItemRow, ResultRow | None]]:
    """Items in manifest order, each with its newest accepted result, or none."""
    newest = (Result.item_id == Item.id) & (Result.generation == newest_generation(Item.id))
    statement = select(Item.__table__, Result.result_json, Result.generation.label("result_generation"))
    statement = statement.outerjoin(Result, newest)
    if external_ids:
        statement = statement.where(Item.external_id.in_(external_ids))
    for row in _stream_rows(db, job_id, statement):
        yield item_row(row), _result_row(row) if row.result_json else None


def attempts(db: Database, job_id: int, external_id: str) -> list[AttemptRow]:
    """Every attempt at a reel's tasks or at a still's present bundle, oldest first."""
    with db.read() as connection:
        item = connection.execute(
            select(Item.id, Item.task_id).where(Item.job_id == job_id, Item.external_id == external_id)
        ).first()
        if item is None:
            raise InputError(f"Job {job_id} has no item {external_id!r}", code="UNKNOWN_ITEM")
        rows = connection.execute(
            select(Attempt.__table__, Task.kind, Task.start_frame, Task.stop_frame, Task.generation)
            .join(Task, Task.id == Attempt.task_id)
            .where((Task.item_id == item.id) | (Task.id == item.task_id))
            .order_by(Attempt.id)
        )
        return [attempt_row(row) for row in rows]


def attempt_row(row: Row[Any]) -> AttemptRow:
    """Read an attempt's row joined with its task's."""
    return AttemptRow(
        row.task_id, row.kind, row.start_frame, row.stop_frame, row.generation, row.attempt, row.worker,
        row.started_at, row.ended_at, row.outcome, row.error_code, row.error_message,
    )  # fmt: skip


def workers(db: Database) -> list[WorkerRow]:
    """All workers that were seen within a day, the liveliest first."""
    statement = (
        select(Worker.__table__, (db.now - Worker.heartbeat_at).label("age"))
        .where(Worker.heartbeat_at > db.now - 86_400)
        .order_by(Worker.heartbeat_at.desc())
    )
    with db.read() as connection:
        return [
            WorkerRow(
                row.boot_id,
                row.host,
                row.pid,
                row.device,
                row.signature,
                read_word(WorkerState, row.state, f"worker {row.boot_id}"),
                row.age,
                str(read_object(row.versions_json, f"worker {row.boot_id}").get("reelwright", "")),
            )
            for row in connection.execute(statement)
        ]


def useful_workers(db: Database) -> int:
    """Return how many workers open tasks could keep busy: one a bundle of stills, any number where there is a reel."""
    open_jobs = Job.state.in_((JobState.INGESTING, JobState.READY, JobState.RUNNING))
    live = select(Task.item_id).join(Job, Job.id == Task.job_id).where(open_jobs).limit(MOST_WORKERS)
    count = 0
    with db.read() as connection:
        for state in TASK_LIVE:  # one by one: each has an index, and all together have none
            of_state = live.where(Task.state == state)
            if connection.execute(of_state.where(Task.item_id.is_not(None)).limit(1)).first() is not None:
                return MOST_WORKERS
            count += len(connection.execute(of_state).all())
    return min(max(1, count), MOST_WORKERS)


def outage(db: Database, job_id: int) -> str:
    """Why work of a job was given back and waits: the last message of an outage whose pause lasts; else empty."""
    # Only the newest attempts of all are asked: this is asked twice a second, and a pause is short.
    newest = select(Attempt.id).order_by(Attempt.id.desc()).limit(LATEST_ATTEMPTS)
    statement = (
        select(Attempt.error_message)
        .join(Task, Task.id == Attempt.task_id)
        .where(Attempt.id.in_(newest), Attempt.outcome == Outcome.RELEASED, Attempt.error_code.is_not(None))
        .where(Task.job_id == job_id, Task.state == TaskState.READY, Task.not_before > db.now)
        .order_by(Attempt.id.desc())
        .limit(1)
    )
    with db.read() as connection:
        return str(connection.scalar(statement) or "")


def job_roots(db: Database, job_id: int) -> tuple[str, ...] | None:
    """What a job's sources must lie beneath; none when there is no such job, or it is one of 0.1."""
    with db.read() as connection:
        options = connection.scalar(select(Job.options_json).where(Job.id == job_id))
    roots = read_object(options, f"job {job_id}").get(ROOTS_OPTION) if options else None
    return roots and tuple(roots)


def source_files(db: Database) -> Iterator[str]:
    """Every local path that a line of any job names: pictures, films, folders of frames, sound and masks."""
    after = -1
    while True:
        with db.read() as connection:
            page = select(Item.id, Item.uri, Item.source_json).where(Item.id > after).order_by(Item.id).limit(PAGE)
            rows = connection.execute(page).all()
        for row in rows:
            source = read_object(row.source_json, f"item {row.id}") if row.source_json else {}
            yield from _local_paths(row.uri, source.get("sound"), source.get("mask"))
        if len(rows) < PAGE:
            return
        after = rows[-1].id


def source_folders(db: Database) -> Iterator[str]:
    """Local paths that any job reads frames or masks below; a mask may as well be a file."""
    is_sequence = Item.source_json.contains('"sequence":{', autoescape=True)
    has_mask = or_(*(Item.source_json.contains(f'"mask":"{start}', autoescape=True) for start in ("/", FILE)))
    with db.read() as connection:
        rows = connection.execute(select(Item.id, Item.uri, Item.source_json).where(is_sequence | has_mask)).all()
    for row in rows:
        yield from _local_paths(row.uri, read_object(row.source_json, f"item {row.id}").get("mask"))


def _local_paths(*places: str | None) -> Iterator[str]:
    for place in places:
        if place and place.startswith(("/", FILE)):
            with suppress(InputError):  # of a line that failed, it may be anything
                yield disk_path(place)


class _Outputs(Record):
    """All that is read of a result where there may be a million of them."""

    outputs: dict[str, Blob]


def output_blobs(db: Database) -> Iterator[tuple[str, str]]:
    """Key and sha256 of every output that was ever accepted, of any job."""
    after = -1
    while True:
        with db.read() as connection:
            page = select(Result.id, Result.result_json).where(Result.id > after).order_by(Result.id).limit(PAGE)
            rows = connection.execute(page).all()
        for row in rows:
            for blob in read_column(_Outputs, row.result_json, f"result {row.id}").outputs.values():
                yield blob.key, blob.sha256
        if len(rows) < PAGE:
            return
        after = rows[-1].id


def _stream_rows(db: Database, job_id: int, statement: Select[Any]) -> Iterator[Row[Any]]:
    after = -1
    while True:
        with db.read() as connection:
            page = statement.where(Item.job_id == job_id, Item.seq > after).order_by(Item.seq).limit(PAGE)
            rows = connection.execute(page).all()
        yield from rows
        if len(rows) < PAGE:
            return
        after = rows[-1].seq


def job_row(row: Row[Any]) -> JobRow:
    """Read a row of jobs."""
    where = f"job {row.id}"
    recipe = read_column(Recipe, row.recipe_json, where)
    return JobRow(
        id=row.id,
        name=row.name,
        state=read_word(JobState, row.state, where),
        priority=row.priority,
        tenant=row.tenant,
        recipe_name=recipe.name,
        recipe=recipe,
        manifest_uri=row.manifest_uri,
        created_at=row.created_at,
        finished_at=row.finished_at,
        pause_reason=row.pause_reason,
    )


def item_row(row: Row[Any]) -> ItemRow:
    """Read a row of items."""
    where = f"item {row.id}"
    return ItemRow(
        id=row.id,
        seq=row.seq,
        external_id=row.external_id,
        uri=row.uri,
        kind=row.kind,
        state=read_word(ItemState, row.state, where),
        generation=row.generation,
        code=row.error_code,
        message=row.error_message,
        remedy=row.error_remedy,
        frames_total=row.frames_total,
        frames_done=row.frames_done,
        recipe=read_column(Recipe, row.recipe_json, where) if row.recipe_json else None,
        extra=read_object(row.extra_json, where),
    )


def _result_row(row: Row[Any]) -> ResultRow:
    result = read_column(ItemResult, row.result_json, f"item {row.id}'s result")
    return ResultRow(row.result_generation, result.outputs, result.scores, result.facts, result.notes)


def weights(db: Database) -> dict[str, WeightsRow]:
    """All registered weights whose card this release knows, by the card's name."""
    with db.read() as connection:
        rows = connection.execute(select(Weights.__table__).order_by(Weights.card)).all()
    return {row.card: _weights_row(row) for row in rows if find(row.card)}


def weights_at_hand(db: Database | None) -> dict[str, WeightsRow]:
    """All weights that a recipe of now can run with: the shipped ones, and those that are registered.

    Nobody can register others in place of the shipped ones, so a new release brings its own to every home.

    Args:
        db: Where to look; none where there is no home yet.
    """
    return (weights(db) if db is not None else {}) | {name: _row_of_shipped(name) for name in shipped.names()}


def _row_of_shipped(name: str) -> WeightsRow:
    file = PinnedFile(**shipped.blob(name).model_dump())
    return WeightsRow(name, (file,), "shipped with Reelwright", license_accepted=False, added_at=0, shipped=True)


def _weights_row(row: Row[Any]) -> WeightsRow:
    where = f"weights {row.card}"
    files = read_column(tuple[PinnedFile, ...], row.files_json, where)
    trained = read_column(Trained, row.card_json, where) if row.card_json else None
    return WeightsRow(row.card, files, row.source, row.licence_accepted, row.added_at, trained)
