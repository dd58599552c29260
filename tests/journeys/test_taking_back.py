"""A repair is taken back after the fact, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from db import ledger
from db.catalog.stages import Exemption
from db.errors import InputError
from db.states import TaskKind
from db.tables import Task
from tests.journeys.house import House, film, photo

STEPS = """
- deflicker
- denoise: {method: temporal, radius: 2}
- denoise: {method: temporal, radius: 1, strength: 0.5}
"""


def _spans(house: House, kind: TaskKind, generation: int) -> list[tuple[int, int]]:
    with house.database.read() as connection:
        rows = connection.execute(
            select(Task.start_frame, Task.stop_frame)
            .where(Task.kind == kind, Task.generation == generation)
            .order_by(Task.start_frame)
        ).all()
    return [(row.start_frame, row.stop_frame) for row in rows]


def test_frames_that_a_step_had_no_part_in_are_taken_over(house: House, tmp_path: Path) -> None:
    house.lead()
    house.hire(2)
    job_id = house.submit({"reel": film(tmp_path / "reel.mkv", 64)}, STEPS)
    assert house.wait_for(job_id) == "done"
    before = house.framemd5(job_id)
    ledger.take_back(house.database, job_id, ["reel"], "denoise", Exemption(frames=(30, 34)))
    assert house.wait_for(job_id) == "done"
    after = house.framemd5(job_id)
    # Both steps are left out there; the second one's windows reach one frame further.
    changed = {number for number, (one, other) in enumerate(zip(before, after, strict=True)) if one != other}
    assert set(range(30, 34)) <= changed <= set(range(29, 35))
    assert _spans(house, TaskKind.PROBE, 2) == _spans(house, TaskKind.INSPECT, 2) == []
    assert _spans(house, TaskKind.RESTORE, 2) == [(0, 24), (24, 32), (32, 40), (40, 64)]
    result = house.result(job_id, "reel")
    assert result.facts["taken_over_from_generation"] == 1
    assert result.facts["steps"][1]["taken_back"] == [{"frames": [30, 34], "region": None}]
    house.assert_sound(job_id)
    # All of it done anew, with the same recipe, comes to the same.
    ledger.rerun(house.database, job_id, ledger.Selection(external_ids=("reel",)))
    assert house.wait_for(job_id) == "done"
    assert house.framemd5(job_id) == after
    assert _spans(house, TaskKind.RESTORE, 3)[0][0] == 0
    assert len(_spans(house, TaskKind.INSPECT, 3)) > 0


def test_a_photo_gets_its_pixels_back_in_a_region(house: House, tmp_path: Path) -> None:
    house.lead()
    house.hire(1)
    source = photo(tmp_path / "a.png")
    job_id = house.submit({"a": source}, "- color_enhance: {contrast: 1}")
    assert house.wait_for(job_id) == "done"
    ledger.take_back(house.database, job_id, ["a"], "color_enhance", Exemption())
    assert house.wait_for(job_id) == "done"
    from workers.media.stills import files as stills

    path = tmp_path / "out.png"
    path.write_bytes(house.bytes_of(house.result(job_id, "a").outputs["still"]))
    given, made = (stills.read(Path(each), house.settings).samples for each in (source.uri, path))
    assert (given == made).all()


@pytest.mark.parametrize(
    ("items", "stage", "exemption", "code"),
    [
        (["b"], "color_enhance", Exemption(), "NOTHING_SELECTED"),
        ([], "color_enhance", Exemption(), "NOTHING_SELECTED"),
        (["a"], "dirt", Exemption(), "BAD_PARAMETER"),
        (["a"], "color_enhance", Exemption(frames=(3, 9)), "BAD_PARAMETER"),
    ],
)
def test_what_cannot_be_taken_back_is_refused(
    house: House, tmp_path: Path, items: list[str], stage: str, exemption: Exemption, code: str
) -> None:
    house.lead()
    house.hire(1)
    job_id = house.submit({"a": photo(tmp_path / "a.png")}, "- color_enhance")
    assert house.wait_for(job_id) == "done"
    with pytest.raises(InputError) as caught:
        ledger.take_back(house.database, job_id, items, stage, exemption)
    assert caught.value.code == code


def test_what_is_under_way_is_refused_with_its_state(house: House, tmp_path: Path) -> None:
    job_id = house.submit({"a": photo(tmp_path / "a.png")}, "- color_enhance")
    with pytest.raises(InputError, match="a is pending") as caught:
        ledger.take_back(house.database, job_id, ["a"], "color_enhance", Exemption())
    assert "watch" in caught.value.remedy
