"""What all stages share: strength, shots, windows, channels, odd sizes."""

import dataclasses
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from db.catalog import stages as catalog
from db.errors import InputError, WorkError
from db.recipe import Step
from tests.support.damage import clip, film, reel, step, with_flicker, with_grain
from workers import stages
from workers.frames import STILL, Clip, Memo, Repaired
from workers.ops import flow

# Networks change what they are given by design, and have tests of their own.
NAMES = sorted(name for name in catalog.STAGES if not step(name).cards())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_frame_comes_out_the_same_bit_for_bit_from_any_window(name: str, channels: int) -> None:
    frames = with_grain(with_flicker(film(16, channels=channels)), 0.06)
    whole, chosen = reel(frames, ((0, 7), (7, 16))), step(name)
    radius = stages.temporal_radius(chosen)
    expected = stages.apply(chosen, clip(frames), 0, 16, whole)
    for start, stop in ((0, 1), (4, 9), (6, 7), (7, 8), (13, 16)):
        low, high = max(0, start - radius), min(16, stop + radius)
        got = stages.apply(chosen, clip(frames[low:high].clone(), low), start, stop, whole)
        assert torch.equal(got, expected[start:stop])


def at_its_bounds() -> Iterator[Any]:
    """Every stage with one number at its lowest or highest, the others as they are."""
    for name in NAMES:
        for field, facts in catalog.STAGES[name].params.model_json_schema()["properties"].items():
            numbers = [facts, *facts.get("anyOf", ())]
            for value in {each[end] for each in numbers for end in ("minimum", "maximum") if end in each}:
                try:
                    chosen = step(name, **{field: value})
                except InputError:  # it wants other parameters beside it
                    continue
                yield pytest.param(chosen, id=f"{name}-{field}-{value}")


@pytest.mark.parametrize("chosen", list(at_its_bounds()))
def test_at_the_bounds_of_its_parameters_frames_are_finite_and_do_not_depend_on_the_window(chosen: Step) -> None:
    frames = with_grain(with_flicker(film(9, 17, 31, channels=3)), 0.2)
    frames[4] = frames[4] * 1.6 - 0.3  # foot and head room of a limited range
    whole = reel(frames)
    radius = stages.temporal_radius(chosen)
    expected = stages.apply(chosen, clip(frames), 0, 9, whole)
    assert torch.isfinite(expected).all()
    for start, stop in ((0, 1), (4, 5), (3, 8)):
        low, high = max(0, start - radius), min(9, stop + radius)
        got = stages.apply(chosen, clip(frames[low:high].clone(), low), start, stop, whole)
        assert torch.equal(got, expected[start:stop])


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_taken_over_a_cut(name: str) -> None:
    frames = with_grain(film(12), 0.06)
    other = frames.clone()
    other[6:] = with_grain(film(6, pan_px=3.0), 0.06, seed=5)
    # The profile is that of the first reel, so only pixels beyond the cut differ.
    whole = reel(frames, ((0, 6), (6, 12)))
    one = stages.apply(step(name), clip(frames), 0, 6, whole)
    assert torch.equal(one, stages.apply(step(name), clip(other), 0, 6, whole))


@pytest.mark.parametrize("name", NAMES)
def test_strength_nothing_gives_the_input_back_and_half_lies_between(name: str) -> None:
    frames = with_grain(with_flicker(film(6)), 0.05)
    whole = reel(frames)
    assert stages.apply(step(name, strength=0), clip(frames), 1, 5, whole) is not None
    assert torch.equal(stages.apply(step(name, strength=0), clip(frames), 1, 5, whole), frames[1:5])
    if stages.scale(step(name)) == 1 and not catalog.STAGES[name].done_by_probe:
        full, half = (stages.apply(step(name, strength=s), clip(frames), 1, 5, whole) for s in (1, 0.5))
        torch.testing.assert_close(half, (frames[1:5] + full) / 2, rtol=0, atol=1e-6)


def test_a_step_limited_to_shots_leaves_the_other_frames_alone() -> None:
    frames = with_grain(film(8), 0.05)
    whole = reel(frames)
    got = stages.apply(step("denoise", shots=[(2, 4), (6, 99)]), clip(frames), 0, 8, whole)
    full = stages.apply(step("denoise"), clip(frames), 0, 8, whole)
    for number in range(8):
        inside = number in (2, 3, 6, 7)
        assert torch.equal(got[number], (full if inside else frames)[number])
    assert not torch.equal(full, frames)


