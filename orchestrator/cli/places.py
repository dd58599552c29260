"""Tries, before any work, the places that a command writes to: who has waited for an hour should not hear it then."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from db.errors import DiskFull, InputError, StoreUnavailable, TransientError
from db.settings import Settings
from db.writable import check_writable

_PROBE = "probe/"
"""In the store, below which a key is written and removed."""


def check_home(settings: Settings) -> None:
    """Make sure that the home can be made, or may be written to; a server's database needs none.

    Where there is no room, nothing is said: what is done there says so, and services wait for some.

    Raises:
        InputError: ``HOME_READ_ONLY``, or ``PATH_UNUSABLE`` where no home can be.
    """
    if settings.database_url:
        return
    try:
        with suppress(DiskFull):
            check_writable(settings.home, "--home")
    except InputError as error:
        if os.path.isdir(settings.home):
            raise InputError(error.message, code="HOME_READ_ONLY") from error
        raise


def check_workplaces(settings: Settings) -> None:
    """Make sure that work can put its files into scratch, messages and store.

    Raises:
        InputError: ``PATH_UNUSABLE``.
        DiskFull: There is no room.
        TransientError: The store refused.
        StoreUnavailable: The store does not answer.
    """
    check_writable(settings.scratch_folder, "the setting scratch" if settings.scratch else "--home")
    if settings.embedded:
        check_writable(settings.messages, "--home")
    if settings.store.startswith("s3://"):
        _try_store(settings)
    else:
        store = Path(settings.store.removeprefix("file://"))
        check_writable(store, "the setting store_uri" if settings.store_uri else "--home")


def _try_store(settings: Settings) -> None:
    from db.store import open_store  # takes a while, and most stores are folders

    try:
        store = open_store(settings)
        store.put_bytes(f"{_PROBE}run", b"reelwright")
    except StoreUnavailable as error:
        raise StoreUnavailable(f"{settings.store}: {error.message}") from error
    except TransientError as error:
        remedy = "Give the user of these credentials the right to write there, or another place with store_uri."
        raise TransientError(f"Nothing can be written to {settings.store}: {error.message}", remedy=remedy) from error
    with suppress(TransientError):  # who may not remove what is there can work nevertheless
        store.delete(_PROBE)
