"""Results out of the store into a folder of a person's own. Called by the command line."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath

from db import progress
from db.errors import InputError
from db.progress import JobRow
from db.records import Blob
from db.session import Database
from db.store.base import Store
from orchestrator import unpacking
from orchestrator.manifest import kinds
from orchestrator.report import REPORTS

MAX_NAME_BYTES = 180
"""Longest part of a path that is made; file systems take 255 with the suffixes behind it."""
_REFUSED = re.compile(r'[\\:*?"<>|]|[^\S ]')
_CHIEF = ("master", "still")
"""Outputs that carry the item's plain name."""


@dataclass(frozen=True)
class Exported:
    """What was put where."""

    folder: Path
    files: int
    bytes: int
    items: int


def export(
    database: Database,
    store: Store,
    job_id: int,
    folder: Path,
    *,
    external_ids: Sequence[str] = (),
    on_item: Callable[[int], None] = lambda count: None,
) -> Exported:
    """Put every output of a job's items into ``folder``: hard links where the store allows, else checked copies.

    The files of an image sequence are taken out into a folder that is named as the item.

    Args:
        database: Where the results are written down.
        store: Where the blobs lie.
        job_id: The job.
        folder: Made when it is not there; files of an earlier export are replaced.
        external_ids: Only these items; empty means all.
        on_item: Called with the number of items after each.

    Raises:
        InputError: ``OUTPUT_ON_SOURCE`` when a file would replace a source, ``UNKNOWN_ITEM`` when no item has one of
            the ids, ``PATH_UNSAFE`` when a link inside the folder leads out of it, or as ``Store.get``.
    """
    root = os.path.realpath(folder)
    os.makedirs(root, exist_ok=True)
    sources, clashing = _survey(database, job_id, root)
    files = items = moved_bytes = 0
    for item, result in progress.results(database, job_id, external_ids=external_ids):
        items += 1
        base, outputs = _base(item.external_id, clashing), result.outputs if result else {}
        named = _named(base, {name: blob for name, blob in outputs.items() if not unpacking.is_part(name)})
        placed = [(os.path.join(root, name), blob) for name, blob in named]
        for target, _ in placed:
            _check_target(target, root, sources)
        for target, blob in placed:
            _placed(store, blob, target)
            files, moved_bytes = files + 1, moved_bytes + blob.bytes
        for blob in (blob for name, blob in sorted(outputs.items()) if unpacking.is_part(name)):
            files += _unpacked(store, blob, os.path.join(root, base), root, sources)
            moved_bytes += blob.bytes
        on_item(items)
    if external_ids and items < len(set(external_ids)):
        raise InputError(f"Job {job_id} has not all of the {len(set(external_ids))} items named", code="UNKNOWN_ITEM")
    return Exported(Path(root), files, moved_bytes, items)


def check_folder(folder: Path, job: JobRow, home: Path) -> None:
    """Refuse a folder for results that is, or lies in, the folder that the job was made of.

    The next run would take the results for sources. A home may lie there: it is left out when a folder is read.

    Raises:
        InputError: ``OUTPUT_ON_SOURCE``.
    """
    place, manifest = folder.resolve(), Path(job.manifest_uri)
    among_sources = manifest.is_dir() and place.is_relative_to(manifest) and not place.is_relative_to(home.resolve())
    if among_sources or (manifest.parent == place and manifest.name in REPORTS):
        raise InputError(f"Results in {str(place)!r:.300} would lie among the job's sources", code="OUTPUT_ON_SOURCE")


def safe_path(external_id: str) -> str:
    """Return a relative path that people recognise the id by; a changed one ends in a piece of the id's digest."""
    parts = [part for part in (_safe_part(part) for part in external_id.split("/")) if part]
    name = "/".join(parts[-8:])
    return name if name == external_id else _marked(name, external_id)


def _marked(name: str, external_id: str) -> str:
    return f"{name or 'item'}-{hashlib.sha256(external_id.encode(errors='surrogatepass')).hexdigest()[:8]}"