def test_frames_outside_the_shots_of_an_enlarging_step_are_enlarged_plainly() -> None:
    frames = film(3)
    got = stages.apply(step("upscale", shots=[(1, 2)]), clip(frames), 0, 3, reel(frames))
    assert got.shape == (3, 1, 128, 192)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (2, 3), (17, 9), (31, 47)])
def test_any_size_comes_through_as_a_still_and_as_a_reel(name: str, channels: int, size: tuple[int, int]) -> None:
    frames = with_grain(film(3, *size, channels=channels), 0.1)
    factor = stages.scale(step(name))
    shape = (channels, size[0] * factor, size[1] * factor)
    still = stages.apply(step(name), clip(frames[:1]), 0, 1, STILL)
    assert still.shape == (1, *shape)
    got = stages.apply(step(name), clip(frames), 0, 3, reel(frames))
    assert got.shape == (3, *shape)
    assert torch.isfinite(got).all()
    assert got.dtype == torch.float32


@pytest.mark.parametrize("name", [name for name in NAMES if catalog.STAGES[name].keeps_blank])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 1.2])
def test_blank_frames_stay_blank(name: str, value: float) -> None:
    frames = torch.full((4, 3, 24, 32), value)
    got = stages.apply(step(name), clip(frames), 0, 4, reel(frames))
    assert float((got - value).abs().max()) < 2e-3


@pytest.mark.parametrize("name", NAMES)
def test_equal_channels_stay_exactly_equal(name: str) -> None:
    frames = with_grain(film(5), 0.05).expand(-1, 3, -1, -1)
    got = stages.apply(step(name), clip(frames), 0, 5, reel(frames))
    assert torch.equal(got[:, 0], got[:, 1])
    assert torch.equal(got[:, 0], got[:, 2])


@pytest.mark.parametrize("name", NAMES)
def test_the_window_is_left_as_it_was(name: str) -> None:
    frames = with_grain(film(5, channels=3), 0.05)
    before = frames.clone()
    stages.apply(step(name), clip(frames), 0, 5, reel(frames))
    assert torch.equal(frames, before)


def test_an_unknown_stage_is_named() -> None:
    with pytest.raises(WorkError, match="'polish'") as caught:
        stages.apply(Step(stage="polish"), clip(film(1)), 0, 1, STILL)
    assert caught.value.code == "NO_MODULE"


def test_a_stage_without_its_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = dataclasses.replace(catalog.STAGES["upscale"], name="polish", module="workers.stages.polish")
    monkeypatch.setitem(catalog.STAGES, "polish", listed)  # type: ignore[arg-type]
    with pytest.raises(WorkError, match="polish") as caught:
        stages.apply(Step(stage="polish"), clip(film(1)), 0, 1, STILL)
    assert caught.value.code == "NO_MODULE"


def test_a_step_of_no_strength_asks_for_no_neighbours_and_no_other_size() -> None:
    assert stages.temporal_radius(step("denoise", radius=3)) == 3
    assert stages.temporal_radius(step("denoise", strength=0)) == 0
    assert stages.temporal_radius(step("denoise", method="spatial")) == 0
    assert stages.scale(step("upscale", scale=3)) == 3
    assert stages.scale(step("upscale", strength=0)) == 1


def test_a_substitute_is_corrected_for_the_frame_that_it_really_shows() -> None:
    frames = with_flicker(film(9))
    whole = reel(frames)
    shown = Clip(torch.cat([frames[:4], frames[3:4], frames[5:]]), 0, (0, 1, 2, 3, 3, 5, 6, 7, 8))
    got = stages.apply(step("deflicker"), shown, 0, 9, whole)
    wrong = stages.apply(step("deflicker"), dataclasses.replace(shown, sources=tuple(range(9))), 0, 9, whole)
    aim = stages.apply(step("deflicker"), clip(frames), 0, 9, whole)[4].mean()
    assert abs(got[4].mean() - aim) < 0.005
    assert abs(wrong[4].mean() - aim) > 0.01


def test_other_parameters_are_in_force_where_a_variant_says_so() -> None:
    frames = with_grain(film(12), 0.05)
    whole = reel(frames, ((0, 5), (5, 12)))
    varied = step("denoise", variants=[{"frames": (1, 3), "strength": 0}, {"shot": 2, "method": "spatial"}])
    got = stages.apply(varied, clip(frames), 0, 12, whole)
    plain = stages.apply(step("denoise"), clip(frames), 0, 12, whole)
    spatial = stages.apply(step("denoise", method="spatial"), clip(frames), 0, 12, whole)
    expected = torch.cat([plain[:1], frames[1:3], plain[3:5], spatial[5:]])
    assert torch.equal(got, expected)


