"""What lies beyond a gate waits for a person; what the person says is written down."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, insert, select, update

from db.bounds import ScoreBound
from db.errors import InputError
from db.ledger.auditing import note as note_deed
from db.ledger.limits import MOST_NAME, MOST_NOTE, line, paragraph
from db.records import BelowGate
from db.session import Database
from db.states import Verdict
from db.tables import Review

MOST_REVIEWS = 100
"""Of one result; those nearest to their gates are left out."""
FARTHEST = 1e9
"""The distance of what is no number, and the largest that is written."""


def add_reviews(
    connection: Connection, job_id: int, item_id: int, generation: int, below_gates: Iterable[BelowGate]
) -> None:
    """Write down what of a new result lies beyond gates. What nobody decided of earlier ones is superseded."""
    if generation > 1:
        earlier = update(Review).where(Review.item_id == item_id, Review.generation < generation)
        connection.execute(earlier.where(Review.verdict.is_(None)).values(verdict=Verdict.SUPERSEDED))
    rows = [_row(each) | {"job_id": job_id, "item_id": item_id, "generation": generation} for each in below_gates]
    if rows:
        connection.execute(insert(Review), heapq.nlargest(MOST_REVIEWS, rows, key=lambda row: float(row["distance"])))


def _row(each: BelowGate) -> dict[str, Any]:
    return {
        "metric": each.metric,
        "gate": each.gate,
        "value": each.value if math.isfinite(each.value) else None,
        "start_frame": each.start_frame,
        "stop_frame": each.stop_frame,
        "distance": _distance(each),
    }


def _distance(each: BelowGate) -> float:
    """Return how far a value lies from its gate, as a share of the gate; of a gate at 0, the value itself."""
    bound = ScoreBound.parse(f"{each.metric} {each.gate}").value
    distance = abs(each.value - bound) / (abs(bound) or 1.0)
    return min(distance, FARTHEST) if math.isfinite(distance) else FARTHEST


def decide(db: Database, review_id: int, verdict: Verdict | None, by: str, note: str = "") -> None:
    """Write down what a person says of a review, in place of what was said before.

    Args:
        db: The database.
        review_id: Its number.
        verdict: Accepted or rejected; none takes back what was said.
        by: Who says so.
        note: Why, for those who come after; may be empty.

    Raises:
        InputError: ``BAD_VALUE``, ``UNKNOWN_REVIEW``, or ``REVIEW_SUPERSEDED``.
    """
    if verdict is Verdict.SUPERSEDED:
        raise InputError(f"verdict: a person says {Verdict.ACCEPTED}, {Verdict.REJECTED} or nothing")
    who, why = line(by, MOST_NAME, "by"), paragraph(note, MOST_NOTE, "note")
    values: dict[str, Any] = {"verdict": verdict, "by": "", "note": "", "decided_at": None}
    if verdict is not None:
        values |= {"by": who, "note": why, "decided_at": db.now}
    with db.write() as connection:
        row = connection.execute(select(Review.__table__).where(Review.id == review_id).with_for_update()).first()
        if row is None:
            raise InputError(f"There is no review {review_id}", code="UNKNOWN_REVIEW")
        if row.verdict == Verdict.SUPERSEDED:
            raise InputError(f"Review {review_id} is of an earlier result", code="REVIEW_SUPERSEDED")
        connection.execute(update(Review).where(Review.id == review_id).values(values))
        detail = {"item": row.item_id, "verdict": verdict, "before": row.verdict, "note": why}
        note_deed(db, who, "review.decide", f"review {review_id}", detail, within=connection)
