"""What came of a job: failures, reports, all files at once, verification; and its progress as a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from db import pages, progress
from db.errors import CODES
from db.selection import Selection
from db.states import ItemState
from orchestrator.results import report
from orchestrator.results import verify as verifying
from orchestrator.results.sidecars import sidecar_maker
from orchestrator.results.tar_stream import bag_pieces, tar_pieces
from orchestrator.results.verify import Finding, Scope
from orchestrator.terminal_text import json_text
from orchestrator.web import files
from orchestrator.web.answers import answer
from orchestrator.web.api.jobs import job_facts
from orchestrator.web.auth import OPERATOR, VIEWER, Caller
from orchestrator.web.background import Order
from orchestrator.web.cursors import Cursor
from orchestrator.web.site import Site, SiteDep
from orchestrator.wording import to_json

router = APIRouter(prefix="/api/v1", tags=["results"], dependencies=[VIEWER])
FAILED = (ItemState.FAILED, ItemState.QUARANTINED)
MOST_FINDINGS = 10_000
EVENT_STREAM = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
"""A proxy that gathers answers would hold events back."""


class VerificationOrder(BaseModel):
    """How far a verification goes, beside digests and records."""

    model_config = ConfigDict(extra="forbid")

    decode: bool = Field(True, description="Decode masters and compare every frame with its checksum.")
    sources: bool = Field(False, description="Read every source again.")
    rerun_frames: int = Field(0, ge=0, le=100_000, description="Restore so many frames of each reel again; 0 for none.")
    ids: list[str] = Field(default=[], max_length=100_000, description="Only these items; if omitted, all.")


@router.get("/jobs/{job_id}/failures")
def list_failures(
    request: Request,
    site: SiteDep,
    job_id: int,
    cursor: Annotated[str, Query(max_length=30)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List what failed, with code, cause and remedy, in manifest order."""
    progress.job(site.database, job_id)
    after = Cursor.parse(cursor).after
    page = pages.item_page(site.database, job_id, Selection(states=FAILED), after=after, limit=limit)
    following = str(Cursor(after=page.rows[-1].seq)) if page.more else None
    return answer(request, {"failures": list(report.failure_rows(iter(page.rows))), "next": following})


@router.get("/jobs/{job_id}/failures/codes")
def count_codes(request: Request, site: SiteDep, job_id: int) -> Response:
    """Count items by error code, the most frequent first, with what each code means and what to do about it."""
    progress.job(site.database, job_id)
    return answer(request, {"codes": code_rows(site, job_id)})


@router.get("/jobs/{job_id}/report.csv")
def download_report(request: Request, site: SiteDep, job_id: int) -> Response:
    """Download what became of every line, as a manifest of its own."""
    name = f"job-{job_id}-report.csv"
    return files.send_pieces(report.csv_pieces(site.database, job_id), name, "text/csv; charset=utf-8")


@router.get("/jobs/{job_id}/report-failed.csv")
def download_failed(request: Request, site: SiteDep, job_id: int) -> Response:
    """Download the report's failed part: a manifest that can be corrected and submitted."""
    pieces = report.csv_pieces(site.database, job_id, failed=True)
    return files.send_pieces(pieces, f"job-{job_id}-report-failed.csv", "text/csv; charset=utf-8")


@router.get("/jobs/{job_id}/report.json")
def download_summary(request: Request, site: SiteDep, job_id: int) -> Response:
    """Download a job's sums: progress, mean scores, failures by code, reviews."""
    text = report.summary_text(site.database, job_id)
    return files.send_pieces([text.encode()], f"job-{job_id}-report.json", "application/json")


@router.get("/jobs/{job_id}/results.tar")
def download_results(
    request: Request,
    site: SiteDep,
    job_id: int,
    premis: Annotated[bool, Query(description="With a PREMIS 3 record beside each item's files.")] = False,
    bag: Annotated[bool, Query(description="As a BagIt bag, with PREMIS records in it; it begins late.")] = False,
    organization: Annotated[str, Query(max_length=200, description="With bag: Source-Organization of the bag.")] = "",
) -> Response:
    """Download all outputs as one tar, under the names that `reelwright get` gives them.

    Where a file is not what its record says, the stream breaks off: a tar that came whole is right.
    """
    job = progress.job(site.database, job_id)
    papers = sidecar_maker(premis=premis, signer=None)
    pieces = (
        bag_pieces(site.settings, site.database, site.store, job, organization=organization)
        if bag
        else tar_pieces(site.database, site.store, job_id, papers=papers)
    )
    return files.send_pieces(pieces, f"job-{job_id}{'-bag' if bag else ''}.tar", "application/x-tar")


