"""Errors as programs see them: the status that a client expects, and no word of the machine."""

from __future__ import annotations

import errno
import json

import pytest
from starlette.types import ASGIApp

from db.errors import DatabaseUnavailable, InputError, ReelwrightError
from orchestrator.web import answers
from orchestrator.web.answers import error_facts, error_status, headers_of, named_error
from tests.support.visitor import OWN_PAGE, Visitor

STATUSES = {
    "NAME_TAKEN": 409, "TOO_MANY_KEPT": 409, "REVIEW_SUPERSEDED": 409, "STUDY_CLOSED": 409, "ALREADY_VOTED": 409,
    "RANKING_IMPOSSIBLE": 409, "WRONG_STATE": 409, "COUNT_DIFFERS": 409, "UNKNOWN_JOB": 404, "UNKNOWN_ITEM": 404,
    "UNKNOWN_UPLOAD": 404, "UNKNOWN_RECIPE": 404, "BLOB_MISSING": 404, "BAD_VALUE": 422, "PATH_UNSAFE": 422,
    "MANIFEST_EMPTY": 422, "NO_SPACE": 503, "WORKER_EXTRA_MISSING": 503,
}  # fmt: skip


@pytest.mark.parametrize(("code", "status"), STATUSES.items())
def test_a_client_sees_what_it_expects(code: str, status: int) -> None:
    assert error_status(InputError("x", code=code)) == status


def test_what_passes_says_when_to_come_again() -> None:
    for error in (DatabaseUnavailable("away"), InputError("x", code="TOO_MANY_REQUESTS")):
        assert int(headers_of(error, error_status(error))["Retry-After"]) > 0


def test_of_the_machine_nothing_is_told() -> None:
    for error in (
        OSError(errno.EACCES, "Permission denied", "/srv/home/x"),
        FileNotFoundError(2, "No", b"/srv/home/x"),
    ):
        told = error_facts(named_error(error))
        assert "/srv" not in json.dumps(told)
        assert told["code"] == "PATH_UNUSABLE"
    full = named_error(OSError(errno.ENOSPC, "No space left", "/srv/home/x"))
    assert (full.code, error_status(full)) == ("NO_SPACE", 503)
    assert "/srv" not in full.message


def test_what_nobody_foresaw_is_a_fault_of_ours() -> None:
    named = named_error(ValueError("postgresql://who:pw@host"))
    assert type(named) is ReelwrightError
    assert error_status(named) == 500
    assert "pw" not in json.dumps(error_facts(named))


def test_text_from_outside_is_spelled_out() -> None:
    told = error_facts(InputError("a\x1b[31mb\u202ec", remedy="x\ny"))
    assert told["message"].isprintable()
    assert told["remedy"].isprintable()


def test_programs_get_json_and_people_a_page(app: ASGIApp, viewer: Visitor) -> None:
    for path in ("/api/v1/nowhere", "/api/v1/jobs/9", "/api/nowhere", "/health/nowhere"):
        page = viewer.get(path)
        assert page.status == 404
        assert set(json.loads(page.text)["error"]) == {"code", "message", "remedy"}
    for path in ("/nowhere", "/jobs/9"):
        page = viewer.get(path)
        assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    page = viewer.ask("DELETE", "/api/v1/jobs", headers=OWN_PAGE)
    assert page.status == 405


def test_only_what_gains_by_it_is_packed(viewer: Visitor) -> None:
    long, short = (viewer.get(path, **{"Accept-Encoding": "gzip"}) for path in ("/api/v1/metrics", "/api/v1/roots"))
    assert long.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in short.headers
    assert len(short.content) < answers.LEAST_PACKED_BYTES
