"""Reader of a folder in S3, ``s3://bucket/prefix``."""

from __future__ import annotations

from collections.abc import Iterator

from db.beneath import S3
from db.errors import InputError, ManifestError
from db.settings import Settings
from orchestrator.manifest import inventory
from orchestrator.manifest.grouping import Grouping
from orchestrator.manifest.lines import ManifestEntry, Problem, Reading
from orchestrator.manifest.s3 import facts_of


def read(uri: str, reading: Reading) -> Iterator[ManifestEntry | Problem]:
    """Yield an entry for each still and reel below a prefix, as the folder reader does below a folder.

    Ids are keys without the prefix. The listing comes page by page and is sorted on disk.

    Raises:
        ManifestError: The bucket is not there, or may not be listed.
        StoreUnavailable: The server does not answer.
    """
    bucket, _, prefix = uri.removeprefix(S3).partition("/")
    grouping = Grouping(reading.series, S3)
    with inventory.open_inventory() as files:
        count = 0
        for key, size_bytes, _, storage_class in objects(reading.settings, uri):
            if key.endswith("/"):
                continue  # what stands for a folder
            count += 1
            path = f"{bucket}/{key}"
            files.add(path, count, facts_of(path, size_bytes, storage_class))
        single = count == 1 and key == prefix
        folder = prefix.rpartition("/")[0] if single else prefix
        inside = f"{bucket}/{folder}/" if folder else f"{bucket}/"
        yield from inventory.entries(files, grouping, below=S3, without=inside)
    reading.notes.extend(grouping.notes())


def objects(settings: Settings, uri: str) -> Iterator[tuple[str, int, str, str]]:
    """Yield key, size in bytes, ETag and storage class of each object below a prefix; raises as :func:`read`."""
    try:
        from db.sources import list_objects  # boto3 is only there, and only needed, where sources lie in S3

        yield from list_objects(settings, uri)
    except ManifestError:
        raise
    except InputError as error:
        raise ManifestError(error.message, code=error.code, remedy=error.remedy) from error
