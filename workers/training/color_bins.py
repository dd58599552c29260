"""A grid of ab colours, how common each is, and colours as shares of their nearest bins.

After Zhang, Isola, Efros 2016: a grid of 10 by 10 units of Lab, five neighbours weighted by a Gaussian of 5 units, and
weights that count rare colours for more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.training import views
from workers.training.photos import Photos

GRID = 10
_REACH = 11
_SIDE = 2 * _REACH + 1
_NEIGHBORS, _SIGMA = 5, 5.0
_RAREST = 2e-5
_UNIFORM = 0.5


@dataclass(frozen=True)
class Bins:
    """Colours ``(Q, 2)`` that occur, and what each counts for in training ``(Q,)``, 1 on average over the pixels."""

    colors: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> Bins:
        """Return the same on a device."""
        return Bins(self.colors.to(device), self.weights.to(device))

    def shares(self, ab: Tensor) -> tuple[Tensor, Tensor]:
        """Return the five nearest bins, or all, and their shares, ``(N, 5, h, w)`` each, for ab ``(N, 2, h, w)``."""
        flat = ab.movedim(1, -1).reshape(-1, 2)
        far, near = torch.cdist(flat, self.colors).topk(min(_NEIGHBORS, len(self.colors)), largest=False)
        share = torch.softmax(-(far**2) / (2 * _SIGMA**2), dim=1)
        shape = (len(ab), *ab.shape[-2:], far.shape[1])
        return near.reshape(shape).movedim(-1, 1), share.reshape(shape).movedim(-1, 1)


def measure_bins(photos: Photos, most: int, colors: Tensor | None = None, count: int = 1500) -> Bins:
    """Return the bins of photographs.

    Args:
        photos: What is trained on.
        most: Largest number of bins; the commonest are kept.
        colors: Bins of the grid ``(Q, 2)`` that a network has already; none takes those that occur.
        count: How many photographs are looked at.
    """
    counts = np.zeros(_SIDE * _SIDE)
    for _, picture in photos.subset(count):
        counts += np.bincount(
            _grid_indices(views.to_lab(picture)[::4, ::4, 1:].reshape(-1, 2)), minlength=_SIDE * _SIDE
        )
    shares = counts / counts.sum()
    if colors is None:
        cells = np.sort(np.argsort(-shares, kind="stable")[: min(most, int((shares > _RAREST).sum()))])
    else:
        cells = _grid_indices(colors.numpy())
    share = shares[cells] / shares[cells].sum()
    weight = 1 / ((1 - _UNIFORM) * share + _UNIFORM / len(cells))
    weight /= (share * weight).sum()
    grid = np.stack([cells // _SIDE - _REACH, cells % _SIDE - _REACH], axis=1) * GRID
    return Bins(torch.from_numpy(grid).float(), torch.from_numpy(weight).float())


def _grid_indices(ab: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return where in the grid colours ``(N, 2)`` are."""
    place = np.clip(np.rint(ab / GRID).astype(np.intp) + _REACH, 0, _SIDE - 1)
    return np.asarray(place[:, 0] * _SIDE + place[:, 1], np.intp)
