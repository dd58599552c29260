"""What all kinds of profile share: rows of segments joined are the rows of the whole reel."""

import numpy as np
import pytest

from tests.support.damage import film, with_flicker, with_grain
from workers import profiles
from workers.ops import planes


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", profiles.ORDER)
def test_a_profile_does_not_depend_on_where_the_reel_was_cut(kind: str, channels: int) -> None:
    pictures = [planes.from_frame(frame) for frame in with_grain(with_flicker(film(7, channels=channels)), 0.05)]
    rows = [
        profiles.measure((kind, "cuts"), picture, pictures[number - 1] if number else None)
        for number, picture in enumerate(pictures)
    ]
    whole = profiles.profile(profiles.stack(rows))
    parted = profiles.profile(profiles.join([profiles.stack(rows[a:b]) for a, b in ((0, 1), (1, 5), (5, 7))]))
    again = profiles.profile_of((kind, "cuts"), pictures)
    for name, values in whole.items():
        assert len(values) == 7
        np.testing.assert_array_equal(values, parted[name])
        np.testing.assert_array_equal(values, again[name])


@pytest.mark.parametrize("kind", profiles.ORDER)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 9)])
@pytest.mark.parametrize("value", [0.0, 1.0, 1.3, -0.1])
def test_blank_and_tiny_reels_have_finite_profiles(kind: str, size: tuple[int, int], value: float) -> None:
    blank = [np.full((1, *size), value, np.float32)] * 3
    assert all(np.isfinite(values).all() for values in profiles.profile_of((kind,), blank).values())


@pytest.mark.parametrize("kind", profiles.ORDER)
def test_one_frame_has_a_profile(kind: str) -> None:
    profile = profiles.profile_of((kind,), [planes.from_frame(film(1)[0])])
    assert profile["cut"].tolist() == [True]
