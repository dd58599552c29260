"""Colorfulness by hand."""

import math

import numpy as np
import pytest

from tests.support.damage import film
from workers.metrics import (
    colorfulness,
)


def test_colourfulness_by_hand() -> None:
    # Half the picture red, half blue: rg is 255 or 0, yb is 127.5 or -255.
    picture = np.zeros((3, 2, 2), np.float32)
    picture[0, 0], picture[2, 1] = 1, 1
    expected = math.hypot(127.5, 191.25) + 0.3 * math.hypot(127.5, -63.75)
    assert colorfulness.update(picture) == pytest.approx(expected, rel=1e-5)


def test_grey_has_no_colour() -> None:
    picture = film(1)[0].numpy()
    assert colorfulness.update(picture) == 0
    assert colorfulness.update(np.repeat(picture, 3, 0)) == pytest.approx(0, abs=1e-4)
