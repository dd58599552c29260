from __future__ import annotations

import io
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from db.errors import InputError, WorkError
from db.records import ItemResult, ItemView
from orchestrator.on_demand.look import Looks, ShownPicture
from tests.support.reels import film, house, item, moving, whole_life

pytestmark = pytest.mark.real_process
FRAMES = moving(16)


@pytest.fixture(scope="module")
def reel(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ItemView, ItemResult]:
    folder = tmp_path_factory.mktemp("reel")
    at = house(folder)
    return (at, *whole_life(at, item(film(folder / "a.mkv", FRAMES, "gray"))))


def _pixels(shown: ShownPicture) -> Any:
    with Image.open(io.BytesIO(shown.data)) as opened:
        assert opened.size == (shown.width, shown.height)
        return np.asarray(opened)


def _children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "look" in child.cmdline()]


def test_frames_come_back_from_many_threads_at_once(reel: tuple[Any, ItemView, ItemResult], tmp_path: Path) -> None:
    at, item_, result = reel
    with Looks(at.settings, tmp_path) as looks:

        def is_right(number: int) -> bool:
            of = "master" if number % 2 else "source"
            shown = looks.look(item_, of=of, outputs=result.outputs, frame=number)  # type: ignore[arg-type]
            return shown.frame == number and np.array_equal(_pixels(shown), FRAMES[number][0])

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(is_right, [*range(16), *reversed(range(16))]))
        assert len(_children()) <= 2
        assert not any("libtorch" in mapped.path for child in _children() for mapped in child.memory_maps())
        small = looks.look(item_, frame=3, region=(2, 4, 8, 6), width=16, form="webp")
        assert (small.width, small.height, small.media_type, small.frames) == (16, 12, "image/webp", 16)
        assert small.picture == (32, 24)
        with pytest.raises(InputError, match="no frame 16; there are 0 to 15") as wrong:
            looks.look(item_, frame=16)
        assert wrong.value.code == "BAD_VALUE"
    assert not _children()
    assert not list(tmp_path.iterdir())


def _signal(*signals: signal.Signals) -> None:
    for each in signals:
        os.kill(_children()[0].pid, each)


def test_a_silent_child_is_given_up_and_the_next_look_gets_another(
    reel: tuple[Any, ItemView, ItemResult], tmp_path: Path
) -> None:
    at, item_, _ = reel
    with Looks(at.settings, tmp_path) as looks:
        looks.look(item_)
        looks._children[0].worker._child._silent_seconds = 1  # type: ignore[union-attr]
        _signal(signal.SIGSTOP)
        with pytest.raises(WorkError, match=r"a, frame 5 is not shown: .* said nothing for 1 s") as stalled:
            looks.look(item_, frame=5)
        assert stalled.value.code == "STALLED"
        assert np.array_equal(_pixels(looks.look(item_, frame=5)), FRAMES[5][0])


def test_a_look_that_kills_its_child_says_so(reel: tuple[Any, ItemView, ItemResult], tmp_path: Path) -> None:
    at, item_, _ = reel
    with Looks(at.settings, tmp_path) as looks:
        looks.look(item_)
        _signal(signal.SIGSTOP)
        threading.Timer(0.3, _signal, (signal.SIGSEGV, signal.SIGCONT)).start()
        with pytest.raises(WorkError) as crashed:
            looks.look(item_, frame=6)
        assert crashed.value.code == "DECODER_CRASH"


def test_closing_ends_a_look_that_is_under_way(reel: tuple[Any, ItemView, ItemResult], tmp_path: Path) -> None:
    at, item_, _ = reel
    looks = Looks(at.settings, tmp_path)
    looks.look(item_)
    _signal(signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(looks.look, item_, frame=5)
        while len(looks._free) == 2:
            time.sleep(0.01)
        threading.Timer(0.3, _signal, (signal.SIGCONT,)).start()
        looks.close()
        with pytest.raises(WorkError, match="ended with status -15"):
            under_way.result()
    with pytest.raises(WorkError, match="is closing"):
        looks.look(item_)
    assert not list(tmp_path.iterdir())
