"""Single items: attempts, results, files, scores along a reel, pictures."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated, Literal

import anyio
from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from db import pages, progress
from db.errors import InputError
from db.lineage import Lineage
from db.records import deliverables
from orchestrator.on_demand.look import ShownPicture
from orchestrator.results import provenance
from orchestrator.results.export import safe_path
from orchestrator.web import files, looking
from orchestrator.web.answers import answer
from orchestrator.web.auth import VIEWER
from orchestrator.web.looking import LookRequest, generation_of, lineage_of
from orchestrator.web.site import SiteDep

router = APIRouter(dependencies=[VIEWER])
items = APIRouter(prefix="/api/v1/items", tags=["items"])
looks = APIRouter(prefix="/api/v1/looks", tags=["items"])
WAIT_SECONDS, POLL_SECONDS = 10.0, 0.2
"""How long a request waits for a picture that a worker elsewhere makes, and how often it looks."""
_REGION = re.compile(r"(\d{1,6}),(\d{1,6}),(\d{1,6}),(\d{1,6})", re.ASCII)
GenerationQuery = Annotated[int | None, Query(ge=1, description="A result's generation; if omitted, the newest.")]


@items.get("/{item_id}")
def show_item(request: Request, site: SiteDep, item_id: int) -> Response:
    """Show an item, as lists do, with its job's number."""
    job_id, item = pages.item(site.database, item_id)
    return answer(request, {"job_id": job_id, "item": item})


@items.get("/{item_id}/attempts")
def list_attempts(request: Request, site: SiteDep, item_id: int) -> Response:
    """List all attempts at an item's tasks, oldest first."""
    job_id, item = pages.item(site.database, item_id)
    return answer(request, {"attempts": progress.attempts(site.database, job_id, item.external_id)})


@items.get("/{item_id}/results")
def list_results(request: Request, site: SiteDep, item_id: int) -> Response:
    """List an item's accepted results, oldest generation first."""
    return answer(request, {"results": result_rows(lineage_of(site.database, item_id))})


@items.head("/{item_id}/outputs/{name}", include_in_schema=False)
@items.get("/{item_id}/outputs/{name}")
def download_output(
    request: Request, site: SiteDep, item_id: int, name: str, generation: GenerationQuery = None
) -> Response:
    """Download an output: `master`, `still`, `access`, `scores` … One range of bytes may be asked for."""
    lineage = lineage_of(site.database, item_id, with_work=False)
    result = generation_of(lineage, generation)
    blob = files.find_output(deliverables(result.result.outputs) if result else {}, name)
    shown = f"{safe_path(lineage.external_id)}.{name}{PurePath(blob.name).suffix}".replace("/", "_")
    # Only what we encoded ourselves, from decoded pictures, has a type by which a browser would show it.
    media_type = "video/mp4" if name == "access" else "application/octet-stream"
    return files.send_blob(request, site.store, blob, shown, media_type)


@items.head("/{item_id}/timeline", include_in_schema=False)
@items.get("/{item_id}/timeline")
def download_timeline(request: Request, site: SiteDep, item_id: int, generation: GenerationQuery = None) -> Response:
    """Download a finished reel's values along its frames, as docs/api describes them."""
    result = generation_of(lineage_of(site.database, item_id, with_work=False), generation)
    blob = files.find_output(dict(result.result.outputs) if result else {}, "timeline")
    return files.send_blob(request, site.store, blob, "timeline.bin")


@items.get("/{item_id}/frames/{frame}")
async def show_frame(
    request: Request,
    site: SiteDep,
    item_id: int,
    frame: int,
    of: Annotated[looking.Of, Query(description="The source, or what was made of it.")] = "master",
    generation: GenerationQuery = None,
    region: Annotated[str, Query(description="left,top,width,height in pixels of the source; if omitted, all.")] = "",
    width: Annotated[int | None, Query(ge=1, le=looking.MOST_WIDTH, description="Of the picture, in pixels.")] = None,
    form: Literal["png", "webp"] = "png",
) -> Response:
    """Show one frame of a reel, or a still (frame 0), as a picture without any metadata.

    Where a worker elsewhere makes it and none comes within ten seconds, the answer is 202 and says by `Location` where
    it will be.
    """
    look = LookRequest(of, generation, frame, parse_region(region), width, form)
    if looking.can_show_here():
        return picture_response(await run_in_threadpool(looking.show, site, item_id, look))
    look_id = await run_in_threadpool(looking.ask, site, item_id, look)
    for _ in range(round(WAIT_SECONDS / POLL_SECONDS)):
        await anyio.sleep(POLL_SECONDS)
        picture = await run_in_threadpool(looking.poll, site, look_id)
        if picture is not None:
            return picture_response(picture)
    headers = {"Location": f"/api/v1/looks/{look_id}", "Retry-After": "1"}
    return answer(request, {"look": look_id}, 202, **headers)


@looks.get("/{look_id}")
def poll_look(request: Request, site: SiteDep, look_id: int) -> Response:
    """Return a picture that a worker elsewhere makes; 202 while it is not there."""
    picture = looking.poll(site, look_id)
    return (
        answer(request, {"look": look_id}, 202, **{"Retry-After": "1"})
        if picture is None
        else picture_response(picture)
    )


def picture_response(picture: ShownPicture) -> Response:
    """Answer with a picture, and say which frame it is."""
    headers = {
        "X-Frame": str(picture.frame), "X-Frames": str(picture.frames), "Cache-Control": "private, max-age=300",
        "X-Picture": f"{picture.picture[0]}x{picture.picture[1]}", "Vary": "Cookie, Authorization",
    }  # fmt: skip
    return Response(picture.data, headers=headers, media_type=picture.media_type)


@items.get("/{item_id}/premis.xml")
def download_premis(request: Request, site: SiteDep, item_id: int) -> Response:
    """Download an item's provenance as a PREMIS 3 record."""
    lineage = lineage_of(site.database, item_id)
    name = safe_path(lineage.external_id).replace("/", "_")
    return files.send_pieces([provenance.premis(lineage)], f"{name}.premis.xml", "application/xml")


def result_rows(lineage: Lineage) -> list[dict[str, object]]:
    """Return what came of an item, generation by generation, with what people said of it."""
    return [
        {
            "generation": each.number,
            "accepted_at": each.accepted_at,
            "outputs": each.result.outputs,
            "scores": each.result.scores,
            "facts": each.result.facts,
            "notes": each.result.notes,
            "below_gates": each.result.below_gates,
            "reviews": each.reviews,
        }
        for each in lineage.generations
    ]


def parse_region(text: str) -> tuple[int, int, int, int] | None:
    """Read ``left,top,width,height``, none for an empty text; raises ``InputError`` ``BAD_VALUE``."""
    if not text:
        return None
    found = _REGION.fullmatch(text)
    if found is None:
        raise InputError(f"region: {text!r:.60} is not left,top,width,height, such as 40,20,64,64")
    left, top, width, height = (int(value) for value in found.groups())
    return left, top, width, height


router.include_router(items)
router.include_router(looks)
