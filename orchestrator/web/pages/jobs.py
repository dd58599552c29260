"""The list of jobs, and what a job is told."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from db import ledger, pages, progress
from db.states import JOB_OVER, Role
from orchestrator.web.auth import OPERATOR, VIEWER, Caller
from orchestrator.web.pages.flashes import flash
from orchestrator.web.rendering import render
from orchestrator.web.site import SiteDep

router = APIRouter(dependencies=[VIEWER])
ON_A_PAGE = 50
MOST_PRIORITY = 10**6
At = Annotated[Literal["", "jobs"], Form()]
"""Where somebody pressed the button: on the list of jobs, or on the job's own page."""


@router.get("/")
def show_jobs(
    request: Request, site: SiteDep, who: Caller, before: Annotated[int | None, Query(ge=0, le=2**62)] = None
) -> Response:
    """Show jobs, newest first, each with its progress."""
    page = pages.job_page(site.database, before_id=before, limit=ON_A_PAGE)
    rows = [(row, progress.progress(site.database, row.id)) for row in page.rows]
    moves = any(row.state not in JOB_OVER for row in page.rows)
    return render(
        request, "jobs.html", rows=rows, more=page.more, before=before, over={state.value for state in JOB_OVER},
        may_act=who.role >= Role.OPERATOR, flash=flash(request), stream="/api/v1/events" if moves else "",
        live_url=f"/?before={before}" if before else "/",
    )  # fmt: skip


@router.post("/jobs/{job_id}/pause", dependencies=[OPERATOR])
def pause(site: SiteDep, who: Caller, job_id: int, at: At = "") -> Response:
    """Pause a job."""
    ledger.pause_job(site.database, job_id, reason=f"paused by {who.name}")
    return go_back(job_id, at, "paused")


@router.post("/jobs/{job_id}/resume", dependencies=[OPERATOR])
def resume(site: SiteDep, job_id: int, at: At = "") -> Response:
    """Let a paused job go on."""
    ledger.resume_job(site.database, job_id)
    return go_back(job_id, at, "resumed")


@router.post("/jobs/{job_id}/cancel", dependencies=[OPERATOR])
def cancel(site: SiteDep, job_id: int, at: At = "") -> Response:
    """End a job."""
    ledger.cancel_job(site.database, job_id)
    return go_back(job_id, at, "cancelled")


@router.post("/jobs/{job_id}/priority", dependencies=[OPERATOR])
def set_priority(
    site: SiteDep, job_id: int, priority: Annotated[int, Form(ge=-MOST_PRIORITY, le=MOST_PRIORITY)]
) -> Response:
    """Change a job's place in the queue."""
    ledger.set_priority(site.database, job_id, priority)
    return go_back(job_id, "", "priority")


def go_back(job_id: int, at: str, done: str, count: int = 0) -> Response:
    """Answer a form: show the page that it was on, which says what was done."""
    page = "/" if at == "jobs" else f"/jobs/{job_id}"
    return RedirectResponse(f"{page}?done={done}{f'&count={count}' if count else ''}", 303)
