"""Results as a bag by BagIt 1.0 (RFC 8493): written in one go, and checked again.

Outputs are the payload, as copies: nobody who changes a bag changes the store. Provenance records and the report are
tag files below ``metadata/``. A bag is made under a passing name beside its place and renamed when it is whole, so a
folder of that name is a complete bag or none.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

from db.beneath import read_small
from db.errors import InputError
from db.home_placer import open_placer
from db.session import Database
from db.store.base import Store
from db.store.local import ROTTEN
from orchestrator.results import report
from orchestrator.results.export import ExportItem, ExportSummary, Sidecar, SidecarMaker, export

ALGORITHMS = ("sha256", "sha512")
_KNOWN = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
_DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_VERSION = re.compile(r"BagIt-Version: (0\.9[3-7]|1\.0)\s+Tag-File-Character-Encoding: UTF-8\s*", re.ASCII)
_LINE = re.compile(r"([0-9a-fA-F]{32,128})[ \t]+\*?(.+)")
_BLOCK_BYTES = 1 << 20
_MAX_TAG_BYTES = 64 << 20
TAG_FOLDER = "metadata"
_NO_TAG_FILES = ("data/", "tagmanifest-")


@dataclass(frozen=True)
class BagInfo:
    """What stands in ``bag-info.txt`` beside sizes and date."""

    identifier: str
    description: str
    organization: str = ""


@dataclass(frozen=True)
class Flaw:
    """One thing that is wrong with a bag."""

    path: str
    """Below the bag's folder."""
    code: str
    expected: str
    found: str


def write_bag(
    database: Database,
    store: Store,
    job_id: int,
    folder: Path,
    info: BagInfo,
    *,
    external_ids: Sequence[str] = (),
    papers: SidecarMaker | None = None,
    on_item: Callable[[int], None] = lambda count: None,
) -> ExportSummary:
    """Put a job's outputs into a new bag.

    Args:
        database: Where the results are written down.
        store: Where the blobs lie.
        job_id: The job.
        folder: Where the bag will be; it must not be there yet, or be empty.
        info: What the bag says of itself.
        external_ids: Only these items; empty means all.
        papers: Makes what goes along with each item; names that begin with ``metadata/`` become tag files.
        on_item: Called with the number of items after each.

    Raises:
        InputError: ``ALREADY_THERE``, ``CHECKSUM_MISMATCH``, or as ``export``; then nothing of the bag is left.
    """
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{str(folder)!r:.300} is there already", code="ALREADY_THERE")
    if folder.is_mount():
        raise _mount_error(folder)
    open_placer(database).check_folder(str(folder.parent))
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".reelwright-{secrets.token_hex(8)}")
    fresh.mkdir()
    try:
        export_summary = _write_payload(database, store, job_id, fresh, info, external_ids, papers, on_item)
        _rename_onto_nothing(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return ExportSummary(folder, export_summary.files, export_summary.bytes, export_summary.items)


def _rename_onto_nothing(fresh: Path, folder: Path) -> None:
    """Give a folder its name; an empty folder of that name makes way, which the disk itself looks after."""
    try:
        os.rename(fresh, folder)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise InputError(f"{str(folder)!r:.300} is there by now", code="ALREADY_THERE") from error
        if error.errno == errno.EBUSY:  # a folder of the same disk that is mounted a second time
            raise _mount_error(folder) from error
        raise


def _mount_error(folder: Path) -> InputError:
    message = f"{str(folder)!r:.300} is where a disk is mounted, and a bag takes the place of its folder as a whole"
    return InputError(message, code="PATH_UNUSABLE", remedy="Give a folder in it with --out.")


def _write_payload(
    database: Database, store: Store, job_id: int, root: Path, info: BagInfo, external_ids: Sequence[str],
    make_sidecars: SidecarMaker | None, on_item: Callable[[int], None],
) -> ExportSummary:  # fmt: skip
    expected: dict[str, str] = {}

    def split_sidecars(subject: ExportItem, folder: Path) -> Iterator[Sidecar]:
        """Write tag files where they belong, and leave the rest to the export."""
        expected.update({f"data/{output.name}": output.blob.sha256 for output in subject.outputs})
        for sidecar in make_sidecars(subject, folder) if make_sidecars else ():
            if sidecar.name.startswith(f"{TAG_FOLDER}/"):
                _write_sidecar(root, sidecar)
            else:
                yield sidecar

    data = root / "data"
    export_summary = export(
        database, store, job_id, data, external_ids=external_ids, papers=split_sidecars, on_item=on_item, copies=True
    )
    report.write_report(database, job_id, root / TAG_FOLDER)
    count, total = _write_manifests(root, "manifest", _file_paths(data, root), expected)
    tags = [
        Sidecar("bagit.txt", _DECLARATION.encode()),
        Sidecar("bag-info.txt", _info_text(info, count, total).encode()),
    ]
    for sidecar in tags:
        _write_sidecar(root, sidecar)
    _write_manifests(
        root, "tagmanifest", (path for path in _file_paths(root, root) if not path.startswith(_NO_TAG_FILES))
    )
    return export_summary


def _write_sidecar(root: Path, sidecar: Sidecar) -> None:
    path = root / sidecar.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sidecar.data)


