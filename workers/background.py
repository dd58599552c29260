"""Hands things from thread to thread through short queues.

Decoding runs ahead of the calling thread and encoding behind it; both queues are bounded, so memory is too, whatever
the length of a reel. What fails in a thread is raised in the calling one.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
_END = object()
_POLL_SECONDS = 0.1


@contextmanager
def read_ahead(items: Iterable[T], depth: int) -> Iterator[Iterator[T]]:
    """Run an iterable in a thread, at most ``depth`` items ahead; leaving the block stops it."""
    items_queue: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()

    def produce() -> None:
        source = iter(items)
        try:
            for item in source:
                if not _offer(items_queue, item, stop):
                    break
            _offer(items_queue, _END, stop)
        except BaseException as error:
            _offer(items_queue, error, stop)
        finally:
            getattr(source, "close", lambda: None)()

    thread = threading.Thread(target=produce, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield _queue_items(items_queue)
    finally:
        stop.set()
        thread.join()


@contextmanager
def write_behind(consume: Callable[[T], None], depth: int) -> Iterator[Callable[[T], None]]:
    """Run a consumer in a thread, at most ``depth`` items behind; the block's end waits for all of them."""
    items_queue: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for item in _queue_items(items_queue):
                if stop.is_set():
                    return
                consume(item)
        except BaseException as error:
            errors.append(error)
            stop.set()

    def put(item: T) -> None:
        if not _offer(items_queue, item, stop) and errors:
            raise errors[0]

    thread = threading.Thread(target=work, name="write-behind", daemon=True)
    thread.start()
    try:
        yield put
    except BaseException:
        stop.set()
        _drain(items_queue)
        items_queue.put(_END)
        thread.join()
        raise
    _offer(items_queue, _END, stop)
    thread.join()
    if errors:
        raise errors[0]


def _offer(items_queue: queue.Queue[Any], item: Any, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            items_queue.put(item, timeout=_POLL_SECONDS)
        except queue.Full:
            continue
        return True
    return False


def _queue_items(items_queue: queue.Queue[Any]) -> Iterator[Any]:
    while (item := items_queue.get()) is not _END:
        if isinstance(item, BaseException):
            raise item
        yield item


def _drain(items_queue: queue.Queue[Any]) -> None:
    while True:
        try:
            items_queue.get_nowait()
        except queue.Empty:
            return
