"""Rows of jobs that are over go where nothing needs them; those of others stay."""

from __future__ import annotations

from sqlalchemy import func, insert, select

from db import ledger, progress
from db.ledger import PrunedRows, PruneRules
from db.records import ItemResult
from db.session import Database
from db.tables import Attempt, BrowserSession, CounterDelta, Delivery, Webhook
from tests.db.desk import Desk, blob, still

NOW = PruneRules(0.0)


def _finish(desk: Desk, name: str = "still") -> None:
    lease = desk.next_lease()
    item = next(item for item in desk.items() if item.task_id == lease.task_id)
    ledger.complete_still(desk.db, lease, item.id, ItemResult(outputs={"still": blob(name)}, facts={"kept": name}))
    ledger.finish_bundle(desk.db, lease)
    ledger.finish_jobs(desk.db)


def _twice_done(database: Database) -> tuple[Desk, int]:
    """A job whose still was given back once, done, and done again."""
    desk = Desk(database)
    desk.hire()
    job_id = desk.submit([still(0)])
    ledger.release(database, desk.next_lease())
    _finish(desk, "first")
    ledger.rerun(database, job_id, ledger.Selection(external_ids=("still0",)))
    _finish(desk, "second")
    return desk, job_id


def _outcomes(database: Database) -> list[str | None]:
    with database.read() as connection:
        return list(connection.scalars(select(Attempt.outcome).order_by(Attempt.id)))


def _prune(database: Database, job_id: int, rules: PruneRules, *, dry_run: bool = False) -> PrunedRows:
    return ledger.prune_job(database, job_id, rules, dry_run=dry_run)


def test_attempts_that_came_to_nothing_go_and_others_stay(database: Database) -> None:
    desk, _ = _twice_done(database)
    young = PruneRules(60.0)
    assert ledger.prune_installation(database, young, dry_run=False) == PrunedRows()
    for dry_run in (True, False):
        assert ledger.prune_installation(desk.later(1).db, NOW, dry_run=dry_run) == PrunedRows(attempts=1)
    assert _outcomes(database) == ["done", "done"]
    desk.submit([still(0)], key="o")
    ledger.release(database, desk.next_lease())
    assert ledger.prune_installation(desk.later(1).db, NOW, dry_run=False) == PrunedRows()


def test_of_earlier_generations_the_outputs_go_and_what_is_said_stays(database: Database) -> None:
    desk, job_id = _twice_done(database)
    assert _prune(database, job_id, NOW) == PrunedRows()
    rules = PruneRules(0.0, keep_latest_generation=True)
    assert _prune(database, job_id, rules, dry_run=True) == PrunedRows(generations=1)
    for count in (1, 0):
        assert _prune(database, job_id, rules) == PrunedRows(generations=count)
    first, second = (ItemResult.model_validate_json(row.result_json) for row in desk.results())
    assert (first.outputs, first.facts) == ({}, {"kept": "first"})
    assert "pruned" in first.notes[-1]
    assert second.outputs == {"still": blob("second")}
    assert progress.progress(database, job_id).bytes_out == blob().bytes
    ((_, shown),) = progress.results(database, job_id)
    assert shown is not None
    assert shown.outputs == second.outputs


def test_a_job_that_is_not_over_is_left_alone(database: Database) -> None:
    desk, job_id = _twice_done(database)
    ledger.rerun(database, job_id, ledger.Selection(external_ids=("still0",)))
    assert _prune(database, job_id, PruneRules(0.0, keep_latest_generation=True)) == PrunedRows()
    assert ledger.jobs_to_prune(database, NOW) == ()
    _finish(desk, "third")
    assert ledger.jobs_to_prune(desk.later(1).db, NOW) == (job_id,)
    assert ledger.jobs_to_prune(database, PruneRules(60.0)) == ()
    assert ledger.jobs_to_prune(desk.later(61).db, PruneRules(60.0)) == (job_id,)
    assert ledger.jobs_to_prune(database, PruneRules(0.0, states=("cancelled",))) == ()  # type: ignore[arg-type]


def test_messages_that_were_delivered_and_sessions_that_ran_out_go(database: Database) -> None:
    desk, _ = _twice_done(database)
    with database.write() as connection:
        hook = {"id": 1, "url": "https://a", "secret": "s", "events_json": "[]", "created_at": 0.0, "disabled": False}
        connection.execute(insert(Webhook).values(hook))
        for number, state in enumerate(("delivered", "pending", "given_up"), 1):
            message = {
                "id": number, "webhook_id": 1, "message_id": "m", "event": "job.done", "job_id": 1, "body_json": "{}",
                "state": state, "created_at": 0.0, "next_at": 0.0,
            }  # fmt: skip
            connection.execute(insert(Delivery).values(message))
        for number, until in enumerate((1.0, 1e12), 1):
            session = {"sha256": str(number), "name": "n", "role": "viewer", "created_at": 0.0, "expires_at": until}
            connection.execute(insert(BrowserSession).values(session))
    for dry_run in (True, False):
        went = ledger.prune_installation(desk.later(1).db, NOW, dry_run=dry_run)
        assert went == PrunedRows(attempts=1, deliveries=2, sessions=1)
    with database.read() as connection:
        assert list(connection.scalars(select(Delivery.state))) == ["pending"]
        assert connection.scalar(select(func.count()).select_from(CounterDelta)) == 0
    desk.assert_counted(1)
