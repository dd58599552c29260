"""Registered weights come and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json
from sqlalchemy import delete, func, insert, select

from db.catalog.trained import Trained
from db.errors import InputError
from db.recipe import PinnedFile
from db.session import Database
from db.states import JOB_OVER
from db.tables import Item, Job, Weights


@dataclass(frozen=True)
class NewWeights:
    """Weights whose files are in the store already."""

    card: str
    files: tuple[PinnedFile, ...]
    source: str
    """Where a person took them from, for people."""
    license_accepted: bool
    trained: Trained | None = None
    """What the file says of itself, where somebody trained it."""


def add_weights(db: Database, weights: NewWeights) -> None:
    """Register weights, in place of others that were registered for the same card.

    A job that was submitted before keeps the files that it pinned.
    """
    with db.write() as connection:
        connection.execute(delete(Weights).where(Weights.card == weights.card))
        row: dict[str, Any] = {
            "card": weights.card,
            "files_json": to_json([file.model_dump(mode="json") for file in weights.files]).decode(),
            "source": weights.source,
            "license_accepted": weights.license_accepted,
            "added_at": db.now,
            "card_json": weights.trained and weights.trained.model_dump_json(),
        }
        connection.execute(insert(Weights).values(row))


def remove_weights(db: Database, card: str) -> None:
    """Forget registered weights; their files stay in the store until the caller deletes them.

    Raises:
        InputError: ``MODEL_MISSING`` when none are registered.
    """
    with db.write() as connection:
        if not connection.execute(delete(Weights).where(Weights.card == card)).rowcount:
            raise InputError(f"No weights are registered as {card!r:.60}", code="MODEL_MISSING")


def weights_in_use(db: Database, sha256: str) -> bool:
    """Whether a card, or a job that is not over, holds on to a file of weights."""
    with db.read() as connection:
        if connection.scalar(select(func.count()).select_from(Weights).where(Weights.files_json.contains(sha256))):
            return True
        alive = select(Job.id).where(Job.state.not_in([state.value for state in JOB_OVER]))
        jobs = select(func.count()).select_from(Job).where(Job.id.in_(alive), Job.recipe_json.contains(sha256))
        items = select(func.count()).select_from(Item).where(Item.job_id.in_(alive), Item.recipe_json.contains(sha256))
        return bool(connection.scalar(jobs) or connection.scalar(items))