def _safe_part(part: str) -> str:
    plain = unicodedata.normalize("NFC", part)
    kept = "".join(char if char.isprintable() and char != "\ufeff" else "_" for char in _REFUSED.sub("_", plain))
    kept = kept.strip(" ").lstrip(".-").rstrip(".")
    return kept.encode()[:MAX_NAME_BYTES].decode(errors="ignore")


def _stem(name: str) -> str:
    """Return a name without the suffixes of pictures and films at its end: the result of `x.avi` is `x.mkv`."""
    while kinds.by_suffix(name):
        name = name[: -len(kinds.suffix(name)) - 1]
    return name


def _base(external_id: str, clashing: Set[int]) -> str:
    """Return what the names of an item's files begin with: its stem, or more where another item has the same one."""
    name = safe_path(external_id)
    stem = _stem(name)
    if hash(stem.casefold()) not in clashing:
        return stem
    # Exactly one suffix tells them apart. With none or several, `x.avi.mkv` could be the result of `x.avi` as well.
    one_suffix = PurePath(name).stem == PurePath(stem).name != PurePath(name).name
    return name if one_suffix else _marked(name, external_id)


def _named(base: str, outputs: dict[str, Blob]) -> Iterator[tuple[str, Blob]]:
    for output, blob in sorted(outputs.items()):
        suffix = PurePath(blob.name).suffix
        if output not in _CHIEF:
            yield f"{base}{suffix}" if suffix == f".{output}" else f"{base}.{output}{suffix}", blob
        elif base.lower().endswith(suffix.lower()):
            yield base, blob
        else:
            yield base + suffix, blob


def _survey(database: Database, job_id: int, root: str) -> tuple[Set[str], Set[int]]:
    """Return the job's sources below the folder, as nothing else can be overwritten there, and stems of several items.

    Stems come as hashes, so that a million of them fit into memory.
    """
    real_folder = lru_cache(4096)(os.path.realpath)
    found: set[str] = set()
    seen: set[int] = set()
    clashing: set[int] = set()
    for item in progress.items(database, job_id):
        stem = hash(_stem(safe_path(item.external_id)).casefold())
        (clashing if stem in seen else seen).add(stem)
        if not item.uri.startswith("/"):
            continue
        folder, name = os.path.split(item.uri)
        path = os.path.join(real_folder(folder), name)
        if path.startswith(root + "/") or path == root:
            found.add(path)
    return found, clashing


def _check_target(target: str, root: str, sources: Set[str]) -> None:
    folder = os.path.realpath(os.path.dirname(target))
    if not (folder + "/").startswith(root + "/"):
        raise InputError(f"{target!r:.300} leads out of {root!r:.200} by a link", code="PATH_UNSAFE")
    real = os.path.join(folder, os.path.basename(target))
    # A sequence's source is its folder: nothing is put into that either.
    if real in sources or folder in sources or os.path.realpath(target) in sources:
        raise InputError(f"{target!r:.300} is, or lies among, the job's sources", code="OUTPUT_ON_SOURCE")


def _unpacked(store: Store, blob: Blob, folder: str, root: str, sources: Set[str]) -> int:
    """Take the files of a sequence out into a folder that is named as the item; returns how many."""
    with _writing(folder):
        return unpacking.unpack(store, blob, folder, lambda target: _check_target(target, root, sources))


def _placed(store: Store, blob: Blob, target: str) -> None:
    with _writing(target):
        _place(store, blob, target)


@contextmanager
def _writing(target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        code = "NO_SPACE" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "BAD_VALUE"
        remedy = "Give another folder with --out." if code == "BAD_VALUE" else None
        raise InputError(f"{target!r:.300} cannot be written: {error.strerror}", code=code, remedy=remedy) from error


def _place(store: Store, blob: Blob, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    local = store.local_path(blob.key)
    fresh = f"{target}.part"
    Path(fresh).unlink(missing_ok=True)
    try:
        if local is None:
            raise OSError("the store is no folder")
        os.link(local, fresh)
    except OSError:  # another file system, or one without links
        store.get(blob, Path(fresh))
    # Renaming a link onto another link of the same file does nothing and leaves both names.
    if os.path.lexists(target):
        os.unlink(target)
    os.rename(fresh, target)
