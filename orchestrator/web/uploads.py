"""Files that people send: streamed into folders of their own, away from everything that a manifest may name.

What a job was made of stays as long as the job may read it; what nobody made a job of goes after a day.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from db.errors import InputError
from db.settings import Settings
from orchestrator.terminal_text import has_control_characters, has_marks, visible

MOST_BYTES = {"manifest": 10**9, "photo": 2 * 10**8, "weights": 8 * 10**9}
"""What may be sent, and how large it may be."""
MOST_AT_ONCE = 8
KEPT_SECONDS = 24 * 3600.0
"""How long an upload stays of which no job was made."""
_SPARE_BYTES = 10**9
"""What must be free on the disk beside what is sent."""
_ID = re.compile(r"[0-9a-f]{32}")
_SWEPT = re.compile(r"[0-9a-f]{32}|sheet-[0-9a-f]{16}")
_PART, _USED, _ORDER = ".part", ".used", ".order-"
"""What lies beside a file, or in its place while it comes: a mark that a job was made of it, submissions going on."""
_MOST_NAME_BYTES = 200


@dataclass(frozen=True)
class Upload:
    """A file that was sent."""

    id: str
    name: str
    bytes: int
    sha256: str


class Uploads:
    """The folder of what was sent to one server."""

    def __init__(self, settings: Settings) -> None:
        """Take the home; the folder is made when something comes."""
        self._folder = settings.home.resolve() / "uploads"
        self._lock, self._count = threading.Lock(), 0

    async def take(self, name: str, kind: str, chunks: AsyncIterator[bytes], length: int | None) -> Upload:
        """Write what comes into a file of its own.

        Args:
            name: What it is called where it comes from: a plain name without folders.
            kind: A key of :data:`MOST_BYTES`.
            chunks: Its bytes.
            length: How many there will be, where that was said.

        Raises:
            InputError: ``PATH_UNSAFE``, ``BODY_TOO_LARGE``, ``TOO_MANY_REQUESTS``, ``NO_SPACE``, or ``TRUNCATED`` where
                fewer bytes came than were announced; nothing is left then.
        """
        check_name(name)
        most = MOST_BYTES[kind]
        self._check_room(length or 0, most)
        with self._lock:
            if self._count >= MOST_AT_ONCE:
                raise InputError(f"{MOST_AT_ONCE} files are being sent already", code="TOO_MANY_REQUESTS")
            self._count += 1
        upload_id = secrets.token_hex(16)
        folder = self._folder / upload_id
        try:
            folder.mkdir(mode=0o700, parents=True)
            upload = await self._write(folder / _PART, upload_id, name, chunks, most)
            if length is not None and upload.bytes != length:
                raise InputError(f"{upload.bytes} of {length} bytes came", code="TRUNCATED")
            (folder / _PART).rename(folder / name)
            return upload
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            with self._lock:
                self._count -= 1

    def path(self, upload_id: str) -> Path:
        """Return where a file lies; raises ``InputError`` ``UNKNOWN_UPLOAD``."""
        folder = self._folder / upload_id
        names = os.listdir(folder) if _ID.fullmatch(upload_id) and folder.is_dir() else []
        for name in names:
            if not name.startswith("."):
                return folder / name
        raise InputError(f"There is no upload {upload_id!r:.60}", code="UNKNOWN_UPLOAD")

    def keep(self, upload_id: str) -> None:
        """Note that a job was made of a file: it stays."""
        (self.path(upload_id).parent / _USED).touch()

    def note_order(self, upload_id: str, order_id: str, text: str) -> None:
        """Keep what is to become of a file until that is done: a server that comes after this one goes on with it."""
        place = self.path(upload_id).parent / f"{_ORDER}{order_id}"
        fresh = place.with_name(f"{_PART}-{order_id}")
        fresh.write_text(text, encoding="utf-8")
        fresh.rename(place)

    def drop_order(self, upload_id: str, order_id: str) -> None:
        """Forget what was to become of a file."""
        (self.path(upload_id).parent / f"{_ORDER}{order_id}").unlink(missing_ok=True)

    def orders(self) -> Iterator[tuple[str, str, str]]:
        """Yield what an earlier server was about to make of files: upload, order and text, the oldest first."""
        ages = []
        for place in self._folder.glob(f"*/{_ORDER}*"):
            with suppress(OSError, UnicodeDecodeError):  # another server of this home was done with it just now
                key = place.name.removeprefix(_ORDER)
                ages.append((place.stat().st_mtime, place.parent.name, key, place.read_text(encoding="utf-8")))
        for _, upload_id, key, text in sorted(ages):
            yield upload_id, key, text

    def remove(self, upload_id: str) -> None:
        """Remove a file of which no job was made; raises ``UNKNOWN_UPLOAD`` or ``WRONG_STATE``."""
        folder = self.path(upload_id).parent
        if _is_used(folder):
            raise InputError(f"A job was made of the upload {upload_id}, and may still read it", code="WRONG_STATE")
        shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what was sent more than a day ago and is not used."""
        for folder in self._folder.glob("*"):
            with suppress(OSError):  # somebody else removed it
                is_old = time.time() - folder.stat().st_mtime > KEPT_SECONDS
                if _SWEPT.fullmatch(folder.name) and is_old and not _is_used(folder):
                    shutil.rmtree(folder, ignore_errors=True)

    def _check_room(self, length: int, most: int) -> None:
        if length > most:
            raise InputError(f"{length} bytes are announced; at most {most} are taken", code="BODY_TOO_LARGE")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(self._folder).free
        if free < length + _SPARE_BYTES:
            raise InputError(f"The server has {free} bytes free; {length} are sent", code="NO_SPACE")

    async def _write(self, path: Path, upload_id: str, name: str, chunks: AsyncIterator[bytes], most: int) -> Upload:
        import anyio.to_thread

        digest, count = hashlib.sha256(), 0
        with path.open("xb") as file:
            async for chunk in chunks:
                count += len(chunk)
                if count > most:
                    raise InputError(f"More than {most} bytes come", code="BODY_TOO_LARGE")
                await anyio.to_thread.run_sync(file.write, chunk)
                digest.update(chunk)
        if not count:
            raise InputError("Nothing was sent", code="ZERO_BYTE")
        return Upload(upload_id, name, count, digest.hexdigest())


def _is_used(folder: Path) -> bool:
    return (folder / _USED).exists() or any(folder.glob(f"{_ORDER}*"))


def check_name(name: str) -> None:
    """Refuse what is no plain name of a file; raises ``InputError`` ``PATH_UNSAFE``."""
    plain = name != "" and not name.startswith(".") and "/" not in name and "\\" not in name
    if (
        not plain
        or has_control_characters(name)
        or has_marks(name)
        or len(name.encode(errors="surrogateescape")) > _MOST_NAME_BYTES
    ):
        message = f"{visible(name)[:100]!r} is no plain name of a file of at most {_MOST_NAME_BYTES} bytes"
        raise InputError(message, code="PATH_UNSAFE", remedy="Send it under another name.")
