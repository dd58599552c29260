"""Pictures that a page waits for, where its own machine cannot show them: a worker takes each once, and answers.

They belong to no job, so they hinder none from ending, count nowhere, and work on finished jobs as well. A doorbell on
the queue of light work asks for them; who waits rings again, and gives up for a worker that is gone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from db import queues
from db.doorbells import LOOK_NAME
from db.errors import CODES, InputError
from db.ledger.dispatching import Doorbell
from db.ledger.maintenance import add_sweep
from db.records import read_object, read_word
from db.session import Database
from db.states import LookState
from db.tables import Look

MOST_OPEN = 100
"""Looks that are waited for at once."""
LEASE_SECONDS = 60.0
"""A worker gives a look up sooner than this; afterwards its answer is refused."""
WAIT_SECONDS = 300.0
"""A look that no worker took for so long is given up."""
RING_SECONDS = 5.0
"""Between one doorbell and the next."""
KEPT_SECONDS = 3600.0
_PURGED_AT_ONCE = 200


@dataclass(frozen=True)
class LookStatus:
    """Where a look stands."""

    state: LookState
    answer: Mapping[str, Any] = field(default_factory=dict)
    """What the worker said: facts and the ``blob``; or ``code``, ``message`` and ``remedy``; or nothing yet."""
    bell: Doorbell | None = None
    """To be rung, once more; none where there is no need."""


def look_prefix(look_id: int) -> str:
    """Return the prefix of all that one look leaves in the store, without a trailing slash."""
    return f"looks/{look_id}"


def ask_look(db: Database, order: Mapping[str, Any]) -> Doorbell:
    """Have a picture shown; the caller sends the doorbell after this has committed, and polls by its number.

    Raises:
        InputError: ``TOO_MANY_KEPT`` while as many are waited for as may be.
    """
    waiting = select(func.count()).where(Look.state.in_((LookState.READY, LookState.RUNNING)), _is_waited_for(db))
    values = {"order_json": json.dumps(order), "state": LookState.READY, "epoch": 1, "asked_at": db.now,
              "rung_at": db.now}  # fmt: skip
    with db.write() as connection:
        if (connection.scalar(waiting) or 0) >= MOST_OPEN:
            raise InputError(
                f"{MOST_OPEN} pictures are waited for already", code="TOO_MANY_KEPT", remedy="Try again in a while."
            )
        look_id = connection.execute(insert(Look).values(values).returning(Look.id)).scalar_one()
    return _doorbell(look_id, 1)


def take_look(db: Database, look_id: int, epoch: int, boot_id: str) -> dict[str, Any] | None:
    """Take a look, and return its order; none when the message is stale, repeated or forged."""
    changes = {"state": LookState.RUNNING, "worker": boot_id, "lease_until": db.now + LEASE_SECONDS}
    which = (Look.id == look_id, Look.state == LookState.READY, Look.epoch == epoch, _is_waited_for(db))
    with db.write() as connection:
        text = connection.execute(update(Look).where(*which).values(changes).returning(Look.order_json)).scalar()
    return None if text is None else read_object(text, f"look {look_id}")


def answer_look(db: Database, look_id: int, boot_id: str, answer: Mapping[str, Any]) -> bool:
    """Write down what came of a look; returns whether it was taken, which it is not from a worker that was given up."""
    state = LookState.FAILED if "code" in answer else LookState.DONE
    which = (Look.id == look_id, Look.state == LookState.RUNNING, Look.worker == boot_id)
    with db.write() as connection:
        changed = connection.execute(update(Look).where(*which).values(state=state, answer_json=json.dumps(answer)))
        return bool(changed.rowcount)


def poll_look(db: Database, look_id: int) -> LookStatus:
    """Return where a look stands; one that nobody takes, or whose worker is gone, is given up.

    Raises:
        InputError: ``UNKNOWN_LOOK``.
    """
    with db.write() as connection:
        row = connection.execute(
            select(Look.__table__, db.now.label("now")).where(Look.id == look_id).with_for_update()
        ).first()
        if row is None:
            raise InputError(f"There is no look {look_id}", code="UNKNOWN_LOOK")
        reason, changes, bell = "", dict[str, Any](), None
        # An end that lies further ahead than any lease was written before the clock was set back.
        if row.state == LookState.RUNNING and not 0 <= row.lease_until - row.now <= LEASE_SECONDS + 1:
            reason = "the worker that was to show it said nothing any more"
        elif row.state == LookState.READY and row.asked_at < row.now - WAIT_SECONDS:
            reason = f"no worker was free to show it for {WAIT_SECONDS:g} s"
        elif row.state == LookState.READY and row.rung_at < row.now - RING_SECONDS:
            bell, changes = _doorbell(look_id, row.epoch + 1), {"epoch": row.epoch + 1, "rung_at": db.now}
        state, answer = row.state, row.answer_json
        if reason:
            state, answer = LookState.FAILED, json.dumps(_failure(reason))
            changes = {"state": state, "answer_json": answer}
        if changes:
            connection.execute(update(Look).where(Look.id == look_id).values(changes))
    where = f"look {look_id}"
    return LookStatus(read_word(LookState, state, where), read_object(answer, where) if answer else {}, bell)


def forget_looks(db: Database) -> int:
    """Forget looks that were asked for an hour ago, and have their pictures swept; returns how many."""
    with db.write() as connection:
        old = select(Look.id).where(Look.asked_at < db.now - KEPT_SECONDS).order_by(Look.asked_at)
        look_ids = connection.scalars(
            delete(Look).where(Look.id.in_(old.limit(_PURGED_AT_ONCE))).returning(Look.id)
        ).all()
        for look_id in look_ids:
            add_sweep(db, connection, look_prefix(look_id))
    return len(look_ids)


def _is_waited_for(db: Database) -> ColumnElement[bool]:
    return Look.asked_at > db.now - WAIT_SECONDS


def _doorbell(look_id: int, epoch: int) -> Doorbell:
    return Doorbell(look_id, epoch, queues.LIGHT, LOOK_NAME)


def _failure(reason: str) -> dict[str, str]:
    return {"code": "STALLED", "message": f"The picture was not made: {reason}", "remedy": CODES["STALLED"].remedy}
