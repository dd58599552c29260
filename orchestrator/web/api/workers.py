"""The installation: workers, settings, what is wrong with it, and figures for Prometheus."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from fastapi import APIRouter, Request
from starlette.responses import Response

from db import progress
from db.settings import Settings
from orchestrator.diagnosis import diagnose
from orchestrator.web import figures
from orchestrator.web.answers import answer, pack
from orchestrator.web.auth import ADMIN, VIEWER
from orchestrator.web.site import SiteDep

router = APIRouter(tags=["installation"], dependencies=[VIEWER])
_SECRET = frozenset({"s3_secret_key", "s3_access_key"})
_WITH_PASSWORDS = frozenset({"database_url", "broker_url", "s3_endpoint_url", "smtp_url"})


@router.get("/api/v1/workers")
def list_workers(request: Request, site: SiteDep) -> Response:
    """List the workers that were seen within a day, the liveliest first."""
    return answer(request, {"workers": progress.workers(site.database)})


@router.get("/api/v1/settings", dependencies=[ADMIN])
def show_settings(request: Request, site: SiteDep) -> Response:
    """Show the server's settings, without secrets."""
    return answer(request, {"settings": plain_settings(site.settings)})


@router.get("/api/v1/doctor", dependencies=[ADMIN])
def show_diagnosis(request: Request, site: SiteDep) -> Response:
    """Check the installation."""
    found = list(diagnose(site.settings))
    return answer(request, {"healthy": all(each.ok for each in found if each.needed), "findings": found})


@router.get("/api/openapi.json", include_in_schema=False)
def show_description(request: Request) -> Response:
    """Give out the API's description."""
    return answer(request, request.app.openapi())


@router.get("/metrics")
def show_figures(request: Request, site: SiteDep) -> Response:
    """Show figures of jobs, tasks and workers in Prometheus' text form."""
    body, media_type = figures.exposition(site.figures)
    return pack(request, body, media_type)


def plain_settings(settings: Settings) -> dict[str, Any]:
    """Return settings as they may be shown: URLs lose who logs in, and keys are not told."""
    shown = settings.model_dump(mode="json")
    for name in _WITH_PASSWORDS:
        shown[name] = _without_login(shown[name])
    return shown | {name: "set" if shown[name] else "" for name in _SECRET}


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", "")) if url else ""
