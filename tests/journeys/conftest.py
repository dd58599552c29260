"""Houses for journeys: embedded, and on real servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.house import House, embedded, served
from tests.support import servers


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """The embedded house."""
    with embedded(tmp_path / "home") as made:
        yield made


@pytest.fixture
def served_house(tmp_path: Path, postgres: servers.Postgres, redis: servers.Redis, s3: servers.S3) -> Iterator[House]:
    """The house on PostgreSQL, Redis and S3."""
    with served(tmp_path / "home", postgres.new_database(), redis.url(), s3.settings) as made:
        yield made


@pytest.fixture(params=["embedded", "served"])
def any_house(request: pytest.FixtureRequest) -> House:
    """Both houses, one after the other."""
    found: House = request.getfixturevalue("house" if request.param == "embedded" else "served_house")
    return found
