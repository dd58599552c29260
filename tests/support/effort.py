"""How much work SQLite does: instructions of its own machine, which no load of the computer changes."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import event

from db.session import Database

_UNIT = 20


def count_instructions(database: Database, work: Callable[[], object]) -> int:
    """Return how many instructions all statements of ``work`` take together, to the nearest few at each."""
    count = 0

    def step() -> int:
        nonlocal count
        count += _UNIT
        return 0

    def watch(connection: object, *_: object) -> None:
        connection.set_progress_handler(step, _UNIT)  # type: ignore[attr-defined]

    event.listen(database.engine, "checkout", watch)
    try:
        work()
    finally:
        event.remove(database.engine, "checkout", watch)
        with database.engine.connect() as connection:
            connection.connection.driver_connection.set_progress_handler(None, 0)  # type: ignore[union-attr]
    return count
