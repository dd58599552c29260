"""Results out of the store into a folder of a person's own."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from db import placing, progress, source_types
from db.errors import InputError
from db.home_placer import open_placer
from db.lineage import Lineage, lineages
from db.local_paths import disk_path
from db.records import Blob, deliverables
from db.session import Database
from db.states import ItemKind
from db.store.base import Store
from db.store.local import ROTTEN, check_digest
from orchestrator.manifest import kinds
from orchestrator.results import sequence_tar
from orchestrator.results.report import REPORTS

MAX_NAME_BYTES = 180
"""Longest part of a path that is made; file systems take 255 with the suffixes behind it."""
_REFUSED = re.compile(r'[\\:*?"<>|%]|[^\S ]')
# The per cent sign is spelled differently by different readers of bags.
_CHIEF = ("master", "still")
"""Outputs that carry the item's plain name."""
_FICLONE = 0x40049409
"""Linux: ``_IOW(0x94, 9, int)`` of ``linux/fs.h``."""


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


@dataclass(frozen=True)
class _UsedNames:
    """What a job's results are called, as hashes, so that a million of them fit into memory."""

    clashing: Set[int]
    """Stems that several items have."""
    folders: Set[int]
    """Folders into which files of other items go: no file may have their names."""


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
    home: Path | None = None,
    copies: bool = False,
) -> ExportSummary:
    """Put every output of a job's items into ``folder``: hard links where the store allows, else copies, all checked.

    The files of an image sequence are taken out into a folder that is named as the item. What Reelwright put there
    before is replaced, and nothing else is. An item that cannot be put out does not keep the others.

    Args:
        database: Where the results are written down.
        store: Where the blobs lie.
        job_id: The job.
        folder: Made when it is not there.
        external_ids: Only these items; empty means all.
        papers: Makes what is written beside each item's outputs.
        on_item: Called with the number of items after each.
        home: Where it is noted what was put there beside outputs, so that a later export may replace it.
        copies: Whether all files are files of their own, that share their room with the store's where the disk can.

    Raises:
        PutError: Once all others are put out, with the code of the first item that could not be: ``OUTPUT_ON_SOURCE``
            when a file would replace a source, ``ALREADY_THERE`` when it would replace anything else that is not ours,
            ``CHECKSUM_MISMATCH`` when a blob is not what its record says, ``PATH_UNSAFE`` when a link inside the
            folder leads out of it, or as ``Store.get``.
        InputError: ``UNKNOWN_ITEM`` when no item has one of the ids, ``NO_SPACE``.
    """
    root = os.path.realpath(folder)
    os.makedirs(root, exist_ok=True)
    items = _ItemExport(store, root, open_placer(database, home, store), copies)
    subjects = export_items(database, job_id, external_ids=external_ids, with_lineage=papers is not None)
    count = 0
    faults: list[tuple[str, InputError]] = []
    for count, subject in enumerate(subjects, start=1):
        try:
            items.put(subject, papers)
        except InputError as error:
            if error.code == "NO_SPACE":
                raise
            faults.append((subject.external_id, error))
        on_item(count)
    summary = ExportSummary(Path(root), items.files, items.bytes, count - len(faults))
    if faults:
        raise placing.PutError(faults, summary)
    return summary


class _ItemExport:
    """Puts out item after item, and counts."""

    def __init__(self, store: Store, root: str, placer: placing.Placer, copies: bool) -> None:
        self._store, self._root, self._placer, self._copies = store, root, placer, copies
        self.files = self.bytes = 0

    def put(self, subject: ExportItem, papers: SidecarMaker | None) -> None:
        """Put out one item: its outputs, the files of its sequence, and what stands beside them."""
        targets = [os.path.join(self._root, output.name) for output in subject.outputs]
        for target in targets:
            self._check(target)
        with ExitStack() as stack:  # all are out of the store before any is in its place: no list without its master
            names = [stack.enter_context(self._placer.fresh_name(target)) for target in targets]
            for fresh, placed in zip(names, subject.outputs, strict=True):
                _take_blob(self._store, placed.blob, fresh, self._copies)
            for fresh, target, placed in zip(names, targets, subject.outputs, strict=True):
                self._placer.put(fresh, target, sha256=placed.blob.sha256)
                self._add(1, placed.blob.bytes)
        for part in subject.parts:
            folder = os.path.join(self._root, part.name)
            write_frame = partial(self._write_frame, mode=_copy_mode(self._store.local_path(part.blob.key)))
            self._add(sequence_tar.unpack(self._store, part.blob, folder, write_frame), part.blob.bytes)
        for sidecar in papers(subject, Path(self._root)) if papers else ():
            target = os.path.join(self._root, sidecar.name)
            self._check(target)
            self._placer.write(target, sidecar.data)
            self._add(1, len(sidecar.data))

    def _add(self, files: int, size: int) -> None:
        self.files, self.bytes = self.files + files, self.bytes + size

    def _check(self, target: str) -> None:
        """Make sure that a place lies in the folder, and not among frames of a source."""
        folder = os.path.realpath(os.path.dirname(target))
        if not (folder + "/").startswith(self._root.rstrip("/") + "/"):
            raise InputError(f"{target!r:.300} leads out of {self._root!r:.200} by a link", code="PATH_UNSAFE")
        self._placer.check_folder(folder)

    @contextmanager
    def _write_frame(self, target: str, *, mode: int) -> Iterator[BinaryIO]:
        self._check(target)
        with self._placer.fresh_name(target) as fresh:
            with open(placing.create(fresh, mode), "wb") as file:
                yield file
            self._placer.put(fresh, target)


