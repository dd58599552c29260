"""Items that are finished without anybody having worked: their results written as a worker's completion leaves them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, insert, select, update

from db.records import Blob, ItemResult
from db.session import Database
from db.tables import Item, ItemScore, Result


def finish(
    database: Database, job_id: int, external_id: str, outputs: dict[str, Blob], facts: dict[str, Any] | None = None,
    *, generation: int = 1,
) -> None:  # fmt: skip
    """Accept a result for an item's first generation, or for the next one."""
    result = ItemResult(outputs=outputs, scores={"luma_psnr": 40.0}, facts=facts or {}, notes=("sound kept beside",))
    with database.write() as connection:
        item_id = connection.scalar(select(Item.id).where(Item.job_id == job_id, Item.external_id == external_id))
        connection.execute(
            update(Item).where(Item.id == item_id).values(state="done", frames_done=1, generation=generation)
        )
        values = {"item_id": item_id, "generation": generation, "task_id": 1, "attempt": 1, "accepted_at": 0.0}
        connection.execute(insert(Result).values(result_json=result.model_dump_json(), **values))
        connection.execute(delete(ItemScore).where(ItemScore.item_id == item_id))
        scores = [
            {"item_id": item_id, "job_id": job_id, "metric": name, "value": value}
            for name, value in result.scores.items()
        ]
        connection.execute(insert(ItemScore), scores)
