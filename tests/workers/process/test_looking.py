from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from db import ledger, session
from db import settings as settings_module
from db.broker import CeleryBroker
from db.errors import InputError
from db.ledger import Doorbell
from db.session import Database
from db.store.base import Store
from orchestrator.on_demand.look import QueuedLooks, ShownPicture
from tests.support.reels import House, film, house, item, moving, whole_life
from workers.process.attempt import WorkerContext
from workers.process.heartbeat import Heartbeat
from workers.process.loading import Loading
from workers.process.looking import LookDesk

FRAMES = moving(16)


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


@pytest.fixture
def database(at: House, empty_database: Path) -> Iterator[Database]:
    settings_module.make_home(at.settings)
    shutil.copy(empty_database, at.settings.home)
    with session.open_database(at.settings) as opened:
        yield opened


class Messenger:
    """Carries a doorbell to one desk when it is told to."""

    def __init__(self) -> None:
        self.bells: list[Doorbell] = []

    def send(self, bells: Iterable[Doorbell]) -> None:
        self.bells += bells


@pytest.fixture
def desk(at: House, database: Database) -> Iterator[LookDesk]:
    heartbeat = Heartbeat(database, at.settings, "w1")
    made = LookDesk(WorkerContext(database, at.store, at.settings, heartbeat, "w1", Loading(at.settings)))
    yield made
    made.close()
    assert not list(at.settings.scratch_folder.iterdir())


def _pixels(shown: ShownPicture | None) -> Any:
    assert shown is not None
    with Image.open(io.BytesIO(shown.data)) as opened:
        return np.asarray(opened)


def test_a_picture_that_was_asked_for_is_there_when_a_worker_was_free(
    at: House, database: Database, desk: LookDesk, tmp_path: Path
) -> None:
    item_, result = whole_life(at, item(film(tmp_path / "a.mkv", FRAMES, "gray")))
    messenger = Messenger()
    looks = QueuedLooks(database, messenger, at.store)
    source = looks.ask(item_, frame=9)
    master = looks.ask(item_, frame=9, of="master", outputs=result.outputs, region=(2, 4, 8, 6), width=16)
    beyond = looks.ask(item_, frame=16)
    assert looks.poll(source) is None
    for bell in (*messenger.bells, messenger.bells[0]):  # one comes twice
        desk.show(bell.task_id, bell.epoch)
    for _ in range(2):
        assert np.array_equal(_pixels(looks.poll(source)), FRAMES[9][0])
    assert np.array_equal(_pixels(looks.poll(master)), FRAMES[9][0][4:10, 2:10].repeat(2, 0).repeat(2, 1))
    with pytest.raises(InputError, match="no frame 16") as wrong:
        looks.poll(beyond)
    assert wrong.value.code == "BAD_VALUE"
    assert len(list(at.store.keys("looks"))) == 2


def test_an_answer_that_comes_too_late_leaves_nothing(
    at: House, database: Database, desk: LookDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item_, _ = whole_life(at, item(film(tmp_path / "a.mkv", FRAMES, "gray")))
    messenger = Messenger()
    looks = QueuedLooks(database, messenger, at.store)
    look_id = looks.ask(item_)
    put = at.store.put

    def give_up_before(store: Store, *arguments: Any, **options: Any) -> Any:
        later = QueuedLooks(Database(database.engine, clock=time.time() + 90), messenger, at.store)
        with pytest.raises(InputError, match="said nothing any more"):
            later.poll(look_id)
        return put(*arguments, **options)

    monkeypatch.setattr(type(at.store), "put", give_up_before)
    desk.show(look_id, messenger.bells[0].epoch)
    assert list(at.store.keys("looks")) == []


def test_a_worker_process_answers_the_doorbell(at: House, database: Database, tmp_path: Path) -> None:
    item_, _ = whole_life(at, item(film(tmp_path / "a.mkv", FRAMES, "gray")))
    environment = {**os.environ, **settings_module.environment(at.settings)}
    worker = subprocess.Popen([sys.executable, "-m", "workers"], env=environment, stderr=subprocess.DEVNULL)
    try:
        looks = QueuedLooks(database, CeleryBroker(at.settings), at.store)
        look_id = looks.ask(item_, frame=5)
        end, shown = time.monotonic() + 60, None
        while shown is None and time.monotonic() < end:
            time.sleep(0.1)
            shown = looks.poll(look_id)
        assert np.array_equal(_pixels(shown), FRAMES[5][0])
        assert not ledger.dispatch(database, 60)
    finally:
        worker.terminate()
        worker.wait(30)
