"""Copies a whole installation, rows and blobs, elsewhere: a backup, or the way from a folder to servers and back.

Rows are taken at one moment into an SQLite file of their own, the blobs that they need follow, and the rows come last:
a copy that has rows is whole. What is cut short goes on where it was when it is asked for again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from db import ledger, needed, session
from db.errors import DiskFull, InputError, lacks_room
from db.needed import Need
from db.records import Blob
from db.scratch import scratch_folder, sweep
from db.session import Database
from db.settings import DATABASE_FILE
from db.store.base import Store
from db.store.local import LocalStore
from orchestrator.upkeep.known_keys import remember_keys

BACKUP_FILE = "backup.db"
"""All rows, in the folder of a backup. Not the name of a home's: nobody shall work in a backup by mistake."""
BACKUP_STORE = "store"
COPIES_AT_ONCE = 8
"""Blobs that are copied side by side: small ones wait for disks and networks, not for processors."""
MOST_ROUNDS = 5
"""How often rows are taken anew when blobs went while they were copied."""


@dataclass
class BlobCount:
    """What became of the blobs."""

    copied: int = 0
    there: int = 0
    """Of the right size in the target already; nothing was copied."""
    bytes: int = 0
    """Of all of them."""
    lacking: dict[str, str] = field(default_factory=dict)
    """What could not be read from the source, or is not what its record says: key, and why."""


@dataclass(frozen=True)
class CopyReport:
    """A copy that is done."""

    tables: Mapping[str, ledger.TableSum]
    blobs: BlobCount


Told = Callable[[int], None]
"""Told how many blobs were looked at so far."""


def back_up(
    db: Database, store: Store, folder: Path, *, check: bool = False, told: Told = lambda _: None
) -> CopyReport:
    """Copy an installation into a folder while workers go on; what an earlier backup left there is not copied again.

    Args:
        db: Its database.
        store: Its store.
        folder: Where to; made where it is not there.
        check: Whether blobs that an earlier backup left are read and compared too.
        told: See :data:`Told`.

    Raises:
        InputError: ``PATH_UNUSABLE`` where the folder holds other things; ``TARGET_IN_USE`` where another backup is
            being made in it.
    """
    if folder.exists() and any(folder.iterdir()) and not _holds_backup(folder):
        raise InputError(
            f"{str(folder)!r:.300} holds other things, and no backup", code="PATH_UNUSABLE",
            remedy="Name a new or empty folder, or one that an earlier backup was made in.",
        )  # fmt: skip
    (folder / BACKUP_STORE).mkdir(parents=True, exist_ok=True)
    target = LocalStore(folder / BACKUP_STORE)
    with _lock_backup(folder), _scratch(folder, target) as scratch:
        report = _take_and_copy(db, store, scratch, target, check, told)
        os.replace(scratch / BACKUP_FILE, folder / BACKUP_FILE)
    return report


def check_backup_place(folder: Path, home: Path, store: Store) -> None:
    """Make sure that a backup lies outside of what it is a backup of: it would be lost, or removed, with that.

    Raises:
        InputError: ``PATH_UNUSABLE``.
    """
    place, kept = folder.resolve(), {"home": home.resolve()}
    if isinstance(store, LocalStore):
        kept["store"] = store.folder
    for name, path in kept.items():
        if place.is_relative_to(path) or path.is_relative_to(place / BACKUP_STORE):
            raise InputError(
                f"{str(folder)!r:.300} lies in the {name} that it would be a backup of", code="PATH_UNUSABLE",
                remedy="Name a folder elsewhere, best on another disk.",
            )  # fmt: skip


def copy_installation(
    db: Database, store: Store, target: Database, target_store: Store, scratch: Path, *,
    check: bool = True, told: Told = lambda _: None,
) -> CopyReport:  # fmt: skip
    """Copy an installation into an empty database and another store; nobody should work in it.

    Args:
        db: Its database.
        store: Its store.
        target: A database of this release's schema: an empty one, or one that holds the same rows already.
        target_store: Where blobs are copied; where it is the same one, none is.
        scratch: Folder for temporary files.
        check: Whether blobs that are there already are read and compared.
        told: See :data:`Told`.

    Raises:
        InputError: ``TARGET_IN_USE``; ``BLOB_MISSING`` where blobs cannot be copied, and then no row is.
    """
    other_store = None if store.uri == target_store.uri else target_store
    with _scratch(scratch, other_store) as folder:
        report = _take_and_copy(db, store, folder, other_store, check, told)
        if report.blobs.lacking:
            _refuse_lacking(report.blobs.lacking)
        put_rows(folder / BACKUP_FILE, target)
    return report


def restore(
    folder: Path, target: Database, target_store: Store, scratch: Path, *, told: Told = lambda _: None
) -> CopyReport:
    """Bring a backup back into an empty installation. Backups of earlier releases are brought to this one's schema.

    Raises:
        InputError: ``FILE_MISSING`` where the folder holds no backup; else as :func:`copy_installation`.
    """
    if not (folder / BACKUP_FILE).is_file():
        raise InputError(
            f"{str(folder)!r:.300} holds no backup", code="FILE_MISSING",
            remedy="Name the folder that `reelwright backup` wrote.",
        )  # fmt: skip
    with scratch_folder(scratch, "restore") as temporary:
        rows = temporary / BACKUP_FILE
        _copy_file(folder / BACKUP_FILE, rows)
        with _open_file(rows) as backup:
            session.upgrade(backup)
            store = LocalStore(folder / BACKUP_STORE)
            return copy_installation(backup, store, target, target_store, scratch, told=told)


