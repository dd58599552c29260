"""One blur for each shot."""

import numpy as np

from workers.profiles import sharpness


def test_each_frame_has_the_median_of_its_shot() -> None:
    rows = {"blur": np.array([1.0, 9.0, 2.0, 4.0, 4.0, 0.0])}
    assert sharpness.profile(rows, ((0, 3), (3, 6)))["blur"].tolist() == [2, 2, 2, 4, 4, 4]
