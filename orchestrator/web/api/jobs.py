"""Jobs: how far they are, and what they are told."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from db import ledger, pages, progress
from orchestrator.rerun import rerun
from orchestrator.web.answers import answer
from orchestrator.web.auth import OPERATOR, VIEWER, Caller
from orchestrator.web.cursors import Cursor
from orchestrator.web.questions import ItemQuestionDep, SelectionBody
from orchestrator.web.site import Site, SiteDep
from orchestrator.web.submitting import MOST_PRIORITY, named_recipe

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"], dependencies=[VIEWER])


class JobChange(BaseModel):
    """What may be changed of a job."""

    model_config = ConfigDict(extra="forbid")

    priority: int = Field(ge=-MOST_PRIORITY, le=MOST_PRIORITY, description="Jobs with a higher number go first.")


class RerunOrder(BaseModel):
    """Which items are started again, and how."""

    model_config = ConfigDict(extra="forbid")

    selection: SelectionBody = Field(
        default_factory=SelectionBody, description="Without conditions, all that failed or were cancelled."
    )
    recipe: str | dict[str, object] | list[object] | None = Field(
        None, description="Name of a shipped recipe, or a recipe's document; if omitted, each item keeps its own."
    )
    expect: int | None = Field(None, ge=0, description="How many items you saw to be meant; another number is refused.")


@router.get("")
def list_jobs(
    request: Request,
    site: SiteDep,
    cursor: Annotated[str, Query(max_length=30)] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """List jobs with their progress, newest first."""
    page = pages.job_page(site.database, before_id=Cursor.parse(cursor).before, limit=limit)
    rows = [{"job": row, "progress": progress.progress(site.database, row.id)} for row in page.rows]
    following = str(Cursor(before=page.rows[-1].id)) if page.more else None
    return answer(request, {"jobs": rows, "next": following})


@router.get("/{job_id}")
def show_job(request: Request, site: SiteDep, job_id: int) -> Response:
    """Show a job with its progress and what it waits for."""
    return answer(request, job_facts(site, job_id))


@router.get("/{job_id}/items")
def list_items(request: Request, site: SiteDep, job_id: int, question: ItemQuestionDep) -> Response:
    """List a job's items in manifest order.

    Where no index leads to what is asked for, 12,000 items are looked through; `searched_to` says up to where.
    """
    progress.job(site.database, job_id)
    page = question.page(site.database, job_id)
    return answer(request, {"items": page.rows, "searched_to": page.searched_to, **question.neighbors(page)})


@router.post("/{job_id}/rerun", dependencies=[OPERATOR])
def rerun_items(request: Request, site: SiteDep, who: Caller, job_id: int, order: RerunOrder) -> Response:
    """Start items again as their next generation; earlier results stay."""
    recipe = named_recipe(order.recipe)
    selection = order.selection.selection()
    count = rerun(site.settings, site.database, job_id, selection, recipe, expect=order.expect)
    return answer(request, {"job_id": job_id, "items": count})


@router.post("/{job_id}/pause", dependencies=[OPERATOR])
def pause_job(request: Request, site: SiteDep, who: Caller, job_id: int) -> Response:
    """Start nothing new and stop running work; finished segments are kept, and those in work begin anew later."""
    ledger.pause_job(site.database, job_id, reason=f"paused by {who.name}")
    return answer(request, progress.job(site.database, job_id))


@router.post("/{job_id}/resume", dependencies=[OPERATOR])
def resume_job(request: Request, site: SiteDep, job_id: int) -> Response:
    """Continue a paused job."""
    ledger.resume_job(site.database, job_id)
    return answer(request, progress.job(site.database, job_id))


@router.post("/{job_id}/cancel", dependencies=[OPERATOR])
def cancel_job(request: Request, site: SiteDep, job_id: int) -> Response:
    """End a job; what is done stays."""
    ledger.cancel_job(site.database, job_id)
    return answer(request, progress.job(site.database, job_id))


@router.patch("/{job_id}", dependencies=[OPERATOR])
def change_job(request: Request, site: SiteDep, job_id: int, change: JobChange) -> Response:
    """Change a job's priority."""
    ledger.set_priority(site.database, job_id, change.priority)
    return answer(request, progress.job(site.database, job_id))


def job_facts(site: Site, job_id: int) -> dict[str, object]:
    """Return what is told of a job: the job, its progress, and what it waits for."""
    return {
        "job": progress.job(site.database, job_id),
        "progress": progress.progress(site.database, job_id),
        "waits_for": progress.outage(site.database, job_id),
    }
