"""What takes longer than a request: bounded, told when it fails, ended with its server, and no exception to catch."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from db.errors import InputError
from orchestrator.web import background
from orchestrator.web.background import Background, Cancelled, Order
from tests.support.refusals import refused
from tests.support.servers import wait_until


@pytest.fixture
def orders() -> Iterator[Background]:
    made = Background()
    yield made
    made.close()


def over(order: Order) -> str:
    wait_until(lambda: order.state not in ("waiting", "running"), 10, "it is over")
    return order.state


def test_what_comes_of_it_is_kept_for_who_asked(orders: Background) -> None:
    order = orders.start("plan", "ada", lambda each: 7, "Box 7")
    assert over(order) == "done"
    assert (orders.find(order.id, "plan").result, order.facts()["title"]) == (7, "Box 7")
    for order_id, kind in ((order.id, "submission"), ("nonsense", "plan")):
        with refused("NOT_FOUND"):
            orders.find(order_id, kind)


def test_what_was_found_is_of_one_moment(orders: Background) -> None:
    go_on, running = threading.Event(), threading.Event()

    def work(order: Order) -> int:
        running.set()
        go_on.wait(10)
        return 7

    order = orders.start("plan", "ada", work)
    assert running.wait(10)
    found = orders.find(order.id, "plan")
    go_on.set()
    assert over(order) == "done"
    assert (found.state, found.result) == ("running", None)
    found.stopped.set()
    assert order.stopped.is_set()


def test_of_two_who_take_a_result_one_gets_it(orders: Background) -> None:
    order = orders.start("study", "ada", lambda each: ["link"])
    assert over(order) == "done"
    first, second = (orders.find(order.id, "study") for _ in range(2))
    assert orders.put_result(first, [])
    assert not orders.put_result(second, [])
    assert orders.find(order.id, "study").result == []


def test_so_many_run_and_so_many_wait(orders: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "MOST_WAITING", 3)
    go_on, running = threading.Event(), threading.Semaphore(0)

    def work(order: Order) -> None:
        running.release()
        go_on.wait(10)

    begun = [orders.start("plan", "ada", work) for _ in range(2)]
    for _ in begun:
        running.acquire()
    begun += [orders.start("plan", "ada", work) for _ in range(3)]
    with refused("TOO_MANY_REQUESTS"):
        orders.start("plan", "ada", work)
    orders.start("verification", "ada", lambda order: None)  # another kind has places of its own
    assert [order.state for order in begun] == ["running"] * 2 + ["waiting"] * 3
    go_on.set()
    assert {over(order) for order in begun} == {"done"}


@pytest.mark.parametrize(
    ("fault", "code", "told"),
    [(InputError("line 5", code="BAD_VALUE"), "BAD_VALUE", "line 5"),
        (KeyError("secret"), "WORKER_FAULT", "does not know")],
)  # fmt: skip
def test_what_goes_wrong_is_told_in_words(orders: Background, fault: Exception, code: str, told: str) -> None:
    def work(order: Order) -> None:
        raise fault

    order = orders.start("plan", "ada", work)
    assert over(order) == "failed"
    assert order.error is not None
    assert order.error["code"] == code
    assert told in order.error["message"]
    assert "secret" not in order.error["message"]


def test_nobody_catches_by_mistake_that_it_is_not_wanted_any_more(orders: Background) -> None:
    caught = []

    def work(order: Order) -> None:
        try:
            order.stopped.set()
            order.advance(1)
        except Exception as error:
            caught.append(error)

    assert over(orders.start("plan", "ada", work)) == "cancelled"
    assert caught == []
    assert not issubclass(Cancelled, Exception)


def test_a_server_that_leaves_ends_what_runs_and_what_waits(orders: Background) -> None:
    def work(order: Order) -> None:
        while True:
            order.advance(1)
            order.stopped.wait(0.01)

    begun = [orders.start("plan", "ada", work) for _ in range(4)]
    wait_until(lambda: begun[1].state == "running", 10, "two run")
    orders.close()
    assert [over(order) for order in begun[:2]] == ["cancelled"] * 2


def test_old_ones_are_forgotten_and_none_that_is_not_over(orders: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "MOST_KEPT", 5)
    go_on = threading.Event()
    slow = orders.start("plan", "ada", lambda order: go_on.wait(10))
    for _ in range(20):
        over(orders.start("verification", "ada", lambda order: None))
    assert len(orders._orders) <= 6
    assert orders.find(slow.id, "plan").state == "running"
    go_on.set()