def _copy_file(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        if lacks_room(error):  # the error names the source
            raise DiskFull(f"There is no room in {str(target.parent)!r:.300} for the rows") from error
        raise


def put_rows(part: Path, target: Database) -> None:
    """Put the rows of a file into a database, which may hold the same ones already.

    Raises:
        InputError: ``TARGET_IN_USE``.
    """
    with _open_file(part) as taken, taken.freeze() as connection:
        sums = ledger.table_sums(connection)
        if not ledger.is_empty(target):
            with target.freeze() as there:
                if ledger.table_sums(there) == sums:
                    return
            raise InputError("The database that is to be copied into holds other rows", code="TARGET_IN_USE")
        if ledger.copy_rows(connection, target) != sums:
            raise InputError("The rows were copied and are not the same in the other database", code="RECORD_DIFFERS")


def _take_and_copy(
    db: Database, store: Store, scratch: Path, target: Store | None, check: bool, told: Told
) -> CopyReport:
    """Take the rows into a file in ``scratch``, and copy what they need; again where blobs went before they were.

    Blobs are removed two minutes after the last row let go of them, so later rounds, which copy little, find them all.
    """
    lacking, part = set[str](), scratch / BACKUP_FILE
    for number in range(MOST_ROUNDS):
        part.unlink(missing_ok=True)
        with _open_file(part) as taken:
            session.upgrade(taken)
            with db.freeze() as connection:
                tables = ledger.copy_rows(connection, taken)
            blobs = BlobCount()
            if target:
                blobs = copy_blobs(taken, store, target, scratch, check and number == 0, told)
        if not blobs.lacking or set(blobs.lacking) == lacking:
            break
        lacking = set(blobs.lacking)
    return CopyReport(tables, blobs)


def copy_blobs(taken: Database, store: Store, target: Store, scratch: Path, check: bool, told: Told) -> BlobCount:
    """Copy all blobs that rows need from one store to another; each digest is compared while its blob is written.

    ``scratch`` is where those of a server lie until they are whole.
    """
    count, looked = BlobCount(), 0
    with (
        taken.freeze() as connection,
        ThreadPoolExecutor(COPIES_AT_ONCE) as pool,
        remember_keys() as seen,
    ):
        copy = partial(_copy_blob, store=store, target=target, folder=scratch, check=check)
        left = (need for need in needed.needs(connection) if seen.add(need.key))
        while some := list(islice(left, COPIES_AT_ONCE * 8)):
            for need, (state, size) in zip(some, pool.map(copy, some), strict=True):
                _count(count, need, state, size)
            looked += len(some)
            told(looked)
    return count


def _count(count: BlobCount, need: Need, state: str, size: int) -> None:
    if state in {"copied", "there"}:
        setattr(count, state, getattr(count, state) + 1)
        count.bytes += size
    else:
        count.lacking[need.key] = f"{need.row}: {state}"


def _copy_blob(need: Need, *, store: Store, target: Store, folder: Path, check: bool) -> tuple[str, int]:
    """Return ``copied``, ``there``, or what is wrong, and the size in bytes."""
    size = store.size(need.key) if need.bytes < 0 else need.bytes
    if size is None:
        return f"Blob {need.key} is not in the store", 0
    blob = Blob(key=need.key, sha256=need.sha256, bytes=size)
    try:
        if target.size(need.key) == size and not (check and _is_rotten(blob, target)):
            return "there", size
        written = _put(blob, store, target, folder)
    except InputError as error:
        return error.message, 0
    if need.sha256 and written.sha256 != need.sha256:
        target.remove(need.key)  # or the next copy would take it for a good one
        return f"Blob {need.key}: its record says sha256 {need.sha256}, it has {written.sha256}", 0
    return "copied", size


def _is_rotten(blob: Blob, target: Store) -> bool:
    if not blob.sha256:
        return False
    try:
        target.check(blob)
    except InputError as error:
        if error.code != "CHECKSUM_MISMATCH":
            raise
        return True
    return False


def _put(blob: Blob, store: Store, target: Store, folder: Path) -> Blob:
    local = store.local_path(blob.key)
    if local is not None:
        if not local.is_file():
            raise InputError(f"Blob {blob.key} is not in the store", code="BLOB_MISSING")
        return target.put(blob.key, local, mode=stat.S_IMODE(local.stat().st_mode))
    number, name = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(number, "wb") as file:
            for piece in store.stream(blob):
                file.write(piece)
        return target.put(blob.key, Path(name))
    finally:
        os.unlink(name)


def _refuse_lacking(lacking: Mapping[str, str]) -> None:
    some = "; ".join(list(lacking.values())[:5])
    raise InputError(f"{len(lacking)} blobs cannot be copied, so no row was: {some}", code="BLOB_MISSING")


def _holds_backup(folder: Path) -> bool:
    """Whether an earlier backup was made, or begun, in a folder; a home has a store as well."""
    return (folder / BACKUP_STORE).is_dir() and not (folder / DATABASE_FILE).exists()


@contextmanager
def _lock_backup(folder: Path) -> Iterator[None]:
    """Hold a backup's folder: of two at once, each would take the other's rows away. Not where disks know no locks."""
    number = os.open(folder / BACKUP_STORE, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(
                    f"Another backup is being made in {str(folder)!r:.300}", code="TARGET_IN_USE",
                    remedy="Wait until it is done, or name another folder.",
                ) from error  # fmt: skip
        yield
    finally:
        os.close(number)


@contextmanager
def _scratch(place: Path, target: Store | None) -> Iterator[Path]:
    """Give a folder for temporary files; what copies left that were killed is removed, there and in the target."""
    if sweep(place) and isinstance(target, LocalStore):
        target.remove_parts()
    with scratch_folder(place, "copy") as folder:
        yield folder


@contextmanager
def _open_file(path: Path) -> Iterator[Database]:
    with Database(session.engine(f"sqlite:///{path}")) as database:
        yield database
