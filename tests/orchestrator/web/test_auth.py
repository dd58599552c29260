"""Who comes in and who does not: tokens, sessions, the link that works once, roles at every route."""

from __future__ import annotations

import json
import re
import threading
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import update
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from db import administration
from db.ledger import access
from db.session import Database
from db.settings import Settings
from db.states import Role
from db.tables import ApiToken, BrowserSession
from orchestrator.web import entrance, serving
from orchestrator.web.address import Address
from orchestrator.web.app import make_app
from orchestrator.web.auth import COOKIE
from orchestrator.web.entrance import OneTimeCode
from orchestrator.web.pages.login import own_path
from orchestrator.web.site import Site
from tests.orchestrator.web.conftest import Live
from tests.orchestrator.web.test_contract import ALL, OPEN
from tests.support.visitor import OWN_PAGE, Page, Visitor

JOBS = "/api/v1/jobs"


def cookie_of(page: Page) -> str:
    return page.headers["Set-Cookie"].partition(";")[0].partition("=")[2]


def with_cookie(app: ASGIApp, cookie: str, path: str = JOBS) -> int:
    return Visitor(app).get(path, Cookie=f"{COOKIE}={cookie}").status


def test_every_route_with_a_name_in_it_lets_in_its_role_alone(
    app: ASGIApp, viewer: Visitor, operator: Visitor, admin: Visitor
) -> None:
    people = {None: Visitor(app), Role.VIEWER: viewer, Role.OPERATOR: operator, Role.ADMIN: admin}
    routes = [each for each in ALL if "{" in each[1] and each[2]]
    wrong = []
    for (method, path, role), (who, visitor) in product(routes, people.items()):
        status = visitor.ask(method, re.sub(r"\{[^}]*\}", "7", path), headers=OWN_PAGE).status
        fits = status == 401 if who is None else (status == 403) == (role is not None and who < role) and status != 401
        wrong += [] if fits and status < 500 else [(method, path, who, status)]
    assert len(routes) > 50
    assert wrong == []


def test_what_is_open_is_open_for_a_reason() -> None:
    assert len(OPEN) == 10


@pytest.mark.parametrize(
    "said",
    [
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer rw_" + "a" * 43,
        "Basic YTpi",
        "Token x",
        "bearer  ",
        "Bearer " + "x" * 9000,
    ],
)
def test_who_says_something_wrong_is_not_let_in(app: ASGIApp, said: str) -> None:
    page = Visitor(app).get(JOBS, Authorization=said)
    assert page.status == 401
    assert page.headers["WWW-Authenticate"] == "Bearer"


def test_a_token_stands_in_no_address(app: ASGIApp, viewer: Visitor) -> None:
    for name in ("token", "access_token", "api_key", "session", COOKIE):
        assert Visitor(app).get(f"{JOBS}?{name}={viewer.token}").status == 401


def test_a_wrong_token_is_not_made_good_by_a_session(app: ASGIApp, home_database: Database) -> None:
    cookie = access.open_session(home_database, "local", Role.ADMIN, None, 60)
    assert Visitor(app).get(JOBS, Cookie=f"{COOKIE}={cookie}", Authorization="Bearer nonsense").status == 401


def test_an_expired_token_and_its_session_end_together(app: ASGIApp, viewer: Visitor, home_database: Database) -> None:
    cookie = cookie_of(Visitor(app).send("/login", [("token", viewer.token)]))
    assert (viewer.get(JOBS).status, with_cookie(app, cookie)) == (200, 200)
    with home_database.write() as connection:
        connection.execute(update(ApiToken).values(expires_at=1.0))
    assert (viewer.get(JOBS).status, with_cookie(app, cookie)) == (401, 401)


def test_a_revoked_token_ends_its_sessions(app: ASGIApp, viewer: Visitor, admin: Visitor) -> None:
    cookie = cookie_of(Visitor(app).send("/login", [("token", viewer.token)]))
    assert admin.ask("DELETE", "/api/v1/tokens/vi").status == 200
    assert (viewer.get(JOBS).status, with_cookie(app, cookie)) == (401, 401)


