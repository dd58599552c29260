"""What takes longer than a request: dry runs, submissions, verifications, comparisons. Asked for, then looked at.

Each runs in a thread; a few of a kind at once, the others wait their turn. They are remembered for a day in memory:
nothing of them counts that is not in the records too.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from db.errors import InputError, ReelwrightError
from orchestrator.web.answers import error_facts, named_error

AT_ONCE = {"plan": 2, "submission": 2, "verification": 1, "comparison": 1, "evaluation": 1, "weights": 1, "study": 1}
"""Kinds, and how many of each run at once."""
MOST_WAITING = 20
"""Of one kind; more are refused."""
MOST_KEPT = 500
KEPT_SECONDS = 24 * 3600.0

log = structlog.get_logger(__name__)


class Cancelled(BaseException):
    """Somebody does not want an order's result any more, or the server leaves.

    No exception that something went wrong: a manifest that is being taken in stays as it is, and can be gone on with.
    """


@dataclass
class Order:
    """One piece of work."""

    id: str
    kind: str
    asked_by: str
    asked_at: float
    """Seconds since 1970."""
    state: str = "waiting"
    """``waiting``, ``running``, ``done``, ``failed`` or ``cancelled``."""
    done: int = 0
    """Lines, items or pictures so far."""
    total: int | None = None
    result: Any = None
    """None until it is done."""
    error: dict[str, Any] | None = None
    title: str = ""
    """What it is about, for people."""
    given: Any = None
    """What a page wants to know of it again."""
    stopped: threading.Event = field(default_factory=threading.Event, repr=False)

    def advance(self, done: int, total: int | None = None) -> None:
        """Note how far it is; raises ``Cancelled`` where nobody wants it any more."""
        self.done, self.total = done, total if total is not None else self.total
        if self.stopped.is_set():
            raise Cancelled

    def facts(self) -> dict[str, Any]:
        """Return what is told of it, without its result."""
        names = ("id", "kind", "state", "done", "total", "error", "title", "asked_by", "asked_at")
        return {name: getattr(self, name) for name in names}


class Background:
    """All orders of one server."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._orders: dict[str, Order] = {}
        self._pools = {
            kind: ThreadPoolExecutor(count, thread_name_prefix=f"web-{kind}") for kind, count in AT_ONCE.items()
        }

    def start(self, kind: str, who: str, work: Callable[[Order], Any], title: str = "") -> Order:
        """Begin a piece of work; raises ``InputError`` ``TOO_MANY_REQUESTS`` where too many wait."""
        order = Order(secrets.token_hex(8), kind, who, time.time(), title=title)
        with self._lock:
            self._forget_old()
            waiting = sum(each.kind == kind and each.state == "waiting" for each in self._orders.values())
            if waiting >= MOST_WAITING:
                raise InputError(f"{waiting} wait for their turn already", code="TOO_MANY_REQUESTS")
            self._orders[order.id] = order
        self._pools[kind].submit(self._do, order, work)
        return order

    def find(self, order_id: str, kind: str) -> Order:
        """Return an order as it is now; raises ``InputError`` ``NOT_FOUND``.

        A copy of one moment: a page that saw no result yet must not be told later on that nothing is waited for.
        Only ``stopped`` is the order's own, so that whoever found it can stop it.
        """
        with self._lock:
            order = self._orders.get(order_id)
            if order is None or order.kind != kind:
                raise InputError(f"There is no {kind} {order_id!r:.40} any more", code="NOT_FOUND")
            return replace(order)

    def put_result(self, found: Order, result: Any) -> bool:
        """Put another result in the place of the one that ``found`` has; False where somebody else was faster."""
        with self._lock:
            order = self._orders.get(found.id)
            if order is None or order.result is not found.result:
                return False
            order.result = found.result = result
            return True

    def close(self) -> None:
        """Let what runs stop at its next step."""
        for order in list(self._orders.values()):
            order.stopped.set()
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def _forget_old(self) -> None:
        over = [each for each in self._orders.values() if each.state not in ("waiting", "running")]
        surplus = len(self._orders) - MOST_KEPT
        for place, order in enumerate(over):
            if place < surplus or time.time() - order.asked_at > KEPT_SECONDS:
                del self._orders[order.id]

    def _do(self, order: Order, work: Callable[[Order], Any]) -> None:
        if order.stopped.is_set():
            self._end(order, "cancelled")
            return
        order.state = "running"
        try:
            self._end(order, "done", result=work(order))
        except Cancelled:
            self._end(order, "cancelled")
        except Exception as error:  # a thread ends here: whatever it met is told where the order is looked at
            self._end(order, "failed", error=error_facts(named_error(error)))
            if not isinstance(error, ReelwrightError):
                log.error("order failed", kind=order.kind, order=order.id, error=str(error)[:300])

    def _end(self, order: Order, state: str, result: Any = None, error: dict[str, Any] | None = None) -> None:
        with self._lock:
            order.state, order.result, order.error = state, result, error
