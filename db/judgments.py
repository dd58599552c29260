"""What people say, and are asked to say, of results. Only reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, literal, select, tuple_

from db.records import read_word
from db.session import Database
from db.states import ItemKind, Verdict
from db.tables import Item, Review


@dataclass(frozen=True)
class ReviewRow:
    """A stretch of an item's result that lies beyond a gate, and what a person says of it."""

    id: int
    job_id: int
    item_id: int
    external_id: str
    kind: ItemKind
    generation: int
    metric: str
    gate: str
    """What was asked: ``>= 30``."""
    value: float | None
    """The worst of the stretch; none where it is no number."""
    start_frame: int | None
    stop_frame: int | None
    """Half-open range of frames; both none for the whole item."""
    distance: float
    """How far the value lies from the gate, as a share of it."""
    verdict: Verdict | None
    """None until somebody decides."""
    by: str
    note: str
    decided_at: float | None
    """Seconds since 1970; none where no person decided."""


@dataclass(frozen=True)
class ReviewPage:
    """Some reviews, the farthest from their gates first."""

    rows: tuple[ReviewRow, ...]
    more: bool
    """Whether others follow, in the direction that was asked for."""


def review_page(
    db: Database,
    *,
    job_id: int | None = None,
    decided: bool = False,
    after: tuple[float, int] | None = None,
    before: tuple[float, int] | None = None,
    limit: int = 100,
) -> ReviewPage:
    """Return reviews, the farthest from their gates first.

    Args:
        db: The database.
        job_id: Of this job; none for all jobs.
        decided: Those that a person decided; else those that wait.
        after: Distance and number of the last one of the page before; none begins anew.
        before: The same of the first one of the page behind; not together with ``after``.
        limit: Rows at most.
    """
    with db.read() as connection:
        rows = connection.execute(page_statement(job_id, decided, after, before).limit(limit + 1)).all()
    found = tuple(_review_row(row) for row in rows[:limit])
    return ReviewPage(found if before is None else found[::-1], len(rows) > limit)


def page_statement(
    job_id: int | None, decided: bool, after: tuple[float, int] | None, before: tuple[float, int] | None
) -> Select[Any]:
    """Return what :func:`review_page` asks: an index is walked from where the page begins."""
    statement = _reviews().where(Review.decided_at.is_not(None) if decided else Review.verdict.is_(None))
    if job_id is not None:
        statement = statement.where(Review.job_id == job_id)
    key = tuple_(Review.distance, Review.id)
    if before is not None:
        return statement.where(key > tuple_(*map(literal, before))).order_by(Review.distance, Review.id)
    if after is not None:
        statement = statement.where(key < tuple_(*map(literal, after)))
    return statement.order_by(Review.distance.desc(), Review.id.desc())


def item_reviews(db: Database, item_ids: Sequence[int]) -> dict[int, list[ReviewRow]]:
    """Return all reviews of some items by item, generation by generation, each with the worst first."""
    found: dict[int, list[ReviewRow]] = defaultdict(list)
    statement = _reviews().where(Review.item_id.in_(item_ids))
    with db.read() as connection:
        for row in connection.execute(statement.order_by(Review.generation, Review.distance.desc(), Review.id.desc())):
            found[row.item_id].append(_review_row(row))
    return found


def rejected_items(db: Database, job_id: int, limit: int) -> tuple[int, ...]:
    """Return numbers of a job's items whose result was rejected and is the newest yet, in the manifest's order."""
    wanted = (
        select(Item.id, Item.seq)
        .join(Review, (Review.item_id == Item.id) & (Review.generation == Item.generation))
        .where(Review.job_id == job_id, Review.decided_at.is_not(None), Review.verdict == Verdict.REJECTED)
    )
    with db.read() as connection:
        return tuple(row.id for row in connection.execute(wanted.distinct().order_by(Item.seq).limit(limit)))


def _reviews() -> Select[Any]:
    return select(Review.__table__, Item.external_id, Item.kind).join(Item, Item.id == Review.item_id)


def _review_row(row: Row[Any]) -> ReviewRow:
    where = f"review {row.id}"
    return ReviewRow(
        row.id, row.job_id, row.item_id, row.external_id, read_word(ItemKind, row.kind, where), row.generation,
        row.metric, row.gate, row.value, row.start_frame, row.stop_frame, row.distance,
        None if row.verdict is None else read_word(Verdict, row.verdict, where),
        row.decided_by, row.note, row.decided_at,
    )  # fmt: skip