def export_items(
    database: Database, job_id: int, *, external_ids: Sequence[str] = (), with_lineage: bool = True
) -> Iterator[ExportItem]:
    """Yield a job's items in manifest order with the names that their outputs have in a folder, and their lineage.

    Raises:
        InputError: ``UNKNOWN_ITEM`` when no item has one of the ids.
    """
    used = _used_names(database, job_id)
    count = 0
    for external_id, outputs, facts, lineage in _item_outputs(database, job_id, external_ids, with_lineage):
        count += 1
        output_blobs = {name: blob for name, blob in outputs.items() if not sequence_tar.is_part(name)}
        full_stem, files = _item_files(external_id, output_blobs, source_types.has_invented_color(facts), used)
        parts = tuple(
            OutputFile(name, full_stem, blob) for name, blob in sorted(outputs.items()) if name not in output_blobs
        )
        yield ExportItem(external_id, full_stem, files, parts, lineage)
    if external_ids and count < len(set(external_ids)):
        raise InputError(f"Job {job_id} has not all of the {len(set(external_ids))} items named", code="UNKNOWN_ITEM")


def _item_files(
    external_id: str, outputs: Mapping[str, Blob], has_invented_color: bool, used: _UsedNames
) -> tuple[str, tuple[OutputFile, ...]]:
    """Return what all names of an item begin with, and its outputs by their names; none of them is a folder's."""
    for stem in (_unique_stem(external_id, used.clashing), _name_with_digest(safe_path(external_id), external_id)):
        mark = source_types.AI_COLOR if has_invented_color and not _has_ai_suffix(stem) else ""
        files = tuple(OutputFile(output, name, outputs[output]) for output, name in _output_names(stem, mark, outputs))
        full_stem = f"{stem}{mark}"
        papers = (f"{full_stem}.premis.xml", f"{full_stem}.xml", *(f"{file.name}.c2pa" for file in files))
        if used.folders.isdisjoint(map(_path_hash, (*papers, *(file.name for file in files)))):
            break
    return full_stem, files


_Row = tuple[str, dict[str, Blob], dict[str, Any], Lineage | None]


def _item_outputs(database: Database, job_id: int, external_ids: Sequence[str], with_lineage: bool) -> Iterator[_Row]:
    if with_lineage:
        for lineage in lineages(database, job_id, external_ids=external_ids):
            result_view = lineage.newest.result if lineage.newest else None
            yield (
                lineage.external_id,
                deliverables(result_view.outputs) if result_view else {},
                result_view.facts if result_view else {},
                lineage,
            )
        return
    for item, result in progress.results(database, job_id, external_ids=external_ids):
        yield item.external_id, deliverables(result.outputs) if result else {}, result.facts if result else {}, None


def check_folder(folder: Path, manifest_uri: str, home: Path) -> None:
    """Refuse a folder for results that is, or lies in, the folder that a job is made of.

    The next run would take the results for sources. A home may lie there: it is left out when a folder is read.

    Raises:
        InputError: ``OUTPUT_ON_SOURCE``.
    """
    place, manifest = folder.resolve(), Path(disk_path(manifest_uri))
    is_inside = place.is_relative_to(manifest) and not place.is_relative_to(home.resolve())
    among_sources = is_inside and os.path.isdir(manifest)  # which may lie where this user may not look
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


def _path_hash(path: str) -> int:
    return hash(path.casefold())


def _used_names(database: Database, job_id: int) -> _UsedNames:
    stems: set[int] = set()
    clashing: set[int] = set()
    folders: set[int] = set()
    for item in progress.items(database, job_id):
        stem = _stem(safe_path(item.external_id))
        stem_hash = _stem_hash(stem)
        (clashing if stem_hash in stems else stems).add(stem_hash)
        folders.update(_path_hash(str(folder)) for folder in PurePath(stem).parents)
        if item.kind == ItemKind.REEL:  # its files may come in a folder of its own
            folders.add(_path_hash(stem))
    return _UsedNames(clashing, folders)


def _take_blob(store: Store, blob: Blob, fresh: str, copies: bool) -> None:
    """Make a file of a blob and compare it with its record, however it came there.

    Raises:
        InputError: ``CHECKSUM_MISMATCH``, or as ``Store.get``.
    """
    local = store.local_path(blob.key)
    if local is not None and local.is_symlink():
        raise InputError(
            f"Blob {blob.key} is a link, not the file that was stored", code="CHECKSUM_MISMATCH", remedy=ROTTEN
        )
    if local is not None and (_clone if copies else _link)(local, fresh):
        _check_blob(blob, fresh)
        return
    os.close(placing.create(fresh, _copy_mode(local)))
    store.get(blob, Path(fresh))


def _copy_mode(local: Path | None) -> int:
    """Return the permission bits of a copy: open to nobody to whom the store's file is closed."""
    readers = os.stat(local).st_mode & 0o444 if local is not None and local.exists() else 0o444
    return 0o200 | readers | (readers & 0o044) >> 1  # who may read may write, as far as the umask lets them


def _check_blob(blob: Blob, path: str) -> None:
    there = os.lstat(path)
    if not stat.S_ISREG(there.st_mode) or there.st_size != blob.bytes:
        raise InputError(f"Blob {blob.key} is no file of {blob.bytes} bytes", code="CHECKSUM_MISMATCH", remedy=ROTTEN)
    check_digest(blob, placing.file_digest(path))


def _link(local: Path, fresh: str) -> bool:
    try:
        os.link(local, fresh)
    except OSError:  # another file system, or one without links
        return False
    return True


def _clone(local: Path, fresh: str) -> bool:
    """Make a file of its own that shares its room with another until one of them is changed, where the disk can."""
    try:
        with local.open("rb") as source, open(placing.create(fresh, _copy_mode(local)), "wb") as file:
            fcntl.ioctl(file.fileno(), _FICLONE, source.fileno())
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(fresh)
        return False
    return True