def _info_text(info: BagInfo, count: int, total: int) -> str:
    fields = {
        "Source-Organization": info.organization,
        "External-Identifier": info.identifier,
        "External-Description": info.description,
        "Bagging-Date": date.today().isoformat(),
        "Bag-Size": _format_size(total),
        "Payload-Oxum": f"{total}.{count}",
        "Bag-Software-Agent": f"Reelwright {version('reelwright')}",
    }
    return "".join(f"{name}: {' '.join(value.split())}\n" for name, value in fields.items() if value)


def _format_size(total: int) -> str:
    units = ("bytes", "kB", "MB", "GB", "TB")
    power = min(len(units) - 1, max(0, (len(str(total)) - 1) // 3))
    return f"{total / 1000**power:.1f} {units[power]}" if power else f"{total} bytes"


def _write_manifests(
    root: Path, name: str, paths: Iterable[str], expected: Mapping[str, str] = MappingProxyType({})
) -> tuple[int, int]:
    """Write one manifest an algorithm over the files; returns how many they are and how large.

    Raises:
        InputError: ``CHECKSUM_MISMATCH`` for a file whose sha256 is not the one that is expected of it.
    """
    count = total = 0
    with ExitStack() as stack:
        files: dict[str, TextIO] = {
            algorithm: stack.enter_context((root / f"{name}-{algorithm}.txt").open("w", encoding="utf-8"))
            for algorithm in ALGORITHMS
        }
        for path in paths:
            digests = file_digests(root / path, ALGORITHMS)
            if expected.get(path, digests["sha256"]) != digests["sha256"]:
                message = f"{path}: its record says sha256 {expected[path]}, it has {digests['sha256']}"
                raise InputError(message, code="CHECKSUM_MISMATCH", remedy=ROTTEN)
            for algorithm, file in files.items():
                file.write(f"{digests[algorithm]}  {_encode_path(path)}\n")
            count, total = count + 1, total + (root / path).stat().st_size
    return count, total


def _file_paths(folder: Path, root: Path) -> Iterator[str]:
    """Yield all files below a folder, in one order everywhere, as paths below the bag; links are not followed."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield (Path(parent) / name).relative_to(root).as_posix()


def file_digests(path: Path, algorithms: Iterable[str]) -> dict[str, str]:
    """Read a file once; returns its hex digests."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            for hasher in hashes.values():
                hasher.update(block)
    return {name: running.hexdigest() for name, running in hashes.items()}


def _encode_path(path: str) -> str:
    return path.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _decode_path(path: str) -> str:
    return re.sub("%(25|0[dD]|0[aA])", lambda match: chr(int(match[1], 16)), path)


# -- checking


@dataclass
class _ManifestDigests:
    """What the manifests of a bag say."""

    digests: dict[str, dict[str, str]] = field(default_factory=dict)
    """By path, then by algorithm."""
    flaws: list[Flaw] = field(default_factory=list)
    tag_manifests: bool = False


def is_bag(folder: Path) -> bool:
    """Whether a folder says that it is a bag."""
    return (folder / "bagit.txt").is_file()


def check(folder: Path, moved: Callable[[int], None] = lambda count: None) -> Iterator[Flaw]:
    """Read every file of a bag, anybody's, and yield what is wrong with it.

    Args:
        folder: The bag.
        moved: Called with the number of files that are done.

    Raises:
        InputError: ``BAG_INCOMPLETE`` when it is none, or of a version that is not known here.
    """
    declaration = _read_text(folder / "bagit.txt") if is_bag(folder) else ""
    if not _VERSION.fullmatch(declaration):
        raise InputError(f"{str(folder)!r:.300} is no bag of BagIt 0.93 to 1.0 in UTF-8", code="BAG_INCOMPLETE")
    manifests = _read_manifests(folder)
    yield from manifests.flaws
    paths: set[str] = set()
    count = total = 0
    for path, digests in manifests.digests.items():
        paths.add(path)
        yield from _file_flaws(folder, path, digests)
        moved(len(paths))
    for path in _file_paths(folder, folder):
        if path.startswith("data/"):
            count, total = count + 1, total + (folder / path).lstat().st_size
            if path not in paths:
                yield Flaw(path, "FILE_UNEXPECTED", "no such file", "a file that no manifest lists")
    oxum = _payload_oxum(folder)
    if oxum not in ("", f"{total}.{count}"):
        yield Flaw("bag-info.txt", "BAG_INCOMPLETE", f"Payload-Oxum {oxum}", f"{total}.{count}")


def _read_manifests(folder: Path) -> _ManifestDigests:
    manifests = _ManifestDigests()
    kinds = {"manifest": "payload", "tagmanifest": "tag files"}
    for kind in kinds:
        for algorithm in _KNOWN:
            manifest = folder / f"{kind}-{algorithm}.txt"
            if manifest.is_file():
                _read_manifest(manifest, algorithm, manifests)
    if not any((folder / f"manifest-{algorithm}.txt").is_file() for algorithm in _KNOWN):
        manifests.flaws.append(Flaw("manifest-sha256.txt", "FILE_MISSING", "a payload manifest", "none"))
    return manifests


def _read_manifest(manifest: Path, algorithm: str, manifests: _ManifestDigests) -> None:
    for number, line in enumerate(_read_text(manifest).splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line)
        path = _decode_path(match[2]) if match else ""
        if match is None or not _is_inside(path):
            code = "BAG_INCOMPLETE" if match is None else "PATH_UNSAFE"
            manifests.flaws.append(
                Flaw(manifest.name, code, "a digest and a path in the bag", f"line {number}: {line!r:.80}")
            )
            continue
        manifests.digests.setdefault(path, {})[algorithm] = match[1].lower()


def _is_inside(path: str) -> bool:
    parts = path.split("/")
    return not path.startswith(("/", "~")) and "\\" not in path and ".." not in parts and "\0" not in path


def _file_flaws(folder: Path, path: str, digests: Mapping[str, str]) -> Iterator[Flaw]:
    target = folder / path
    root = os.path.realpath(folder)
    if not os.path.realpath(target).startswith(f"{root}/"):
        yield Flaw(path, "PATH_UNSAFE", "a file in the bag", "a link that leads out of it")
        return
    if not os.path.isfile(target):  # unlike pathlib's, it takes any name
        yield Flaw(path, "FILE_MISSING", "a file", "nothing" if not os.path.lexists(target) else "something else")
        return
    try:
        actual = file_digests(target, digests)
    except OSError as error:
        yield Flaw(path, "SOURCE_DENIED", "a file that can be read", error.strerror or str(error))
        return
    for algorithm, digest in digests.items():
        if actual[algorithm] != digest:
            yield Flaw(path, "CHECKSUM_MISMATCH", f"{algorithm} {digest}", f"{algorithm} {actual[algorithm]}")


def _payload_oxum(folder: Path) -> str:
    info = folder / "bag-info.txt"
    if not info.is_file():
        return ""
    match = re.search(r"^Payload-Oxum[ \t]*:[ \t]*(\d+\.\d+)[ \t]*$", _read_text(info), re.MULTILINE | re.IGNORECASE)
    return match[1] if match else ""


def _read_text(path: Path) -> str:
    """Read a tag file; raises ``BAG_INCOMPLETE`` when it is no text of a sensible size."""
    try:
        return read_small(path, _MAX_TAG_BYTES * (16 if "manifest" in path.name else 1)).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name} cannot be read: {error}", code="BAG_INCOMPLETE") from error
