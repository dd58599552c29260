"""Results out of the store into a folder of a person's own."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

from db import progress, source_types
from db.errors import InputError
from db.lineage import Lineage, lineages
from db.progress import JobRow
from db.records import Blob
from db.session import Database
from db.store.base import Store
from orchestrator.manifest import kinds
from orchestrator.results import sequence_tar
from orchestrator.results.report import REPORTS

MAX_NAME_BYTES = 180
"""Longest part of a path that is made; file systems take 255 with the suffixes behind it."""
_REFUSED = re.compile(r'[\\:*?"<>|%]|[^\S ]')
# The per cent sign is spelled differently by different readers of bags.
_CHIEF = ("master", "still")
"""Outputs that carry the item's plain name."""


@dataclass(frozen=True)
class ExportSummary:
    """What was put where."""

    folder: Path
    files: int
    bytes: int
    items: int


@dataclass(frozen=True)
class OutputFile:
    """One output and where it goes."""

    output: str
    """``master``, ``still``, ``scores`` …"""
    name: str
    """Path below the folder."""
    blob: Blob


@dataclass(frozen=True)
class ExportItem:
    """One item as it is put out."""

    external_id: str
    stem: str
    """What the names of all its files begin with."""
    outputs: tuple[OutputFile, ...]
    parts: tuple[OutputFile, ...] = ()
    """Tar files of an image sequence, each with the folder into which its files go."""
    lineage: Lineage | None = None
    """All that is known of it, where that was asked for."""


@dataclass(frozen=True)
class Sidecar:
    """A small file that is written beside an item's outputs: a provenance record, a signature."""

    name: str
    """Path below the folder."""
    data: bytes


SidecarMaker = Callable[[ExportItem, Path], Iterable[Sidecar]]
"""Given an item and the folder in which its outputs lie by now, returns what is written beside them."""


def export(
    database: Database,
    store: Store,
    job_id: int,
    folder: Path,
    *,
    external_ids: Sequence[str] = (),
    papers: SidecarMaker | None = None,
    on_item: Callable[[int], None] = lambda count: None,
) -> ExportSummary:
    """Put every output of a job's items into ``folder``: hard links where the store allows, else checked copies.

    The files of an image sequence are taken out into a folder that is named as the item.

    Args:
        database: Where the results are written down.
        store: Where the blobs lie.
        job_id: The job.
        folder: Made when it is not there; files of an earlier export are replaced.
        external_ids: Only these items; empty means all.
        papers: Makes what is written beside each item's outputs.
        on_item: Called with the number of items after each.

    Raises:
        InputError: ``OUTPUT_ON_SOURCE`` when a file would replace a source, ``UNKNOWN_ITEM`` when no item has one of
            the ids, ``PATH_UNSAFE`` when a link inside the folder leads out of it, or as ``Store.get``.
    """
    root = os.path.realpath(folder)
    os.makedirs(root, exist_ok=True)
    sources, clashing = _sources_and_clashes(database, job_id, root)
    files = items = moved_bytes = 0
    for subject in _export_items(database, job_id, clashing, external_ids, with_lineage=papers is not None):
        items += 1
        targets = [os.path.join(root, output.name) for output in subject.outputs]
        for target in targets:
            _check_target(target, root, sources)
        for target, placed in zip(targets, subject.outputs, strict=True):
            _write_in_place(target, lambda fresh, blob=placed.blob: _link_blob(store, blob, fresh))  # type: ignore[misc]
            files, moved_bytes = files + 1, moved_bytes + placed.blob.bytes
        for part in subject.parts:
            files += _unpack_sequence(store, part.blob, os.path.join(root, part.name), root, sources)
            moved_bytes += part.blob.bytes
        for sidecar in papers(subject, Path(root)) if papers else ():
            target = os.path.join(root, sidecar.name)
            _check_target(target, root, sources)
            _write_in_place(target, lambda fresh, data=sidecar.data: Path(fresh).write_bytes(data))  # type: ignore[misc]
            files, moved_bytes = files + 1, moved_bytes + len(sidecar.data)
        on_item(items)
    return ExportSummary(Path(root), files, moved_bytes, items)


