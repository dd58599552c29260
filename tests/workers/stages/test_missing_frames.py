"""Missing frames are made up from those around them."""

import cv2
import numpy as np
import pytest
import torch

from tests.support.damage import clip, psnr_db, reel, step
from workers import stages
from workers.frames import Clip, Reel


def walk(count: int = 10, seed: int = 0, step_px: int = 4) -> torch.Tensor:
    """A pan over a cloudy scene with detail, ``(count, 1, 96, 144)``."""
    rng = np.random.default_rng(seed)
    size = (96, 144 + step_px * count)
    total = sum(cv2.GaussianBlur(rng.standard_normal(size), (0, 0), sigma) * sigma for sigma in (2, 6, 16))
    wide = torch.from_numpy((0.1 + 0.8 * (total - total.min()) / np.ptp(total)).astype(np.float32))
    return torch.stack([wide[:, step_px * n : step_px * n + 144] for n in range(count)])[:, None].contiguous()


def whole(frames: torch.Tensor, shots: tuple[tuple[int, int], ...] | None = None) -> Reel:
    return reel(frames, shots or ((0, len(frames)),), kinds=("cuts",))


def without(frames: torch.Tensor, *missing: int) -> Clip:
    """The reel as it is read when frames cannot be: the last good one stands in, at the start the next."""
    shown: list[int] = []
    for number in range(len(frames)):
        shown.append(number if number not in missing else shown[-1] if shown else max(missing) + 1)
    return Clip(frames[shown], 0, tuple(shown))


def repaired(window: Clip, context: Reel, **params: object) -> tuple[torch.Tensor, list[bool]]:
    frames, mask = stages.repair(step("missing_frames", **params), window, 0, window.stop, context)
    assert mask is not None
    assert all(bool(each.all()) == bool(each.any()) for each in mask)
    return frames, [bool(each.any()) for each in mask]


@pytest.mark.parametrize("missing", [(4,), (4, 5), (3, 4, 5, 6)])
def test_a_gap_is_filled_along_the_motion_and_marked_and_nothing_else_changes(missing: tuple[int, ...]) -> None:
    frames = walk()
    window = without(frames, *missing)
    got, filled = repaired(window, whole(frames))
    assert [number for number, each in enumerate(filled) if each] == list(missing)
    inner = (slice(None), slice(8, -8), slice(24, -24))
    for number in range(10):
        if number in missing:
            held = psnr_db(window.frames[number][inner], frames[number][inner])
            assert psnr_db(got[number][inner], frames[number][inner]) > held + 8
        else:
            assert torch.equal(got[number], frames[number])


def test_in_a_gap_that_is_too_long_the_nearest_good_frame_is_held() -> None:
    frames = walk()
    got, filled = repaired(without(frames, 3, 4, 5), whole(frames), max_gap=2)
    assert torch.equal(got[3], frames[2])
    assert torch.equal(got[5], frames[6])
    assert filled[3:6] == [True] * 3


def test_nothing_is_made_of_two_shots() -> None:
    frames = torch.cat([walk(5), walk(5, seed=3)])
    context = whole(frames, ((0, 5), (5, 10)))
    got, _ = repaired(without(frames, 4, 5), context)
    assert torch.equal(got[4], frames[3])
    assert torch.equal(got[5], frames[6])


def test_a_shot_of_which_nothing_is_left_stays_as_it_was_read() -> None:
    frames = torch.cat([walk(4), walk(1, seed=3), walk(4, seed=5)])
    window = without(frames, 4)
    got, filled = repaired(window, whole(frames, ((0, 4), (4, 5), (5, 9))))
    assert torch.equal(got, window.frames)
    assert not any(filled)


def test_odd_frames_are_replaced_when_asked() -> None:
    clean = walk(12)
    frames = clean.clone()
    frames[6] = 0
    context = reel(frames, kinds=("cuts",))
    assert context.shots == ((0, 12),)
    untouched, _ = repaired(clip(frames), context)
    assert torch.equal(untouched, frames)
    got, filled = repaired(clip(frames), context, odd=True)
    assert [number for number, each in enumerate(filled) if each] == [6]
    assert psnr_db(got[6, :, 8:-8, 24:-24], clean[6, :, 8:-8, 24:-24]) > 30


def test_repeats_are_replaced_when_asked() -> None:
    frames = walk(9)[[0, 1, 2, 2, 4, 5, 6, 7, 8]]
    got, filled = repaired(clip(frames), whole(frames), repeats=True)
    assert [number for number, each in enumerate(filled) if each] == [3]
    assert torch.equal(repaired(clip(frames), whole(frames))[0], frames)
    assert psnr_db(got[3, :, 8:-8, 24:-24], walk(9)[3, :, 8:-8, 24:-24]) > 30


@pytest.mark.parametrize("params", [{}, {"repeats": True, "odd": True}])
def test_bits_do_not_depend_on_the_window(params: dict[str, bool]) -> None:
    frames = walk(16)
    window = without(frames, 3, 7, 8, 12)
    window.frames[14] = window.frames[13]
    context = whole(window.frames)
    chosen = step("missing_frames", **params)
    radius = stages.temporal_radius(chosen)
    expected, _ = stages.repair(chosen, window, 0, 16, context)
    for start, stop in ((0, 1), (3, 4), (7, 9), (8, 9), (12, 16), (14, 15)):
        low, high = max(0, start - radius), min(16, stop + radius)
        part = Clip(window.frames[low:high].clone(), low, window.sources[low:high])
        assert torch.equal(stages.repair(chosen, part, start, stop, context)[0], expected[start:stop])


def test_strength_mixes_the_stand_in_with_what_is_made_up() -> None:
    frames = walk()
    window = without(frames, 4)
    full, _ = repaired(window, whole(frames))
    half, _ = repaired(window, whole(frames), strength=0.5)
    torch.testing.assert_close(half[4], (full[4] + window.frames[4]) / 2, atol=1e-6, rtol=0)
