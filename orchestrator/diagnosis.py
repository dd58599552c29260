"""What an installation consists of, and what is wrong with it.

Every command asks here for the extras, so what takes long to import is imported when it is looked at.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from db.errors import ReelwrightError
from db.states import WorkerState

if TYPE_CHECKING:
    from db.settings import Settings

_LOW_SPACE_BYTES = 2_000_000_000
EXTRAS = {
    "worker": ("av", "numpy", "OpenImageIO", "cv2", "PIL", "pyarrow", "torch"),
    "server": ("boto3", "psycopg", "redis"),
    "web": ("fastapi", "httpx", "jinja2", "prometheus_client", "python_multipart", "uvicorn"),
    "otio": ("opentimelineio",),
    "c2pa": ("c2pa",),
}
"""What each extra of the installation brings."""


def missing_modules(extra: str) -> list[str]:
    """Return the modules of an extra that are not installed; nothing is imported."""
    return [module for module in EXTRAS[extra] if find_spec(module) is None]


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor found in one place."""

    what: str
    ok: bool
    detail: str
    needed: bool = True
    """Whether nothing runs without it."""


def diagnose(settings: Settings) -> Iterator[Diagnosis]:
    """Look at everything that an installation consists of, one after the other."""
    yield Diagnosis("python", sys.version_info >= (3, 11), sys.version.split()[0])
    yield Diagnosis("reelwright", True, version("reelwright"))
    for extra in EXTRAS:
        modules = missing_modules(extra)
        needed = extra == "server" and not settings.embedded
        yield Diagnosis(
            f"extra {extra}", not modules, f"lacks {', '.join(modules)}" if modules else "installed", needed
        )
    for what, look in _PLACES.items():
        yield _run_check(what, lambda look=look: look(settings))  # type: ignore[misc]


def _run_check(what: str, look: Callable[[], Diagnosis]) -> Diagnosis:
    try:
        return look()
    except ReelwrightError as error:
        return Diagnosis(what, False, f"{error.code}: {error.message}. {error.remedy}")
    except OSError as error:
        return Diagnosis(what, False, str(error))


def _check_database(settings: Settings) -> Diagnosis:
    from db import session

    if settings.lacks_database:
        return Diagnosis("database", True, "none yet; the first run creates it")
    with session.open_database(settings) as database:
        session.check(database)
        revision, _ = session.revision(database)
    return Diagnosis("database", True, f"schema {revision}")


def _check_workers(settings: Settings) -> Diagnosis:
    from db import progress, session

    if settings.lacks_database:
        return Diagnosis("workers", False, "none", needed=False)
    with session.open_database(settings) as database:
        session.check(database)
        rows = [row for row in progress.workers(database) if row.state == WorkerState.LIVE]
        alive = [row for row in rows if row.heartbeat_age_seconds < settings.lease_seconds]
    devices = ", ".join(sorted({row.device for row in alive}))
    return Diagnosis("workers", bool(alive), f"{len(alive)} alive {devices}".strip(), needed=False)


def _check_broker(settings: Settings) -> Diagnosis:
    from db.broker import CeleryBroker

    if not settings.broker_url:
        return Diagnosis("broker", True, f"message files in {settings.messages}")
    CeleryBroker(settings).check()
    return Diagnosis("broker", True, settings.broker_url.partition("://")[0])


def _check_store(settings: Settings) -> Diagnosis:
    from db.store import open_store

    store = open_store(settings)
    if not settings.store_uri and not os.path.isdir(settings.home):
        return Diagnosis("store", True, "none yet; the first run creates it")
    if not settings.store_uri and _is_read_only(settings.home):
        return Diagnosis("store", True, f"{store.uri} may only be read")
    folder = f"doctor/{uuid.uuid4().hex}"  # of its own: several may look at the same time
    blob = store.put_bytes(f"{folder}/probe", b"reelwright")
    read = store.read(blob)
    store.delete(f"{folder}/")
    return Diagnosis("store", read == b"reelwright", store.uri)


def _check_home(settings: Settings) -> Diagnosis:
    from db.writable import check_writable

    home = settings.home.resolve()
    if not os.path.isdir(home):
        check_writable(settings.home, "--home")
        return Diagnosis("home", True, f"none yet in {home}")
    if _is_read_only(home):
        return Diagnosis("home", True, f"{home} may only be read: commands that only look work there")
    mode = home.stat().st_mode
    if mode & 0o077:
        return Diagnosis("home", True, f"{home} is open to others ({stat.filemode(mode)}); chmod 700 would close it")
    return Diagnosis("home", True, f"{home}, open to its owner alone")


def _is_read_only(home: Path) -> bool:
    return not os.access(home, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _check_space(settings: Settings) -> Diagnosis:
    folder = settings.home.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Diagnosis("disk space", free > _LOW_SPACE_BYTES, f"{free / 1e9:.1f} GB free in {folder}")


_PLACES: dict[str, Callable[[Settings], Diagnosis]] = {
    "home": _check_home,
    "database": _check_database,
    "broker": _check_broker,
    "store": _check_store,
    "workers": _check_workers,
    "disk space": _check_space,
}
