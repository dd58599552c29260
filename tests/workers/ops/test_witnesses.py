"""Who may say what a frame should show."""

import dataclasses

import torch

from tests.support.damage import clip, film, reel, with_grain
from workers.ops import witnesses


def test_neighbours_of_the_shot_bear_witness() -> None:
    frames = with_grain(film(9), 0.02)
    whole = reel(frames, ((0, 5), (5, 9)))
    assert witnesses.witnesses(clip(frames), 3, whole) == [1, 2, 4]
    assert witnesses.witnesses(clip(frames), 5, whole) == [6, 7]


def test_stand_ins_and_repeats_do_not() -> None:
    frames = with_grain(film(9), 0.02)
    whole = reel(frames, ((0, 9),))
    shown = dataclasses.replace(clip(frames), sources=(0, 1, 2, 4, 4, 5, 6, 7, 8))
    assert witnesses.witnesses(shown, 5, whole) == [4, 6, 7]
    assert witnesses.witnesses(shown, 3, whole) == [1, 2, 5]
    twice = torch.cat([frames[:4], frames[3:4], frames[5:]])
    assert witnesses.witnesses(clip(twice), 4, whole) == [2, 5, 6]


def test_colour_is_searched_in_each_channel_and_grey_once() -> None:
    color = film(1, channels=3)[0].numpy()
    assert witnesses.searched(color).shape[0] == 4
    gray = film(1)[0].expand(3, -1, -1).numpy()
    assert witnesses.searched(gray).shape[0] == 1