def test_variants_do_not_depend_on_the_window() -> None:
    frames = with_grain(film(12), 0.05)
    whole = reel(frames)
    varied = step("denoise", radius=1, variants=[{"frames": (4, 9), "radius": 3}])
    assert stages.temporal_radius(varied) == 3
    expected = stages.apply(varied, clip(frames), 0, 12, whole)
    for number in range(12):
        low, high = max(0, number - 3), min(12, number + 4)
        got = stages.apply(varied, clip(frames[low:high].clone(), low), number, number + 1, whole)
        assert torch.equal(got[0], expected[number])


def test_a_step_that_was_taken_back_leaves_its_input_there() -> None:
    frames = with_grain(film(6, channels=3), 0.05)
    whole, chosen = reel(frames), step("denoise")
    full = stages.apply(chosen, clip(frames), 0, 6, whole)
    exempt = step("denoise", exemptions=[{"frames": (1, 3)}, {"frames": (4, 5), "region": (10, 20, 30, 8)}])
    got = stages.apply(exempt, clip(frames), 0, 6, whole)
    expected = full.clone()
    expected[1:3] = frames[1:3]
    expected[4, :, 20:28, 10:40] = frames[4, :, 20:28, 10:40]
    assert torch.equal(got, expected)


class _Patch:
    """A stage that repairs the middle of every frame, and paints around it what must not come out."""

    @staticmethod
    def restore(window: Clip, start: int, stop: int, params: object, reel: object) -> Repaired:
        frames = torch.ones_like(window.part(start, stop).frames)
        mask = torch.zeros_like(frames[:, :1], dtype=torch.bool)
        mask[..., 2:5, 3:6] = True
        return Repaired(frames, mask)


def test_a_repair_changes_nothing_outside_its_mask_and_its_strength_acts_inside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tests.patch_stage", _Patch)  # type: ignore[arg-type]
    listed = dataclasses.replace(catalog.STAGES["deflicker"], name="patch", module="tests.patch_stage", repairs=True)
    monkeypatch.setitem(catalog.STAGES, "patch", listed)  # type: ignore[arg-type]
    frames = film(3)
    chosen = Step(stage="patch", params={"strength": 0.5, "shots": [(0, 2)]})
    got, mask = stages.repair(chosen, clip(frames), 0, 3, reel(frames))
    assert mask is not None
    assert mask.sum(dim=(1, 2, 3)).tolist() == [9, 9, 0]
    torch.testing.assert_close(got[:2, :, 2:5, 3:6], (frames[:2, :, 2:5, 3:6] + 1) / 2)
    assert torch.equal(got[~mask], frames[~mask])


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_says_whether_it_repairs_parts_of_the_picture(name: str) -> None:
    frames = with_grain(film(6), 0.05)
    _, mask = stages.repair(step(name), clip(frames), 0, 6, reel(frames))
    assert (mask is not None) == catalog.STAGES[name].repairs
    if mask is not None:
        assert mask.shape == (6, 1, 64, 96)
        assert mask.dtype == torch.bool


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [40.0, -3.0, 1e-6])
def test_wide_ranges_come_out_finite(name: str, scale: float) -> None:
    """Linear light and log scans have values far outside 0..1, and some reels nearly none."""
    frames = with_grain(film(6, 24, 32, channels=3), 0.05) * scale
    got = stages.apply(step(name), clip(frames), 0, 6, reel(frames))
    assert torch.isfinite(got).all()


@pytest.mark.parametrize("stage", ["scratch", "stabilize_color", "denoise"])
def test_along_a_segment_no_motion_is_looked_for_twice(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, look = [], flow.motion

    def note(source: flow.Code, target: flow.Code) -> flow.Motion:
        asked.append((source.tobytes(), target.tobytes()))
        return look(source, target)

    frames = with_grain(film(12, 96, 96, 3), 0.02)
    frames[:, :, :, 40:42] = 1
    reel_, memo = reel(frames, ((0, 12),)), Memo()
    monkeypatch.setattr(flow, "motion", note)
    params = {"method": "temporal"} if stage == "denoise" else {}
    for start in (0, 4, 8):
        low, high = max(0, start - 4), min(12, start + 8)
        window = dataclasses.replace(clip(frames[low:high], low), memo=memo)
        stages.apply(step(stage, **params), window, start, start + 4, reel_)
        memo.forget_before(start)
    assert asked
    assert len(asked) == len(set(asked))
