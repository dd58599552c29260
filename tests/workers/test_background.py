from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from workers.background import ALONE, Crew, open_crew, read_ahead, write_behind


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


def test_a_crew_works_at_as_many_things_as_it_has_threads() -> None:
    meeting = threading.Barrier(3, timeout=20)
    with open_crew(3, 3) as crew:
        places = [crew.begin(meeting.wait) for _ in range(3)]
        assert sorted(place() for place in places) == [0, 1, 2]


def test_what_a_crew_makes_of_items_comes_in_their_order() -> None:
    def slower_at_first(number: int) -> int:
        time.sleep((20 - number) / 2000)
        return number * number

    with open_crew(4, 6) as crew:
        assert list(crew.map(slower_at_first, range(20))) == [number * number for number in range(20)]


def test_no_more_is_unfinished_in_a_crew_than_was_said() -> None:
    gate, begun = threading.Event(), list[int]()

    def ask(crew: Crew) -> None:
        for number in range(4):
            crew.do(lambda: bool(gate.wait(20)) and None)
            begun.append(number)

    with open_crew(2, 3) as crew:
        asking = threading.Thread(target=ask, args=(crew,))
        asking.start()
        asking.join(0.3)
        assert begun == [0, 1, 2]
        gate.set()
        asking.join()
    assert begun == [0, 1, 2, 3]


def test_reading_from_a_crew_goes_no_further_ahead_than_was_said() -> None:
    read: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(50):
            read.append(number)
            yield number

    with open_crew(2, 4) as crew:
        made = crew.map(str, numbers())
        assert next(made) == "0"
        assert len(read) <= 5


def test_one_thread_is_no_crew() -> None:
    with open_crew(1, 8) as crew:
        assert crew is ALONE
        assert crew.begin(threading.get_ident)() == threading.get_ident()
        assert list(crew.map(str, range(3))) == ["0", "1", "2"]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("ask", [lambda crew, work: crew.begin(work)(), lambda crew, work: crew.do(work)])
def test_an_error_of_a_crew_is_raised_before_its_block_has_ended(
    threads: int, ask: Callable[[Crew, Callable[[], None]], None]
) -> None:
    def fail() -> None:
        raise ValueError("no such frame")

    def fail_in_crew() -> None:
        with open_crew(threads, 4) as crew:
            ask(crew, fail)

    with pytest.raises(ValueError, match="no such frame"):
        fail_in_crew()


def test_an_error_here_leaves_what_a_crew_has_not_begun() -> None:
    gate, done = threading.Event(), list[int]()

    def work() -> None:
        gate.wait(20)
        done.append(0)

    def fail_here() -> None:
        with open_crew(2, 6) as crew:
            for _ in range(6):
                crew.do(work)
            threading.Timer(0.1, gate.set).start()
            raise KeyError

    with pytest.raises(KeyError):
        fail_here()
    assert len(done) <= 4
