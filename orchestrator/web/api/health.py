"""Whether the server lives, and whether it can answer: for machines that watch it. Nothing else is told there."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from db import session
from orchestrator.web.answers import answer
from orchestrator.web.site import SiteDep

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live")
def tell_life(request: Request) -> Response:
    """Say that the process answers."""
    return answer(request, {"live": True})


@router.get("/ready")
def tell_readiness(request: Request, site: SiteDep) -> Response:
    """Say that the database answers with this release's schema; 503 where it does not, or the server is leaving."""
    ready = not site.stopping.is_set()
    if ready:
        session.check(site.database)
    return answer(request, {"ready": ready}, 200 if ready else 503)
