"""Coming in and going out: by the link that ``serve`` prints, or by a token."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from db import pages
from db.errors import InputError
from db.ledger import access
from db.states import Role
from orchestrator.web import auth
from orchestrator.web.rendering import render
from orchestrator.web.site import Site, SiteDep

router = APIRouter()
MOST_SECRET = 200


@router.get("/enter")
def enter(request: Request, site: SiteDep, code: str = "") -> Response:
    """Let a browser in by the code of the link that was printed; it works once."""
    if not site.code.spend(code):
        site.failures.note(auth.client_address(request))
        message = "This link was used before, or is older than ten minutes"
        raise InputError(
            message, code="FORBIDDEN", remedy="Start `reelwright serve` again for a new one, or use a token."
        )
    response = RedirectResponse(_first_page(site), 303)
    auth.log_in(site, response, access.Principal("local", Role.ADMIN, None))
    return response


@router.get("/login")
def show_login(request: Request, site: SiteDep) -> Response:
    """Ask for a token."""
    return render(request, "login.html", error=None, next="/")


@router.post("/login")
def log_in(
    request: Request,
    site: SiteDep,
    token: Annotated[str, Form(max_length=MOST_SECRET)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",
) -> Response:
    """Let a browser in by a token."""
    who = access.principal_of_token(site.database, token.strip())
    if who is None:
        site.failures.note(auth.client_address(request))
        return render(
            request,
            "login.html",
            401,
            error="The token is not known, has run out, or was revoked.",
            next=own_path(next),
        )
    response = RedirectResponse(own_path(next), 303)
    auth.log_in(site, response, who)
    return response


@router.post("/logout")
def log_out(request: Request, site: SiteDep) -> Response:
    """End the session."""
    response = RedirectResponse("/login", 303)
    auth.log_out(site, request, response)
    return response


def own_path(text: str) -> str:
    """Return a path on this server, or the first page for anything that may lead elsewhere."""
    plain = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if plain and "\\" not in text else "/"


def _first_page(site: Site) -> str:
    """Return the page of the one job that is there, else the list of all."""
    jobs = pages.job_page(site.database, limit=2).rows
    return f"/jobs/{jobs[0].id}" if len(jobs) == 1 else "/"
