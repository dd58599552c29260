from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from db.errors import InputError, StoreUnavailable, TransientError
from db.settings import Settings
from db.store import open_store
from workers.process.attempt import WorkerContext, _failure, _outage
from workers.tasks import disk_space


@pytest.fixture
def context(tmp_path: Path) -> WorkerContext:
    settings = Settings(home=tmp_path)
    settings.scratch_folder.mkdir()
    nothing: Any = None
    return WorkerContext(nothing, open_store(settings), settings, nothing, "boot", nothing)


def full_disk(kind: str) -> Exception:
    """The same full disk as a library, the store and the readers of media tell it."""
    cause = OSError(errno.EDQUOT if kind == "quota" else errno.ENOSPC, "full")
    wrapped = {"store": TransientError("full", code="NO_SPACE"), "media": InputError("cannot be decoded")}
    if kind not in wrapped:
        return cause
    wrapped[kind].__cause__ = cause
    return wrapped[kind]


@pytest.mark.parametrize("kind", ["disk", "quota", "store", "media"])
def test_work_waits_for_a_disk_that_others_filled(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(disk_space, "RESERVE_BYTES", 1 << 60)
    outage = _outage(context, full_disk(kind))
    assert outage is not None
    assert (outage.code, str(context.settings.scratch_folder) in outage.message) == ("NO_SPACE", True)


@pytest.mark.parametrize("kind", ["disk", "store"])
def test_work_that_filled_the_disk_itself_has_failed(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(disk_space, "RESERVE_BYTES", 0)
    error = full_disk(kind)
    assert _outage(context, error) is None
    assert _failure(error).code == "NO_SPACE"


def test_other_errors_wait_for_no_room(context: WorkerContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_space, "RESERVE_BYTES", 1 << 60)
    away = StoreUnavailable("away")
    assert _outage(context, away) is away
    assert _outage(context, OSError(errno.EIO, "broken")) is None
    assert _outage(context, ZeroDivisionError()) is None
