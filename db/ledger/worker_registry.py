"""Worker processes, as they introduce themselves and sign off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, case, func, insert, select, update

from db.selection import lives
from db.session import Database
from db.states import WorkerState
from db.tables import Worker


@dataclass(frozen=True)
class WorkerIdentity:
    """What a worker process says of itself when it starts."""

    boot_id: str
    host: str
    pid: int
    device: str
    signature: str
    """Empty while it loads what it computes with: then it takes only what is bound to none."""
    versions: Mapping[str, str]


def register_worker(db: Database, card: WorkerIdentity) -> None:
    """Write down that a worker process lives."""
    with db.write() as connection:
        connection.execute(
            insert(Worker).values(
                boot_id=card.boot_id,
                host=card.host[:200],
                pid=card.pid,
                device=card.device[:100],
                signature=card.signature,
                versions_json=json.dumps(dict(card.versions)),
                state=WorkerState.LIVE,
                started_at=db.now,
                heartbeat_at=db.now,
            )
        )


def equip_worker(db: Database, boot_id: str, device: str, signature: str, versions: Mapping[str, str]) -> None:
    """Write down what a worker process computes with, as soon as it knows."""
    known = {"device": device[:100], "signature": signature, "versions_json": json.dumps(dict(versions))}
    with db.write() as connection:
        connection.execute(update(Worker).where(Worker.boot_id == boot_id).values(**known))


def sign_off_worker(db: Database, boot_id: str) -> None:
    """Write down that a worker process ends in order."""
    with db.write() as connection:
        leave(connection, boot_id)


def leave(connection: Connection, boot_id: str) -> None:
    """Write down that a worker process is no more; one that was drained stays known as that."""
    connection.execute(
        update(Worker).where(Worker.boot_id == boot_id, Worker.state == WorkerState.LIVE).values(state=WorkerState.LEFT)
    )


@dataclass(frozen=True)
class WorkerKind:
    """Live workers that give the same bits."""

    signature: str
    count: int
    accelerated: bool
    """Whether they compute on anything but a processor's cores."""


def worker_kinds(db: Database, lease_seconds: float) -> tuple[WorkerKind, ...]:
    """Return the kinds of live workers that know theirs, in the order of their signatures."""
    on_cores = func.min(case((Worker.device == "cpu", 1), else_=0))
    with db.read() as connection:
        rows = connection.execute(
            select(Worker.signature, func.count(), on_cores)
            .where(lives(db.now, lease_seconds), Worker.signature != "")
            .group_by(Worker.signature)
            .order_by(Worker.signature)
        )
        return tuple(WorkerKind(signature, count, not cores) for signature, count, cores in rows)


def slots(db: Database, lease_seconds: float) -> dict[str, int]:
    """Count live workers by compute signature."""
    with db.read() as connection:
        return live_slots(db, connection, lease_seconds)


def live_slots(db: Database, connection: Connection, lease_seconds: float) -> dict[str, int]:
    """Count live workers by compute signature, inside a transaction."""
    rows = connection.execute(
        select(Worker.signature, func.count()).where(lives(db.now, lease_seconds)).group_by(Worker.signature)
    )
    return dict(rows.all())
