"""A server of pages over a home with a job, asked by people of each role."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.types import ASGIApp

from db.ledger import access
from db.session import Database
from db.settings import Settings
from db.states import Role
from orchestrator.submit import SubmitOptions, submit
from orchestrator.web import serving
from orchestrator.web.app import make_app
from orchestrator.web.site import Site
from tests.support.visitor import ADDRESS, Visitor


@pytest.fixture
def site(settings: Settings, home_database: Database) -> Iterator[Site]:
    with serving.open_site(settings, home_database, ADDRESS, is_open=False) as made:
        yield made


@pytest.fixture
def app(site: Site) -> ASGIApp:
    return make_app(site)


@pytest.fixture
def operator(app: ASGIApp, home_database: Database) -> Visitor:
    return Visitor(app, access.add_token(home_database, "ada", Role.OPERATOR))


@pytest.fixture
def viewer(app: ASGIApp, home_database: Database) -> Visitor:
    return Visitor(app, access.add_token(home_database, "vi", Role.VIEWER))


@pytest.fixture
def admin(app: ASGIApp, home_database: Database) -> Visitor:
    return Visitor(app, access.add_token(home_database, "max", Role.ADMIN))


@pytest.fixture
def job_id(settings: Settings, home_database: Database, archive: Path) -> int:
    """Two stills and a reel that wait, an empty file and one that is not there."""
    return submit(settings, home_database, archive / "m.csv", SubmitOptions(recipe="identity", name="Box 7")).job_id
