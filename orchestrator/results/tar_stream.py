"""A job's results as one tar, made while it is sent: under the names that an export gives them, each digest compared.

Nothing is kept but one piece. Where a blob is not what its record says the stream breaks off, so that whoever reads it
has an error and no tar that only looks whole.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

from db.records import Blob
from db.session import Database
from db.store.base import Store
from db.store.local import check_digest
from orchestrator.results import sequence_tar
from orchestrator.results.export import ExportItem, SidecarMaker, export_items

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
    for subject in export_items(database, job_id):
        for output in subject.outputs:
            yield from _blob_pieces(store, output.blob, output.name)
        for part in subject.parts:
            for name, size_bytes, pieces in sequence_tar.members(store, part.blob):
                yield from _file_pieces(f"{part.name}/{name}", size_bytes, pieces)
        yield from _sidecar_pieces(subject, papers)
    yield bytes(2 * tarfile.BLOCKSIZE)


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