@router.post("/jobs/{job_id}/verify", dependencies=[OPERATOR], status_code=202)
def verify_job(request: Request, site: SiteDep, who: Caller, job_id: int, order: VerificationOrder) -> Response:
    """Verify a job's results against its records, in the background: `Location` says where to look."""
    job = progress.job(site.database, job_id)
    begun = site.background.start("verification", who.name, lambda each: _verify(site, job_id, order, each), job.name)
    return answer(request, begun.facts(), 202, Location=f"/api/v1/verifications/{begun.id}")


@router.get("/verifications/{order_id}", dependencies=[OPERATOR])
def show_verification(request: Request, site: SiteDep, order_id: str) -> Response:
    """Show how far a verification is, and what it found."""
    order = site.background.find(order_id, "verification")
    return answer(request, {**order.facts(), "result": order.result})


def check_job(site: SiteDep, who: Caller, job_id: int) -> None:
    """Say before a stream begins what would be wrong with it."""
    progress.job(site.database, job_id)
    site.streams.check_room(who.name)


@router.get("/jobs/{job_id}/events", dependencies=[Depends(check_job)])
async def stream_job(request: Request, site: SiteDep, who: Caller, job_id: int) -> Response:
    """Follow a job as server-sent events: `progress`, with the document of `GET /jobs/{job_id}` as its data.

    The first event is the present state; each later one a change. `Last-Event-ID` leaves out what was seen.
    """
    events = site.streams.follow(
        who.name, f"job {job_id}", lambda: to_json(job_facts(site, job_id)), request.headers.get("last-event-id", "")
    )
    return StreamingResponse(_written(events, "progress"), headers=EVENT_STREAM, media_type="text/event-stream")


def check_streams(site: SiteDep, who: Caller) -> None:
    """Say before a stream begins that there is no room for it."""
    site.streams.check_room(who.name)


@router.get("/events", dependencies=[Depends(check_streams)])
async def stream_jobs(request: Request, site: SiteDep, who: Caller) -> Response:
    """Follow the newest fifty jobs as server-sent events: `jobs`, with the document of `GET /jobs` as its data."""
    events = site.streams.follow(who.name, "jobs", lambda: newest_jobs(site), request.headers.get("last-event-id", ""))
    return StreamingResponse(_written(events, "jobs"), headers=EVENT_STREAM, media_type="text/event-stream")


def newest_jobs(site: Site) -> Any:
    """Return the newest jobs with their progress, as programs are told of them."""
    rows = pages.job_page(site.database, limit=50).rows
    return to_json({"jobs": [{"job": row, "progress": progress.progress(site.database, row.id)} for row in rows]})


def code_rows(site: Site, job_id: int) -> list[dict[str, Any]]:
    """Return each error code of a job with its count, meaning and remedy."""
    unknown = CODES["WORKER_FAULT"]
    return [
        {
            "code": code,
            "items": count,
            "meaning": CODES.get(code, unknown).meaning,
            "remedy": CODES.get(code, unknown).remedy,
        }
        for code, count in pages.code_counts(site.database, job_id).items()
    ]


async def _written(events: AsyncIterator[tuple[str, Any]], name: str) -> AsyncIterator[str]:
    async for number, value in events:
        yield f"id: {number}\nevent: {name}\ndata: {json_text(value)}\n\n" if number else ": still here\n\n"


def _verify(site: Site, job_id: int, wish: VerificationOrder, order: Order) -> dict[str, Any]:
    scope = Scope(wish.decode, wish.sources, wish.rerun_frames)
    total = len(wish.ids) or progress.progress(site.database, job_id).items_total
    counts: dict[str, dict[str, int]] = {}
    findings: list[Finding] = []
    found = verifying.verify(
        site.settings, site.database, site.store, job_id, scope, external_ids=tuple(wish.ids),
        on_item=lambda count: order.advance(count, total),
    )  # fmt: skip
    for finding in found:
        states = counts.setdefault(finding.what, {"ok": 0, "failed": 0, "skipped": 0})
        states[finding.state] += 1
        if finding.state != "ok" and len(findings) < MOST_FINDINGS:
            findings.append(finding)
    holds = not any(states["failed"] for states in counts.values())
    return {"holds": holds, "checks": counts, "findings": findings}
