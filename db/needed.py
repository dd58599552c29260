"""Which blobs of the store the rows of an installation point to and still need. Only reads.

Rows may point to more: what finished tasks left is folded into a reel's results and removed, and so is what failed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Executable, literal, select

from db.errors import InputError
from db.selection import newest_generation
from db.states import ITEM_LIVE, ItemState, TaskState
from db.store.keys import item_folder
from db.tables import Item, Job, Result, Task, Trial, Weights

ROWS_AT_ONCE = 1000
"""Rows that are fetched together."""


class Use(StrEnum):
    """What a blob is needed for."""

    RESULTS = "results"
    EARLIER_RESULTS = "earlier results"
    """Of generations that a newer one has followed."""
    WORK = "unfinished work"
    REELS = "indexes and mezzanines"
    """What was found out about a reel: its frames can be looked at, and repairs taken back."""
    WEIGHTS = "weights"
    STUDIES = "studies"


_OF_RESULTS = frozenset({Use.RESULTS, Use.EARLIER_RESULTS})


@dataclass(frozen=True)
class Need:
    """One blob that a row needs."""

    use: Use
    key: str
    sha256: str
    """Empty where the row does not say."""
    bytes: int
    """-1 where the row does not say."""
    row: str
    """Which row needs it, for people."""


def needs(
    connection: Connection, job_id: int | None = None, *, earlier: bool = True, mezzanines: bool = True
) -> Iterator[Need]:
    """Yield all blobs that are needed, or those of one job; the same one as often as rows point to it.

    Args:
        connection: Of a reading transaction.
        job_id: Which job's; none means of all, and what belongs to none.
        earlier: Whether those of earlier results count; without them it is as if they had been pruned.
        mezzanines: Whether those of finished reels count, likewise.

    Raises:
        InputError: ``RECORD_UNREADABLE``.
    """
    streaming = connection.execution_options(yield_per=ROWS_AT_ONCE)
    for name, statement in _of_jobs(job_id, earlier):
        with streaming.execute(statement) as rows:
            for use, number, *texts in rows:
                for text in texts:
                    yield from _in_text(Use(use), text, name.format(number), mezzanines)
    if job_id is not None:
        return
    with streaming.execute(select(Weights.card, Weights.files_json)) as rows:
        for card, files in rows:
            yield from _in_text(Use.WEIGHTS, files, f"weights {card}'s files")
    with streaming.execute(select(Trial.id, Trial.picture_a, Trial.picture_b)) as trials:
        for number, *pictures in trials:
            for key in pictures:
                yield Need(Use.STUDIES, key, "", -1, f"trial {number}'s picture")


def live_folders(connection: Connection) -> Iterator[str]:
    """Yield where the blobs lie of items that somebody works on or will: any there may be needed soon."""
    live = select(Item.job_id, Item.id).where(Item.state.in_(ITEM_LIVE))
    streaming = connection.execution_options(yield_per=ROWS_AT_ONCE)
    with streaming.execute(live) as rows:
        for row in rows:
            yield item_folder(row.job_id, row.id)


def _of_jobs(job_id: int | None, earlier: bool) -> Iterator[tuple[str, Executable]]:
    """Yield how a row is called, and a selection of the use, the row's number and columns that hold blobs."""
    of_job = () if job_id is None else (Item.job_id == job_id,)
    live = Item.state.in_(ITEM_LIVE)
    jobs = select(literal(Use.WEIGHTS.value), Job.id, Job.recipe_json)
    yield "job {}'s recipe", jobs if job_id is None else jobs.where(Job.id == job_id)
    items = select(literal(Use.WORK.value), Item.id, Item.recipe_json, Item.source_json).where(*of_job)
    yield "item {}'s source", items
    # A failed reel's are gone: only a rerun, which begins anew, goes on from there.
    known = select(literal(Use.REELS.value), Item.id, Item.facts_json, Item.profile_json)
    yield "item {}'s reel", known.where(*of_job, Item.state.in_((*ITEM_LIVE, ItemState.DONE)))
    base = select(literal(Use.EARLIER_RESULTS.value), Item.id, Item.base_json)
    yield "item {}'s earlier result", base.where(*of_job, live)
    # Found by item: few items of a job that is nearly over are live, and very many tasks of others are done.
    under_way = select(Item.id).where(*of_job, live)
    tasks = select(literal(Use.WORK.value), Task.id, Task.result_json).where(Task.item_id.in_(under_way))
    of_now = Task.generation == select(Item.generation).where(Item.id == Task.item_id).scalar_subquery()
    yield "task {}'s outputs", tasks.where(Task.state == TaskState.DONE, Task.dropped.is_(False), of_now)
    newest = newest_generation(Result.item_id)
    for use, which in (
        (Use.RESULTS, Result.generation == newest),
        (Use.EARLIER_RESULTS, Result.generation < newest),
    ):
        if earlier or use is Use.RESULTS:
            results = select(literal(use.value), Result.id, Result.result_json).join(Item, Item.id == Result.item_id)
            yield "result {}'s outputs", results.where(*of_job, which)


def _in_text(use: Use, text: str | None, row: str, mezzanines: bool = True) -> Iterator[Need]:
    if text is None or '"sha256"' not in text:
        return
    try:
        record = json.loads(text)
        if use is Use.REELS and not mezzanines:
            record.pop("mezzanine", None)
        # A result's facts tell of the reel as it was found; what of that is still needed stands with the item.
        yield from _in_value(use, record["outputs"] if use in _OF_RESULTS else record, row)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{row} cannot be read: {error}", code="RECORD_UNREADABLE") from error


def _in_value(use: Use, value: Any, row: str) -> Iterator[Need]:
    """Find what has the fields of ``db.blob.Blob``, wherever in a record it stands: records gain places for blobs."""
    if isinstance(value, list):
        for each in value:
            yield from _in_value(use, each, row)
    elif isinstance(value, dict):
        match value:
            case {"key": str(key), "sha256": str(sha256), "bytes": int(size)}:
                yield Need(use, key, sha256, size, row)
        for each in value.values():
            yield from _in_value(use, each, row)
