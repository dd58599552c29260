"""Warp error: motion is none, flashes are."""

import numpy as np
import pytest

from tests.support.damage import film
from workers.metrics import warp_error


def test_motion_alone_is_no_warp_error_and_flashes_are() -> None:
    pan = film(3, 96, 128, channels=3, pan_px=2.0).numpy()
    looks = [warp_error.observe(frame) for frame in pan]
    still = warp_error.update(looks[0], looks[1])
    # Ten per cent more red: what moves is followed, and the difference of colour is seen whole.
    tinted = pan[1] + np.array([0.1, 0, 0], np.float32)[:, None, None]
    assert warp_error.update(looks[0], warp_error.observe(tinted)) == pytest.approx(still + 0.01 / 3, rel=0.15)
    assert still < 5e-4
