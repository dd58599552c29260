"""Sharpness by hand."""

import numpy as np
import pytest

from workers.metrics import sharpness


def grey(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float32)[None]


def test_sharpness_by_hand() -> None:
    # A checkerboard of 0 and 1 answers the Laplacian with +4 and -4 everywhere: variance 16.
    board = grey(np.indices((8, 8)).sum(0) % 2)
    assert sharpness.update(board) == pytest.approx(1600, rel=1e-5)
    assert sharpness.update(grey(np.full((8, 8), 0.3))) == pytest.approx(0, abs=1e-9)