def test_an_old_session_is_over(app: ASGIApp, home_database: Database) -> None:
    cookie = access.open_session(home_database, "local", Role.ADMIN, None, 60)
    assert with_cookie(app, cookie) == 200
    with home_database.write() as connection:
        connection.execute(update(BrowserSession).values(expires_at=1.0))
    assert with_cookie(app, cookie) == 401


def test_logging_out_ends_the_session_and_not_only_the_cookie(app: ASGIApp, home_database: Database) -> None:
    cookie = access.open_session(home_database, "local", Role.ADMIN, None, 60)
    page = Visitor(app).ask("POST", "/logout", headers=OWN_PAGE | {"Cookie": f"{COOKIE}={cookie}"})
    assert page.status == 303
    assert with_cookie(app, cookie) == 401


def test_a_session_has_the_role_of_its_token(app: ASGIApp, viewer: Visitor) -> None:
    cookie = cookie_of(Visitor(app).send("/login", [("token", viewer.token)]))
    assert with_cookie(app, cookie, "/api/v1/tokens") == 403


@pytest.mark.parametrize(("public_url", "is_secure"), [("", False), ("https://film.example.org", True)])
def test_the_cookie_is_for_the_browser_and_this_site_alone(
    settings: Settings, home_database: Database, public_url: str, is_secure: bool
) -> None:
    address = Address("127.0.0.1", 8765, public_url=public_url)
    with serving.open_site(settings, home_database, address, is_open=False) as site:
        page = Visitor(make_app(site), address=address).get(f"/enter?code={site.code.text}")
    words = {word.strip().lower() for word in page.headers["Set-Cookie"].split(";")[1:]}
    assert words == {"httponly", "samesite=strict", "path=/"} | ({"secure"} if is_secure else set())


def test_the_link_lets_in_once(app: ASGIApp, site: Site) -> None:
    first, second = (Visitor(app).get(f"/enter?code={site.code.text}") for _ in range(2))
    assert (first.status, second.status) == (303, 403)
    assert "Set-Cookie" not in second.headers
    assert with_cookie(app, cookie_of(first), "/api/v1/tokens") == 200


def test_the_link_lets_in_one_of_many_at_once() -> None:
    code, barrier, let_in = OneTimeCode(), threading.Barrier(8), []

    def enter() -> None:
        barrier.wait()
        let_in.append(code.spend(code.text))

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(let_in) == [False] * 7 + [True]


def test_the_link_is_late_after_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance, "CODE_SECONDS", -1.0)
    code = OneTimeCode()
    assert not code.spend(code.text)


@pytest.mark.parametrize("text", ["", "x", "\udcff", "a" * 43])
def test_another_code_neither_lets_in_nor_spends_it(text: str) -> None:
    code = OneTimeCode()
    assert not code.spend(text)
    assert code.spend(code.text)


def test_after_ten_wrong_tokens_the_rest_are_too_many_and_the_right_one_is_still_right(
    app: ASGIApp, viewer: Visitor
) -> None:
    got = [Visitor(app, f"rw_{number:043d}").get(JOBS).status for number in range(12)]
    assert got == [401] * 10 + [429] * 2
    assert Visitor(app, "rw_x").get(JOBS).headers["Retry-After"]
    assert Visitor(app).send("/login", [("token", "wrong")]).status == 429
    assert Visitor(app).get("/enter?code=wrong").status == 429
    assert viewer.get(JOBS).status == 200  # nobody can lock others out


@pytest.mark.parametrize(
    ("text", "leads_to"),
    [
        ("/jobs/1?x=2", "/jobs/1?x=2"), ("//evil.example", "/"), ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\t/evil.example", "/"), ("/\n/evil.example", "/"), ("javascript:alert(1)", "/"), ("", "/"),
        ("\\\\evil", "/"),
        ("///evil.example", "/"), ("/a\\..\\b", "/"), (" //evil.example", "/"), ("/\r\nSet-Cookie: a=b", "/"),
    ],
)  # fmt: skip
def test_nobody_is_led_elsewhere_by_logging_in(text: str, leads_to: str) -> None:
    assert own_path(text) == leads_to


