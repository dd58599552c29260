"""Lists in any order, sorted on disk."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from db.errors import ManifestError
from orchestrator.manifest import inventory


def test_files_come_back_folder_by_folder_with_all_that_was_said() -> None:
    paths = [f"{folder}/{name}.dpx" for folder in ("b", "a/x", "a", "a-1") for name in ("2", "10", "ä", "\udcff")]
    rows = [
        (path, number, fact) for number, path in enumerate(paths, 1) for fact in ({"bytes": 7}, {"checksum.md5": "0"})
    ]
    random.Random(7).shuffle(rows)
    with inventory.open_inventory() as files:
        for row in rows:
            files.add(*row)
        found = {folder: [file.name for file in inside] for folder, inside in files.folders()}
        assert list(found) == ["a", "a-1", "a/x", "b"]
        assert found["a"] == ["10.dpx", "2.dpx", "ä.dpx", "\udcff.dpx"]
        one = files.file("a/x/10.dpx")
        assert (one.number, one.fields, one.digests) == (6, {"bytes": 7, "checksum.md5": "0"}, {"md5": "0"})
        assert files.file("nowhere/x").facts == {}


def test_memory_holds_one_folder() -> None:
    with inventory.open_inventory() as files:
        for number in range(30_000):
            files.add(f"{number % 300:03d}/{number}.jpg", number, {"checksum.md5": "0" * 32})
        tracemalloc.start()
        assert sum(len(inside) for _, inside in files.folders()) == 30_000
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes < 600 * 1000  # a hundred files' records, twice over; all of them would take thirty megabytes


def _overfill() -> None:
    with inventory.open_inventory() as files:
        files._connection.execute("PRAGMA max_page_count = 8")
        for number in range(100_000):
            files.add(f"a/{number}", number, {})


def test_a_disk_without_room_ends_in_a_code() -> None:
    with pytest.raises(ManifestError) as caught:
        _overfill()
    assert caught.value.code == "NO_SPACE"
