"""The tables. Seen by ``db.ledger``, the modules of ``db`` that only read, and the migrations alone.

Times are seconds since 1970 by the database's own clock. Columns named ``*_json`` hold text that ``db.records`` or
``db.recipe`` reads back.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Id = BigInteger().with_variant(Integer, "sqlite")
"""A row number; SQLite counts up only in columns declared INTEGER."""


class Base(DeclarativeBase):
    """Root of the mapped classes."""


class Job(Base):
    """One submission: a manifest and a recipe."""

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    """For people; set at submission."""
    tenant: Mapped[str] = mapped_column(String(100))
    """Whose work it is; the place for fairness between tenants."""
    priority: Mapped[int] = mapped_column(Integer)
    """Higher goes first."""
    state: Mapped[str] = mapped_column(String(20))
    epoch: Mapped[int] = mapped_column(Integer)
    """Raised by pause and cancel: leases and messages of an older epoch are void."""
    recipe_json: Mapped[str] = mapped_column(Text)
    recipe_fingerprint: Mapped[str] = mapped_column(String(64))
    submission_key: Mapped[str] = mapped_column(String(64), unique=True)
    """Digest over manifest and recipe: submitting the same twice gives the same job."""
    manifest_uri: Mapped[str] = mapped_column(Text)
    options_json: Mapped[str] = mapped_column(Text)
    pause_reason: Mapped[str] = mapped_column(Text, default="")
    """Why it is paused, for people; empty when it is not."""
    created_at: Mapped[float] = mapped_column(Float)
    finished_at: Mapped[float | None] = mapped_column(Float)
    """None while it is not over."""


class Item(Base):
    """One line of a manifest: a still or a reel."""

    __tablename__ = "items"
    __table_args__ = (
        UniqueConstraint("job_id", "external_id"),
        Index("items_of_job", "job_id", "seq", unique=True),
        Index("items_by_state", "job_id", "state", "seq"),
        Index("items_by_code", "job_id", "error_code", "seq", postgresql_where=text("error_code IS NOT NULL"),
              sqlite_where=text("error_code IS NOT NULL")),
        Index("items_of_bundle", "task_id", postgresql_where=text("task_id IS NOT NULL"),
              sqlite_where=text("task_id IS NOT NULL")),
        Index("items_to_plan", "plan_due_at", postgresql_where=text("plan_due_at IS NOT NULL"),
              sqlite_where=text("plan_due_at IS NOT NULL")),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    seq: Mapped[int] = mapped_column(Integer)
    """Place in the manifest, from 0."""
    external_id: Mapped[str] = mapped_column(Text)
    """The manifest's own id, unique in its job."""
    kind: Mapped[str | None] = mapped_column(String(10))
    """None when the line was too bad to tell."""
    uri: Mapped[str] = mapped_column(Text)
    source_json: Mapped[str | None] = mapped_column(Text)
    """None when the line was bad."""
    recipe_json: Mapped[str | None] = mapped_column(Text)
    """None when the job's recipe holds."""
    extra_json: Mapped[str] = mapped_column(Text)
    """Descriptive fields of the line, carried to the report."""
    state: Mapped[str] = mapped_column(String(12))
    generation: Mapped[int] = mapped_column(Integer)
    """1 at first, raised by each rerun."""
    task_id: Mapped[int | None] = mapped_column(Id)
    """The bundle that a still travels in; none for a reel."""
    error_code: Mapped[str | None] = mapped_column(String(40))
    error_message: Mapped[str | None] = mapped_column(Text)
    error_remedy: Mapped[str | None] = mapped_column(Text)
    facts_json: Mapped[str | None] = mapped_column(Text)
    """Set by a reel's probe."""
    profile_json: Mapped[str | None] = mapped_column(Text)
    """The reel profile's blob, set by merge."""
    substitutes_json: Mapped[str] = mapped_column(Text, default="[]")
    base_json: Mapped[str | None] = mapped_column(Text)
    """The ``db.records.EarlierResult`` of which frames are taken over; none when everything is done anew."""
    signature: Mapped[str | None] = mapped_column(String(32))
    """Compute signature that the reel was planned for."""
    batch_frames: Mapped[int | None] = mapped_column(Integer)
    """Cell size that the reel was planned with."""
    handle_frames: Mapped[int] = mapped_column(Integer, default=0)
    """Frames read around each segment, set when the reel is planned."""
    plan_due_at: Mapped[float | None] = mapped_column(Float)
    """Set when a task of the reel finished and the planner should look; none otherwise."""
    frames_total: Mapped[int] = mapped_column(Integer)
    """1 for a still, and 0 as long as its line is bad; 0 for a reel until it is probed."""
    frames_done: Mapped[int] = mapped_column(Integer, default=0)


