from __future__ import annotations

from workers.media.sequences.files import format_ranges


def test_numbers_are_spelled_as_ranges() -> None:
    assert format_ranges([3, 6, 7, 8, 10]) == "3, 6-8, 10"
    assert format_ranges(list(range(0, 100, 2))).endswith("and 30 more ranges")
