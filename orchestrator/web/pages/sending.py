"""Files that come with a form: sent before it by script, or in it without."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import File, UploadFile

from orchestrator.web.site import Site

CHUNK_BYTES = 1 << 20
SentFile = Annotated[UploadFile | None, File()]


async def take_file(site: Site, kind: str, upload_id: str, file: UploadFile | None) -> str:
    """Return the id of an upload: the one that is named, else what is made of the form's own file; empty for neither.

    Raises:
        InputError: As ``Uploads.take``.
    """
    if upload_id or file is None or not file.filename:
        return upload_id
    return (await site.uploads.take(file.filename, kind, _chunks(file), file.size)).id


async def _chunks(file: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await file.read(CHUNK_BYTES):
        yield chunk
