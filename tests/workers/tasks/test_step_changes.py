"""What changed per step, held against counts made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from db.recipe import parse
from db.states import ItemKind
from tests.support.reels import House, film, house, item, moving, planes_of, whole_life
from workers.tasks import step_changes
from workers.tasks.restore_still import restore_still

STEPS = """
- deflicker: {window: 7}
- denoise: {method: temporal, radius: 2, strength: 0.7}
- color_enhance: {strength: 0}
- upscale: {scale: 2}
"""


@pytest.fixture
def at(tmp_path: Path) -> House:
    return house(tmp_path)


def _columns(at: House, result: Any) -> dict[str, np.ndarray]:
    table = pq.read_table(at.path(result.outputs["scores"])).to_pydict()
    return {name: np.array(values) for name, values in table.items() if name.startswith(("changed_", "moved_"))}


def test_what_is_counted_is_what_can_be_seen_in_the_file(at: House, tmp_path: Path) -> None:
    frames = moving(9, 40, 56, seed=3)
    path = film(tmp_path / "a.mkv", frames, "gray")
    _, result = whole_life(at, item(path, "[{denoise: {method: spatial}}]"))
    found = _columns(at, result)
    made = planes_of(at.path(result.outputs["master"]))
    shares = [np.mean(new[0] != old[0]) for new, old in zip(made, frames, strict=True)]
    # Samples are rounded once more in the file, so a change of exactly half a value may go either way.
    assert found["changed_1_denoise"] == pytest.approx(shares, abs=0.002)
    moved = [np.mean(np.abs(new[0].astype(float) - old[0])) / 255 for new, old in zip(made, frames, strict=True)]
    assert found["moved_1_denoise"] == pytest.approx(moved, abs=0.001)
    (row,) = result.facts["steps"]
    assert row == {
        "stage": "denoise",
        "changed": pytest.approx(np.mean(found["changed_1_denoise"])),
        "moved": pytest.approx(np.mean(found["moved_1_denoise"])),
        "changed_frames": 9,
    }


def test_no_cut_changes_a_number(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(21, 32, 48, seed=5), "gray")
    found = [
        _columns(at, whole_life(at, item(path, STEPS, batch_frames=4), segment_frames)[1])
        for segment_frames in (4, 8, 24)
    ]
    assert set(found[0]) == {f"{what}_{step}" for what in ("changed", "moved")
                             for step in ("1_deflicker", "2_denoise", "3_color_enhance")}  # fmt: skip
    for name, values in found[0].items():
        assert len(values) == 21
        assert all(np.array_equal(values, other[name]) for other in found[1:])
    assert not found[0]["changed_3_color_enhance"].any()


def test_a_step_that_changes_the_size_has_no_numbers(at: House, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", moving(3), "gray")
    _, result = whole_life(at, item(path, "[{upscale: {}}]"))
    assert result.facts["steps"] == [{"stage": "upscale", "changed": None, "moved": None, "changed_frames": None}]


def test_a_still_has_them_too(at: House, tmp_path: Path) -> None:
    samples = moving(1, 32, 32)[0][0]
    Image.fromarray(samples).save(tmp_path / "a.png")
    still = item(tmp_path / "a.png", "[{color_enhance: {}}]", kind=ItemKind.STILL)
    result = restore_still(still, at.bench())
    with Image.open(at.path(result.outputs["still"])) as made:
        share = np.mean(np.asarray(made) != samples)
    assert result.facts["steps"][0]["changed"] == pytest.approx(share, abs=0.002)
    assert result.facts["recipe_fingerprint"] == still.recipe.fingerprint()


def test_by_hand() -> None:
    before = torch.zeros(2, 1, 2, 2)
    after = torch.zeros(2, 3, 2, 2)
    after[1, 2, 0, 0] = 0.6  # one channel of one pixel
    after[1, 0, 1, 1] = 0.1
    changed, moved = step_changes.measure(before, after, 0.5)
    assert changed.tolist() == [0, 0.25]
    assert moved.tolist() == pytest.approx([0, 0.7 / 12])


@pytest.mark.parametrize("channels", [1, 3])
def test_both_ways_of_counting_agree(channels: int) -> None:
    generator = torch.Generator().manual_seed(1)
    before = torch.rand(2, 1, 70, 50, generator=generator)
    after = before + 0.01 * torch.randn(2, channels, 70, 50, generator=generator)
    on_device = step_changes._count_on_device(before, after, 0.004)
    for old, new, (changed, moved) in zip(before, after, on_device, strict=True):
        changed_in_strips, moved_in_strips = step_changes._count_in_strips(old, new, 0.004)
        assert changed == changed_in_strips
        assert moved == pytest.approx(moved_in_strips, rel=1e-6)


def test_nothing_recorded_is_nothing_said() -> None:
    recipe = parse("- denoise", "trial")
    assert step_changes.ChangeRecorder(recipe, 8).values() == {}
    assert step_changes.facts(recipe, {})["steps"][0]["changed"] is None


def test_a_step_that_changed_nothing_says_why_that_may_be() -> None:
    recipe = parse("[deflicker, scratch, dirt: {strength: 0}]", "r")
    values = {f"changed_{name}": np.zeros(3) for name in ("1_deflicker", "2_scratch", "3_dirt")}
    (note,) = step_changes.notes(recipe, values)
    assert note.startswith("scratch changed nothing: none was found")
    assert not list(step_changes.notes(recipe, values | {"changed_2_scratch": np.array([0, 0.1, 0])}))


def test_faces_of_a_still_are_named_one_by_one() -> None:
    (step,) = parse("- face", "r").steps
    before = torch.zeros(1, 1, 20, 30)
    after, mask = before.clone(), torch.zeros(1, 1, 20, 30, dtype=torch.bool)
    for top, left, size, change in ((2, 3, 4, 0.02), (10, 15, 8, 0.05)):
        mask[..., top : top + size, left : left + size] = True
        after[..., top : top + size, left : left + size] = change
    large, small = step_changes.place_notes(step, before, after, mask)
    assert large == "face changed 8 x 8 pixels at 15, 10 by 5.00% of full scale on average."
    assert small == "face changed 4 x 4 pixels at 3, 2 by 2.00% of full scale on average."
    assert not list(step_changes.place_notes(parse("- dirt", "r").steps[0], before, after, mask))


def test_places_that_a_reel_has_not_are_named() -> None:
    steps = "- denoise: {variants: [{shot: 3, strength: 0}, {shot: 2, strength: 0}, {frames: [9, 12], strength: 0}]}"
    faults = list(step_changes.place_faults(parse(steps, "r"), frame_count=9, shot_count=2))
    assert faults == [
        "denoise: there is no shot 3; the reel's last is 2.",
        "denoise: there is no frame 9; the reel's last is 8.",
    ]
