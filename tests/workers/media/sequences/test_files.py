from __future__ import annotations

from workers.media.sequences.files import spelled


def test_numbers_are_spelled_as_ranges() -> None:
    assert spelled([3, 6, 7, 8, 10]) == "3, 6-8, 10"
    assert spelled(list(range(0, 100, 2))).endswith("and 30 more ranges")
