"""How things are answered: JSON as ``--json`` prints it, and errors with a status that follows from their code."""

from __future__ import annotations

import gzip
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from db.errors import CODES, InputError, OutOfMemoryError, ReelwrightError, os_error
from orchestrator.exit_codes import REFUSED, UNAVAILABLE, exit_code
from orchestrator.terminal_text import json_text, visible
from orchestrator.wording import to_json

LEAST_PACKED_BYTES = 1000
"""Shorter answers gain nothing by being packed."""
RETRY_SECONDS = 5
TIMED_OUT = 408
_STATUS_BY_CODE = {
    "UNAUTHENTICATED": 401, "FORBIDDEN": 403, "FOREIGN_REQUEST": 403, "NOT_FOUND": 404, "BLOB_MISSING": 404,
    "BODY_TOO_LARGE": 413, "WRONG_HOST": 421, "TOO_MANY_REQUESTS": 429, "NAME_TAKEN": 409, "TOO_MANY_KEPT": 409,
    "REVIEW_SUPERSEDED": 409, "STUDY_CLOSED": 409, "ALREADY_VOTED": 409, "RANKING_IMPOSSIBLE": 409,
}  # fmt: skip
"""Of codes whose errors are a person's to mend by their exit code, and that HTTP knows better."""
_CODE_BY_STATUS = {404: "NOT_FOUND", 405: "NOT_FOUND", 413: "BODY_TOO_LARGE"}

_KINDS = (
    ReelwrightError, RequestValidationError, HTTPException, ClientDisconnect, OSError, MemoryError, OverflowError,
    UnicodeEncodeError, Exception,
)  # fmt: skip

log = structlog.get_logger(__name__)


def answer(request: Request, value: Any, status: int = 200, **headers: str) -> Response:
    """Answer a program with a document."""
    return pack(request, json_text(to_json(value)).encode(), "application/json", status, headers)


def pack(
    request: Request, body: bytes, media_type: str, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Answer with text that was made here, packed where that is understood."""
    headers = {"Vary": "Accept-Encoding, HX-Request"} | (headers or {})
    if len(body) >= LEAST_PACKED_BYTES and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, compresslevel=5, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, status, headers, media_type)


def error_status(error: ReelwrightError) -> int:
    """Return the HTTP status of an error: by its code where HTTP has a number of its own, else as its exit code is."""
    if error.code in _STATUS_BY_CODE:
        return _STATUS_BY_CODE[error.code]
    if error.code.startswith("UNKNOWN_"):
        return 404
    code = exit_code(error)
    if code == UNAVAILABLE:
        return 503
    if code == REFUSED:
        return 409
    return 422 if isinstance(error, InputError) else 500


def error_facts(error: ReelwrightError) -> dict[str, Any]:
    """Return what is told of an error; a refused manifest brings its problems along."""
    facts: dict[str, Any] = {"code": error.code, "message": visible(error.message), "remedy": visible(error.remedy)}
    problems = getattr(error, "problems", None)
    return facts | ({"problems": problems, "problem_count": getattr(error, "count", 0)} if problems else {})


def named_error(error: Exception) -> ReelwrightError:
    """Return our error for whatever was raised; what nobody foresaw is logged and not told."""
    if isinstance(error, ReelwrightError):
        return error
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
        return InputError(f"{where or 'The request'}: {first['msg']}"[:500])
    if isinstance(error, HTTPException):
        code = _CODE_BY_STATUS.get(error.status_code, "BAD_VALUE")
        return InputError(CODES[code].meaning, code=code)
    if isinstance(error, UnicodeEncodeError):  # half a pair of surrogates, which JSON can spell
        return InputError("The request holds what is no text")
    if isinstance(error, OverflowError):  # databases of one kind take no more than 64 bits
        return InputError("A number in the request is larger than any that is kept")
    if isinstance(error, OSError):  # where that was is nobody's business who does not look at the machine
        log.error("the system refused", error=str(error)[:500])
        return os_error("The server's system", OSError(error.errno, error.strerror))
    if isinstance(error, ClientDisconnect):
        return InputError("What was sent stopped before its end", remedy="Send it again.")
    if isinstance(error, MemoryError):
        return OutOfMemoryError("The server has not enough memory for that")
    log.error("request failed", error=f"{type(error).__name__}: {error}"[:500], exc_info=error)
    return ReelwrightError("The server met an error that it does not know", remedy="Its log says more; report it.")


def _status(error: Exception, named: ReelwrightError) -> int:
    if isinstance(error, ClientDisconnect):
        return TIMED_OUT
    return error.status_code if isinstance(error, HTTPException) else error_status(named)


def headers_of(error: ReelwrightError, status: int) -> dict[str, str]:
    """Return headers that belong to an error's status."""
    if status in (429, 503):
        return {"Retry-After": str(RETRY_SECONDS)}
    return {"WWW-Authenticate": "Bearer"} if error.code == "UNAUTHENTICATED" else {}


def is_for_programs(request: Request) -> bool:
    """Whether the one who asks wants JSON, also of an error."""
    return str(request.scope["path"]).startswith(("/api/", "/health/", "/metrics"))


def handle_errors(app: FastAPI, show: Any) -> None:
    """Let every error end in an answer.

    Args:
        app: The application.
        show: Called with request, error and status for a person; returns the page.
    """

    def handle(request: Request, error: Exception) -> Response:
        named = named_error(error)
        status = _status(error, named)
        headers = headers_of(named, status)
        if is_for_programs(request):
            return answer(request, {"error": error_facts(named)}, status, **headers)
        response: Response = show(request, named, status)
        response.headers.update(headers)
        return response

    for kind in _KINDS:
        app.add_exception_handler(kind, handle)
