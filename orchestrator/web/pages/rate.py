"""What raters see: two pictures at a time and nothing of where they come from. The link is the key, nobody logs in.

Who a rater is, is a random cookie; pairs are drawn by forms alone, so that what is only looked at changes nothing.
"""

from __future__ import annotations

import re
import secrets
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from db import studies
from db.errors import InputError
from db.ledger import studying
from db.records import Blob
from db.states import Choice, StudyState
from db.studies import StudyRow
from orchestrator.web.auth import client_address
from orchestrator.web.rendering import render
from orchestrator.web.site import Site, SiteDep

router = APIRouter(prefix="/rate/{link}")
COOKIE = "reelwright_rater"
KEPT_SECONDS = 90 * 24 * 3600
"""How long a rater may pause."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_RATER = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@router.get("")
def show_pair(request: Request, site: SiteDep, link: str, begun: Annotated[str, Query(max_length=1)] = "") -> Response:
    """Show the question, and the pair that waits for this rater's vote."""
    study, rater = _study(request, site, link), _rater(request)
    pair = studying.waiting_trial(site.database, study.id, rater) if rater else None
    given = studies.rater_votes(site.database, study.id, rater) if rater else 0
    return render(
        request, "rate.html", question=study.question, path=f"/rate/{link}", pair=pair, given=given,
        trials=studies.counts(site.database, study.id).trials, no_cookie=bool(begun) and not rater,
    )  # fmt: skip


@router.post("/begin")
def begin(request: Request, site: SiteDep, link: str) -> Response:
    """Draw a pair for this rater, who becomes one by it."""
    study, known = _study(request, site, link), _rater(request)
    rater = known or secrets.token_urlsafe(32)
    studying.next_trial(site.database, study.id, rater)
    response = RedirectResponse(f"/rate/{link}" if known else f"/rate/{link}?begun=1", 303)
    response.set_cookie(
        COOKIE, rater, KEPT_SECONDS, path=f"/rate/{link}", secure=site.address.scheme == "https", httponly=True,
        samesite="strict",
    )  # fmt: skip
    return response


@router.post("/vote")
def vote(
    request: Request,
    site: SiteDep,
    link: str,
    position: Annotated[int, Form(ge=0, le=10**6)],
    choice: Annotated[Choice, Form()],
) -> Response:
    """Write down what a rater chose, and draw the next pair. A choice that is sent again changes nothing."""
    study, rater = _study(request, site, link), _rater(request)
    try:
        studying.vote(site.database, study.id, rater, position, choice)
        studying.next_trial(site.database, study.id, rater)
    except InputError as error:
        if error.code not in ("ALREADY_VOTED", "UNKNOWN_TRIAL"):
            raise
    return RedirectResponse(f"/rate/{link}", 303)


@router.get("/pictures/{name}")
def show_picture(request: Request, site: SiteDep, link: str, name: str) -> Response:
    """Show a picture that this rater was shown, under a name and with a length that tell nothing of it."""
    study, rater = _study(request, site, link), _rater(request)
    key = studies.picture_key(site.database, study.id, rater, name) if rater and _NAME.fullmatch(name) else None
    size = site.store.size(key) if key else None
    if key is None or size is None:
        raise InputError("There is no such picture", code="NOT_FOUND", remedy="Go back to the pair that is shown.")
    data = b"".join(site.store.stream(Blob(key=key, sha256="", bytes=size)))
    return Response(data, media_type="image/webp")


def _study(request: Request, site: Site, link: str) -> StudyRow:
    """Return the study that a link leads to.

    Raises:
        InputError: ``UNKNOWN_STUDY``, ``TOO_MANY_REQUESTS`` after too many links that lead nowhere, ``STUDY_CLOSED``.
    """
    study = studies.study_of_link(site.database, link)
    if study is None:
        site.failures.note(client_address(request))
        raise InputError("This link leads nowhere", code="UNKNOWN_STUDY", remedy="Open the whole link as it was sent.")
    if study.state is StudyState.CLOSED:
        raise InputError("This study is over and takes no more votes. Thank you", code="STUDY_CLOSED")
    return study


def _rater(request: Request) -> str:
    """Return what a rater's browser was given; empty where it has nothing of ours."""
    given = request.cookies.get(COOKIE, "")
    return given if _RATER.fullmatch(given) else ""
