"""Each shot's grain."""

import numpy as np

from workers.ops.grain import LEVELS, REACH_PX, UNKNOWN
from workers.profiles import grain


def rows(variances: list[list[float]]) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    likeness = np.zeros((len(variances), REACH_PX + 1, 2 * REACH_PX + 1), np.float32)
    likeness[:, 0, REACH_PX] = 1e-4
    likeness[:, 0, REACH_PX + 1] = 0.4e-4
    return {"variance": np.array(variances), "likeness": likeness, "side": np.full(len(variances), 320.0)}


def test_levels_are_those_of_calm_frames_of_the_shot_that_know() -> None:
    unknown = [UNKNOWN] * LEVELS
    told = [[UNKNOWN, *[value] * 3, *[UNKNOWN] * 4] for value in (4e-4, 9e-4, 1e-3, 4e-4, 1e-4)]
    got = grain.profile(rows([[1.0] * LEVELS, *told, unknown]), ((0, 7),))
    np.testing.assert_allclose(got["grain_sigma"], 0.02)
    np.testing.assert_allclose(got["grain_likeness"][2, 0, REACH_PX : REACH_PX + 2], (1, 0.4), rtol=1e-5)


def test_a_level_that_few_frames_tell_of_is_not_believed() -> None:
    told = [[*[4e-4] * 3, *[UNKNOWN] * 5] for _ in range(9)]
    told[5][3] = 1e-2
    got = grain.profile(rows(told), ((0, 9),))
    np.testing.assert_allclose(got["grain_sigma"], 0.02)


def test_a_shot_of_one_frame_has_no_grain_that_is_known() -> None:
    got = grain.profile(rows([[1e-4] * LEVELS] * 3), ((0, 2), (2, 3)))
    np.testing.assert_allclose(got["grain_sigma"][:2], 0.01)
    assert not got["grain_sigma"][2].any()
    assert not got["grain_likeness"][2].any()
