"""Templates to pages: everything is escaped, and a name that a template misspells is an error."""

from __future__ import annotations

import time
from typing import Any

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

from db.errors import InputError, ReelwrightError
from db.ledger.access import Principal
from orchestrator.terminal_text import visible
from orchestrator.web import auth
from orchestrator.web.answers import error_facts, pack
from orchestrator.web.site import site_of
from orchestrator.wording import format_duration, format_size, pluralize


def render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Answer a person with a page.

    Templates know ``request``, ``site``, ``who`` (none for a person who is not logged in) and ``asset(name)``, and the
    filters ``visible``, ``duration``, ``size``, ``age`` and ``plural``.
    """
    site = site_of(request)
    page = _ENVIRONMENT.get_template(template)
    text = page.render(request=request, site=site, who=_who(request), asset=site.assets.url, **values)
    return pack(request, text.encode(errors="backslashreplace"), "text/html; charset=utf-8", status)


def show_error(request: Request, error: ReelwrightError, status: int) -> Response:
    """Answer a person with what went wrong; one who is not logged in is asked to, a rater never is."""
    if error.code == "UNAUTHENTICATED":
        return render(request, "login.html", status, error=None, next=_own_path(request))
    template = "rate_over.html" if request.url.path.startswith("/rate/") else "error.html"
    return render(request, template, status, error=error_facts(error))


def _own_path(request: Request) -> str:
    """Return where a person wanted to go, where that is a page that can be looked at."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return wanted if request.method == "GET" and wanted.startswith("/") and not wanted.startswith("//") else "/"


def _who(request: Request) -> Principal | None:
    try:
        return auth.caller(request)
    except InputError:
        return None
    except ReelwrightError:  # the database is away: the page that says so knows nobody
        return None


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("orchestrator.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {
        "visible": lambda text: visible(str(text)),
        "duration": format_duration,
        "size": format_size,
        "plural": pluralize,
        "age": lambda seconds_since_1970: format_duration(max(0.0, time.time() - seconds_since_1970)),
    }
    return environment


_ENVIRONMENT = _environment()
