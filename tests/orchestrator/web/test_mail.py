"""People whom the settings name get an e-mail when a job ends or pauses, once it can be sent."""

from __future__ import annotations

from smtplib import SMTPException

import pytest

from db import administration, ledger
from db.errors import InputError
from db.ledger import webhooks
from db.ledger.webhooks import PAUSES_SECONDS, DueDelivery
from db.session import Database
from db.settings import Settings
from db.states import DeliveryState
from orchestrator.cli.context import webhook_waker
from orchestrator.web import mail
from orchestrator.web.api.workers import plain_settings
from orchestrator.web.deliveries import Deliverer, check_url
from tests.db.desk import Desk, still
from tests.support.postbox import postbox
from tests.support.refusals import refused
from tests.support.servers import wait_until

ARCHIVE = "mailto:archive@example.org"


def _settings(smtp_url: str = "smtp://localhost", *addresses: str) -> Settings:
    return Settings(smtp_url=smtp_url, notify=addresses or (ARCHIVE,), mail_from="Lab <lab@example.org>")


def _pause(database: Database, name: str = "job") -> int:
    job_id = Desk(database).submit([still(0)], key=name[0])
    ledger.pause_job(database, job_id)
    return job_id


def test_a_pause_is_told_by_mail_in_words(database: Database) -> None:
    with postbox() as box:
        wake = webhook_waker(_settings(box.url), database)
        job_id = _pause(database)
        wake()
        wait_until(lambda: box.taken, 20, "the message arrives")
        wait_until(lambda: not webhooks.due_deliveries(database), 20, "it is written down")
    ((recipient, message),) = box.taken
    assert recipient == "archive@example.org"
    assert (message["From"], message["To"]) == ("Lab <lab@example.org>", "archive@example.org")
    assert message["Subject"] == f"Job {job_id} job: paused"
    assert "Items: 1 pending." in message.get_content()
    (hook,) = administration.webhooks(database)
    (row,) = administration.delivery_page(database, hook.id).rows
    assert (row.state, row.last_status) == (DeliveryState.DELIVERED, 250)


def test_a_server_that_refuses_or_is_away_is_tried_again(database: Database) -> None:
    with postbox(refuses=b"450 later") as box:
        wake = webhook_waker(_settings(box.url), database)
        _pause(database)
        wake()
        (hook,) = administration.webhooks(database)

        def tries() -> int:
            return administration.delivery_page(database, hook.id).rows[0].attempts

        wait_until(tries, 20, "it was tried")
    later = Database(database.engine, clock=ledger.clock(database) + PAUSES_SECONDS[0] + 1)
    Deliverer(_settings(box.url), later).wake()  # nobody listens there any more
    wait_until(lambda: tries() == 2, 20, "it was tried again")
    (row,) = administration.delivery_page(database, hook.id).rows
    assert row.state == DeliveryState.PENDING
    assert "Refused" in row.last_error


def test_who_the_settings_no_longer_name_is_told_nothing_more(database: Database) -> None:
    webhook_waker(_settings("smtp://localhost", ARCHIVE, "mailto:b@example.org"), database)
    by_hand = ledger.add_webhook(database, "https://1.1.1.1/", ("job.done",))  # type: ignore[arg-type]
    webhook_waker(_settings("smtp://localhost", "mailto:b@example.org"), database)
    assert [hook.url for hook in administration.webhooks(database)] == ["mailto:b@example.org", "https://1.1.1.1/"]
    webhook_waker(Settings(), database)
    assert [hook.id for hook in administration.webhooks(database)] == [by_hand.id]


@pytest.mark.parametrize(
    "url",
    ["mailto:", "mailto:a", "mailto:a@b\nBcc: c@d", "mailto:a@b,c@d", "mailto:a b@c", "mailto:<a@b>", "mailto:a@-"],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with refused("BAD_VALUE"):
        check_url(url, _settings())


@pytest.mark.parametrize("server", ["", "localhost", "http://localhost", "smtp://", "smtp://h:x"])
def test_a_server_must_be_named(server: str, database: Database) -> None:
    with pytest.raises(InputError) as caught:
        webhook_waker(_settings(server), database)
    assert caught.value.code == "BAD_SETTING"


def test_a_name_of_a_job_cannot_write_headers() -> None:
    body = '{"data": {"job_id": 1, "name": "a\\r\\nBcc: b@c", "state": "done", "counts": {"failed": 2, "done": 1}}}'
    message = mail._write(_settings(), DueDelivery(1, "msg_1", ARCHIVE, "", body, 0))
    assert message["Bcc"] is None
    assert "reelwright failures 1" in message.get_content()


def test_no_password_goes_to_a_server_that_encrypts_nothing() -> None:
    body = '{"data": {"job_id": 1, "name": "a", "state": "done", "counts": {}}}'
    with postbox() as box:
        with pytest.raises(SMTPException, match="password"):
            mail.send(_settings(box.url.replace("//", "//me:secret@")), DueDelivery(1, "msg_1", ARCHIVE, "", body, 0))
        assert box.taken == []


def test_passwords_are_not_shown() -> None:
    assert "hush" not in str(plain_settings(_settings("smtp://me:hush@mail.example.org:587")))
