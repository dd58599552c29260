"""Which blobs of the store the rows of an installation point to and still need. Only reads.

Rows may point to more: what finished tasks left is folded into a reel's results and removed, and so is what failed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Executable, and_, select

from db.errors import InputError
from db.states import ITEM_LIVE, ItemState, TaskState
from db.tables import Item, Job, Result, Task, Trial, Weights

ROWS_AT_ONCE = 1000
"""Rows that are fetched together."""


@dataclass(frozen=True)
class Need:
    """One blob that a row needs."""

    key: str
    sha256: str
    """Empty where the row does not say."""
    bytes: int
    """-1 where the row does not say."""
    row: str
    """Which row needs it, for people."""


def needs(connection: Connection) -> Iterator[Need]:
    """Yield all blobs that are needed; the same one as often as rows point to it.

    Raises:
        InputError: ``RECORD_UNREADABLE``.
    """
    streaming = connection.execution_options(yield_per=ROWS_AT_ONCE)
    for table, name, statement in _statements():
        with streaming.execute(statement) as rows:
            for key, *texts in rows:
                for text in texts:
                    yield from _in_text(text, f"{table} {key}'s {name}")
    with streaming.execute(select(Trial.id, Trial.picture_a, Trial.picture_b)) as trials:
        for number, *pictures in trials:
            for key in pictures:
                yield Need(key, "", -1, f"trial {number}'s picture")


def _statements() -> Iterator[tuple[str, str, Executable]]:
    """Yield table, what it is, and a selection of a key and of columns that hold blobs."""
    # A failed reel's are gone: only a rerun, which begins anew, goes on from there.
    kept = Item.state.in_((*ITEM_LIVE, ItemState.DONE))
    under_way = and_(
        Task.state == TaskState.DONE, Task.dropped.is_(False), Item.state.in_(ITEM_LIVE),
        Task.generation == Item.generation,
    )  # fmt: skip
    yield "weights", "files", select(Weights.card, Weights.files_json)
    yield "job", "recipe", select(Job.id, Job.recipe_json)
    yield "item", "source", select(Item.id, Item.recipe_json, Item.source_json)
    yield "item", "reel", select(Item.id, Item.facts_json, Item.profile_json, Item.base_json).where(kept)
    yield "result", "outputs", select(Result.id, Result.result_json)
    yield "task", "outputs", select(Task.id, Task.result_json).join(Item, Item.id == Task.item_id).where(under_way)


def _in_text(text: str | None, row: str) -> Iterator[Need]:
    if text is None or '"sha256"' not in text:
        return
    try:
        yield from _in_value(json.loads(text), row)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{row} cannot be read: {error}", code="RECORD_UNREADABLE") from error


def _in_value(value: Any, row: str) -> Iterator[Need]:
    """Find what has the fields of ``db.blob.Blob``, wherever in a record it stands: records gain places for blobs."""
    if isinstance(value, list):
        for each in value:
            yield from _in_value(each, row)
    elif isinstance(value, dict):
        match value:
            case {"key": str(key), "sha256": str(sha256), "bytes": int(size)}:
                yield Need(key, sha256, size, row)
        for each in value.values():
            yield from _in_value(each, row)
