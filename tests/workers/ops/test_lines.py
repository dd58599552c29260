"""Lines are followed down a picture."""

import numpy as np
import pytest

from workers.ops import lines


def grain(height: int = 160, width: int = 120, seed: int = 0) -> np.ndarray:
    return (0.5 + 0.02 * np.random.default_rng(seed).standard_normal((height, width))).astype(np.float32)


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_line_is_found_with_its_width_sign_and_ends(width: int, sign: int) -> None:
    plane = grain()
    plane[30:120, 50 : 50 + width] += 0.1 * sign
    (line,) = lines.find_lines(plane, (1, 2, 3))
    assert (line.width, line.sign) == (width, sign)
    assert set(line.columns) == {50}
    assert abs(line.rows.min() - 30) < 6
    assert abs(line.rows.max() - 119) < 6


def test_a_leaning_line_is_followed() -> None:
    plane = grain()
    rows = np.arange(160)
    columns = 60 + np.rint(0.03 * rows).astype(int)
    plane[rows, columns] += 0.12
    (line,) = lines.find_lines(plane, (1, 2, 3))
    assert len(line.rows) > 150
    assert np.abs(line.columns - columns[line.rows]).max() <= 1


def test_a_gap_is_bridged_and_a_long_one_is_not() -> None:
    plane = grain()
    plane[:, 40] += 0.15
    plane[80:95, 40] = 0.5
    (line,) = lines.find_lines(plane, (1, 2, 3))
    assert len(line.rows) > 150


def test_grain_edges_and_short_lines_are_no_lines() -> None:
    plane = grain(seed=3)
    plane[:, 60:] += 0.3
    plane[20:40, 30] += 0.2
    assert lines.find_lines(plane, (1, 2, 3)) == []


def test_two_lines_side_by_side_are_two() -> None:
    plane = grain()
    plane[:, 40] += 0.12
    plane[:, 60:62] -= 0.12
    found = lines.find_lines(plane, (1, 2, 3))
    assert sorted((int(line.columns[0]), line.sign) for line in found) == [(40, 1), (60, -1)]


@pytest.mark.parametrize("size", [(1, 1), (39, 200), (200, 3)])
def test_small_pictures_have_no_lines(size: tuple[int, int]) -> None:
    assert lines.find_lines(grain(*size), (1, 2, 3)) == []


def test_a_line_that_lets_the_picture_through_is_told_from_one_that_hides_it() -> None:
    waves = (0.5 + 0.1 * np.sin(np.arange(160) / 3)[:, None] * np.ones((1, 120))).astype(np.float32)
    glass, paint = waves.copy(), waves.copy()
    glass[:, 50] += 0.2
    paint[:, 50] = 0.9
    rows = np.arange(160)
    line = lines.FilmLine(rows, np.full(160, 50), 1, 1, 1.0)
    assert lines.shows_through(glass, line)
    assert not lines.shows_through(paint, line)
    assert np.abs(lines.subtract(glass, line) - waves).max() < 0.01
