"""The outermost door: names, origins, methods, bodies, and what every answer says."""

from __future__ import annotations

import json
from itertools import product

import anyio
import pytest
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from db.ledger import access
from db.session import Database
from db.states import Role
from orchestrator.web import guard
from orchestrator.web.address import Address
from orchestrator.web.auth import COOKIE
from orchestrator.web.guard import HEADERS, Guard
from orchestrator.web.site import Site
from tests.orchestrator.web.conftest import Live
from tests.support.visitor import OWN_PAGE, Visitor

JOBS = "/api/v1/jobs"


def test_it_answers_to_its_own_names(viewer: Visitor) -> None:
    for host in ("127.0.0.1:8765", "localhost:8765", "LocalHost:8765", "[::1]:8765"):
        assert viewer.get(JOBS, Host=host).status == 200


FOREIGN = [
    "", "evil.example", "evil.example:8765", "127.0.0.1", "localhost", "127.0.0.1:80", "127.0.0.1:8765.",
    "localhost.:8765", "127.0.0.1.nip.io:8765", "user@localhost:8765", "localhost:8765@evil.example",
    "localhost:8765/api", "0.0.0.0:8765", "2130706433:8765", "localhost:08765", "localhost:8765,evil.example",
    "[::ffff:127.0.0.1]:8765",
]  # fmt: skip


def test_it_answers_to_no_other_name(viewer: Visitor) -> None:
    pages = {host: viewer.get(JOBS, Host=host) for host in FOREIGN}
    assert {host: page.status for host, page in pages.items()} == dict.fromkeys(FOREIGN, 421)
    assert {json.loads(page.text)["error"]["code"] for page in pages.values()} == {"WRONG_HOST"}


def test_a_rebound_name_is_refused_though_origin_and_host_agree(app: ASGIApp, home_database: Database) -> None:
    cookie = access.open_session(home_database, "local", Role.ADMIN, None, 60)
    evil = {"Host": "evil.example:8765", "Origin": "http://evil.example:8765", "Cookie": f"{COOKIE}={cookie}"}
    assert Visitor(app).ask("POST", "/api/v1/tokens", headers=evil | OWN_PAGE, json={"name": "x"}).status == 421


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_whoever_watches_may_call_it_by_any_name(app: ASGIApp, path: str) -> None:
    assert Visitor(app).get(path, Host="10.1.2.3:9").status == 200


SITES = {None: None, "same-origin": True, "same-site": False, "cross-site": False, "none": False, "nonsense": False}
ORIGINS = {
    None: False, "http://127.0.0.1:8765": True, "http://LOCALHOST:8765": True, "https://127.0.0.1:8765": False,
    "http://127.0.0.1:8766": False, "http://evil.example": False, "null": False, "": False,
}  # fmt: skip


def test_what_changes_something_comes_from_its_own_pages(app: ASGIApp, home_database: Database) -> None:
    cookie = access.open_session(home_database, "local", Role.VIEWER, None, 60)
    expected, got = {}, {}
    for site, origin, method in product(SITES, ORIGINS, ("POST", "DELETE", "TRACE")):
        said = {"Sec-Fetch-Site": site, "Origin": origin, "Cookie": f"{COOKIE}={cookie}"}
        headers = {name: value for name, value in said.items() if value is not None}
        got[site, origin, method] = Visitor(app).ask(method, "/nowhere", headers=headers).status
        is_own = SITES[site] if site is not None else ORIGINS[origin]
        expected[site, origin, method] = 404 if is_own else 403
    assert got == expected


def test_a_method_is_what_it_is_called_and_nothing_in_a_header_or_form(operator: Visitor, job_id: int) -> None:
    for name in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        operator.ask("GET", f"{JOBS}/{job_id}", headers={name: "PATCH"}, json={"priority": 9})
        operator.ask("GET", f"{JOBS}/{job_id}?_method=PATCH&priority=9", headers={name: "PATCH"})
    assert json.loads(operator.get(f"{JOBS}/{job_id}").text)["job"]["priority"] == 0


def test_looking_changes_nothing(operator: Visitor, job_id: int) -> None:
    for deed in ("pause", "cancel", "resume", "rerun"):
        assert operator.get(f"{JOBS}/{job_id}/{deed}").status == 405
        assert operator.ask("HEAD", f"{JOBS}/{job_id}/{deed}").status == 405
    assert json.loads(operator.get(f"{JOBS}/{job_id}").text)["job"]["state"] == "ready"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "text/json"]
)
def test_a_document_is_read_only_where_it_is_called_json(operator: Visitor, job_id: int, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    page = operator.ask("PATCH", f"{JOBS}/{job_id}", headers=headers, content=b'{"priority": 7}')
    assert page.status == 422
    assert json.loads(operator.get(f"{JOBS}/{job_id}").text)["job"]["priority"] == 0


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"priority": 1' + b"0" * 9000 + b"}", b'{"priority": NaN}', b"\xff\xfe", b"{", b"null", b'"x"'],
)
def test_a_document_that_is_none_is_refused(operator: Visitor, job_id: int, body: bytes) -> None:
    page = operator.ask("PATCH", f"{JOBS}/{job_id}", headers={"Content-Type": "application/json"}, content=body)
    assert page.status in {400, 422}
    assert json.loads(page.text)["error"]["code"] == "BAD_VALUE"


