from __future__ import annotations

import signal
import time

import pytest

from db.child_process import ChildDied, ChildProcess, LineTooLong, code_of_death

ECHO = "import sys\nfor line in sys.stdin: print('noise', 7, flush=True); print(line, end='', flush=True)"


def test_each_document_is_answered_by_the_next_and_noise_is_passed_over() -> None:
    with ChildProcess(["-c", ECHO]) as child:
        assert [child.ask({"order": number}) for number in range(3)] == [{"order": number} for number in range(3)]
        assert child.alive
    assert not child.alive


def test_documents_come_until_the_child_ends() -> None:
    script = "import json, sys; [print(json.dumps({'n': n})) for n in range(3)]; print('{\"n\": 3'); sys.exit(4)"
    with ChildProcess(["-c", script]) as child:
        assert list(child.stream()) == [{"n": 0}, {"n": 1}, {"n": 2}]
        assert child.wait() == 4


@pytest.mark.parametrize(
    ("end", "status", "code"), [("os.abort()", -signal.SIGABRT, "DECODER_CRASH"), ("os._exit(3)", 3, "WORKER_FAULT")]
)
def test_a_child_that_dies_says_how(end: str, status: int, code: str) -> None:
    with ChildProcess(["-c", f"import os, sys; sys.stdin.readline(); {end}"], mute=True) as child:
        with pytest.raises(ChildDied, match=f"ended with status {status}") as caught:
            child.ask({})
        with pytest.raises(ChildDied):
            child.ask({})
    assert (caught.value.status, caught.value.code) == (status, code)


def test_a_kill_is_the_systems_where_nobody_else_would() -> None:
    assert code_of_death(-signal.SIGKILL) == "DECODER_CRASH"
    assert code_of_death(-signal.SIGKILL, spared=True) == "OUT_OF_MEMORY"
    assert code_of_death(-signal.SIGSEGV, spared=True) == "DECODER_CRASH"


def test_a_line_without_end_is_not_swallowed() -> None:
    with (
        pytest.raises(LineTooLong, match="100 bytes"),
        ChildProcess(["-c", "print('x' * 10**6)"], line_bytes=100) as child,
    ):
        next(child.stream())


def test_a_child_that_takes_too_long_is_killed() -> None:
    started = time.monotonic()
    with ChildProcess(["-c", "import time; time.sleep(60)"], seconds=0.2) as child:
        assert list(child.stream()) == []
        assert child.wait() == -signal.SIGKILL
    assert time.monotonic() - started < 30


def test_a_child_that_is_silent_for_too_long_is_named() -> None:
    script = "import sys, time\nfor line in sys.stdin: time.sleep(60 if 'slow' in line else 0); print(line, flush=True)"
    with ChildProcess(["-c", script], silent_seconds=5) as child:
        assert child.ask({"order": 1}) == {"order": 1}
        with pytest.raises(ChildDied, match="said nothing for 5 s") as caught:
            child.ask({"order": "slow"})
    assert caught.value.code == "STALLED"


def test_a_child_that_always_says_something_has_all_the_time() -> None:
    script = "import time\nfor n in range(12): time.sleep(0.25); print('{\"n\": %d}' % n, flush=True)"
    with ChildProcess(["-c", script], silent_seconds=2) as child:
        assert [each["n"] for each in child.stream()] == list(range(12))


@pytest.mark.parametrize("end", ["os._exit(78)", "os.kill(os.getpid(), 9)"])
def test_a_child_that_took_too_much_memory_is_no_broken_file(end: str) -> None:
    with ChildProcess(["-c", f"import os; {end}"]) as child, pytest.raises(ChildDied) as caught:
        child.ask({})
    assert caught.value.code == "OUT_OF_MEMORY"


def test_an_exception_stops_the_child_at_its_work() -> None:
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), ChildProcess(["-c", "import time; time.sleep(60)"]) as child:
        raise KeyboardInterrupt
    assert not child.alive
    assert time.monotonic() - started < 30
