"""Who asks, and what they may: tokens for programs, a cookie for browsers, a role at every route.

A route without a role does not exist: routers are made with :func:`needs`, and a test walks over all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from starlette.responses import Response
from starlette.types import Scope

from db.errors import InputError, ReelwrightError
from db.ledger import access, auditing
from db.ledger.access import Principal
from db.states import Role
from orchestrator.web.answers import error_status
from orchestrator.web.guard import SAFE
from orchestrator.web.site import Site, site_of

COOKIE = "reelwright_session"
SESSION_SECONDS = 12 * 3600.0
"""How long a browser stays logged in."""
LOCAL = Principal("local", Role.ADMIN, None)
"""Who asks where nobody has to log in."""


def caller(request: Request) -> Principal:
    """Return who asks.

    Raises:
        InputError: ``UNAUTHENTICATED``, or ``TOO_MANY_REQUESTS`` after too many wrong tokens.
    """
    return principal(site_of(request), request)


def principal(site: Site, request: Request) -> Principal:
    """Return who asks a site; raises as :func:`caller`."""
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    if kind:
        found = access.principal_of_token(site.database, secret.strip()) if kind.lower() == "bearer" else None
        if found is None:
            site.failures.note(client_address(request))
            raise InputError("The token is not known, has run out, or was revoked", code="UNAUTHENTICATED")
        return found
    if site.is_open:
        return LOCAL
    cookie = request.cookies.get(COOKIE, "")
    found = access.principal_of_session(site.database, cookie) if cookie else None
    if found is None:
        raise InputError("Nobody is logged in", code="UNAUTHENTICATED")
    return found


class Needs:
    """A dependency that lets nobody through below a role."""

    def __init__(self, role: Role) -> None:
        """Take the least role."""
        self.role = role

    def __call__(self, request: Request, who: Annotated[Principal, Depends(caller)]) -> Principal:
        """Return who asks; raises ``InputError`` ``FORBIDDEN``, or as :func:`caller`."""
        request.state.who = who
        if who.role < self.role:
            message = f"{who.name} has the role {who.role.value}; {self.role.value} is needed"
            raise InputError(message, code="FORBIDDEN")
        return who


def note_deed(request: Request) -> Iterator[None]:
    """Write down who changed what, for every request that is none of looking and did not fail."""
    yield
    who: Principal | None = getattr(request.state, "who", None)
    if who is not None and request.method not in SAFE:
        route = getattr(request.scope.get("route"), "path", "")
        site = site_of(request)
        auditing.note(site.database, who.name, f"{request.method} {route}", request.url.path)


def refuse_sender(site: Site, scope: Scope) -> tuple[int, str] | None:
    """Return why nothing large is taken from whoever asks: only those may send files who may submit work.

    A route's role is looked at when the body was read; without this anybody could fill the disk before.
    """
    try:
        who = principal(site, Request(scope))
    except ReelwrightError as error:
        return error_status(error), error.code
    return None if who.role >= Role.OPERATOR else (403, "FORBIDDEN")


VIEWER, OPERATOR, ADMIN = (Depends(Needs(role)) for role in (Role.VIEWER, Role.OPERATOR, Role.ADMIN))
"""For the dependencies of routers and routes."""
Caller = Annotated[Principal, Depends(caller)]
"""For handlers that want to know who asks; it lets in whoever is known."""


def log_in(site: Site, response: Response, who: Principal) -> None:
    """Give a browser the cookie by which it is known from now on."""
    cookie = access.open_session(site.database, who.name, who.role, who.token_id, SESSION_SECONDS)
    secure = site.address.scheme == "https"
    response.set_cookie(COOKIE, cookie, path="/", secure=secure, httponly=True, samesite="strict")


def log_out(site: Site, request: Request, response: Response) -> None:
    """End a browser's session."""
    access.close_session(site.database, request.cookies.get(COOKIE, ""))
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


def client_address(request: Request) -> str:
    """Return where a request comes from: of a Unix socket, the socket."""
    return request.client.host if request.client else "socket"
