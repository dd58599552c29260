"""The API and the command line say the same; no route is without a role; what is described is what there is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.types import ASGIApp

from db.errors import CODES, BrokerUnavailable, InputError, ReelwrightError
from db.states import Role
from orchestrator.cli.commands import COMMANDS, Command, Group
from orchestrator.web.answers import error_status
from orchestrator.web.app import make_routes
from orchestrator.web.auth import Needs
from orchestrator.web.contract import ROUTES, SHELL_ALONE
from orchestrator.web.guard import SAFE
from tests.support.visitor import Visitor

ROOT = Path(__file__).parents[3]
OPEN = {
    "/health/live", "/health/ready",  # they say nothing
    "/static/{digest}/{name:path}",  # the same for everybody
    "/enter", "/login", "/logout",  # who comes is not known yet
    "/rate/{link}", "/rate/{link}/begin", "/rate/{link}/vote", "/rate/{link}/pictures/{name}",  # the link is the key
}  # fmt: skip
STATUSES = {401, 403, 404, 409, 413, 421, 422, 429, 503}


def routes() -> Iterator[tuple[str, str, Role | None]]:
    """Method, path and least role of every route."""
    for context in iter_route_contexts(make_routes().routes):
        roles = [needs.role for needs in needs_of(context.dependant)]
        for method in context.methods or ():
            yield method, str(context.path), max(roles, key=lambda role: role.rank) if roles else None


def needs_of(dependant: Dependant) -> Iterator[Needs]:
    for each in dependant.dependencies:
        if isinstance(each.call, Needs):
            yield each.call
        yield from needs_of(each)


ALL = sorted(set(routes()), key=str)


def commands() -> set[str]:
    inner = {
        f"{name} {each}" for name, group in COMMANDS.items() if isinstance(group, Group) for each in group.commands
    }
    return {name for name, each in COMMANDS.items() if isinstance(each, Command)} | inner


def test_there_are_routes_to_look_at() -> None:
    assert len(ALL) > 80


def test_no_route_is_without_a_role() -> None:
    assert {path for _, path, role in ALL if role is None} <= OPEN


def test_who_only_looks_changes_nothing() -> None:
    weak = {(method, path) for method, path, role in ALL if role is Role.VIEWER and method not in SAFE}
    assert weak == {("POST", "/api/v1/recipes/check")}  # it keeps nothing


def test_a_page_that_is_only_looked_at_is_never_asked_by_an_unsafe_method_alone() -> None:
    assert all(method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} for method, _, _ in ALL)


def test_every_command_has_a_route_or_a_reason() -> None:
    assert commands() == set(ROUTES) | set(SHELL_ALONE)
    assert set(ROUTES).isdisjoint(SHELL_ALONE)
    there = {f"{method} {path}" for method, path, _ in ALL}
    assert {route for named in ROUTES.values() for route in named} <= there


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_status(code: str) -> None:
    assert error_status(InputError("x", code=code)) in STATUSES


def test_what_is_away_and_what_is_ours_have_theirs() -> None:
    assert error_status(BrokerUnavailable("x")) == 503
    assert error_status(ReelwrightError("x")) == 500


def test_the_description_is_the_stored_one() -> None:
    stored = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))
    assert make_routes().openapi() == stored, "run `make docs`"


def test_every_route_of_the_api_says_its_role_and_what_it_does() -> None:
    for path, methods in make_routes().openapi()["paths"].items():
        for method, facts in methods.items():
            assert facts.get("summary"), (method, path)
            assert path.startswith("/health") or facts["x-role"] in [role.value for role in Role], (method, path)


@pytest.mark.parametrize(("method", "path", "role"), [each for each in ALL if each[2] and "{" not in each[1]])
def test_a_route_lets_in_its_role_and_nobody_below(
    method: str, path: str, role: Role, app: ASGIApp, viewer: Visitor, operator: Visitor, admin: Visitor
) -> None:
    def status(visitor: Visitor) -> int:
        return 0 if path.endswith("/events") else visitor.ask(method, path, headers={"Accept": "text/html"}).status

    assert status(Visitor(app)) in {0, 401, 403}  # 403: no token and no page of ours
    for who, visitor in ((Role.VIEWER, viewer), (Role.OPERATOR, operator), (Role.ADMIN, admin)):
        got = status(visitor)
        assert (got == 403) == (who < role) or got == 0, (who, got)
        assert got != 401
        assert got < 500


@pytest.mark.parametrize(
    ("words", "path", "key"),
    [
        (("status", "JOB"), "/api/v1/jobs/JOB/items", "items"),
        (("failures", "JOB"), "/api/v1/jobs/JOB/failures", "failures"),
        (("stages", "denoise"), "/api/v1/stages/denoise", None),
        (("metrics",), "/api/v1/metrics", "metrics"),
        (("models", "list"), "/api/v1/models", "models"),
        (("models", "show", "reelwright-denoise"), "/api/v1/models/reelwright-denoise", None),
    ],
)
def test_programs_are_told_the_same_by_both(
    words: tuple[str, ...], path: str, key: str | None, viewer: Visitor, job_id: int, at_home: Any
) -> None:
    _, said = at_home(*(str(job_id) if word == "JOB" else word for word in words))
    told = json.loads(viewer.get(path.replace("JOB", str(job_id))).text)
    if key == "items":
        said = said["items"]
    assert said == (told[key] if key else told)