def export_items(database: Database, job_id: int, *, external_ids: Sequence[str] = ()) -> Iterator[ExportItem]:
    """Yield a job's items in manifest order with their lineage, and the names that their outputs have in a folder.

    Raises:
        InputError: ``UNKNOWN_ITEM`` when no item has one of the ids.
    """
    _, clashing = _sources_and_clashes(database, job_id, None)
    return _export_items(database, job_id, clashing, external_ids, with_lineage=True)


def _export_items(
    database: Database, job_id: int, clashing: Set[int], external_ids: Sequence[str], *, with_lineage: bool
) -> Iterator[ExportItem]:
    count = 0
    for external_id, outputs, facts, lineage in _item_outputs(database, job_id, external_ids, with_lineage):
        count += 1
        stem = _unique_stem(external_id, clashing)
        mark = source_types.AI_COLOR if source_types.has_invented_color(facts) and not _has_ai_suffix(stem) else ""
        full_stem = f"{stem}{mark}"
        output_blobs = {name: blob for name, blob in outputs.items() if not sequence_tar.is_part(name)}
        files = tuple(
            OutputFile(output, name, outputs[output]) for output, name in _output_names(stem, mark, output_blobs)
        )
        parts = tuple(
            OutputFile(name, full_stem, blob) for name, blob in sorted(outputs.items()) if name not in output_blobs
        )
        yield ExportItem(external_id, full_stem, files, parts, lineage)
    if external_ids and count < len(set(external_ids)):
        raise InputError(f"Job {job_id} has not all of the {len(set(external_ids))} items named", code="UNKNOWN_ITEM")


_Row = tuple[str, dict[str, Blob], dict[str, Any], Lineage | None]


def _item_outputs(database: Database, job_id: int, external_ids: Sequence[str], with_lineage: bool) -> Iterator[_Row]:
    if with_lineage:
        for lineage in lineages(database, job_id, external_ids=external_ids):
            result_view = lineage.newest.result if lineage.newest else None
            yield (
                lineage.external_id,
                result_view.outputs if result_view else {},
                result_view.facts if result_view else {},
                lineage,
            )
        return
    for item, result in progress.results(database, job_id, external_ids=external_ids):
        yield item.external_id, result.outputs if result else {}, result.facts if result else {}, None


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
    return name if name == external_id else _name_with_digest(name, external_id)


def _name_with_digest(name: str, external_id: str) -> str:
    return f"{name or 'item'}-{hashlib.sha256(external_id.encode(errors='surrogatepass')).hexdigest()[:8]}"


def _safe_part(part: str) -> str:
    plain = unicodedata.normalize("NFC", part)
    safe = "".join(char if char.isprintable() and char != "\ufeff" else "_" for char in _REFUSED.sub("_", plain))
    safe = safe.strip(" ").lstrip(".-").rstrip(".")
    return safe.encode()[:MAX_NAME_BYTES].decode(errors="ignore")


def _stem(name: str) -> str:
    """Return a name without the suffixes of pictures and films at its end: the result of `x.avi` is `x.mkv`."""
    while kinds.by_suffix(name):
        name = name[: -len(kinds.suffix(name)) - 1]
    return name


def _unique_stem(external_id: str, clashing: Set[int]) -> str:
    """Return what the names of an item's files begin with: its stem, or more where another item has the same one."""
    name = safe_path(external_id)
    stem = _stem(name)
    if _stem_hash(stem) not in clashing:
        return stem
    if _has_ai_suffix(stem):
        return _name_with_digest(name, external_id)
    # Exactly one suffix tells them apart. With none or several, `x.avi.mkv` could be the result of `x.avi` as well.
    one_suffix = PurePath(name).stem == PurePath(stem).name != PurePath(name).name
    return name if one_suffix else _name_with_digest(name, external_id)


