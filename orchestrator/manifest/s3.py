"""Reader of lists of objects in S3: manifests of Batch Operations, and Inventory.

Used by ``orchestrator.manifest`` alone. Keys are spelled as AWS spells them, percent-encoded with ``+`` for a blank.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from db.beneath import S3
from db.errors import ManifestError
from orchestrator.manifest import inventory, table, text
from orchestrator.manifest.grouping import Grouping
from orchestrator.manifest.inventory import FAULT, Inventory
from orchestrator.manifest.lines import ManifestEntry, Problem, ReaderMatch, Reading, problem
from orchestrator.manifest.places import is_paper
from orchestrator.terminal_text import visible

_SNIFFED_BYTES = 65_536
_MAX_LIST_BYTES = 8 << 20
"""An inventory's ``manifest.json`` of more is none: it names thousands of files at most."""
_BLOCK_BYTES = 1 << 20
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CSV = (".csv", ".csv.gz")
_ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects must be restored before they can be read."""
_MD5 = re.compile(r"[0-9a-f]{32}")
_PLAIN_ENCRYPTION = frozenset({"", "SSE-S3", "NOT-SSE"})
"""How objects lie whose ETag is their MD5, unless they came in parts."""
_LOOKS = (
    ("Size", re.compile(r"\d{1,15}")),
    ("LastModifiedDate", re.compile(r"\d{4}-\d\d-\d\dT.*")),
    ("ETag", re.compile(r"[0-9a-f]{32}(-\d+)?")),
    ("StorageClass", re.compile(r"[A-Z][A-Z_]{5,}(-[A-Z]+)*")),
)
"""What columns of an inventory without a schema look like."""
_BATCH = ["Bucket", "Key", "VersionId"]


def recognizes(path: Path) -> ReaderMatch | None:
    """Know an inventory's ``manifest.json``, and CSV without a header whose rows begin with bucket and key."""
    if not path.is_file():
        return None
    head = text.start(path, _SNIFFED_BYTES)
    if path.suffix.lower() == ".json":
        return ReaderMatch(path.parent, (path,)) if '"fileSchema"' in head and '"sourceBucket"' in head else None
    row = table.split(head.partition("\n")[0])
    return ReaderMatch(path.parent, (path,)) if path.name.lower().endswith(_CSV) and _is_object(row) else None


def read(path: Path, reading: Reading) -> Iterator[ManifestEntry | Problem]:
    """Yield an entry for each still and reel among the objects, folder by folder of their keys.

    Numbered pictures of one folder are a reel, as in a folder on disk; objects of which the list names a version are
    items of their own.

    Raises:
        ManifestError: The list cannot be read on, or a file that belongs to it is not there or another.
    """
    grouping = Grouping(reading.series, S3)
    passed_over: Counter[str] = Counter()
    with inventory.open_inventory() as files:
        for csv_path, schema in _list_files(path, reading):
            yield from _take_list(csv_path, schema, files, reading, passed_over)
        yield from inventory.entries(files, grouping, below=S3)
    reading.notes.extend(f"{what} were passed over ({count})" for what, count in passed_over.items())
    reading.notes.extend(grouping.notes())


def _list_files(path: Path, reading: Reading) -> Iterator[tuple[Path, list[str]]]:
    """Yield each CSV file of a list with the names of its columns."""
    if path.suffix.lower() != ".json":
        row = table.split(text.start(path, _SNIFFED_BYTES).partition("\n")[0])
        reading.notes.append("Read as a list of objects in S3: it has no header, and begins with a bucket and a key")
        yield path, _guess_columns(row)
        return
    where = visible(str(path))
    document = _read_document(path)
    if document["fileFormat"] != "CSV":
        message = f"{where}: the inventory is in {visible(str(document['fileFormat']))[:40]}; only CSV can be read"
        raise ManifestError(message, remedy="Let S3 write the inventory in CSV.")
    schema = [name.strip() for name in document["fileSchema"].split(",")]
    if not {"Bucket", "Key"} <= set(schema):
        raise ManifestError(f"{where}: fileSchema has no Bucket or no Key", code="BAD_HEADER")
    if not reading.check_files:
        reading.notes.append("The inventory's own files were not compared with their digests")
    for each in document["files"]:
        csv_path = _find_list_file(path, each["key"])
        if reading.check_files and each.get("MD5checksum"):
            _check_list_file(csv_path, str(each["MD5checksum"]))
        yield csv_path, schema


def _read_document(path: Path) -> dict[str, Any]:
    """Return an inventory's ``manifest.json`` once it has all that is needed of it."""
    where = visible(str(path))
    try:
        with text.open_unpacked(path) as file:
            data = file.read(_MAX_LIST_BYTES + 1)
        if len(data) > _MAX_LIST_BYTES:
            raise ValueError(f"it has more than {_MAX_LIST_BYTES} bytes")
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{where} is no list of an inventory's files: {visible(str(error))[:200]}") from error
    has_header = isinstance(document, dict) and isinstance(document.get("fileSchema"), str) and "fileFormat" in document
    files = document.get("files") if has_header else None
    if not isinstance(files, list) or not all(
        isinstance(each, dict) and isinstance(each.get("key"), str) for each in files
    ):
        message = f"{where} has no fileFormat, fileSchema, or files with their keys"
        raise ManifestError(message, code="BAD_HEADER")
    return dict(document)


