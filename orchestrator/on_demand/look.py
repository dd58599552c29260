"""Single frames and stills as pictures, for a page that shows them: what child processes of this machine make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Condition
from typing import Any, Literal, TypedDict, Unpack

from db import ledger
from db.broker import Broker
from db.child_process import ChildDied
from db.errors import BrokerUnavailable, InputError, WorkError, os_error
from db.records import Blob, ItemView
from db.session import Database
from db.settings import Settings
from db.store.base import Store
from orchestrator.on_demand.worker_process import check_answer
from orchestrator.processes.errands import WorkerProcess

LOOK_SECONDS = 30.0
"""A look that takes longer is given up, and so is waiting for the looks before it."""
MOST_CHILDREN = 2
_CLOSING_SECONDS = 5.0


@dataclass(frozen=True)
class ShownPicture:
    """A picture and what it shows."""

    data: bytes
    media_type: str
    """``image/png`` or ``image/webp``."""
    width: int
    height: int
    frame: int
    """Its absolute number; of a still its page."""
    frames: int
    """How many there are."""
    picture: tuple[int, int]
    """Width and height of the whole picture, in pixels of the source."""
    sample_aspect: str
    """Width of a pixel over its height."""
    seconds: float
    """That it took."""


class LookWishes(TypedDict, total=False):
    """How an item is looked at."""

    of: Literal["source", "master"]
    """Whether its source is shown, as unless it is said, or what was made of it."""
    outputs: Mapping[str, Blob]
    """Of the result that is looked at."""
    sha256: str
    """What a still's source was when it was restored."""
    frame: int
    """Absolute number of a reel's frame, or a still's page; the first unless it is said."""
    region: tuple[int, int, int, int] | None
    """Left, top, width and height in pixels of the source; none shows all of it."""
    width: int | None
    """In pixels of what comes out; none takes the region's own."""
    form: Literal["png", "webp"]
    """``png`` is exact, as unless it is said; ``webp`` is small."""


@dataclass
class _Child:
    worker: WorkerProcess
    item_id: int = 0
    """What it was asked about last, and has open."""


class Looks:
    """At most two child processes that show pictures, each of them asked one thing at a time; safe among threads."""

    def __init__(self, settings: Settings, scratch: Path, *, seconds: float = LOOK_SECONDS) -> None:
        """Start nothing yet.

        Args:
            settings: Of the house.
            scratch: Where a folder is made for passing files.
            seconds: A look may take.
        """
        self._seconds, self._is_closed = seconds, False
        self._folder = TemporaryDirectory(prefix="looks-", dir=scratch)
        self._children = [_Child(WorkerProcess(settings, "look", seconds)) for _ in range(MOST_CHILDREN)]
        self._free, self._freed = list(self._children), Condition()

    def look(self, view: ItemView, **wishes: Unpack[LookWishes]) -> ShownPicture:
        """Return one frame or still of an item.

        Raises:
            InputError: ``BAD_VALUE`` for what is not there, ``WORKER_EXTRA_MISSING``, or what is wrong with the source
                or the result, under its own code.
            WorkError: ``STALLED`` when it takes too long; ``DECODER_CRASH`` … when the child died of it.
        """
        order = {**_order(view, wishes), "folder": self._folder.name}
        with self._child_for(view.id) as child:
            answer = _ask(child.worker, order, f"{view.external_id}, frame {order['frame']}")
        check_answer(answer)
        return _picture(answer, _take_file(Path(answer["file"])))

    def close(self) -> None:
        """End the children, whatever they are at, and remove what they left."""
        with self._freed:
            self._is_closed = True
            self._freed.notify_all()
            for child in self._children:
                child.worker.interrupt()
            self._freed.wait_for(lambda: len(self._free) == MOST_CHILDREN, _CLOSING_SECONDS)
        for child in self._children:
            child.worker.__exit__(None, None, None)
        self._folder.cleanup()

    @contextmanager
    def _child_for(self, item_id: int) -> Iterator[_Child]:
        """Take a child that nobody asks just now: one that has the item open, if there is one."""
        if find_spec("av") is None:
            raise InputError("Pictures cannot be shown by this machine", code="WORKER_EXTRA_MISSING")
        with self._freed:
            self._freed.wait_for(lambda: self._free or self._is_closed, self._seconds)
            if self._is_closed or not self._free:
                reason = "is closing" if self._is_closed else f"was busy with others for {self._seconds:g} s"
                raise WorkError(f"The picture was not made: whoever makes it {reason}", code="STALLED")
            child = next((free for free in self._free if free.item_id == item_id), self._free[0])
            self._free.remove(child)
        child.item_id = item_id
        try:
            yield child
        finally:
            with self._freed:
                self._free.append(child)
                self._freed.notify()

    def __enter__(self) -> Looks:
        """Return itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close."""
        self.close()


class QueuedLooks:
    """Shows pictures by the workers of other machines, where this one lacks what touches pixels: asked, then polled."""

    def __init__(self, database: Database, broker: Broker, store: Store) -> None:
        """Take what the house shares."""
        self._database, self._broker, self._store = database, broker, store

    def ask(self, view: ItemView, **wishes: Unpack[LookWishes]) -> int:
        """Have one frame or still of an item shown by whichever worker is free first; returns the look's number.

        Raises:
            InputError: ``TOO_MANY_KEPT`` while very many are waited for.
        """
        bell = ledger.ask_look(self._database, _order(view, wishes))
        self._ring(bell)
        return bell.task_id

    def poll(self, look_id: int) -> ShownPicture | None:
        """Return the picture of a look, none while it is not there yet; within an hour as often as it is wanted.

        Raises:
            InputError: ``UNKNOWN_LOOK``; ``STALLED`` when no worker was free, or the one that was is gone; else as
                :meth:`Looks.look`.
        """
        status = ledger.poll_look(self._database, look_id)
        if status.bell is not None:
            self._ring(status.bell)
        if not status.answer:
            return None
        check_answer(status.answer)
        return _picture(status.answer, self._store.read(Blob.model_validate(status.answer["blob"])))

    def _ring(self, bell: ledger.Doorbell) -> None:
        with suppress(BrokerUnavailable):  # the next poll rings again
            self._broker.send([bell])


def _ask(worker: WorkerProcess, order: Mapping[str, Any], where: str) -> dict[str, Any]:
    try:
        return worker.ask(order)
    except ChildDied as death:
        raise WorkError(f"{where} is not shown: {death}", code=death.code) from death


def _order(view: ItemView, wishes: LookWishes) -> dict[str, Any]:
    """Return what ``python -m workers look`` is asked, but for the folder."""
    outputs = wishes.get("outputs", {})
    return {
        "item": view.model_dump(mode="json"),
        "master": _to_json(outputs.get("master") or outputs.get("still")),
        "sums": _to_json(outputs.get("framemd5")),
        "of": wishes.get("of", "source"),
        "sha256": wishes.get("sha256", ""),
        "frame": wishes.get("frame", 0),
        "region": wishes.get("region"),
        "width": wishes.get("width"),
        "form": wishes.get("form", "png"),
    }


def _take_file(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        path.unlink()
    except OSError as error:
        raise os_error("The picture", error) from error
    return data


def _picture(answer: Mapping[str, Any], data: bytes) -> ShownPicture:
    facts = {name: value for name, value in answer.items() if name not in ("file", "blob")}
    return ShownPicture(data=data, **facts | {"picture": tuple(answer["picture"])})


def _to_json(blob: Blob | None) -> dict[str, Any] | None:
    return blob.model_dump(mode="json") if blob else None