def _output_names(base: str, mark: str, outputs: Mapping[str, Blob]) -> Iterator[tuple[str, str]]:
    """Yield each output's name in a folder; a mark stands before all suffixes that we add."""
    for output, blob in sorted(outputs.items()):
        suffix = PurePath(blob.name).suffix
        if output not in _CHIEF:
            yield output, f"{base}{mark}{suffix}" if suffix == f".{output}" else f"{base}{mark}.{output}{suffix}"
        elif base.lower().endswith(suffix.lower()):
            yield output, f"{base[: len(base) - len(suffix)]}{mark}{base[len(base) - len(suffix) :]}"
        else:
            yield output, f"{base}{mark}{suffix}"


def _has_ai_suffix(stem: str) -> bool:
    return stem.casefold().endswith(source_types.AI_COLOR.casefold())


def _stem_hash(stem: str) -> int:
    """Return the same number for stems whose files could have equal names, marked or not."""
    return hash(stem.casefold().removesuffix(source_types.AI_COLOR.casefold()))


def _sources_and_clashes(database: Database, job_id: int, root: str | None) -> tuple[Set[str], Set[int]]:
    """Return the job's sources below the folder, as nothing else can be overwritten there, and stems of several items.

    Stems come as hashes, so that a million of them fit into memory.
    """
    real_folder = lru_cache(4096)(os.path.realpath)
    sources: set[str] = set()
    stems: set[int] = set()
    clashing: set[int] = set()
    for item in progress.items(database, job_id):
        stem = _stem_hash(_stem(safe_path(item.external_id)))
        (clashing if stem in stems else stems).add(stem)
        if root is None or not item.uri.startswith("/"):
            continue
        folder, name = os.path.split(item.uri)
        path = os.path.join(real_folder(folder), name)
        if path.startswith(root + "/") or path == root:
            sources.add(path)
    return sources, clashing


def _check_target(target: str, root: str, sources: Set[str]) -> None:
    folder = os.path.realpath(os.path.dirname(target))
    if not (folder + "/").startswith(root + "/"):
        raise InputError(f"{target!r:.300} leads out of {root!r:.200} by a link", code="PATH_UNSAFE")
    real = os.path.join(folder, os.path.basename(target))
    # A sequence's source is its folder: nothing is put into that either.
    if real in sources or folder in sources or os.path.realpath(target) in sources:
        raise InputError(f"{target!r:.300} is, or lies among, the job's sources", code="OUTPUT_ON_SOURCE")


def _unpack_sequence(store: Store, blob: Blob, folder: str, root: str, sources: Set[str]) -> int:
    """Take the files of a sequence out into a folder that is named as the item; returns how many."""
    with _translate_write_errors(folder):
        return sequence_tar.unpack(store, blob, folder, lambda target: _check_target(target, root, sources))


def _write_in_place(target: str, make: Callable[[str], object]) -> None:
    """Make a file under a passing name, then put it in place of whatever is there."""
    with _translate_write_errors(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        fresh = f"{target}.part"
        Path(fresh).unlink(missing_ok=True)
        make(fresh)
        # Renaming a link onto another link of the same file does nothing and leaves both names.
        if os.path.lexists(target):
            os.unlink(target)
        os.rename(fresh, target)


@contextmanager
def _translate_write_errors(target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        code = "NO_SPACE" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "BAD_VALUE"
        remedy = "Give another folder with --out." if code == "BAD_VALUE" else None
        raise InputError(f"{target!r:.300} cannot be written: {error.strerror}", code=code, remedy=remedy) from error


def _link_blob(store: Store, blob: Blob, fresh: str) -> None:
    local = store.local_path(blob.key)
    try:
        if local is None:
            raise OSError("the store is no folder")
        os.link(local, fresh)
    except OSError:  # another file system, or one without links
        store.get(blob, Path(fresh))
