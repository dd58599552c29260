"""Keys are remembered outside memory."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from db.errors import DiskFull
from orchestrator.upkeep.known_keys import remember_keys


def test_a_key_keeps_its_first_word() -> None:
    with remember_keys() as known:
        assert [known.add("a", "one"), known.add("a", "two"), known.add("b")] == [True, False, True]
        assert [known.word("a"), known.word("b"), known.word("c")] == ["one", "", None]
    with remember_keys() as known:
        assert known.word("a") is None


def test_there_may_be_no_room_for_them(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises(DiskFull):
            _fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _fill() -> None:
    with remember_keys() as known:
        for number in range(200_000):
            known.add(f"jobs/1/items/{number}/g1/restore/t{number}-a1-w/{'still' * 20}.png")
