"""A job's results as one tar, made while it is sent: under the names that an export gives them, each digest compared.

Nothing is kept but one piece. Where a blob is not what its record says the stream breaks off, so that whoever reads it
has an error and no tar that only looks whole.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from db import progress
from db.errors import DiskFull
from db.progress import JobRow
from db.records import Blob, deliverables
from db.scratch import scratch_folder
from db.session import Database
from db.settings import Settings
from db.store.base import Store
from db.store.local import CHUNK_BYTES, check_digest
from orchestrator.results import sequence_tar
from orchestrator.results.bag import BagInfo, write_bag
from orchestrator.results.export import ExportItem, SidecarMaker, export_items
from orchestrator.results.sidecars import sidecar_maker

SPARE_BYTES = 10**9
"""What stays free on the disk beside a bag that is written."""
_NO_FOLDER = Path()
"""Where outputs lie for papers that do not read them."""


def tar_pieces(database: Database, store: Store, job_id: int, *, papers: SidecarMaker | None = None) -> Iterator[bytes]:
    """Yield a tar of all outputs of a job, item by item in manifest order.

    Args:
        database: Where the results are written down.
        store: Where the blobs lie.
        job_id: The job.
        papers: Makes what stands beside each item's outputs, without reading them.

    Raises:
        InputError: ``UNKNOWN_JOB``, ``BLOB_MISSING`` or ``CHECKSUM_MISMATCH``.
    """
    for subject in export_items(database, job_id, with_lineage=papers is not None):
        for output in subject.outputs:
            yield from _blob_pieces(store, output.blob, output.name)
        for part in subject.parts:
            for name, size_bytes, pieces in sequence_tar.members(store, part.blob):
                yield from _file_pieces(f"{part.name}/{name}", size_bytes, pieces)
        yield from _sidecar_pieces(subject, papers)
    yield bytes(2 * tarfile.BLOCKSIZE)


def bag_pieces(
    settings: Settings, database: Database, store: Store, job: JobRow, *, organization: str = ""
) -> Iterator[bytes]:
    """Yield a tar of a job's results as a bag, which is written into scratch first and removed at the end.

    Raises:
        InputError: As ``write_bag``.
        DiskFull: There is no room for it.
    """
    with scratch_folder(settings.scratch_folder, "bag") as scratch:
        _check_room(database, scratch, job.id)
        root = scratch / f"job-{job.id}-bag"
        info = BagInfo(f"reelwright-job-{job.id}", job.name, organization)
        papers = sidecar_maker(premis=True, signer=None, in_bag=True)
        write_bag(database, store, job.id, root, info, papers=papers)
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            with path.open("rb") as file:
                name = str(path.relative_to(scratch))
                yield from _file_pieces(name, path.stat().st_size, iter(partial(file.read, CHUNK_BYTES), b""))
    yield bytes(2 * tarfile.BLOCKSIZE)


def _check_room(database: Database, scratch: Path, job_id: int) -> None:
    results = (result for _, result in progress.results(database, job_id) if result)
    size = sum(blob.bytes for result in results for blob in deliverables(result.outputs).values())
    free = shutil.disk_usage(scratch).free
    if free < size + SPARE_BYTES:
        raise DiskFull(f"A bag of {size} bytes is written before it is sent, and the server has {free} bytes free")


def _sidecar_pieces(subject: ExportItem, papers: SidecarMaker | None) -> Iterator[bytes]:
    for sidecar in papers(subject, _NO_FOLDER) if papers else ():
        yield from _file_pieces(sidecar.name, len(sidecar.data), iter([sidecar.data]))


def _blob_pieces(store: Store, blob: Blob, name: str) -> Iterator[bytes]:
    digest = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        for piece in store.stream(blob):
            digest.update(piece)
            yield piece

    yield from _file_pieces(name, blob.bytes, pieces())
    check_digest(blob, digest.hexdigest())


def _file_pieces(name: str, size_bytes: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
    entry = tarfile.TarInfo(name)
    entry.size = size_bytes
    yield entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    yield from pieces
    yield bytes(-size_bytes % tarfile.BLOCKSIZE)