def _find_list_file(manifest: Path, key: str) -> Path:
    """Find a file of an inventory: beside its manifest, or in ``data`` there or one folder up, as in the bucket."""
    name = key.rpartition("/")[2]
    folders = (manifest.parent, manifest.parent / "data", manifest.parent.parent / "data")
    if name in ("", ".", "..") or "\0" in name:
        raise ManifestError(f"{visible(str(manifest))} names a file {visible(key[:200])!r}", code="PATH_UNSAFE")
    for folder in folders:
        if is_paper(folder / name, manifest.parent.parent):
            return folder / name
    message = f"{visible(str(manifest))} names {visible(name[:200])!r}, which lies neither beside it nor in data"
    raise ManifestError(message, code="FILE_MISSING", remedy="Copy the inventory's files beside its manifest.json.")


def _check_list_file(path: Path, manifest_digest: str) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with text.open_bytes(path) as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    if digest.hexdigest() != manifest_digest.strip().lower():
        raise ManifestError(f"{visible(str(path))} has another MD5 than manifest.json says", code="CHECKSUM_MISMATCH")


def _take_list(
    path: Path, schema: list[str], files: Inventory, reading: Reading, passed_over: Counter[str]
) -> Iterator[Problem]:
    """Put the objects of one CSV file into the inventory."""
    for number, row in table.rows(path, reading.limit_bytes):
        if isinstance(row, Problem):
            yield row
            continue
        cells = dict(zip(schema, (cell.strip() for cell in row), strict=False))
        bucket, key = cells.get("Bucket", ""), _decode_key(cells.get("Key", ""))
        if not _BUCKET.fullmatch(bucket) or not key:
            yield problem(number, "BAD_VALUE", f"Line {number} has no bucket and key: {visible(','.join(row)[:80])!r}")
        elif cells.get("IsDeleteMarker") == "true":
            passed_over["Objects that are deleted"] += 1
        elif cells.get("IsLatest") == "false":
            passed_over["Versions that are not the latest"] += 1
        elif not key.endswith("/"):
            files.add(f"{bucket}/{key}", number, _object_facts(f"{bucket}/{key}", cells))


def facts_of(path: str, size_bytes: int | None, storage_class: str) -> dict[str, Any]:
    """Return what a list says of an object by its size and its storage class, where it gives them."""
    facts: dict[str, Any] = {} if size_bytes is None else {"bytes": size_bytes}
    if size_bytes == 0:
        facts[FAULT] = ["ZERO_BYTE", f"{S3 + path!r:.300} has no bytes"]
    elif storage_class in _ARCHIVED:
        facts[FAULT] = ["SOURCE_ARCHIVED", f"{S3 + path!r:.300} lies in the storage class {storage_class}"]
    return facts


def _object_facts(path: str, cells: dict[str, str]) -> dict[str, Any]:
    size = cells.get("Size", "")
    size_bytes = int(size) if re.fullmatch(r"\d{1,15}", size) else None
    facts = facts_of(path, size_bytes, cells.get("StorageClass", ""))
    if cells.get("VersionId", "") not in ("", "null"):
        facts["version_id"] = cells["VersionId"]
    etag = cells.get("ETag", "").strip('"').lower()
    whole = cells.get("IsMultipartUploaded") == "false" and cells.get("EncryptionStatus", "-") in _PLAIN_ENCRYPTION
    if whole and _MD5.fullmatch(etag):
        facts["checksum.md5"] = etag
    return facts


def _decode_key(key: str) -> str:
    """Return a key as it is; bytes that are no text stay odd, and are refused as paths later."""
    return unquote_plus(key, errors="surrogateescape")


def _is_object(row: list[str]) -> bool:
    """Whether a row begins with a bucket and something that may be the key of a file."""
    if len(row) < 2 or "uri" in row:
        return False
    return _BUCKET.fullmatch(row[0].strip()) is not None and re.search(r"[./]|%2[eEfF]", row[1]) is not None


def _guess_columns(row: list[str]) -> list[str]:
    """Name the columns of a list without a schema by what stands in its first row."""
    cells = [cell.strip() for cell in row]
    if len(cells) <= 2 or (len(cells) == 3 and not _LOOKS[0][1].fullmatch(cells[2])):
        return _BATCH
    names = ["Bucket", "Key"]
    flags = iter(("IsLatest", "IsDeleteMarker") if len(cells) > 4 and {cells[3], cells[4]} <= {"true", "false"} else ())
    for place, cell in enumerate(cells[2:], 2):
        fits = next((name for name, looks in _LOOKS if name not in names and looks.fullmatch(cell)), "-")
        if place == 2 and fits == "-":
            fits = "VersionId"
        elif cell in ("true", "false"):
            fits = next(flags, "-" if "IsMultipartUploaded" in names else "IsMultipartUploaded")
        names.append(fits)
    return names
