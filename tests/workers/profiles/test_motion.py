"""How frames move as a whole."""

import numpy as np

from tests.support.damage import film
from workers.ops import planes
from workers.profiles import motion


def test_a_pan_is_told_frame_by_frame_as_shares_of_the_longer_side() -> None:
    pictures = [planes.from_frame(frame) for frame in film(3, 96, 144, pan_px=1.5)]
    row = motion.measure(pictures[1], pictures[0])
    np.testing.assert_allclose(row["shift"][:2] * 144, (-1.5, 0), atol=0.2)
    assert row["support"][0] > 0.5


def test_the_first_frame_did_not_move() -> None:
    row = motion.measure(planes.from_frame(film(1)[0]), None)
    assert not row["shift"].any()
    assert not row["support"].any()