class Result(Base):
    """What was accepted for one generation of an item. Earlier generations stay."""

    __tablename__ = "results"
    __table_args__ = (UniqueConstraint("item_id", "generation"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    generation: Mapped[int] = mapped_column(Integer)
    task_id: Mapped[int] = mapped_column(Id)
    attempt: Mapped[int] = mapped_column(Integer)
    """The attempt whose result it is."""
    result_json: Mapped[str] = mapped_column(Text)
    """A ``db.records.ItemResult``."""
    accepted_at: Mapped[float] = mapped_column(Float)


class ItemScore(Base):
    """One score of an item's newest result, so that items can be found by it."""

    __tablename__ = "item_scores"
    __table_args__ = (Index("item_scores_by_value", "job_id", "metric", "value", "item_id"),)

    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    metric: Mapped[str] = mapped_column(String(60), primary_key=True)
    job_id: Mapped[int] = mapped_column(Id)
    value: Mapped[float] = mapped_column(Float)
    """Finite."""


class Task(Base):
    """The leasable unit."""

    __tablename__ = "tasks"
    __table_args__ = (
        Index("tasks_ready", "job_id", "queue", "id", postgresql_where=text("state = 'ready'"),
              sqlite_where=text("state = 'ready'")),
        Index("tasks_queued", "queue", "queued_at", postgresql_where=text("state = 'queued'"),
              sqlite_where=text("state = 'queued'")),
        Index("tasks_running", "lease_until", postgresql_where=text("state = 'running'"),
              sqlite_where=text("state = 'running'")),
        Index("tasks_waiting", "job_id", postgresql_where=text("state = 'waiting'"),
              sqlite_where=text("state = 'waiting'")),
        Index("tasks_of_item", "item_id", "generation", postgresql_where=text("item_id IS NOT NULL"),
              sqlite_where=text("item_id IS NOT NULL")),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    item_id: Mapped[int | None] = mapped_column(Id)
    """None for a bundle of stills."""
    kind: Mapped[str] = mapped_column(String(10))
    generation: Mapped[int] = mapped_column(Integer)
    start_frame: Mapped[int] = mapped_column(Integer, default=0)
    stop_frame: Mapped[int] = mapped_column(Integer, default=0)
    """Half-open range of frames to write; both 0 where the kind has none."""
    queue: Mapped[str] = mapped_column(String(60))
    """Broker queue: the class of work, with the signature where the task is bound to one."""
    signature: Mapped[str | None] = mapped_column(String(32))
    """Only a worker of this compute signature may lease it; none means any."""
    state: Mapped[str] = mapped_column(String(12))
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    """Leases so far; with the worker's boot id it fences every write."""
    dispatch_epoch: Mapped[int] = mapped_column(Integer, default=0)
    """Doorbells so far: a message with another number is stale."""
    job_epoch: Mapped[int] = mapped_column(Integer, default=0)
    """The job's epoch when the doorbell was rung."""
    worker: Mapped[str | None] = mapped_column(String(40))
    """Boot id of the holder while running."""
    lease_until: Mapped[float | None] = mapped_column(Float)
    queued_at: Mapped[float | None] = mapped_column(Float)
    not_before: Mapped[float] = mapped_column(Float, default=0)
    """Back-off: not dispatched earlier."""
    lost_count: Mapped[int] = mapped_column(Integer, default=0)
    """Leases that ended without a word; raised by the lease and taken back by every orderly end."""
    failure_count: Mapped[int] = mapped_column(Integer, default=0)
    """Attempts that failed for passing reasons."""
    isolate: Mapped[bool] = mapped_column(Boolean, default=False)
    """Whether decode and compute run in a child process, to find the frame that kills it."""
    dropped: Mapped[bool] = mapped_column(Boolean, default=False)
    """Done, but its result no longer counts because the reel was planned again around it."""
    frames_done: Mapped[int] = mapped_column(Integer, default=0)
    """Frames written so far, from heartbeats."""
    result_json: Mapped[str | None] = mapped_column(Text)
    """A ``db.records.TaskResult``; none until done, and for bundles and assemblies, whose results stand by item."""


class Attempt(Base):
    """One execution of a task. Rows are only added, and ended once."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("task_id", "attempt"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    task_id: Mapped[int] = mapped_column(Id)
    attempt: Mapped[int] = mapped_column(Integer)
    worker: Mapped[str] = mapped_column(String(40))
    started_at: Mapped[float] = mapped_column(Float)
    ended_at: Mapped[float | None] = mapped_column(Float)
    outcome: Mapped[str | None] = mapped_column(String(10))
    """None while it runs."""
    error_code: Mapped[str | None] = mapped_column(String(40))
    error_message: Mapped[str | None] = mapped_column(Text)


class Worker(Base):
    """One worker process, from its start to its end; a restart is a new row."""

    __tablename__ = "workers"

    boot_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    host: Mapped[str] = mapped_column(String(200))
    pid: Mapped[int] = mapped_column(Integer)
    device: Mapped[str] = mapped_column(String(100))
    """The torch device; while the worker loads, the setting."""
    signature: Mapped[str] = mapped_column(String(32))
    """The compute signature; empty while the worker loads what it computes with."""
    versions_json: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(10))
    """A ``db.states.WorkerState``."""
    started_at: Mapped[float] = mapped_column(Float)
    heartbeat_at: Mapped[float] = mapped_column(Float)


class CounterDelta(Base):
    """A change of a job's counters, added by whoever caused it and folded into ``job_progress`` later."""

    __tablename__ = "counter_deltas"
    __table_args__ = (Index("deltas_of_job", "job_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    job_id: Mapped[int] = mapped_column(Id)
    items_pending: Mapped[int] = mapped_column(Integer, default=0)
    items_running: Mapped[int] = mapped_column(Integer, default=0)
    items_done: Mapped[int] = mapped_column(Integer, default=0)
    items_failed: Mapped[int] = mapped_column(Integer, default=0)
    items_quarantined: Mapped[int] = mapped_column(Integer, default=0)
    items_cancelled: Mapped[int] = mapped_column(Integer, default=0)
    frames_total: Mapped[int] = mapped_column(BigInteger, default=0)
    frames_done: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_out: Mapped[int] = mapped_column(BigInteger, default=0)


class JobProgress(Base):
    """A job's counters as last folded; add the unfolded deltas for the present value."""

    __tablename__ = "job_progress"

    job_id: Mapped[int] = mapped_column(Id, primary_key=True)
    items_pending: Mapped[int] = mapped_column(Integer, default=0)
    items_running: Mapped[int] = mapped_column(Integer, default=0)
    items_done: Mapped[int] = mapped_column(Integer, default=0)
    items_failed: Mapped[int] = mapped_column(Integer, default=0)
    items_quarantined: Mapped[int] = mapped_column(Integer, default=0)
    items_cancelled: Mapped[int] = mapped_column(Integer, default=0)
    frames_total: Mapped[int] = mapped_column(BigInteger, default=0)
    frames_done: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_out: Mapped[int] = mapped_column(BigInteger, default=0)
    frames_per_second: Mapped[float] = mapped_column(Float, default=0)
    """Smoothed rate, set by the fold."""
    rated_at: Mapped[float] = mapped_column(Float, default=0)
    rated_frames: Mapped[int] = mapped_column(BigInteger, default=0)


class Leader(Base):
    """Who may dispatch, for one term."""

    __tablename__ = "leader"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    holder: Mapped[str] = mapped_column(String(60))
    term: Mapped[int] = mapped_column(Integer)
    until: Mapped[float] = mapped_column(Float)


class Sweep(Base):
    """A prefix of the store whose blobs nobody points to and that may be removed later."""

    __tablename__ = "sweeps"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    prefix: Mapped[str] = mapped_column(Text)
    due_at: Mapped[float] = mapped_column(Float, index=True)


class Weights(Base):
    """Registered weights of one card. A job pins the files; so a row may be replaced while jobs run."""

    __tablename__ = "weights"

    card: Mapped[str] = mapped_column(String(100), primary_key=True)
    """Name of the card in ``db.catalog.weights``."""
    files_json: Mapped[str] = mapped_column(Text)
    """A list of ``db.recipe.PinnedFile``."""
    source: Mapped[str] = mapped_column(Text)
    """Where a person took them from, for people."""
    license_accepted: Mapped[bool] = mapped_column("licence_accepted", Boolean)
    """Whether a person accepted terms that must be accepted."""
    added_at: Mapped[float] = mapped_column(Float)
    card_json: Mapped[str | None] = mapped_column(Text)
    """A ``db.catalog.trained.Trained``: what came with the file; none for published weights."""


class ApiToken(Base):
    """A secret by which a program, or a person's browser, is known."""

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    """Whose it is, for people; never given twice, so that it means one thing in the audit."""
    role: Mapped[str] = mapped_column(String(10))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    """Of the secret, which is kept nowhere."""
    prefix: Mapped[str] = mapped_column(String(12))
    """How the secret begins, by which a person tells tokens apart."""
    created_at: Mapped[float] = mapped_column(Float)
    expires_at: Mapped[float | None] = mapped_column(Float)
    """None for one that does not expire."""
    last_used_at: Mapped[float | None] = mapped_column(Float)
    """To the minute."""
    revoked_at: Mapped[float | None] = mapped_column(Float)


class BrowserSession(Base):
    """A browser that is logged in."""

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    """Of the cookie, which is kept nowhere."""
    token_id: Mapped[int | None] = mapped_column(ForeignKey("api_tokens.id"), index=True)
    """None where a link that works once was the way in."""
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[float] = mapped_column(Float)
    expires_at: Mapped[float] = mapped_column(Float, index=True)


class Review(Base):
    """A stretch of an item's result that lies beyond a gate, and what a person says of it."""

    __tablename__ = "reviews"
    __table_args__ = (
        Index("reviews_open", "distance", "id", postgresql_where=text("verdict IS NULL"),
              sqlite_where=text("verdict IS NULL")),
        Index("reviews_open_of_job", "job_id", "distance", "id", postgresql_where=text("verdict IS NULL"),
              sqlite_where=text("verdict IS NULL")),
        Index("reviews_decided", "distance", "id", postgresql_where=text("decided_at IS NOT NULL"),
              sqlite_where=text("decided_at IS NOT NULL")),
        Index("reviews_decided_of_job", "job_id", "distance", "id", postgresql_where=text("decided_at IS NOT NULL"),
              sqlite_where=text("decided_at IS NOT NULL")),
        Index("reviews_of_item", "item_id", "generation"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    job_id: Mapped[int] = mapped_column(Id)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    generation: Mapped[int] = mapped_column(Integer)
    metric: Mapped[str] = mapped_column(String(60))
    gate: Mapped[str] = mapped_column(String(40))
    """What was asked of the value: ``>= 30``."""
    value: Mapped[float | None] = mapped_column(Float)
    """The worst of the stretch; none where it is no number."""
    start_frame: Mapped[int | None] = mapped_column(Integer)
    stop_frame: Mapped[int | None] = mapped_column(Integer)
    """Half-open range of frames; both none for the whole item."""
    distance: Mapped[float] = mapped_column(Float)
    """How far the value lies from the gate, relative to it: the larger, the worse."""
    verdict: Mapped[str | None] = mapped_column(String(10))
    """None until somebody decides, or a rerun makes the item anew."""
    by: Mapped[str] = mapped_column("decided_by", String(100), default="")
    note: Mapped[str] = mapped_column(Text, default="")
    decided_at: Mapped[float | None] = mapped_column(Float)
    """None where no person decided."""


class Look(Base):
    """A picture that a page waits for, and that a worker shows. Rows are kept for an hour."""

    __tablename__ = "looks"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    order_json: Mapped[str] = mapped_column(Text)
    """What ``python -m workers look`` is asked, but for the folder."""
    state: Mapped[str] = mapped_column(String(10))
    epoch: Mapped[int] = mapped_column(Integer)
    """Raised with each doorbell: earlier ones are void."""
    asked_at: Mapped[float] = mapped_column(Float, index=True)
    rung_at: Mapped[float] = mapped_column(Float)
    worker: Mapped[str | None] = mapped_column(String(40))
    """Boot id of who took it; none while nobody did."""
    lease_until: Mapped[float | None] = mapped_column(Float)
    answer_json: Mapped[str | None] = mapped_column(Text)
    """What the worker said, with the picture's ``blob``; or ``code``, ``message`` and ``remedy``."""


class Study(Base):
    """A question to people who look at pairs of pictures."""

    __tablename__ = "studies"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    question: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(10))
    seed: Mapped[int] = mapped_column(BigInteger)
    """What trials were drawn with."""
    variants_json: Mapped[str] = mapped_column(Text)
    """What is compared: a list of objects with a ``name`` and where the pictures come from."""
    created_by: Mapped[str] = mapped_column(String(100))
    link_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    """Of the secret in the link that raters are given."""
    created_at: Mapped[float] = mapped_column(Float)
    closed_at: Mapped[float | None] = mapped_column(Float)


class Trial(Base):
    """A pair of pictures to be judged."""

    __tablename__ = "trials"
    __table_args__ = (Index("trials_of_study", "study_id", "judged", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    external_id: Mapped[str] = mapped_column(Text)
    """The item that both pictures show."""
    kind: Mapped[str] = mapped_column(String(10))
    repeat_of: Mapped[int | None] = mapped_column(Id)
    """The trial that this one shows once more; none for others."""
    variant_a: Mapped[str] = mapped_column(String(100))
    variant_b: Mapped[str] = mapped_column(String(100))
    picture_a: Mapped[str] = mapped_column(Text)
    """Key of the picture's blob."""
    picture_b: Mapped[str] = mapped_column(Text)
    name_a: Mapped[str] = mapped_column(String(40), unique=True)
    """Random, and all that a rater's browser learns of a picture."""
    name_b: Mapped[str] = mapped_column(String(40), unique=True)
    judged: Mapped[int] = mapped_column(Integer, default=0)


class Vote(Base):
    """One trial as one rater was shown it, and what was chosen."""

    __tablename__ = "votes"
    __table_args__ = (
        UniqueConstraint("trial_id", "rater"),
        Index("votes_of_rater", "study_id", "rater", "position", unique=True),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id"))
    rater: Mapped[str] = mapped_column(String(64))
    """Digest of what the rater's browser was given; nobody is known by name."""
    position: Mapped[int] = mapped_column(Integer)
    """Place among the trials that this rater was shown, from 0."""
    a_is_left: Mapped[bool] = mapped_column(Boolean)
    """Drawn before the trial was shown."""
    choice: Mapped[str | None] = mapped_column(String(5))
    """None until the rater chose."""
    shown_at: Mapped[float] = mapped_column(Float)
    decided_at: Mapped[float | None] = mapped_column(Float)


class Webhook(Base):
    """An address that is told how jobs end."""

    __tablename__ = "webhooks"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(String(100))
    """What messages are signed with; kept, since each signature needs it."""
    events_json: Mapped[str] = mapped_column(Text)
    """A list of ``db.states.WebhookEvent``."""
    created_at: Mapped[float] = mapped_column(Float)
    disabled: Mapped[bool] = mapped_column(Boolean, default=False)
    from_settings: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    """Whether the settings name it, and not a person; it goes when they no longer do."""


class Delivery(Base):
    """One message to one webhook, written in the transaction that it tells of."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("deliveries_due", "next_at", postgresql_where=text("state = 'pending'"),
              sqlite_where=text("state = 'pending'")),
        Index("deliveries_of_webhook", "webhook_id", "id"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    message_id: Mapped[str] = mapped_column(String(40))
    """The same at each try, so that a receiver knows it again."""
    event: Mapped[str] = mapped_column(String(40))
    job_id: Mapped[int] = mapped_column(Id)
    body_json: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(10))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    """Tries so far."""
    created_at: Mapped[float] = mapped_column(Float)
    next_at: Mapped[float] = mapped_column(Float)
    """Not sent earlier."""
    last_status: Mapped[int | None] = mapped_column(Integer)
    """HTTP status of the last answer; none when there was none."""
    last_error: Mapped[str] = mapped_column(String(200), default="")


class AuditEntry(Base):
    """Who did what. Rows are only added."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    at: Mapped[float] = mapped_column(Float)
    who: Mapped[str] = mapped_column(String(100))
    action: Mapped[str] = mapped_column(String(60))
    what: Mapped[str] = mapped_column(String(300))
    """What it was done to, such as ``job 7``."""
    detail_json: Mapped[str] = mapped_column(Text)


COUNTERS = tuple(column.name for column in CounterDelta.__table__.columns if column.name not in {"id", "job_id"})
"""Names of the counters that deltas and progress share."""
