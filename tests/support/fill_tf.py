"""Weights for TensorFlow variables out of nothing but their names, as ``tests.support.fill`` makes them for PyTorch.

A value is drawn for the whole name that a checkpoint lists, in TensorFlow's shape; what it is scaled by follows from
the variable's own name, which is the last scope before ``:0``, a moving average's mark not counted.
"""

from __future__ import annotations

import hashlib
import math
import re

import numpy as np
from numpy.typing import NDArray

_OWN_NAME = re.compile(r"([^/]*?)(?:\.SExponentialMovingAverage)?:0/")


def own_name(name: str) -> str:
    """``kernel``, ``gamma`` and so on, of a checkpoint's name."""
    found = _OWN_NAME.match(name)
    assert found, name
    return found[1].rsplit(".S", 1)[-1]


def values(name: str, shape: tuple[int, ...], salt: str) -> NDArray[np.float32]:
    """The float32 array of one variable with at least one dimension."""
    seed = hashlib.sha256(f"{salt}:{name}".encode()).digest()[:8]
    drawn = np.random.Generator(np.random.PCG64(int.from_bytes(seed, "little"))).standard_normal(shape, np.float32)
    if own_name(name) in ("gamma", "spatial_average"):
        return np.float32(1) + np.float32(0.1) * drawn
    if len(shape) > 1:
        return drawn / np.float32(math.sqrt(math.prod(shape[:-1])))
    return np.float32(0.1) * drawn
