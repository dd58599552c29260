"""The Frechet distance of two sets of features, and what networks are fed for it.

FID (Heusel et al. 2017) is this distance of the 2048 features that the Inception network of 2015-12-05 sees. The
libraries differ in how they bring pictures to 299 x 299, and the papers of colorization in the network as well; each
way has its name here, and their numbers are not to be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from workers.ops import bicubic, planes
from workers.ops.planes import Planes

Levels = NDArray[np.uint8]
Features = NDArray[np.float32]
Rows = NDArray[np.float64]
Mode = Literal["torch_fidelity", "pytorch_fid", "clean_fid", "imagenet_01", "imagenet_11"]

SIDE_PX = 299
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Moments:
    """Mean and covariance of features that are added batch by batch."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.count = 0
        self._sum: Rows = np.zeros(0)
        self._products: Rows = np.zeros((0, 0))

    def add(self, features: NDArray[np.floating]) -> None:
        """Add rows ``(N, D)``."""
        rows = np.asarray(features, np.float64)
        if not self.count:
            self._sum, self._products = np.zeros(rows.shape[1]), np.zeros((rows.shape[1],) * 2)
        self.count += len(rows)
        self._sum = self._sum + rows.sum(axis=0)
        self._products += rows.T @ rows

    @property
    def mean(self) -> Rows:
        """Mean ``(D,)``."""
        return np.asarray(self._sum / self.count)

    @property
    def covariance(self) -> Rows:
        """Unbiased covariance ``(D, D)``; of fewer than two rows zero."""
        mean = self.mean
        return np.asarray((self._products - self.count * np.outer(mean, mean)) / max(1, self.count - 1))


MomentsPair = tuple[Moments, Moments]
"""Of what was made, and of the references."""


def update(features: Features, reference: Features) -> tuple[Features, Features]:
    """Return the features of a picture and of its reference, to be accumulated."""
    return features, reference


def accumulate(state: MomentsPair | None, values: Sequence[tuple[Features, Features]]) -> MomentsPair:
    """Add a batch of pairs of features to the moments of both sets; begins with None."""
    moments = state or (Moments(), Moments())
    for side, column in zip(moments, zip(*values, strict=True), strict=True):
        side.add(np.stack(column))
    return moments


def compute(state: MomentsPair) -> float:
    """Return the distance of the two sets."""
    return distance(*state)


@torch.inference_mode()
def features(network: nn.Module, pictures: Sequence[Planes], mode: Mode) -> Sequence[Features]:
    """Return what a network sees in pictures ``(C, H, W)`` 0..1, 2048 numbers each."""
    device = next(network.parameters()).device
    levels = [planes.to_levels(planes.to_rgb(picture)) for picture in pictures]
    rows: Features = network(network_input(levels, mode).to(device)).float().cpu().numpy()
    return list(rows)


def distance(one: Moments, other: Moments) -> float:
    """Return ``|m1 - m2|^2 + Tr(S1 + S2 - 2 sqrt(S1 S2))``, never below 0.

    The trace of ``sqrt(S1 S2)`` is the sum of the roots of the eigenvalues of ``sqrt(S1) S2 sqrt(S1)``, which is
    symmetric: exact also where a covariance has not full rank, and nothing complex arises.
    """
    first, second = one.covariance, other.covariance
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    shared = np.sqrt(np.clip(np.linalg.eigvalsh(root @ second @ root), 0, None)).sum()
    apart = one.mean - other.mean
    return max(0.0, float(apart @ apart + np.trace(first) + np.trace(second) - 2 * shared))


def network_input(pictures: Sequence[Levels], mode: Mode) -> Tensor:
    """Return what the network is fed ``(N, 3, 299, 299)`` float32 for 8-bit sRGB pictures ``(H, W, 3)`` of any sizes.

    Args:
        pictures: The pictures.
        mode: ``torch_fidelity``: bilinear as TensorFlow 1 has it; ``pytorch_fid``: torch's bilinear without
            antialiasing; ``clean_fid``: Pillow's bicubic in floats; each then -1..1. ``imagenet_01``: torch's bilinear
            of 0..1, then ``x / 2 + 0.5`` and ImageNet's mean and deviation; ``imagenet_11``: the same of -1..1.

    Raises:
        ValueError: There is no such mode.
    """
    if mode not in _MODES:
        raise ValueError(f"pictures are prepared as one of {', '.join(_MODES)}, not {mode!r:.40}")
    return torch.cat([_MODES[mode](picture) for picture in pictures])


def _planes(picture: Levels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float()[None]


def _torch_fidelity(picture: Levels) -> Tensor:
    return (_tensorflow(_tensorflow(_planes(picture), 2), 3) - 128) / 128


def _tensorflow(planes: Tensor, axis: int) -> Tensor:
    """Resample one axis as TensorFlow 1 does: the corner, not the centre, of the first pixel stays where it is."""
    length = planes.shape[axis]
    places = torch.arange(SIDE_PX, dtype=torch.float32) * (length / SIDE_PX)
    low = places.floor().long()
    share = (places - low).view(-1, *[1] * (3 - axis))
    below = planes.index_select(axis, low)
    above = planes.index_select(axis, (low + 1).clamp_max(length - 1))
    return below + (above - below) * share


def _pytorch_fid(picture: Levels) -> Tensor:
    return 2 * _bilinear(_planes(picture) / 255) - 1


def _clean_fid(picture: Levels) -> Tensor:
    resized = np.clip(bicubic.pillow_bicubic(picture, SIDE_PX, SIDE_PX), 0, 255).transpose(2, 0, 1)
    return ((torch.from_numpy(np.ascontiguousarray(resized)).float() - 128) / 128)[None]


def _imagenet_01(picture: Levels) -> Tensor:
    return _recenter(_bilinear(_planes(picture) / 255))


def _imagenet_11(picture: Levels) -> Tensor:
    return _recenter(_bilinear(_planes(picture) / 255 * 2 - 1))


def _recenter(planes: Tensor) -> Tensor:
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (_IMAGENET_MEAN, _IMAGENET_STD))
    return (planes * 0.5 + 0.5) * (std / 0.5) + (mean - 0.5) / 0.5


def _bilinear(planes: Tensor) -> Tensor:
    return functional.interpolate(planes, (SIDE_PX, SIDE_PX), mode="bilinear", align_corners=False)


_MODES = {
    "torch_fidelity": _torch_fidelity,
    "pytorch_fid": _pytorch_fid,
    "clean_fid": _clean_fid,
    "imagenet_01": _imagenet_01,
    "imagenet_11": _imagenet_11,
}
