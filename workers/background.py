"""Hands things from thread to thread through short queues.

Decoding runs ahead of the calling thread and encoding behind it; both queues are bounded, so memory is too, whatever
the length of a reel. What fails in a thread is raised in the calling one. A crew of threads does what can be done to
many frames at once; what comes of it is given back in order.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")
_END = object()
_POLL_SECONDS = 0.1


class Crew:
    """Threads that do pieces of work beside those that ask for them; without threads whoever asks does it."""

    def __init__(self, pool: ThreadPoolExecutor | None = None, threads: int = 1, most_waiting: int = 1) -> None:
        """Take the threads, and how many pieces of work may be unfinished at once; :func:`open_crew` does."""
        self._pool = pool
        self.threads = threads
        self._most = most_waiting if pool else 1
        self._room = threading.BoundedSemaphore(self._most)
        self._errors: list[BaseException] = []

    @property
    def has_threads(self) -> bool:
        """Whether pieces of work are done beside those that ask for them."""
        return self._pool is not None

    def begin(self, work: Callable[..., T], *arguments: Any) -> Callable[[], T]:
        """Have work begun as soon as there is room; what is returned waits for its result, and raises its error.

        Without threads it is done at once.
        """
        if self._pool:
            return self._submit(work, *arguments).result
        result = work(*arguments)
        return lambda: result

    def do(self, work: Callable[..., None], *arguments: Any) -> None:
        """Have work done before the crew's block ends, as soon as there is room; raises an error of earlier work."""
        self.check()
        if self._pool:
            self._submit(work, *arguments).add_done_callback(self._note_error)
        else:
            work(*arguments)

    def map(self, work: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        """Yield what work makes of each item, in their order; as many are ahead of the reader as may be unfinished."""
        waiting: deque[Callable[[], T]] = deque()
        for item in items:
            waiting.append(self.begin(work, item))
            if len(waiting) >= self._most:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()

    def check(self) -> None:
        """Raise the first error of work whose result nobody waits for."""
        if self._errors:
            raise self._errors[0]

    def _submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        assert self._pool is not None
        self._room.acquire()
        future = self._pool.submit(work, *arguments)
        future.add_done_callback(lambda done: self._room.release())
        return future

    def _note_error(self, done: Future[None]) -> None:
        if not done.cancelled() and (error := done.exception()):
            self._errors.append(error)


ALONE = Crew()


@contextmanager
def open_crew(threads: int, most_waiting: int) -> Iterator[Crew]:
    """Start a crew of ``threads``, with at most so many pieces of work unfinished; the block's end waits for them.

    One thread would only be one more beside those that read, compute and write: then there are none.
    """
    if threads < 2:
        yield ALONE
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="crew")
    try:
        crew = Crew(pool, threads, most_waiting)
        yield crew
        pool.shutdown()
        crew.check()
    finally:
        pool.shutdown(cancel_futures=True)


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
