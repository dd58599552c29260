"""What lies beyond gates, the worst first, and what people say of it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from db import judgments, progress
from db.ledger import reviewing
from db.states import ItemKind, Role, Verdict
from orchestrator.web.api.judging import MOST_NOTE, parse_place
from orchestrator.web.auth import OPERATOR, VIEWER, Caller
from orchestrator.web.pages.flashes import flash
from orchestrator.web.rendering import render
from orchestrator.web.site import SiteDep

router = APIRouter(dependencies=[VIEWER])
ON_A_PAGE = 25


@router.get("/review")
def show_reviews(
    request: Request,
    site: SiteDep,
    who: Caller,
    job: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    decided: bool = False,
    cursor: Annotated[str, Query(max_length=80)] = "",
) -> Response:
    """Show what waits for a word, or what a person said."""
    after, before = parse_place(cursor)
    page = judgments.review_page(
        site.database, job_id=job, decided=decided, after=after, before=before, limit=ON_A_PAGE
    )
    rows = page.rows
    goes_on = bool(rows) and (page.more or before is not None)
    came_from = bool(rows) and (page.more if before is not None else after is not None)
    return render(
        request, "review.html", rows=rows, decided=decided, job=progress.job(site.database, job) if job else None,
        may_act=who.role >= Role.OPERATOR, flash=flash(request), stream="", reel=ItemKind.REEL,
        later_url=_address(job, decided, f"a{rows[-1].distance!r},{rows[-1].id}") if goes_on else "",
        earlier_url=_address(job, decided, f"b{rows[0].distance!r},{rows[0].id}") if came_from else "",
        other_url=_address(job, not decided), here=_address(job, decided, cursor),
    )  # fmt: skip


@router.post("/review/{review_id}", dependencies=[OPERATOR])
def decide(
    site: SiteDep,
    who: Caller,
    review_id: int,
    verdict: Annotated[Verdict | None, Form()] = None,
    note: Annotated[str, Form(max_length=MOST_NOTE)] = "",
    job: Annotated[int | None, Form(ge=1)] = None,
    decided: Annotated[bool, Form()] = False,
    cursor: Annotated[str, Form(max_length=80)] = "",
) -> Response:
    """Accept or reject a stretch, or take a verdict back."""
    reviewing.decide(site.database, review_id, verdict, who.name, note)
    address = _address(job, decided, cursor)
    return RedirectResponse(f"{address}{'&' if '?' in address else '?'}done=verdict", 303)


def _address(job: int | None, decided: bool, cursor: str = "") -> str:
    pairs = {"job": job, "decided": "true" if decided else None, "cursor": cursor or None}
    query = urlencode({name: value for name, value in pairs.items() if value is not None})
    return f"/review?{query}" if query else "/review"
