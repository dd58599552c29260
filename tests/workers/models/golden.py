"""Compares networks with stored vectors: weights come from key names (``tests.support.fill``), inputs from a seed.

``vectors/<name>.json`` holds what is needed of the facts: the fill recipe, the digest of the key list, the tolerance;
``vectors/<name>.npz`` outputs of the published implementation under that fill.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.support import fill

VECTORS = Path(__file__).parent / "vectors"


def facts(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return found


def arrays(name: str) -> dict[str, NDArray[Any]]:
    with np.load(VECTORS / f"{name}.npz") as file:
        return dict(file)


def filled(network: nn.Module, recipe: dict[str, Any], salt: str = "shared") -> nn.Module:
    """Fill a network's weights in place as ``recipe`` asks and return it, in eval mode."""
    fill.prepare(network.state_dict(), salt, recipe)
    return network.eval()


def key_digest(state: dict[str, Tensor]) -> str:
    """Digest of keys, shapes and dtypes in the order of the names."""
    kinds = {key: str(value.dtype).removeprefix("torch.") for key, value in state.items()}
    lines = sorted(f"{key} {list(value.shape)} {kinds[key]}" for key, value in state.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def uniform(seed: int, shape: tuple[int, ...], low: float = 0, high: float = 1) -> Tensor:
    """The input rule of the facts: PCG64 floats of a seed, brought to ``[low, high)`` in float32."""
    drawn = np.random.Generator(np.random.PCG64(seed)).random(shape, np.float32)
    return torch.from_numpy(np.float32(low) + np.float32(high - low) * drawn)


def worst(actual: Tensor, expected: NDArray[Any]) -> float:
    """Largest difference as a share of the largest stored value."""
    stored = torch.from_numpy(expected)
    assert actual.shape == stored.shape
    return float((actual - stored).abs().max() / stored.abs().max())


def to_planes(picture: NDArray[np.uint8]) -> Tensor:
    """Return an 8-bit picture ``(H, W, 3)`` as ``(1, 3, H, W)`` of 0..1."""
    return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32) / 255)[None]


def opencv_lab(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return L, a and b ``(H, W, 3)`` by OpenCV, which is not ours."""
    return np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def is_in_gamut(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Say of which pixels ``(H, W)`` no channel stands at its end, where it may have been clipped."""
    inside: NDArray[np.bool_] = ((picture > 0) & (picture < 255)).all(axis=2)
    return inside
