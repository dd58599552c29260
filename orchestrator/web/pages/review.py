"""What lies beyond gates, the worst first, before a person who says what of it is accepted."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from pydantic import BeforeValidator, Field
from starlette.responses import RedirectResponse, Response

from db import judgments, progress
from db.judgments import ReviewRow
from db.ledger import reviewing
from db.states import Role, Verdict
from orchestrator.web.api.judging import MOST_NOTE, review_rows
from orchestrator.web.auth import OPERATOR, VIEWER, Caller
from orchestrator.web.pages.flashes import flash
from orchestrator.web.rendering import render
from orchestrator.web.site import SiteDep

router = APIRouter(dependencies=[VIEWER])
ON_A_PAGE = 20
PICTURE_WIDTH = 480
MOST_REJECTED = 400
"""Items that one button starts again: proxies take an address of 8 kB."""
MOST_NUMBER = 2**62
OptionalNumber = Annotated[
    Annotated[int, Field(ge=1, le=MOST_NUMBER)] | None, BeforeValidator(lambda text: text or None)
]
"""A number in a form or an address; what is left empty says nothing."""
NumberQuery = Annotated[OptionalNumber, Query()]


@router.get("/review")
def show_reviews(
    request: Request,
    site: SiteDep,
    who: Caller,
    job: NumberQuery = None,
    decided: Annotated[bool, Query()] = False,
    cursor: Annotated[str, Query(max_length=80)] = "",
    noted: NumberQuery = None,
) -> Response:
    """Show stretches beyond gates: those that wait for a verdict, or those that have one."""
    rows, places = review_rows(site, job, decided, cursor, ON_A_PAGE)
    shown_job = progress.job(site.database, job) if job is not None else None
    rejected = judgments.rejected_items(site.database, job, MOST_REJECTED + 1) if job is not None else ()
    return render(
        request, "review.html", rows=rows, job=shown_job, decided=decided, cursor=cursor, noted=noted,
        pictures=picture_urls, rejected=rejected[:MOST_REJECTED], are_all=len(rejected) <= MOST_REJECTED,
        may_act=who.role >= Role.OPERATOR, most_note=MOST_NOTE, flash=flash(request),
        first_url=_address(job, decided) if cursor else "",
        later_url=_address(job, decided, places["next"]), earlier_url=_address(job, decided, places["prev"]),
        waiting_url=_address(job, False), decided_url=_address(job, True),
    )  # fmt: skip


@router.post("/review/{review_id}", dependencies=[OPERATOR])
def decide(
    site: SiteDep,
    who: Caller,
    review_id: int,
    verdict: Annotated[Literal["accepted", "rejected", ""], Form()] = "",
    note: Annotated[str, Form(max_length=2 * MOST_NOTE)] = "",
    job: Annotated[OptionalNumber, Form()] = None,
    decided: Annotated[bool, Form()] = False,
    cursor: Annotated[str, Form(max_length=80)] = "",
) -> Response:
    """Write a verdict down, or take it back where it is empty, and show the same list again."""
    reviewing.decide(site.database, review_id, Verdict(verdict) if verdict else None, who.name, note)
    said = {"done": "verdict", "noted": str(review_id)} if verdict else {"done": "taken_back"}
    return RedirectResponse(_address(job, decided, cursor, **said), 303)


def picture_urls(row: ReviewRow) -> list[tuple[str, str]]:
    """Return name and address of both pictures of a stretch's first frame."""
    path = f"/api/v1/items/{row.item_id}/frames/{row.start_frame or 0}?form=webp&width={PICTURE_WIDTH}"
    return [("Original", f"{path}&of=source"), ("Restored", f"{path}&of=master&generation={row.generation}")]


def _address(job: int | None, decided: bool, cursor: str | None = "", **more: str) -> str:
    """Return where a list is shown; empty where a page of it is not there."""
    if cursor is None:
        return ""
    pairs = {"job": str(job or ""), "decided": "1" if decided else "", "cursor": cursor} | more
    query = urlencode({name: value for name, value in pairs.items() if value})
    return f"/review?{query}" if query else "/review"
