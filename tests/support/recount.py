"""The counters of a job, counted anew."""

from __future__ import annotations

from sqlalchemy import func, select

from db.session import Database
from db.states import ItemState
from db.tables import Item


def recount(db: Database, job_id: int) -> dict[str, int]:
    """Count from the items what the counters must equal."""
    with db.read() as connection:
        states = connection.execute(
            select(Item.state, func.count()).where(Item.job_id == job_id).group_by(Item.state)
        ).all()
        frames = connection.execute(
            select(func.sum(Item.frames_total), func.sum(Item.frames_done)).where(Item.job_id == job_id)
        ).one()
    counters = {f"items_{state}": 0 for state in ItemState}
    counters |= {f"items_{state}": count for state, count in states}
    return counters | {"frames_total": int(frames[0] or 0), "frames_done": int(frames[1] or 0)}
