"""Settings: one frozen object from ``REELWRIGHT_*`` variables or a TOML file.

Read once, at the edge (``orchestrator.cli`` and ``workers.process.app``), and passed on as an argument.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from db.beneath import read_small
from db.errors import InputError, nearest
from db.writable import check_writable

PREFIX = "REELWRIGHT_"
Numbered = Literal["auto", "reel", "stills"]
"""What numbered pictures are; ``auto`` has them looked at."""
OTHER_VARIABLES = frozenset({"CONFIG", "BOOT_ID", "PARENT_PID"})
"""Variables with the prefix that are not settings: the settings file, and what a process tells its workers."""
HEARTBEATS_IN_A_LEASE = 3
"""A lease outlasts two heartbeats that were lost."""
ROUNDS_IN_A_TERM = 3
"""A leader's term is renewed at a third of its length, so a round must come before the rest is over."""
YEAR_SECONDS = 365 * 24 * 3600.0
"""The longest time that can be set: longer ones are mistakes, and the system's clocks cannot wait for all of them."""
LEAST_WORKER_MEMORY_MB = 1500
"""Libraries, interpreter, threads, and a picture."""
MOST_CONFIG_BYTES = 1 << 20
"""Longest settings file that is read."""
DATABASE_FILE = "reelwright.db"
"""The embedded database, inside the home."""


OTHERS = "*"
"""Stands for every tenant that has no share of its own."""


