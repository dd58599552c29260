"""Files that are sent: manifests, photos, weights. What is made of them is asked for by their id."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from orchestrator.web import uploads
from orchestrator.web.answers import answer
from orchestrator.web.auth import OPERATOR
from orchestrator.web.site import SiteDep

router = APIRouter(prefix="/api/v1/uploads", tags=["uploads"], dependencies=[OPERATOR])
MOST_BYTES = max(uploads.MOST_BYTES.values())


@router.put("/{name}", status_code=201, max_body_size=MOST_BYTES)
async def send_file(
    request: Request,
    site: SiteDep,
    name: str,
    kind: Annotated[
        Literal["manifest", "photo", "weights"],
        Query(description="What it is; says how large it may be. A single film is sent as a manifest is."),
    ],
) -> Response:
    """Send a file as the body of the request; the answer's `id` names it from then on.

    A manifest may have 1 GB, a photo 200 MB, weights 8 GB. What no job is made of goes after a day.
    """
    length = request.headers.get("content-length", "")
    upload = await site.uploads.take(name, kind, request.stream(), int(length) if length.isdecimal() else None)
    return answer(request, upload, 201)


@router.get("/{upload_id}")
def show_upload(request: Request, site: SiteDep, upload_id: str) -> Response:
    """Show a file's name and size."""
    path = site.uploads.path(upload_id)
    return answer(request, {"id": upload_id, "name": path.name, "bytes": path.stat().st_size})


@router.delete("/{upload_id}")
def remove_upload(request: Request, site: SiteDep, upload_id: str) -> Response:
    """Remove a file of which no job was made."""
    site.uploads.remove(upload_id)
    return answer(request, {"id": upload_id, "removed": True})
