from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from workers.background import read_ahead, write_behind


def test_items_arrive_in_order_from_another_thread() -> None:
    here = threading.get_ident()
    with read_ahead((threading.get_ident() for _ in range(5)), 2) as items:
        assert here not in set(items)
    with read_ahead(range(100), 3) as numbers:
        assert list(numbers) == list(range(100))


def test_reading_ahead_is_bounded_and_stops_when_nobody_listens() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    with read_ahead(numbers(), 2) as items:
        assert next(items) == 0
        time.sleep(0.2)
        assert len(made) <= 5
    assert len(made) <= 6


def test_an_error_ahead_is_raised_here() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with read_ahead(broken(), 2) as items, pytest.raises(ValueError, match="no more"):
        list(items)


def test_the_end_waits_for_everything_to_be_written() -> None:
    written: list[int] = []

    def slow(number: int) -> None:
        time.sleep(0.01)
        written.append(number)

    with write_behind(slow, 2) as put:
        for number in range(12):
            put(number)
    assert written == list(range(12))


@pytest.mark.parametrize("after", [0, 3, 9])
def test_an_error_behind_is_raised_here_whenever_it_comes(after: int) -> None:
    def broken(number: int) -> None:
        if number >= after:
            raise ValueError("disk full")

    def write_all() -> None:
        with write_behind(broken, 2) as put:
            for number in range(10):
                put(number)

    with pytest.raises(ValueError, match="disk full"):
        write_all()


def test_an_error_here_drops_what_was_not_written() -> None:
    gate, written = threading.Event(), list[int]()

    def waiting(number: int) -> None:
        gate.wait(5)
        written.append(number)

    def fail_here() -> None:
        with write_behind(waiting, 4) as put:
            for number in range(4):
                put(number)
            gate.set()
            raise KeyError

    with pytest.raises(KeyError):
        fail_here()
    assert len(written) <= 4