class TenantShare(BaseModel):
    """What one tenant may have of an installation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: float = Field(1.0, gt=0, le=1000, allow_inf_nan=False)
    """Of two tenants that have work, one gets so many times as many turns as the other."""
    most_running: int | None = Field(None, ge=1)
    """Tasks that are worked on at once; none means no limit."""
    most_stored_bytes: int | None = Field(None, ge=0)
    """Outputs in the store from which on nothing more is begun; none means no limit."""


class Settings(BaseSettings):
    """Everything that an installation can choose. Times are in seconds, sizes in the unit of the name."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", allow_inf_nan=False)

    home: Path = Field(
        Path("reelwright-home"), description="Folder of the embedded database, store, messages and logs."
    )
    database_url: str = Field("", description="SQLAlchemy URL; if omitted, SQLite in the home.")
    broker_url: str = Field("", description="Celery broker URL; if omitted, message files in the home.")
    store_uri: str = Field(
        "", description="Folder, `file://` or `s3://bucket/prefix`; if omitted, `store` in the home."
    )
    s3_endpoint_url: str = Field("", description="Address of an S3 server other than Amazon's.")
    s3_access_key: str = Field("", description="S3 access key; if omitted, boto3 looks where it always does.")
    s3_secret_key: str = Field(
        "", description="S3 secret key; if omitted, boto3 looks where it always does.", repr=False
    )
    s3_region: str = Field("us-east-1", description="S3 region.")
    scratch: Path | None = Field(None, description="Folder for temporary files; if omitted, `scratch` in the home.")
    scratch_quota_bytes: int = Field(
        0, ge=0, description="Most that one attempt may keep in the scratch folder, in bytes; 0 means no limit."
    )
    weights_cache: Path | None = Field(
        None, description="Folder for weights fetched from S3; if omitted, `weights` in the home."
    )
    source_roots: tuple[str, ...] = Field(
        (), description="Folders and `s3://bucket/prefix` besides the manifest's own from which sources may be read."
    )

    numbered: Numbered = Field(
        "auto",
        description="What numbered pictures of a folder are: a `reel`, `stills`, or `auto`: a reel if neighbours are "
        "alike or a film scanner wrote them.",
    )
    allow_fetch: bool = Field(
        False, description="Whether incomplete bags with a `fetch.txt` are accepted; nothing is fetched."
    )

    notify: tuple[str, ...] = Field(
        (),
        description="Who is told that a job ended or paused: `mailto:somebody@example.org`, or the https address of a "
        "webhook.",
    )
    smtp_url: str = Field(
        "",
        description="Server that sends e-mail: `smtp://USER:PASSWORD@HOST:587` (encrypted where it can be), or "
        "`smtps://` for one that is encrypted from the start.",
        repr=False,
    )
    mail_from: str = Field("", description="Sender of e-mail; if omitted, reelwright@ and this machine's name.")
    webhook_exceptions: tuple[str, ...] = Field(
        (), description="Addresses that webhooks may have although they are not public, or not reached by https."
    )

    slots: int = Field(
        0,
        ge=0,
        le=256,
        description="Worker processes on this machine; 0 means one per GPU, or one per core without a GPU.",
    )
    codec_threads: int = Field(
        0,
        ge=0,
        le=16,
        description="Threads to decode with, as many to encode with, and as many for what else is done to single "
        "frames of a reel; 0 means this worker's share of the cores.",
    )
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="`auto`, `cpu`, `mps`, `cuda` or `cuda:N`."
    )
    segment_frames: int = Field(
        64, ge=1, le=100_000, description="Frames in one restore task, rounded up to whole cells."
    )
    batch_frames: int = Field(8, ge=1, le=1024, description="Frames in one cell of the batch grid.")
    bundle_stills: int = Field(32, ge=1, le=1024, description="Stills that travel in one task.")

    lease_seconds: float = Field(
        60.0,
        gt=0,
        le=YEAR_SECONDS,
        description="How long a lease lasts without a heartbeat; at least three heartbeats.",
    )
    heartbeat_seconds: float = Field(
        10.0, gt=0, le=YEAR_SECONDS, description="Pause between heartbeats, varied by a tenth."
    )
    stall_seconds: float = Field(
        300.0, gt=0, le=YEAR_SECONDS, description="Work that has not moved for so long gives up its lease."
    )
    tenants: dict[str, TenantShare] = Field(
        {},
        description="What tenants may have: `weight`, `most_running` tasks, `most_stored_bytes`, by name; `*` stands "
        "for all others. As a variable it is JSON.",
    )
    tick_seconds: float = Field(
        0.25, gt=0, le=YEAR_SECONDS, description="Pause between the loop's rounds when nothing is happening."
    )
    requeue_seconds: float = Field(
        30.0, gt=0, le=YEAR_SECONDS, description="A message that nobody answered for so long is sent again."
    )
    leader_seconds: float = Field(15.0, gt=0, le=YEAR_SECONDS, description="Length of the loop leader's term.")
    signature_wait_seconds: float = Field(
        600.0,
        ge=0,
        le=YEAR_SECONDS,
        description="How long a reel waits for a worker like the one that it was planned for.",
    )
    max_attempts: int = Field(
        4, ge=1, le=100, description="Attempts that may fail for passing reasons before a task fails."
    )
    backoff_seconds: float = Field(
        5.0, gt=0, le=YEAR_SECONDS, description="First pause after a passing failure; doubles, with jitter."
    )
    failure_threshold: float = Field(
        0.5, ge=0, le=1, description="Share of failed items above which a job pauses itself."
    )
    failure_threshold_items: int = Field(
        1000, ge=1, le=1_000_000_000, description="Finished items before that share counts."
    )

    worker_memory_mb: int = Field(
        0,
        ge=0,
        le=10**9,
        description="Most memory that one worker process may take, in MB; 0 means its share of this machine's or "
        "container's memory.",
    )
    max_pixels: int = Field(400_000_000, ge=1, description="Largest picture that is decoded or made, in pixels.")
    max_still_bytes: int = Field(4_000_000_000, ge=1, description="Largest still that is opened, in bytes.")
    max_manifest_line_bytes: int = Field(1_000_000, ge=1024, description="Longest line of a manifest that is read.")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Lowest level that is logged.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, which wins over nothing else: no dotenv, no secrets folder."""
        return init_settings, env_settings

    @field_validator("worker_memory_mb")
    @classmethod
    def _leave_room_for_libraries(cls, value: int) -> int:
        if 0 < value < LEAST_WORKER_MEMORY_MB:
            raise ValueError(
                f"a worker takes {LEAST_WORKER_MEMORY_MB} MB before it holds a picture; 0 gives it a share"
            )
        return value

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        """Refuse settings that are allowed one by one and contradict each other."""
        for name, times, other, reason in _AT_LEAST:
            value, least = getattr(self, name), times * getattr(self, other)
            if value < least:
                raise InputError(
                    f"Settings {name} and {other}: {name} is {value:g} and {other} {getattr(self, other):g}; {reason}",
                    code="BAD_SETTING",
                    remedy=f"Set {name} to {least:g} or more, or {other} to {value / times:.3g} or less.",
                )
        scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):/", self.store_uri)
        if scheme and scheme[1] not in {"file", "s3"}:
            raise InputError(
                f"Setting store_uri: {scheme[1]} is not supported",
                code="BAD_SETTING",
                remedy="Give a folder, file:///FOLDER or s3://BUCKET/PREFIX.",
            )
        if bool(self.s3_access_key) != bool(self.s3_secret_key):
            given, lacking = ("s3_access_key", "s3_secret_key")[:: 1 if self.s3_access_key else -1]
            raise InputError(
                f"Settings s3_access_key and s3_secret_key: {given} is set and {lacking} is empty",
                code="BAD_SETTING",
                remedy=f"Set {lacking} too, or leave both empty: boto3 then looks where it always does.",
            )
        return self

    @field_validator("home", "scratch")
    @classmethod
    def _be_text(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                str(value.resolve()).encode()
            except UnicodeEncodeError as error:
                raise ValueError(
                    "its path holds bytes that are no text, by which libraries cannot open files"
                ) from error
        return value

    @property
    def embedded(self) -> bool:
        """Whether database and broker live inside the home."""
        return not self.database_url and not self.broker_url

    @property
    def lacks_database(self) -> bool:
        """Whether the embedded database is not there yet; whether a server's is, only asking it tells."""
        return not self.database_url and not (self.home / DATABASE_FILE).exists()

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{self.home.resolve() / DATABASE_FILE}"

    @property
    def store(self) -> str:
        """The store's place in force: a folder or an ``s3://`` address."""
        return self.store_uri or str(self.home.resolve() / "store")

    @property
    def messages(self) -> Path:
        """Folder of the embedded broker's message files."""
        return self.home.resolve() / "messages"

    @property
    def scratch_folder(self) -> Path:
        """Folder for files in work."""
        return (self.scratch or self.home / "scratch").resolve()

    @property
    def weights_folder(self) -> Path:
        """Folder of weights that were fetched from a store elsewhere."""
        return (self.weights_cache or self.home / "weights").resolve()

    def results(self, job_id: int) -> Path:
        """Folder for a job's results, where no other is given."""
        return self.home / "results" / f"job-{job_id}"

    @property
    def logs(self) -> Path:
        """Folder of the workers' logs."""
        return self.home.resolve() / "logs"