def test_logging_in_leads_where_one_wanted_to_go(app: ASGIApp, viewer: Visitor) -> None:
    page = Visitor(app).send("/login", [("token", viewer.token), ("next", "//evil.example/x")])
    assert (page.status, page.headers["Location"]) == (303, "/")


def test_a_wrong_token_does_not_forget_where_one_wanted_to_go(app: ASGIApp, viewer: Visitor) -> None:
    page = Visitor(app).send("/login", [("token", "wrong"), ("next", "/jobs/1?x=2")])
    assert page.html.xpath("//input[@name='next']/@value") == ["/jobs/1?x=2"]


def test_no_secret_is_written_down(live: Live, home_database: Database, caplog: pytest.LogCaptureFixture) -> None:
    token = access.add_token(home_database, "ada", Role.OPERATOR)
    code = live.site.code.text
    caplog.set_level("DEBUG")
    with capture_logs() as logs:
        entered = live.ask(f"GET /enter?code={code} HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n")
        for line in (f"GET /enter?code={code}", f"GET /rate/{code}", f"PATCH /api/v1/jobs/{token}"):
            live.ask(f"{line} HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n")
        live.ask(f"GET /enter?code={code} \x00 HTTP/1.1\r\n\r\n")
    cookie = re.search(rb"reelwright_session=([^;]+)", entered)
    assert cookie is not None
    written = repr(logs) + caplog.text + repr(administration.audit_page(home_database))
    assert not [secret for secret in (token, code, cookie[1].decode()) if secret in written]


def test_secrets_are_kept_as_digests_alone(settings: Settings, viewer: Visitor, home_database: Database) -> None:
    cookie = access.open_session(home_database, "local", Role.ADMIN, None, 60)
    kept = b"".join(path.read_bytes() for path in settings.home.rglob("reelwright.db*"))
    assert kept
    assert viewer.token.encode() not in kept
    assert cookie.encode() not in kept


def test_settings_are_shown_without_secrets(home_database: Database, tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path / "home", broker_url="redis://:hunter2@cache:6379/0?password=hunter3", s3_access_key="AKIA1",
        s3_secret_key="hunter4", s3_endpoint_url="https://who:hunter5@s3.example", store_uri="s3://b/p",
    )  # fmt: skip
    with serving.open_site(settings, home_database, Address("127.0.0.1", 8765), is_open=True) as site:
        page = Visitor(make_app(site)).get("/api/v1/settings")
    assert page.status == 200
    assert not re.findall("hunter.|AKIA1", page.text)
    assert json.loads(page.text)["settings"]["broker_url"] == "redis://cache:6379/0"


def test_without_login_everybody_may_all_but_other_sites_still_nothing(
    settings: Settings, home_database: Database
) -> None:
    with serving.open_site(settings, home_database, Address("127.0.0.1", 8765), is_open=True) as site:
        visitor = Visitor(make_app(site))
        assert visitor.get("/api/v1/tokens").status == 200
        assert visitor.ask("POST", "/api/v1/tokens", json={"name": "x"}).status == 403
        assert visitor.ask("POST", "/api/v1/tokens", headers=OWN_PAGE, json={"name": "x"}).status == 201
        assert Visitor(visitor.app, "rw_wrong").get("/api/v1/tokens").status == 401
        assert visitor.get("/", Host="evil.example:8765").status == 421


def test_what_was_done_is_written_down_with_who_did_it(operator: Visitor, admin: Visitor, job_id: int) -> None:
    operator.ask("POST", f"{JOBS}/{job_id}/pause")
    operator.ask("POST", f"{JOBS}/{job_id}/pause")  # refused: it is paused already, or nothing new
    operator.ask("DELETE", "/api/v1/tokens/ada")  # forbidden
    deeds = json.loads(admin.get("/api/v1/audit").text)["deeds"]
    assert {(each["who"], each["action"]) for each in deeds} == {("ada", "POST /api/v1/jobs/{job_id}/pause")}
