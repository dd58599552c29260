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
def ahead(items: Iterable[T], depth: int) -> Iterator[Iterator[T]]:
    """Run an iterable in a thread, at most ``depth`` items ahead; leaving the block stops it."""
    line: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()

    def produce() -> None:
        source = iter(items)
        try:
            for item in source:
                if not _offer(line, item, stop):
                    break
            _offer(line, _END, stop)
        except BaseException as error:
            _offer(line, error, stop)
        finally:
            getattr(source, "close", lambda: None)()

    thread = threading.Thread(target=produce, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield _received(line)
    finally:
        stop.set()
        thread.join()


@contextmanager
def behind(consume: Callable[[T], None], depth: int) -> Iterator[Callable[[T], None]]:
    """Run a consumer in a thread, at most ``depth`` items behind; the block's end waits for all of them."""
    line: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for item in _received(line):
                if stop.is_set():
                    return
                consume(item)
        except BaseException as error:
            failed.append(error)
            stop.set()

    def put(item: T) -> None:
        if not _offer(line, item, stop) and failed:
            raise failed[0]

    thread = threading.Thread(target=work, name="write-behind", daemon=True)
    thread.start()
    try:
        yield put
    except BaseException:
        stop.set()
        _drain(line)
        line.put(_END)
        thread.join()
        raise
    _offer(line, _END, stop)
    thread.join()
    if failed:
        raise failed[0]


def _offer(line: queue.Queue[Any], item: Any, stop: threading.Event) -> bool:
    while not stop.is_set():
        try:
            line.put(item, timeout=_POLL_SECONDS)
        except queue.Full:
            continue
        return True
    return False


def _received(line: queue.Queue[Any]) -> Iterator[Any]:
    while (item := line.get()) is not _END:
        if isinstance(item, BaseException):
            raise item
        yield item


def _drain(line: queue.Queue[Any]) -> None:
    while True:
        try:
            line.get_nowait()
        except queue.Empty:
            return