def make_home(settings: Settings) -> None:
    """Make the home's folder if it is not there, for its owner alone: what is in it may not be wider than the sources.

    One that is there keeps its rights: whoever opened it to others meant that. ``reelwright doctor`` tells of it.

    Raises:
        InputError: ``PATH_UNUSABLE``, where none can be.
        DiskFull: There is no room for it.
    """
    if not os.path.isdir(settings.home):  # a name that is too long is none either
        check_writable(settings.home, "--home")
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)


_AT_LEAST = (
    (
        "lease_seconds", HEARTBEATS_IN_A_LEASE, "heartbeat_seconds",
        "a lease must last for three heartbeats, so that one that is lost costs nothing",
    ),
    ("stall_seconds", 1, "heartbeat_seconds", "work can only be seen to stand still from one heartbeat to the next"),
    (
        "leader_seconds", ROUNDS_IN_A_TERM, "tick_seconds",
        "a term must last for three rounds of the loop, or it runs out between them",
    ),
    ("requeue_seconds", 1, "tick_seconds", "a doorbell must be left alone for at least one round of the loop"),
    ("lease_seconds", 1, "tick_seconds", "a round of the loop must come before a lease that was given in it ends"),
)  # fmt: skip
"""Settings, how many times another one they must be at least, and why."""


def load(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read settings from ``REELWRIGHT_CONFIG`` (a TOML file), the environment and ``overrides``, the later winning.

    Raises:
        InputError: A value is not allowed, two contradict each other, a name is unknown, or the file cannot be read;
            the message names the settings.
    """
    _check_variables()
    values: dict[str, Any] = {}
    config = os.environ.get(f"{PREFIX}CONFIG")
    if config:
        values = _from_toml(Path(config))
    # The file is the weakest source: what the environment says is taken out of it before it is passed as arguments.
    values = {name: value for name, value in values.items() if f"{PREFIX}{name.upper()}" not in os.environ}
    values.update({name: value for name, value in (overrides or {}).items() if value is not None})
    try:
        return Settings(**values)
    except SettingsError as error:  # a list that is not written as JSON
        name = str(error).partition('"')[2].partition('"')[0]
        raise InputError(
            f"Setting {name}: {PREFIX}{name.upper()} is not a JSON list",
            code="BAD_SETTING",
            remedy=f"Write it so: {PREFIX}{name.upper()}='[\"/archive\"]'.",
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InputError(f"Setting {name}: {first['msg']}", code="BAD_SETTING") from error


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that give a child process exactly these settings."""
    out: dict[str, str] = {}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if value is None or value == () or value == "":
            continue
        if isinstance(value, dict):
            shares = {key: share.model_dump(exclude_defaults=True) for key, share in value.items()}
            out |= {f"{PREFIX}{name.upper()}": json.dumps(shares)} if shares else {}
        elif isinstance(value, tuple):
            out[f"{PREFIX}{name.upper()}"] = json.dumps([str(part) for part in value])
        else:
            out[f"{PREFIX}{name.upper()}"] = str(value.resolve() if isinstance(value, Path) else value)
    return out


def _check_variables() -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    passed = {f"{PREFIX}{name}" for name in OTHER_VARIABLES}
    for name in os.environ:
        if name.upper().startswith(PREFIX) and name.upper() not in known | passed:
            raise InputError(
                f"{name} is not a setting.{nearest(name.upper(), known)}",
                code="BAD_SETTING",
                remedy="Correct or unset it; docs/settings lists every setting.",
            )


def _from_toml(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(read_small(path, MOST_CONFIG_BYTES).decode())
    except (OSError, ValueError) as error:
        raise InputError(f"Settings file {path}: {error}", code="BAD_SETTING") from error
    for name in values:
        if name not in Settings.model_fields:
            raise InputError(
                f"Settings file {path}: there is no setting {name!r:.60}.{nearest(name, Settings.model_fields)}",
                code="BAD_SETTING",
            )
    return values
