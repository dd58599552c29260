"""Puts the application together: the guard outermost, then routes for programs and pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from orchestrator.web import rendering
from orchestrator.web.answers import handle_errors
from orchestrator.web.auth import note_deed, refuse_sender
from orchestrator.web.guard import MOST_OPEN_BYTES, Guard
from orchestrator.web.openapi import describe
from orchestrator.web.site import Site

THREADS = 12
"""Requests that are answered at the same time; a database has so many connections."""
API = (
    "jobs",
    "results",
    "submission",
    "uploads",
    "items",
    "stages",
    "models",
    "workers",
    "access",
    "judging",
    "checks",
    "health",
)
"""Modules of ``api``, each with a ``router``."""
PAGES = (
    "login",
    "jobs",
    "items",
    "item",
    "compare",
    "workers",
    "models",
    "reference",
    "recipes",
    "submit",
    "photo",
    "review",
    "study",
    "rate",
)
"""Modules of ``pages``, each with a ``router``."""


def make_app(site: Site) -> ASGIApp:
    """Return the application of one server."""
    app = make_routes()
    app.state.site = site
    handle_errors(app, rendering.show_error)
    return Guard(app, site.address, site.requests.note, partial(refuse_sender, site))


def make_routes() -> FastAPI:
    """Return the routes; what they answer with comes from the site that is put into ``app.state``."""
    app = _Application(
        title="Reelwright",
        version=version("reelwright"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
        dependencies=[Depends(note_deed)],
        max_body_size=MOST_OPEN_BYTES,
    )
    for name in API:
        app.include_router(_router(f"orchestrator.web.api.{name}"))
    for name in PAGES:
        app.include_router(_router(f"orchestrator.web.pages.{name}"), include_in_schema=False)
    app.add_api_route("/static/{digest}/{name:path}", _respond_with_asset, include_in_schema=False)
    return app


class _Application(FastAPI):
    """FastAPI with our description of itself."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, made once."""
        self.openapi_schema = self.openapi_schema or describe(self)
        return self.openapi_schema


def _router(module: str) -> APIRouter:
    router: APIRouter = import_module(module).router
    return router


def _respond_with_asset(request: Request, digest: str, name: str) -> Response:
    response: Response = request.app.state.site.assets.respond(request, digest, name)
    return response


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield
