"""What is written is read back with ``struct``, ``array`` and ``json`` alone, as a page does."""

from __future__ import annotations

import array
import json
import math
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from db import timeline as heads
from db.records import ItemResult, Substitute
from tests.support.reels import House, film, house, item, moving, whole_life


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _read(at: House, result: ItemResult) -> tuple[dict[str, Any], dict[str, list[float]]]:
    data = at.path(result.outputs["timeline"]).read_bytes()
    (length,) = struct.unpack_from("<I", data)
    head = json.loads(data[4 : 4 + length])
    assert head == heads.read_head(data)
    columns, count = {}, head["frames"]
    for number, column in enumerate(head["columns"]):
        values = array.array("f")
        values.frombytes(data[4 + length + 4 * count * number :][: 4 * count])
        columns[column["name"]] = values.tolist()
    assert len(data) == 4 + length + 4 * count * len(columns)
    return head, columns


def test_every_series_of_the_scores_is_there_frame_by_frame(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(11, channels=3), "yuv444p", rate=Fraction(24000, 1001))
    recipe = '{recipe: [{denoise: {method: temporal, radius: 1}}], gates: {luma_psnr: ">= 99", flicker: "> 1"}}'
    _, result = whole_life(at, item(path, recipe), 8)
    head, columns = _read(at, result)
    table = pq.read_table(at.path(result.outputs["scores"])).to_pydict()
    assert columns.keys() == table.keys() - {"frame", "seconds", "pts"}
    for name, values in columns.items():
        assert values == pytest.approx(table[name], rel=1e-6, nan_ok=True)
    assert math.isnan(columns["warp_error_1"][0])
    assert (head["frames"], head["rate"], head["variable_rate"]) == (11, "24000/1001", False)
    assert head["shots"][0] == 0
    assert head["gates"] == [
        {"metric": "luma_psnr", "relation": ">=", "value": 99}, {"metric": "flicker", "relation": ">", "value": 1},
    ]  # fmt: skip
    facts = {column["name"]: column for column in head["columns"]}
    assert facts["luma_psnr"] == {
        "name": "luma_psnr", "metric": "luma_psnr", "unit": "dB", "low": 0, "high": 100, "higher_is_better": True,
    }  # fmt: skip
    assert facts["color_consistency_4"]["metric"] == "color_consistency"
    assert facts["mean_luma"]["metric"] == "flicker"
    assert facts["mean_luma"]["higher_is_better"] is None
    assert facts["changed_1_denoise"]["high"] == 1
    assert next(iter(columns)) == "luma_psnr"


def test_frames_below_gates_are_in_the_result(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(9), "gray")
    recipe = '{recipe: [{denoise: {method: temporal, radius: 1}}], gates: {luma_psnr: ">= 99", flicker: "> 1"}}'
    _, result = whole_life(at, item(path, recipe), 8)
    reel, whole = result.below_gates
    _, columns = _read(at, result)
    assert (reel.start_frame, reel.stop_frame) == (0, 9)
    assert reel.value == pytest.approx(min(columns["luma_psnr"]))
    assert (whole.metric, whole.value, whole.start_frame) == ("flicker", result.scores["flicker"], None)


def test_uneven_times_have_a_column(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(4), "gray", pts=[0, 40, 200, 250])
    head, columns = _read(at, whole_life(at, item(path))[1])
    assert head["variable_rate"] is True
    assert columns["seconds"] == pytest.approx([0, 0.04, 0.2, 0.25])


def test_what_is_shown_in_place_of_frames_is_marked(at: House, tmp_path: Path) -> None:
    swap = (Substitute(frame=2, use=1, reason="decoder died"), Substitute(frame=3, use=None, reason="again"))
    path = film(tmp_path / "a.mkv", moving(5), "gray", tags={"timecode": "10:00:00:00"})
    head, _ = _read(at, whole_life(at, item(path, substitutes=swap))[1])
    assert head["substitutes"] == [
        {"frame": 2, "use": 1, "reason": "decoder died"}, {"frame": 3, "use": None, "reason": "again"},
    ]  # fmt: skip
    assert (head["stand_ins"], head["shots"], head["damaged"]) == ([], [], "")
    assert head["timecode"] == "10:00:00:00"
