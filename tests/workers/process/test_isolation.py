"""Work in a child process: what kills it once was chance, what kills it again is the work."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from db.errors import InputError, OutOfMemoryError, PoisonFrameError, PoisonItemError
from db.records import Assignment, ItemResult, TaskResult
from db.states import ItemKind, TaskKind
from tests.journeys.house import film, photo
from tests.support.reels import House, house, item, order, probed, whole_life
from workers.process import isolation
from workers.tasks import restore


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _trap(action: str, frame: int = 3, flag: Path | str = "") -> str:
    return json.dumps([{"trap": {"frame": frame, "action": action, "flag": str(flag)}}])


def _segment(at: House, tmp_path: Path, recipe: str) -> Assignment:
    view = probed(at, item(Path(film(tmp_path / "a.mkv", 8).uri), recipe))
    return order(view, TaskKind.RESTORE, 0, 8)


def test_a_child_that_was_killed_once_is_followed_by_one_that_does_the_work(at: House, tmp_path: Path) -> None:
    assignment = _segment(at, tmp_path, _trap("kill_once", flag=tmp_path / "flag"))
    found = isolation.perform(assignment, at.bench())
    assert (tmp_path / "flag").exists()
    assert isinstance(found, TaskResult)
    assert found.frames == 8
    plain = restore.restore_segment(assignment, at.bench())
    assert at.path(found.outputs["chunk"]).read_bytes() == at.path(plain.outputs["chunk"]).read_bytes()


def test_a_frame_at_which_the_process_dies_again_is_named(at: House, tmp_path: Path) -> None:
    with pytest.raises(PoisonFrameError) as caught:
        isolation.perform(_segment(at, tmp_path, _trap("crash", 5)), at.bench())
    assert caught.value.frame == 5


@pytest.mark.parametrize(("action", "kind"), [("crash", PoisonItemError), ("kill", OutOfMemoryError)])
def test_a_still_that_kills_its_process_again_is_to_blame(
    at: House, tmp_path: Path, action: str, kind: type[Exception]
) -> None:
    """Nobody of ours sends SIGKILL to a child that works: then it was the system, which ran out of memory."""
    view = item(Path(photo(tmp_path / "a.png").uri), _trap(action, 0), kind=ItemKind.STILL)
    bundle = Assignment(task_id=1, attempt=1, kind=TaskKind.RESTORE, job_id=1, stills=(view,), key_prefix="k")
    with pytest.raises(kind, match="restored 'a'"):
        isolation.perform(bundle, at.bench(), view)


def test_every_task_of_a_reel_comes_to_the_same_in_a_child(at: House, tmp_path: Path) -> None:
    source = Path(film(tmp_path / "a.mkv", 16).uri)
    view, expected = whole_life(at, item(source, "- deflicker: {}"))
    plain = view.model_copy(update={"facts": None, "profile": None})
    probe = isolation.perform(order(plain, TaskKind.PROBE), at.bench())
    assert isinstance(probe, TaskResult)
    assert probe.facts is not None
    assert probe.facts.sha256 == view.facts.sha256  # type: ignore[union-attr]
    inspected = isolation.perform(order(view, TaskKind.INSPECT, 0, 16), at.bench())
    assert isinstance(inspected, TaskResult)
    assert inspected.frames == 16
    assert isinstance(expected, ItemResult)
    alone = item(Path(photo(tmp_path / "a.png").uri), kind=ItemKind.STILL)
    found = isolation.perform(order(view, TaskKind.RESTORE), at.bench(), alone)
    assert isinstance(found, ItemResult)
    assert found.facts["sha256"]


def test_what_the_child_finds_wrong_is_told_and_not_tried_again(at: House, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    view = item(tmp_path / "a.png", kind=ItemKind.STILL)
    bundle = Assignment(task_id=1, attempt=1, kind=TaskKind.RESTORE, job_id=1, stills=(view,), key_prefix="k")
    with pytest.raises(InputError) as caught:
        isolation.perform(bundle, replace(at.bench(), device="cpu"), view)
    assert caught.value.code == "UNKNOWN_FORMAT"
