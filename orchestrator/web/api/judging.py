"""Judging by people: what lies beyond gates, and studies that ask which of two pictures is better."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from db import judgments, studies
from db.errors import InputError
from db.judgments import ReviewRow
from db.ledger import reviewing, studying
from db.states import Verdict
from orchestrator.judging.study_report import study_report, write_votes
from orchestrator.web import files, study_making
from orchestrator.web.answers import answer
from orchestrator.web.auth import OPERATOR, VIEWER, Caller
from orchestrator.web.cursors import Cursor
from orchestrator.web.site import Site, SiteDep
from orchestrator.web.study_making import StudyOrder

router = APIRouter(prefix="/api/v1", tags=["judging"], dependencies=[VIEWER])
_PLACE = re.compile(r"([ab])(\d{1,30}(?:\.\d{1,30})?(?:e[+-]?\d{1,3})?),(\d{1,18})", re.ASCII)
MOST_NOTE = 2000


class Decision(BaseModel):
    """What a person says of a stretch beyond a gate."""

    model_config = ConfigDict(extra="forbid")

    verdict: Verdict | None = Field(description="`accepted` or `rejected`; null takes a verdict back.")
    note: str = Field("", max_length=MOST_NOTE)


@router.get("/reviews")
def list_reviews(
    request: Request,
    site: SiteDep,
    job: Annotated[int | None, Query(ge=1, description="Of this job; if omitted, of all.")] = None,
    decided: Annotated[bool, Query(description="Those that a person decided; else those that wait.")] = False,
    cursor: Annotated[str, Query(max_length=80)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List items and runs of frames beyond gates, the farthest from their gates first."""
    rows, places = review_rows(site, job, decided, cursor, limit)
    return answer(request, {"reviews": rows, **places})


@router.post("/reviews/{review_id}", dependencies=[OPERATOR])
def decide(request: Request, site: SiteDep, who: Caller, review_id: int, decision: Decision) -> Response:
    """Accept or reject a stretch, or take a verdict back."""
    reviewing.decide(site.database, review_id, decision.verdict, who.name, decision.note)
    return answer(request, {"review": review_id, "verdict": decision.verdict})


@router.get("/studies")
def list_studies(
    request: Request,
    site: SiteDep,
    cursor: Annotated[str, Query(max_length=30)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List studies, newest first."""
    page = studies.study_page(site.database, before_id=Cursor.parse(cursor).before, limit=limit)
    following = str(Cursor(before=page.rows[-1].id)) if page.more else None
    return answer(request, {"studies": page.rows, "next": following})


@router.post("/studies", dependencies=[OPERATOR], status_code=202)
def open_study(request: Request, site: SiteDep, who: Caller, order: StudyOrder) -> Response:
    """Make the pictures of a study and open it, in the background; the result has the secret of the raters' link."""
    study_making.check(site, order)
    begun = study_making.start(site, who.name, order)
    return answer(request, begun.facts(), 202, Location=f"/api/v1/openings/{begun.id}")


@router.get("/openings/{order_id}", dependencies=[OPERATOR])
def show_opening(request: Request, site: SiteDep, order_id: str) -> Response:
    """Show how far the opening of a study is; `result.link` is shown until a page showed it, or the server ends."""
    order = site.background.find(order_id, "study")
    return answer(request, {**order.facts(), "result": order.result})


@router.get("/studies/{study_id}", dependencies=[OPERATOR])
def show_study(request: Request, site: SiteDep, study_id: int) -> Response:
    """Show what a study came to: ranking with intervals, and how its raters judged where the answer is known."""
    return answer(request, study_report(site.database, study_id))


@router.post("/studies/{study_id}/close", dependencies=[OPERATOR])
def close_study(request: Request, site: SiteDep, who: Caller, study_id: int) -> Response:
    """Ask nobody any more."""
    studying.close_study(site.database, study_id, who.name)
    return answer(request, studies.study(site.database, study_id))


@router.get("/studies/{study_id}/votes.csv", dependencies=[OPERATOR])
def download_votes(request: Request, site: SiteDep, study_id: int) -> Response:
    """Download a study's votes, with all that a computation of one's own needs."""
    text = io.StringIO(newline="")
    write_votes(site.database, study_id, text)
    name = f"study-{study_id}-votes.csv"
    return files.send_pieces([text.getvalue().encode()], name, "text/csv; charset=utf-8")


def review_rows(
    site: Site, job: int | None, decided: bool, cursor: str, limit: int
) -> tuple[Sequence[ReviewRow], dict[str, str | None]]:
    """Return one page of reviews, and the places of the pages behind (``next``) and before it (``prev``).

    Raises:
        InputError: ``BAD_VALUE`` for a cursor that is none.
    """
    after, before = parse_place(cursor)
    page = judgments.review_page(site.database, job_id=job, decided=decided, after=after, before=before, limit=limit)
    rows = page.rows
    has_next = bool(rows) and (page.more or before is not None)
    has_earlier = bool(rows) and (page.more if before is not None else after is not None)
    return rows, {
        "next": f"a{rows[-1].distance!r},{rows[-1].id}" if has_next else None,
        "prev": f"b{rows[0].distance!r},{rows[0].id}" if has_earlier else None,
    }


def parse_place(text: str) -> tuple[tuple[float, int] | None, tuple[float, int] | None]:
    """Read a place in the list of reviews: behind or before a distance and number; raises ``InputError``."""
    if not text:
        return None, None
    found = _PLACE.fullmatch(text)
    if found is None:
        raise InputError(f"{text!r:.60} is no place in this list", remedy="Take `next` of an answer.")
    place = (float(found[2]), int(found[3]))
    return (place, None) if found[1] == "a" else (None, place)