def test_no_other_site_is_let_in(viewer: Visitor) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    for method in ("GET", "OPTIONS"):
        page = viewer.ask(method, JOBS, headers=asked)
        assert not [name for name in page.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "path", ["/api/v1/jobs", "/nowhere", "/login", "/api/v1/nowhere", "/health/live", "/metrics", "/jobs/1"]
)
def test_every_answer_says_what_browsers_must_not_do(viewer: Visitor, path: str) -> None:
    page = viewer.get(path)
    assert {name: page.headers[name] for name in HEADERS} == HEADERS


def test_refusals_say_it_too(app: ASGIApp, operator: Visitor, job_id: int) -> None:
    pages = [
        Visitor(app).get("/", Host="evil.example"),
        Visitor(app).ask("POST", "/login"),
        Visitor(app).get(JOBS),
        operator.ask(
            "PATCH", f"{JOBS}/{job_id}", headers={"Content-Type": "application/json"}, content=b" " * 4_000_001
        ),
        operator.ask("PUT", "/api/v1/uploads/x?kind=photo", headers={"Content-Length": str(10**9)}, content=b"x"),
    ]
    assert [page.status for page in pages] == [421, 403, 401, 413, 413]
    for page in pages:
        assert {name: page.headers[name] for name in HEADERS} == HEADERS


def test_what_nobody_foresaw_is_told_without_a_word_of_it(
    site: Site, viewer: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(site, "streams")  # a handler that needs it now ends in an AttributeError
    with capture_logs() as logs:
        page = viewer.get("/api/v1/events")
    assert [each["event"] for each in logs] == ["request failed", "answer broken off"]
    assert page.status == 500
    assert {name: page.headers[name] for name in HEADERS} == HEADERS
    assert "Attribute" not in page.text
    assert "Traceback" not in page.text


def test_assets_may_be_kept_and_say_the_rest(viewer: Visitor, site: Site) -> None:
    page = viewer.get(site.assets.url("app.css"))
    assert "immutable" in page.headers["Cache-Control"]
    assert page.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]


def test_nobody_unknown_sends_much(app: ASGIApp, viewer: Visitor, operator: Visitor) -> None:
    large = {"Content-Length": "4000001"} | OWN_PAGE
    assert Visitor(app).ask("POST", "/submit", headers=large).status == 401
    assert viewer.ask("POST", "/submit", headers=large).status == 403
    assert Visitor(app).ask("POST", "/login", headers=OWN_PAGE | {"Transfer-Encoding": "chunked"}).status == 401
    assert operator.ask("POST", "/submit", headers=OWN_PAGE | {"Content-Type": "multipart/form-data"}).status != 403


def test_a_target_in_absolute_form_leads_nowhere_else(live: Live) -> None:
    got = live.ask("GET http://evil.example/login HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 404")


def test_two_hosts_or_none_are_refused(live: Live) -> None:
    assert live.ask("GET /login HTTP/1.1\r\nHost: HOST\r\nHost: evil\r\nConnection: close\r\n\r\n")[9:12] in {
        b"400",
        b"421",
    }
    assert live.ask("GET /login HTTP/1.0\r\n\r\n")[9:12] == b"421"


def test_no_websocket_is_opened(live: Live) -> None:
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n"
    got = live.ask(f"GET /login HTTP/1.1\r\nHost: HOST\r\n{upgrade}\r\n", half_closed=True)
    assert b" 101 " not in got[:20]


def test_headers_without_end_are_refused(live: Live) -> None:
    got = live.ask(b"GET /login HTTP/1.1\r\nHost: HOST\r\nX: " + b"x" * 200_000 + b"\r\n\r\n")
    assert got == b"" or b" 400 " in got[:20]  # the connection may end before the answer is read


def test_a_body_over_the_limit_is_refused_however_it_comes(live: Live, home_database: Database) -> None:
    token = access.add_token(home_database, "ada", Role.OPERATOR)
    start = f"PUT /api/v1/jobs/1 HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
    start = start.replace("PUT", "PATCH") + "Content-Type: application/json\r\n"
    chunk = b"%x\r\n" % 65536 + b" " * 65536 + b"\r\n"
    assert b" 413 " in live.ask(f"{start}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 62 + b"0\r\n\r\n")[:20]
    assert b" 413 " in live.ask(f"{start}Content-Length: 5000000\r\n\r\n")[:20]


def test_who_stops_in_the_middle_of_a_body_is_not_waited_for(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SILENT_SECONDS", 0.2)
    own = "Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    got = live.ask(
        f"POST /login HTTP/1.1\r\nHost: HOST\r\n{own}Content-Length: 100\r\nConnection: close\r\n\r\ntoken=x"
    )
    assert got.startswith(b"HTTP/1.1 4")


def test_a_websocket_passes_no_guard() -> None:
    async def never(*_: object) -> None:
        raise AssertionError

    async def connect() -> None:
        await Guard(never, Address("127.0.0.1", 1))({"type": "websocket"}, never, never)  # type: ignore[arg-type]

    anyio.run(connect)
